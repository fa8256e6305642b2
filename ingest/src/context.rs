//! Context: what all streams share. One `Arc` of it per service.

use std::sync::Arc;

use model::Timestamp;
use runtime::clock::SharedClock;
use runtime::drain::DrainToken;
use tonic::Status;

use crate::intake::{Intake, IntakeClosed};
use crate::machines::{HubIsFull, Machines, SeatIsTaken};
use crate::meters::Meters;
use crate::settings::{Limits, StreamSettings};

pub(crate) struct Context {
    pub(crate) intake: Intake,
    pub(crate) machines: Arc<Machines>,
    pub(crate) limits: Limits,
    pub(crate) streams: StreamSettings,
    pub(crate) clock: SharedClock,
    pub(crate) meters: Meters,
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
        Moment {
            arrival: self.now(),
            monotonic_us: self.clock.monotonic_us(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.clock.now_us())
    }
}

/// What a stream hears when the hub stops: come back, everything unacknowledged again.
pub(crate) fn draining() -> Status {
    Status::unavailable("the hub is stopping; connect again and send what is not acknowledged")
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
