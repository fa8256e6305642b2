//! Heard: what the other processes told this one, and what this one answers them.
//!
//! Bounded: the newest of each kind is kept, and of the audit record as much as its keeper keeps.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ingest::{Collectors, Lamport, Seats};
use model::LogicalTime;
use model::audit::{AuditLog, Entry};
use model::command::{RuleListing, RuleStore, SilenceStore};
use model::silence::Silence;
use runtime::clock::SharedClock;
use runtime::failstop;
use runtime::metrics::{Gauge, Registry};
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::link::Listen;
use super::words::{Claimed, Note, Question, Step, said, understood};
use crate::audit::ENTRIES_MAX;

/// A process whose clock is further ahead is not followed from pulse to pulse: its own machines alone shall suffer.
const FOLLOWED_US_MAX: u64 = 1_000_000;

/// What another process may ask for, from when this one is up.
pub(crate) struct Doors {
    pub(crate) seats: Seats,
    pub(crate) lamport: Arc<Lamport>,
    pub(crate) collectors: Arc<Collectors>,
    pub(crate) rules: Arc<dyn RuleStore>,
    pub(crate) silences: Arc<dyn SilenceStore>,
    pub(crate) audit: Arc<dyn AuditLog>,
}

/// What a start that failed has to say why.
const EXPLAIN_WITHIN: Duration = Duration::from_secs(1);

type Parts = BTreeMap<Step, BTreeMap<usize, String>>;

pub(crate) struct Heard {
    clock: SharedClock,
    doors: OnceLock<Doors>,
    pub(super) steps: watch::Sender<Parts>,
    pub(super) rules: watch::Sender<RuleListing>,
    pub(super) silences: watch::Sender<Arc<Vec<Arc<Silence>>>>,
    audit: Mutex<VecDeque<Arc<Entry>>>,
    /// Why another process stops.
    pub(super) stopping: watch::Sender<Option<String>>,
    /// This process stops, too: who leaves now is not lost.
    pub(super) is_ending: AtomicBool,
    /// From which T on each process needs what the journals hold; the own one's place is what the others are told.
    keep: Vec<AtomicU64>,
    /// By process; the own one's says nothing.
    behind: Vec<Gauge>,
    process: usize,
}

impl Heard {
    pub(super) fn new(process: usize, processes: usize, clock: SharedClock, registry: &Registry) -> Self {
        let behind = |other: usize| {
            registry.gauge(
                "cluster_behind_seconds",
                "How far another process' logical time is behind this one's: everybody waits for the last. Negative: ahead.",
                &[("process", &other.to_string())],
            )
        };
        Self {
            clock,
            doors: OnceLock::new(),
            steps: watch::Sender::default(),
            rules: watch::Sender::default(),
            silences: watch::Sender::default(),
            audit: Mutex::default(),
            stopping: watch::Sender::default(),
            is_ending: AtomicBool::new(false),
            keep: (0..processes).map(|_| AtomicU64::new(0)).collect(),
            behind: (0..processes).map(behind).collect(),
            process,
        }
    }

    pub(crate) fn open(&self, doors: Doors) {
        // There is one start.
        drop(self.doors.set(doors));
    }

    /// Tells the others from which T on this process needs journals; answers with what all need.
    pub(crate) fn keep_from(&self, own: LogicalTime) -> LogicalTime {
        self.keep[self.process].fetch_max(own, Ordering::AcqRel);
        self.keep.iter().map(|keep| keep.load(Ordering::Acquire)).min().unwrap_or(0)
    }

    /// Newest first, those with an id below `before`.
    pub(super) fn entries(&self, before: Option<u64>, limit: usize) -> Vec<Arc<Entry>> {
        let kept = self.lock_audit();
        let newest = kept.iter().rev().skip_while(|entry| before.is_some_and(|before| before <= entry.id));
        newest.take(limit).cloned().collect()
    }

    /// Newest last; those that are known are left out.
    pub(super) fn take_entries(&self, entries: Vec<Arc<Entry>>) {
        let mut kept = self.lock_audit();
        for entry in entries {
            if kept.back().is_none_or(|newest| newest.id < entry.id) {
                kept.push_back(entry);
            }
        }
        let gone = kept.len().saturating_sub(ENTRIES_MAX);
        kept.drain(..gone);
    }

    /// A listing that is older than the known one is no news: an answer and a note may come in either order.
    pub(super) fn take_rules(&self, listing: RuleListing) {
        self.rules.send_if_modified(|known| {
            let is_news = known.set.version < listing.set.version;
            if is_news {
                *known = listing;
            }
            is_news
        });
    }

    pub(super) fn take_silences(&self, all: Arc<Vec<Arc<Silence>>>) {
        self.silences.send_replace(all);
    }

    fn lock_audit(&self) -> MutexGuard<'_, VecDeque<Arc<Entry>>> {
        self.audit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self: Arc<Self>, question: Vec<u8>) -> Vec<u8> {
        let question = match understood::<Question>(&question) {
            Ok(question) => question,
            Err(error) => {
                error!(error = format!("{error:#}"), "question of another process");
                return Vec::new();
            }
        };
        let Some(doors) = self.doors.get() else {
            // Whoever asks waits with collectors and people until all are ready, but for what crosses on the way.
            return said(&Err::<(), String>("another process of the cluster is still starting".to_owned()));
        };
        match question {
            Question::Claim(machine) => {
                let yielded = doors.seats.give_up(&machine).await;
                said(&yielded.map(Claimed::from).map_err(|not| not.0))
            }
            Question::Rule { change, by } => {
                said(&doors.rules.change(change, by).await.map(|_set| doors.rules.listing()))
            }
            Question::Silence { change, by } => said(&doors.silences.change(change, by).await),
            Question::Deed(deed) => said(&doors.audit.record(deed).await.map_err(|failed| failed.0)),
            Question::Command { machine, command } => said(&doors.collectors.give(&machine, command)),
            Question::IsConnected(machine) => said(&doors.collectors.has(&machine)),
        }
    }
}

impl Listen for Arc<Heard> {
    fn pulse(&self) -> Vec<u8> {
        let newest = self.doors.get().map_or(0, |doors| doors.lamport.newest());
        let keep = self.keep[self.process].load(Ordering::Acquire);
        [newest.to_le_bytes(), keep.to_le_bytes()].concat()
    }

    fn pulsed(&self, from: usize, bytes: &[u8]) {
        let Some((newest, keep)) = bytes.split_first_chunk().zip(bytes.last_chunk()).map(|((t, _), keep)| (t, keep))
        else {
            return;
        };
        let (newest, keep) = (u64::from_le_bytes(*newest), u64::from_le_bytes(*keep));
        if let Some(known) = self.keep.get(from) {
            known.fetch_max(keep, Ordering::AcqRel);
        }
        let now = u64::try_from(self.clock.now_us()).unwrap_or(0);
        let Some(doors) = self.doors.get() else { return };
        if let Some(behind) = self.behind.get(from).filter(|_| 0 < newest) {
            behind.set((doors.lamport.newest() as f64 - newest as f64) / 1e6);
        }
        if newest <= now.saturating_add(FOLLOWED_US_MAX) {
            doors.lamport.raise(newest);
        }
    }

    fn note(&self, from: usize, bytes: Vec<u8>) {
        match understood(&bytes) {
            Ok(Note::Step { step, part }) => self.steps.send_modify(|steps| {
                steps.entry(step).or_default().insert(from, part);
            }),
            Ok(Note::Rules(listing)) => self.take_rules(listing),
            Ok(Note::Silences(all)) => self.take_silences(all),
            Ok(Note::Audit(entries)) => self.take_entries(entries),
            Ok(Note::Stopping(why)) => {
                info!(process = from, why, "another process of the cluster stops");
                self.stopping.send_replace(Some(why));
            }
            Err(error) => error!(process = from, error = format!("{error:#}"), "note of another process"),
        }
    }

    fn question(&self, _from: usize, bytes: Vec<u8>) -> BoxFuture<'static, Vec<u8>> {
        Arc::clone(self).answer(bytes).boxed()
    }

    fn left(&self, process: usize) {
        info!(process, "another process of the cluster has stopped");
    }

    fn lost(&self, process: usize, reason: &str) {
        if self.is_ending.load(Ordering::Acquire) || self.stopping.borrow().is_some() {
            warn!(process, reason, "another process of the cluster ended while all stop");
            return;
        }
        if self.doors.get().is_some() {
            end(process, reason);
        }
        // What stops a start is mostly found by all at once, and each can say it better than who hears of the first one's end.
        let reason = reason.to_owned();
        std::thread::spawn(move || {
            wait(EXPLAIN_WITHIN);
            end(process, &reason);
        });
    }
}

fn end(process: usize, reason: &str) -> ! {
    failstop::exit_after(|| {
        error!(
            process,
            reason, "process ends: those of a cluster end together, and a restart of all replays the journals"
        );
    })
}

#[expect(clippy::disallowed_methods, reason = "who is waited for ends the process")]
fn wait(within: Duration) {
    std::thread::sleep(within);
}
