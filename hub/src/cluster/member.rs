//! Member: this process among those that run one graph: joined, agreed on where to begin, and told what the others do.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use ingest::Collectors;
use model::audit::AuditLog;
use model::command::{RuleListing, RuleStore, SilenceStore};
use model::ids::stable_hash;
use model::query::Health;
use model::silence::Silence;
use pipeline::Sockets;
use runtime::drain::DrainToken;
use runtime::failstop;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::timeout;

use super::agree::KeptNow;
use super::heard::{Doors, Heard};
use super::join::{Place, join};
use super::link::{Links, Listen};
use super::remote::{KEEPER, Remote};
use super::words::{Note, Step, said};
use crate::audit::{Audit, ENTRIES_MAX};
use crate::base::Base;
use crate::config::{ClusterConfig, Config};
use crate::part::Part;
use crate::program::VERSION;
use crate::wiring::Ending;

/// A process that is gone closes all its connections at once.
const EXPLAIN_WITHIN: Duration = Duration::from_secs(1);
/// Shorter than what a process waits for its own reason before it names another one's end.
const REFUSE_WITHIN: Duration = Duration::from_millis(500);
/// What the end of the hub waits for the others to have heard of it.
const BYE_WITHIN: Duration = Duration::from_secs(1);

/// What is in force, for the processes that do not keep it.
pub(crate) struct Kept {
    pub(crate) rules: watch::Receiver<RuleListing>,
    pub(crate) silences: watch::Receiver<Arc<Vec<Arc<Silence>>>>,
    pub(crate) audit: Arc<Audit>,
}

impl Kept {
    /// As it is now.
    pub(crate) fn now(&self) -> KeptNow {
        let mut audit = self.audit.entries(None, ENTRIES_MAX);
        audit.reverse();
        KeptNow { rules: self.rules.borrow().clone(), silences: Arc::clone(&self.silences.borrow()), audit }
    }
}

pub(crate) struct Cluster {
    pub(crate) process: usize,
    pub(crate) processes: usize,
    /// Drawn anew for each start, the same at every process.
    pub(crate) start: u64,
    since_ms: i64,
    remote: Remote,
    part: Part,
}

impl Cluster {
    /// Waits for all the others. None without a hosts file.
    ///
    /// # Errors
    /// When somebody does not come, or must not.
    pub(crate) async fn join(base: &Base) -> Result<Option<(Self, Sockets)>> {
        let Some(ClusterConfig { hosts, process, join_within, silence }) = base.config.cluster.clone() else {
            return Ok(None);
        };
        let processes = hosts.len();
        let place = Place {
            hosts,
            process,
            insecure: base.config.insecure,
            version: VERSION,
            settings: digest(&base.config),
            within: join_within,
        };
        // timely's threads panic when a connection breaks; the links know whose it was.
        failstop::let_explain("timely:", EXPLAIN_WITHIN);
        let joined = join(&place).await.context("join the cluster")?;
        let heard = Arc::new(Heard::new(process, processes, base.clock(), &base.registry));
        let mut part = Part::default();
        let listen = Arc::new(Arc::clone(&heard)) as Arc<dyn Listen>;
        let links = Links::start(joined.talks, listen, silence, base.clock(), &mut part);
        let since_ms = base.clock.now_us() / 1_000;
        let remote = Remote { links, heard };
        Ok(Some((Self { process, processes, start: joined.start, since_ms, remote, part }, joined.sockets)))
    }

    pub(crate) fn is_keeper(&self) -> bool {
        self.process == KEEPER
    }

    /// For `/ready`. All are there, or none.
    pub(crate) fn health(&self) -> Health {
        Health {
            name: "cluster",
            is_up: true,
            is_required: true,
            since_ms: self.since_ms,
            latency_ms: None,
            last_error: None,
            circuit: None,
            detail: Some(format!("process {} of {}, counted from 0", self.process, self.processes)),
        }
    }

    pub(crate) fn remote(&self) -> Remote {
        self.remote.clone()
    }

    pub(crate) fn heard(&self) -> Arc<Heard> {
        Arc::clone(&self.remote.heard)
    }

    /// All parts of a step, by process. It waits as long as all are there: who is lost ends this process.
    pub(crate) async fn gather<T: Serialize + DeserializeOwned>(&self, step: Step, own: &T) -> Result<Vec<T>> {
        let part = serde_json::to_string(own).context("tell the cluster")?;
        self.remote.links.tell_all(said(&Note::Step { step, part: part.clone() }));
        let mut steps = self.remote.heard.steps.subscribe();
        let all = steps.wait_for(|steps| steps.get(&step).is_some_and(|parts| parts.len() + 1 == self.processes));
        let mut parts = all.await.context("hear the cluster")?.get(&step).cloned().unwrap_or_default();
        parts.insert(self.process, part);
        parts.values().map(|part| serde_json::from_str(part).context("understand the cluster")).collect()
    }

    /// All find the same in what they told each other: who ends at once may not have told it yet, and the others would not know why it is gone.
    pub(crate) async fn refuses(&self) {
        // Whoever has ended has had it.
        drop(timeout(REFUSE_WITHIN, self.gather(Step::Refused, &())).await);
    }

    /// What is in force at the start, for a process that follows.
    pub(crate) fn take(&self, KeptNow { rules, silences, audit }: KeptNow) {
        self.remote.heard.rules.send_replace(rules);
        self.remote.heard.take_silences(silences);
        self.remote.heard.take_entries(audit);
    }

    /// From here on the others are answered; what they are told of is in force.
    pub(crate) fn open(&mut self, doors: Doors, kept: Option<Kept>) {
        self.remote.heard.open(doors);
        if let Some(kept) = kept {
            self.part.spawn("cluster news", tell_news(Arc::clone(&self.remote.links), kept, self.part.token()));
        }
    }

    /// Returns when all processes have replayed their journals: a collector that comes to one may have been at any.
    pub(crate) async fn ready(&self) -> Result<()> {
        self.gather(Step::Ready, &()).await.map(drop)
    }

    /// Ends when another process stops, for the end of one is the end of all. Cancel safe.
    pub(crate) async fn ended(&mut self) -> Ending {
        let mut stopping = self.remote.heard.stopping.subscribe();
        tokio::select! {
            end = self.part.ended() => Ending::Fault(end),
            // The sender is held here: an error cannot be.
            Ok(why) = stopping.wait_for(Option::is_some) => Ending::CalledOff(why.clone().unwrap_or_default()),
        }
    }

    /// Tells the others that this process stops: they do, too.
    pub(crate) fn stopping(&self, why: &str) {
        self.remote.heard.is_ending.store(true, Ordering::Release);
        self.remote.links.tell_all(said(&Note::Stopping(why.to_owned())));
    }

    pub(crate) async fn stop(self, within: Duration) -> bool {
        self.remote.links.bye(BYE_WITHIN.min(within)).await;
        self.part.stop(within).await
    }
}

/// What must be the same on all processes, or they would not run one graph.
fn digest(config: &Config) -> u64 {
    let sinks = (config.history.is_on, config.history.server.is_some(), config.redis.is_some(), config.kafka.is_some());
    let limits = config.ingest.limits.ahead_max;
    let pipeline = pipeline::Settings { process: 0, ..config.pipeline.clone() };
    let parts = (
        pipeline.workers,
        pipeline.series_per_machine_max,
        pipeline.bindings_max,
        (pipeline.window, pipeline.presence, pipeline.fleet, pipeline.batch_age_max),
    );
    stable_hash(format!("{parts:?} {limits:?} {sinks:?}").as_bytes())
}

/// Tells the others each change of what this process keeps.
async fn tell_news(links: Arc<Links>, kept: Kept, drain: DrainToken) -> Result<(), runtime::BoxError> {
    let Kept { mut rules, mut silences, audit } = kept;
    let mut entries = audit.newest();
    // What was there at the start the others have been told.
    let mut told = *entries.borrow_and_update();
    loop {
        let note = tokio::select! {
            () = drain.draining() => return Ok(()),
            changed = rules.changed() => {
                changed?;
                Note::Rules(rules.borrow_and_update().clone())
            }
            changed = silences.changed() => {
                changed?;
                Note::Silences(Arc::clone(&silences.borrow_and_update()))
            }
            changed = entries.changed() => {
                changed?;
                let newest = *entries.borrow_and_update();
                let mut news = audit.entries(None, ENTRIES_MAX);
                news.retain(|entry| told < entry.id);
                news.reverse();
                told = newest;
                Note::Audit(news)
            }
        };
        links.tell_all(said(&note));
    }
}

impl Doors {
    pub(crate) fn new(
        ingest: &ingest::Ingest,
        collectors: &Arc<Collectors>,
        (rules, silences, audit): (Arc<dyn RuleStore>, Arc<dyn SilenceStore>, Arc<dyn AuditLog>),
    ) -> Self {
        let collectors = Arc::clone(collectors);
        Self { seats: ingest.seats(), lamport: ingest.lamport(), collectors, rules, silences, audit }
    }
}
