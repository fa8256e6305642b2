//! Lanes: tell the clients that something is new, a lane a core, each client in one of them.
//!
//! A lane walks its clients and writes to each what it has not seen. Waking a task a client instead costs a third of what the kernel takes
//! for the write itself (benches/README.md). What cannot be written at once is left to the client's own task, so nobody waits for anybody.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::viewer::{Hand, Viewer};
use crate::state::Shared;

/// Clients told in a row, before others have their turn on the core: some 300 us.
const IN_ROW: usize = 32;

#[derive(Debug)]
pub(crate) struct Lanes {
    lanes: Vec<Arc<Lane>>,
    entered: AtomicUsize,
}

#[derive(Debug, Default)]
pub(crate) struct Lane {
    viewers: Mutex<BTreeMap<usize, Arc<Viewer>>>,
}

/// A viewer's place in its lane, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    lane: Arc<Lane>,
    number: usize,
}

impl Lanes {
    pub(crate) fn new(lanes: usize) -> Self {
        Self { lanes: (0..lanes.max(1)).map(|_| Arc::default()).collect(), entered: AtomicUsize::new(0) }
    }

    pub(crate) fn enter(&self, viewer: Arc<Viewer>) -> Place {
        let number = self.entered.fetch_add(1, Ordering::Relaxed);
        let lane = Arc::clone(&self.lanes[number % self.lanes.len()]);
        lane.lock().insert(number, viewer);
        Place { lane, number }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Arc<Lane>> {
        self.lanes.iter().map(Arc::clone)
    }
}

impl Lane {
    /// Tells a row of the viewers that came after `number`; gives the last one's number where there may be more. Whoever enters or leaves
    /// meanwhile waits for the row.
    fn tell_row(&self, number: Option<usize>, shared: &Shared, hand: &mut Hand) -> Option<usize> {
        let viewers = self.lock();
        let row = viewers.range((number.map_or(Unbounded, Excluded), Unbounded)).take(IN_ROW);
        // Their memory is far away: the processor fetches them at once, where telling one after the other waits for each.
        black_box(row.clone().fold(false, |read, (_, viewer)| read ^ viewer.touch()));
        let now = Instant::now();
        let (mut told, mut last) = (0, None);
        for (number, viewer) in row {
            viewer.tell(shared, now, hand);
            (told, last) = (told + 1, Some(*number));
        }
        if told < IN_ROW { None } else { last }
    }

    // A panic aborts the process, so a poisoned lock is only ever met in tests.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<Viewer>>> {
        self.viewers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lane.lock().remove(&self.number);
    }
}

/// Tells the clients of a lane, until the program drains. Cancel safe.
pub(crate) async fn run(shared: Arc<Shared>, lane: Arc<Lane>) {
    let mut versions = shared.live.board.versions();
    let closing = shared.live.closing();
    let mut hand = Hand::default();
    loop {
        tokio::select! {
            biased;
            () = closing.draining() => return,
            changed = versions.changed() => changed.expect("the board outlives its lanes"),
        }
        versions.mark_unchanged();
        let mut last = None;
        loop {
            last = lane.tell_row(last, &shared, &mut hand);
            hand.lay_down(&shared);
            if last.is_none() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}
