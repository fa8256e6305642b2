//! Graph: the dataflow between its queues: what goes out of it, when it must draw less, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use ingest::Replayed;
use journal::Journal;
use model::{Egress, LogicalTime, Output};
use pipeline::{Feed, Gate, Handle, QueuePort, Reach, Running, SinkPort, SinkSpec, Sockets};
use runtime::queue::{self, QueueStats, Receiver, Sender, WhenFull};
use tokio::time::{interval, timeout};

use crate::base::Base;
use crate::starting::Progress;
use crate::stores::Stores;

/// Messages for the hot store; it only ever falls behind for moments.
const HOT_MESSAGES_MAX: usize = 4_096;

/// How often a stop looks whether the graph has settled; there is no bell for it.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The running dataflow. Dropping it stops it.
pub(crate) struct Graph {
    pub(crate) handle: Arc<Handle>,
    running: Option<Running>,
}

/// Where the graph's outputs wait.
pub(crate) struct Outlets {
    /// For the store in the data folder.
    pub(crate) history: Receiver<Egress>,
    /// For the history's server, where there is one.
    pub(crate) server: Option<Receiver<Egress>>,
    pub(crate) hot: Receiver<Egress>,
    /// Of each bus in use.
    pub(crate) buses: Vec<BusOutlets>,
}

pub(crate) struct BusOutlets {
    /// Windows and presence.
    pub(crate) news: Receiver<Egress>,
    pub(crate) alerts: Receiver<Egress>,
}

/// Names of a bus' queues.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BusNames {
    pub(crate) news: &'static str,
    pub(crate) alerts: &'static str,
}

/// The graph's ends of its queues.
#[derive(Default)]
struct Ports {
    specs: Vec<SinkSpec>,
    senders: Vec<Sender<Egress>>,
}

impl Graph {
    /// # Errors
    /// When the system gives no threads.
    pub(crate) fn start(base: &Base, stores: &Stores, sockets: Sockets) -> Result<(Self, Outlets)> {
        let mut ports = Ports::default();
        let history_max = base.config.history.queue_messages_max;
        let history = if stores.is_state_only {
            ports.open("history", (Feed::Changes(Reach::All), is_state), history_max)
        } else {
            ports.open("history", (Feed::History, is_stored), history_max)
        };
        let hot = ports.open("hot", (Feed::Live(Reach::All), is_shown), HOT_MESSAGES_MAX);
        let server = stores.server.as_ref();
        let server = server.map(|_| ports.open("server", (Feed::History, is_stored), history_max));
        let buses = stores.buses.iter().map(|bus| BusOutlets {
            news: ports.open(bus.names.news, (Feed::Changes(Reach::Own), is_news), HOT_MESSAGES_MAX),
            alerts: ports.open(bus.names.alerts, (Feed::Changes(Reach::Own), is_alert), HOT_MESSAGES_MAX),
        });
        let outlets = Outlets { buses: buses.collect(), history, server, hot };
        let stats = outlets.stats();
        let gate: Gate = Arc::new(move || !stats.iter().any(QueueStats::is_full));
        let mut settings = base.config.pipeline.clone();
        settings.window.covered_from = stores.recovery.covered_from;
        settings.live_from = stores.live_from;
        settings.firing.clone_from(&stores.known.alerts);
        let (handle, running) =
            pipeline::start_with(&settings, &ports.specs, gate, sockets).context("start the dataflow")?;
        for sender in ports.senders {
            let graph = Arc::downgrade(&handle);
            sender.on_space(Arc::new(move || {
                if let Some(graph) = graph.upgrade() {
                    graph.ring_all();
                }
            }));
        }
        Ok((Self { handle, running: Some(running) }, outlets))
    }

    /// Gives the graph what the journal holds from `from_t` on, and the journal back.
    ///
    /// # Errors
    /// When the journal cannot be read at all.
    pub(crate) async fn replay(
        &self,
        journal: Journal,
        from_t: LogicalTime,
        progress: &Arc<Progress>,
    ) -> Result<(Journal, Replayed)> {
        let (handle, told) = (Arc::clone(&self.handle), Arc::clone(progress));
        let replaying = tokio::task::spawn_blocking(move || {
            let mut progress = |step: ingest::Step| told.note(step);
            let replayed = ingest::replay(&journal, from_t, handle.as_ref(), &mut progress);
            replayed.map(|replayed| (journal, replayed))
        });
        replaying.await.context("replay the journal")?.context("replay the journal")
    }

    /// Ends when all that is durable by now has left the graph, so that the stores can commit it: the graph moves on with the sequencer's
    /// heartbeat, and what its end finds unfinished waits in the journal for the next start. False when that took too long.
    pub(crate) async fn settle(&self, within: Duration) -> bool {
        let sealed = self.handle.sealed();
        let mut looks = interval(LOOK_EVERY);
        let settled = async {
            while self.handle.completed() < sealed {
                looks.tick().await;
            }
        };
        timeout(within, settled).await.is_ok()
    }

    /// Ends when everything that was pushed has left the graph; false when that took too long.
    pub(crate) async fn stop(mut self, within: Duration) -> bool {
        self.handle.close();
        let Some(running) = self.running.take() else {
            return true;
        };
        let joining = tokio::task::spawn_blocking(move || running.join().is_ok());
        matches!(timeout(within, joining).await, Ok(Ok(true)))
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // Its threads are joined when `running` is dropped after this, so they must be told to end.
        self.handle.close();
    }
}

impl Ports {
    /// Timely must not wait, so a queue takes what it is given, and the gate closes instead.
    fn open(
        &mut self,
        name: &'static str,
        (feed, wants): (Feed, fn(&Output) -> bool),
        messages_max: usize,
    ) -> Receiver<Egress> {
        let (sender, receiver) = queue::bounded(name, messages_max, WhenFull::Overshoot);
        self.senders.push(sender.clone());
        let port = Box::new(move |_worker| -> Box<dyn SinkPort> { Box::new(QueuePort::new(sender.clone(), wants)) });
        self.specs.push(SinkSpec { name, feed, port });
        receiver
    }
}

impl Outlets {
    pub(crate) fn stats(&self) -> Vec<QueueStats> {
        let buses = self.buses.iter().flat_map(|bus| [&bus.news, &bus.alerts]);
        let all = [&self.history, &self.hot].into_iter().chain(&self.server).chain(buses);
        all.map(Receiver::stats).collect()
    }
}

/// What the history has a place for.
fn is_stored(output: &Output) -> bool {
    !matches!(output, Output::Hottest(_) | Output::Group(_))
}

/// What a start must know, and what people look for first when the server is away.
fn is_state(output: &Output) -> bool {
    match output {
        Output::Transition(_)
        | Output::Standing(_)
        | Output::Presence(_)
        | Output::Machine(_)
        | Output::Rejected(_)
        | Output::Resent(_) => true,
        Output::Samples(_)
        | Output::Processes(_)
        | Output::Minute(_)
        | Output::Hour(_)
        | Output::Repair(_)
        | Output::Fleet(_)
        | Output::Hottest(_)
        | Output::Group(_) => false,
    }
}

/// What the hot store has a place for.
fn is_shown(output: &Output) -> bool {
    match output {
        Output::Samples(_)
        | Output::Transition(_)
        | Output::Standing(_)
        | Output::Group(_)
        | Output::Presence(_)
        | Output::Machine(_)
        | Output::Processes(_)
        | Output::Hottest(_) => true,
        Output::Minute(_)
        | Output::Hour(_)
        | Output::Rejected(_)
        | Output::Resent(_)
        | Output::Repair(_)
        | Output::Fleet(_) => false,
    }
}

/// What a bus is told of windows and machines, the newest of each.
fn is_news(output: &Output) -> bool {
    matches!(output, Output::Minute(_) | Output::Hour(_) | Output::Presence(_))
}

/// What a bus is told of at least once.
fn is_alert(output: &Output) -> bool {
    matches!(output, Output::Transition(_))
}
