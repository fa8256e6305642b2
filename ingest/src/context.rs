//! Context: what all streams share. One `Arc` of it per service.

use std::sync::Arc;

use model::Timestamp;
use runtime::clock::SharedClock;
use runtime::drain::DrainToken;
use tonic::{Code, Status};
use tracing::warn;

use crate::intake::{Intake, IntakeClosed};
use crate::machines::{HubIsFull, Machines, SeatIsTaken};
use crate::meters::Meters;
use crate::peers::{Lamport, Peers};
use crate::settings::{Limits, StreamSettings};

pub(crate) struct Context {
    pub(crate) intake: Intake,
    pub(crate) machines: Arc<Machines>,
    pub(crate) limits: Limits,
    pub(crate) streams: StreamSettings,
    pub(crate) clock: SharedClock,
    pub(crate) meters: Meters,
    pub(crate) lamport: Arc<Lamport>,
    /// The other processes of a cluster.
    pub(crate) peers: Option<Arc<dyn Peers>>,
    pub(crate) drain: DrainToken,
    /// The drain took too long: streams end at once, whatever is not durable yet.
    pub(crate) cut: DrainToken,
}

/// One look at both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) arrival: Timestamp,
    pub(crate) monotonic_us: u64,
}

impl Context {
    pub(crate) fn moment(&self) -> Moment {
        Moment { arrival: self.now(), monotonic_us: self.clock.monotonic_us() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.clock.now_us())
    }
}

/// What a stream hears when the hub stops: come back, everything unacknowledged again.
pub(crate) fn draining() -> Status {
    Status::unavailable("the hub is stopping; connect again and send what is not acknowledged")
}

/// What reading a stream failed with, as its sender should hear it: bytes that are no message are the sender's own fault.
pub(crate) fn broken(status: Status, context: &Context) -> Status {
    if status.code() != Code::Internal && status.code() != Code::OutOfRange {
        return status;
    }
    context.meters.refused_streams.malformed.increment();
    warn!(reason = status.message(), "a stream sent what is no message of it");
    match status.code() {
        Code::Internal => Status::invalid_argument(status.message()),
        _too_large => status,
    }
}

impl From<IntakeClosed> for Status {
    fn from(_: IntakeClosed) -> Self {
        draining()
    }
}

impl From<HubIsFull> for Status {
    fn from(full: HubIsFull) -> Self {
        Self::resource_exhausted(full.to_string())
    }
}

impl From<SeatIsTaken> for Status {
    fn from(taken: SeatIsTaken) -> Self {
        Self::unavailable(taken.to_string())
    }
}
