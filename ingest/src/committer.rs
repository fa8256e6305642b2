//! Committer: makes groups durable, then says so. Its own thread, so that the next group is appended meanwhile.
//!
//! In: groups in order. Out: fsync, then `seal` to the graph, then the word to each stream. All groups that wait share one fsync.
//! A failed fsync ends the process: what is on the disk is unknown from then on, and only a restart, which reads it, can tell.
//! Invariants: J-1 acknowledged means fsynced; a seal comes only after the fsync of everything below it.

use std::sync::Arc;

use journal::{JournalError, Syncer};
use model::{Dataflow, LogicalTime};
use runtime::clock::SharedClock;
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
}

impl Committer {
    /// Until the sequencer has ended and all its groups are durable.
    pub(crate) fn run(mut self) {
        let mut groups = Vec::with_capacity(self.groups_max);
        while let Some(first) = self.groups.recv_blocking() {
            groups.push(first);
            self.groups.drain_into(&mut groups, self.groups_max);
            if let Err(error) = self.sync(&groups) {
                fail_stop("journal cannot be made durable", &error);
            }
            if let Some(sealed) = groups.iter().map(|group| group.sealed).max() {
                self.dataflow.seal(sealed);
            }
            groups.drain(..).for_each(acknowledge);
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
    let mut tickets = group
        .submissions
        .into_iter()
        .map(|submission| submission.ticket)
        .peekable();
    while let Some(ticket) = tickets.next() {
        let is_repeated = tickets.peek().is_some_and(|next| next.is_of_same_stream(&ticket));
        if !is_repeated {
            ticket.redeem();
        }
    }
}
