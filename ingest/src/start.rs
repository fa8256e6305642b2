//! Start: from a replayed journal to a running sequencer and committer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Duration;

use journal::Journal;
use model::{Dataflow, LogicalTime};
use runtime::clock::SharedClock;
use runtime::drain::DrainToken;
use runtime::metrics::Registry;
use runtime::queue::{self, Sender, WhenFull};
use tracing::warn;

use crate::committer::Committer;
use crate::context::Context;
use crate::intake::{Intake, Submission};
use crate::machines::Machines;
use crate::meters::Meters;
use crate::peers::{Lamport, Peers, Seats};
use crate::replay::Replayed;
use crate::resend::Resender;
use crate::sequencer::{Progress, Sequencer};
use crate::settings::Settings;
use crate::state::JournalState;
use crate::timeline::Timeline;

/// What ingest stands on.
pub struct Foundations {
    pub journal: Journal,
    /// From `replay` of the same journal.
    pub replayed: Replayed,
    pub dataflow: Arc<dyn Dataflow>,
    /// The newest T that anybody has seen, such as a sink's cursor: heartbeats may have gone past the journal's newest record, and a
    /// clock that was set back between two runs must not let a T come twice. 0 when nobody has.
    pub t_floor: LogicalTime,
    /// The smallest T that somebody still needs: the owner raises it, the journal drops what is below. 0 keeps all.
    pub keep_from: Arc<AtomicU64>,
    pub clock: SharedClock,
    pub registry: Registry,
    pub settings: Settings,
    /// The other processes of the graph, where there are any.
    pub peers: Option<Arc<dyn Peers>>,
}

/// The running sequencer and committer.
pub struct Ingest {
    intake: Intake,
    machines: Arc<Machines>,
    settings: Settings,
    clock: SharedClock,
    meters: Meters,
    state: Arc<JournalState>,
    lamport: Arc<Lamport>,
    peers: Option<Arc<dyn Peers>>,
    queue: Sender<Submission>,
    threads: Vec<JoinHandle<()>>,
}

impl Ingest {
    /// Starts the two threads.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(foundations: Foundations) -> io::Result<Self> {
        let Foundations { journal, replayed, dataflow, t_floor, keep_from, clock, registry, settings, peers } =
            foundations;
        let meters = Meters::new(&registry);
        let machines_max = settings.limits.machines_max;
        let machines = Machines::new(&settings.limits, &replayed.state, Arc::clone(&clock), meters.clone());
        let pace = settings.sequencer.clone();
        let (queue, submissions) = queue::bounded("intake", pace.queue_submissions_max, WhenFull::Block);
        let (commits, groups) = queue::bounded("commits", pace.groups_unsynced_max, WhenFull::Block);
        registry.watch_queue(queue.stats());
        registry.watch_queue(commits.stats());
        let committer = Committer {
            groups,
            syncer: journal.syncer(),
            dataflow: Arc::clone(&dataflow),
            clock: Arc::clone(&clock),
            meters: meters.clone(),
            groups_max: pace.groups_unsynced_max,
            commit_every: pace.commit_every,
        };
        let intake = Intake::new(queue.clone(), pace.intake_bytes_max);
        let state = Arc::new(JournalState::new(Arc::clone(&clock)));
        let lamport = Arc::new(Lamport::default());
        let after = replayed.newest_t.unwrap_or(0).max(t_floor);
        let sequencer = Sequencer {
            submissions,
            commits,
            journal,
            dataflow,
            timeline: Timeline::after(after, Arc::clone(&clock), Arc::clone(&lamport)),
            preamble: replayed.state,
            state: Arc::clone(&state),
            keep_from,
            machines_max,
            settings: pace,
            meters: meters.clone(),
            progress: Progress::after(replayed.newest_t),
        };
        let threads = vec![spawn("sequencer", move || sequencer.run())?, spawn("committer", move || committer.run())?];
        Ok(Self {
            intake,
            machines: Arc::new(machines),
            settings,
            clock,
            meters,
            state,
            lamport,
            peers,
            queue,
            threads,
        })
    }

    /// For records that do not come from a collector: rule edits.
    pub fn intake(&self) -> Intake {
        self.intake.clone()
    }

    /// For dead letters.
    pub fn resender(&self) -> Resender {
        Resender {
            intake: self.intake.clone(),
            machines: Arc::clone(&self.machines),
            limits: self.settings.limits.clone(),
            clock: Arc::clone(&self.clock),
            meters: self.meters.clone(),
        }
    }

    /// Where machines are given up to other processes.
    pub fn seats(&self) -> Seats {
        Seats { machines: Arc::clone(&self.machines), intake: self.intake.clone(), lamport: Arc::clone(&self.lamport) }
    }

    pub fn lamport(&self) -> Arc<Lamport> {
        Arc::clone(&self.lamport)
    }

    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// For `/ready`.
    pub fn state(&self) -> Arc<JournalState> {
        Arc::clone(&self.state)
    }

    /// Takes nothing more, and waits until what was taken is durable and sealed. Call it after `serve` has returned and before the
    /// graph is stopped. False when it took longer, as on a full disk; nothing acknowledged is lost then either.
    pub async fn stop(self, within: Duration) -> bool {
        self.queue.close();
        let joining = tokio::task::spawn_blocking(move || self.threads.into_iter().all(|thread| thread.join().is_ok()));
        match tokio::time::timeout(within, joining).await {
            Ok(Ok(true)) => true,
            Ok(Ok(false) | Err(_)) => {
                warn!("a thread of ingest has panicked");
                false
            }
            Err(_elapsed) => {
                warn!("journal did not settle in time; what is not acknowledged will be sent again");
                false
            }
        }
    }

    pub(crate) fn context(&self, drain: DrainToken, cut: DrainToken) -> Context {
        Context {
            intake: self.intake.clone(),
            machines: Arc::clone(&self.machines),
            limits: self.settings.limits.clone(),
            streams: self.settings.streams.clone(),
            clock: Arc::clone(&self.clock),
            meters: self.meters.clone(),
            lamport: Arc::clone(&self.lamport),
            peers: self.peers.clone(),
            drain,
            cut,
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        runtime::thread::wait_for_turn();
        run();
    })
}
