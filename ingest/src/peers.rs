//! Peers: the other processes of one graph, as the door sees them.
//!
//! A collector may come back to any of them. Before its first frame is taken, each of the others closes what it has open for the machine and
//! tells which of its frames it has journalled, and the T of what comes here is above that of all it has. So a session's marks are right
//! wherever it goes, and a machine's records rise in T in the order in which its collector sent them.
//! Invariants: P-3 a frame is journalled by one process, once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use model::{LogicalTime, MachineId, SessionId};

use crate::intake::{Intake, Tickets};
use crate::machines::Machines;
use crate::push::SEAT_WITHIN;

/// What a process has of a machine, and nothing of it follows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Yielded {
    /// Newest frame of each session.
    pub marks: Vec<(SessionId, u64)>,
    /// No record of the machine has a newer T.
    pub newest_t: LogicalTime,
}

/// A machine's seat could not be had, so nothing may be taken from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; connect again")]
pub struct NotYielded(pub String);

/// The other processes.
pub trait Peers: Send + Sync {
    /// What each of them has of a machine that came here.
    fn claim(&self, machine: &MachineId) -> BoxFuture<'_, Result<Vec<Yielded>, NotYielded>>;
}

/// Logical time over several processes: what was seen elsewhere is the past here.
#[derive(Debug, Default)]
pub struct Lamport {
    floor: AtomicU64,
    newest: AtomicU64,
}

impl Lamport {
    /// The next T will be above `seen`.
    pub fn raise(&self, seen: LogicalTime) {
        self.floor.fetch_max(seen.saturating_add(1), Ordering::AcqRel);
    }

    /// The newest T that was given out here.
    pub fn newest(&self) -> LogicalTime {
        self.newest.load(Ordering::Acquire)
    }

    pub(crate) fn floor(&self) -> LogicalTime {
        self.floor.load(Ordering::Acquire)
    }

    pub(crate) fn gave(&self, t: LogicalTime) {
        self.newest.fetch_max(t, Ordering::AcqRel);
    }
}

/// Gives machines up to the process that they have gone to; cheap to clone.
#[derive(Clone)]
pub struct Seats {
    pub(crate) machines: Arc<Machines>,
    pub(crate) intake: Intake,
    pub(crate) lamport: Arc<Lamport>,
}

impl Seats {
    /// Closes the machine's stream, and returns when all that it brought has its T and is durable.
    ///
    /// # Errors
    /// [`NotYielded`]: the stream does not end in time, or this process is stopping.
    pub async fn give_up(&self, machine: &MachineId) -> Result<Yielded, NotYielded> {
        let Some(known) = self.machines.known(machine) else { return Ok(Yielded::default()) };
        let seat = known.sit(SEAT_WITHIN).await.map_err(|taken| NotYielded(taken.to_string()))?;
        let mut tickets = Tickets::new();
        // Without records it is a question: is all that came before durable?
        let number = self.intake.submit(Vec::new(), &mut tickets).await;
        let number = number.map_err(|closed| NotYielded(closed.to_string()))?;
        tickets.durable(number).await;
        let marks = known.with_door(|door| {
            // It may come back with other tags than it has by then: what it says is to be journalled again.
            door.info = None;
            door.marks().to_vec()
        });
        drop(seat);
        Ok(Yielded { marks, newest_t: self.lamport.newest() })
    }
}
