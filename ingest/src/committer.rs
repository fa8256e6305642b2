//! Committer: makes groups durable, then says so. Its own thread, so that the next group is appended meanwhile.
//!
//! In: groups in order. Out: fsync, then `seal` to the graph, then the word to each stream. All groups that wait share one fsync.
//! A failed fsync ends the process: what is on the disk is unknown from then on, and only a restart, which reads it, can tell.
//! Invariants: J-1 acknowledged means fsynced; a seal comes only after the fsync of everything below it.

use std::sync::Arc;
use std::time::Duration;

use journal::{JournalError, Syncer};
use model::{Dataflow, LogicalTime};
use runtime::clock::SharedClock;
use runtime::fault;
use runtime::queue::Receiver;

use crate::fail_stop;
use crate::intake::Commit;
use crate::meters::Meters;

pub(crate) struct Committer {
    pub(crate) groups: Receiver<Commit>,
    pub(crate) syncer: Syncer,
    pub(crate) dataflow: Arc<dyn Dataflow>,
    pub(crate) clock: SharedClock,
    pub(crate) meters: Meters,
    pub(crate) groups_max: usize,
    pub(crate) commit_every: Duration,
}

impl Committer {
    /// Until the sequencer has ended and all its groups are durable.
    pub(crate) fn run(mut self) {
        let mut groups = Vec::with_capacity(self.groups_max);
        let mut synced_us = None;
        while let Some(first) = self.groups.recv_blocking() {
            groups.push(first);
            fault::strike("committer");
            self.pace(synced_us);
            self.groups.drain_into(&mut groups, self.groups_max);
            if let Err(error) = self.sync(&groups) {
                fail_stop("journal cannot be made durable", &error);
            }
            if let Some(sealed) = groups.iter().map(|group| group.sealed).max() {
                self.dataflow.seal(sealed);
            }
            synced_us = Some(self.clock.monotonic_us());
            groups.drain(..).for_each(acknowledge);
        }
    }

    /// A fast disk would be synced, and every worker woken, for each single batch. A commit after a pause never waits.
    fn pace(&self, synced_us: Option<u64>) {
        let Some(synced_us) = synced_us else { return };
        let passed = Duration::from_micros(self.clock.monotonic_us().saturating_sub(synced_us));
        let left = self.commit_every.saturating_sub(passed);
        if !left.is_zero() {
            // Ending early costs no more than one fsync.
            std::thread::park_timeout(left);
        }
    }

    fn sync(&self, groups: &[Commit]) -> Result<(), JournalError> {
        let newest: Option<LogicalTime> = groups.iter().filter_map(|group| group.t).max();
        let Some(newest) = newest else { return Ok(()) };
        let started_us = self.clock.monotonic_us();
        self.syncer.sync(newest)?;
        let took_us = self.clock.monotonic_us().saturating_sub(started_us);
        self.meters.fsync_seconds.observe(took_us as f64 / 1e6);
        Ok(())
    }
}

/// A stream that is several times in a group hears its newest number only.
fn acknowledge(group: Commit) {
    let mut tickets = group.submissions.into_iter().map(|submission| submission.ticket).peekable();
    while let Some(ticket) = tickets.next() {
        let is_repeated = tickets.peek().is_some_and(|next| next.is_of_same_stream(&ticket));
        if !is_repeated {
            ticket.redeem();
        }
    }
}
