//! Resend: samples of a dead letter through the door once more, judged as any others, and a note in the journal that they were.
//!
//! In: a letter that keeps samples. Out: batches and the note, in one submission, so that a crash leaves both or neither. What the hub
//! has by now is known by series and time, as with any resend.
//! The batches carry their age, so that no alert changes, and a session that no collector has, so that presence does not.

use std::sync::Arc;

use model::{Batch, DeadLetter, Kept, Layout, Positions, Record, RejectReason, Resent, SessionId, Times, Timestamp};
use runtime::clock::SharedClock;

use crate::admission::check_time;
use crate::intake::{Intake, Tickets};
use crate::machines::{Machine, Machines};
use crate::meters::Meters;
use crate::settings::Limits;

/// Sends dead letters again; cheap to clone.
#[derive(Clone)]
pub struct Resender {
    pub(crate) intake: Intake,
    pub(crate) machines: Arc<Machines>,
    pub(crate) limits: Limits,
    pub(crate) clock: SharedClock,
    pub(crate) meters: Meters,
}

/// Why a letter did not get in. Nothing of it did.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotResent {
    #[error("{detail}")]
    Refused { reason: RejectReason, detail: String },
    #[error("the hub is stopping")]
    Stopping,
}

impl Resender {
    /// Journals the samples that the letter keeps; how many they were, once they are durable.
    ///
    /// # Errors
    /// [`NotResent`]. A dropped call may have sent it all the same.
    pub async fn resend(&self, letter: &DeadLetter) -> Result<usize, NotResent> {
        let machine = &letter.rejected.machine;
        let now = Timestamp::from_micros(self.clock.now_us());
        let Some(kept) = letter.rejected.kept.as_deref() else {
            return Err(refused(letter.rejected.reason, "none of its samples was kept"));
        };
        let entered = self.machines.enter(machine);
        let entered = entered.map_err(|full| refused(RejectReason::TooManyMachines, &full.to_string()))?;
        let layout = self.admit(&entered, kept, now)?;
        let mut records: Vec<Record> = batches(kept, &layout, (letter.rejected.arrival, now))
            .map(|batch| Record::Batch(Arc::new(batch)))
            .collect();
        let (machine, id) = (machine.clone(), letter.id.clone());
        records.push(Record::Resent(Arc::new(Resent { machine, id, at: now })));
        let mut tickets = Tickets::new();
        let number = self.intake.submit(records, &mut tickets).await.map_err(|_closed| NotResent::Stopping)?;
        tickets.durable(number).await;
        self.meters.accepted.add(kept.len() as u64);
        Ok(kept.len())
    }

    /// Whether times, rate and series are within the limits; then the layout of the samples.
    fn admit(&self, machine: &Machine, kept: &Kept, now: Timestamp) -> Result<Arc<Layout>, NotResent> {
        for (time, _) in kept.moments() {
            check_time(time, now, &self.limits)
                .map_err(|reason| refused(reason, &format!("samples of {time}, and it is {now}")))?;
        }
        let (limits, now_us) = (&self.limits, self.clock.monotonic_us());
        machine.with_door(|door| {
            for key in kept.series() {
                door.admit_series(key, now_us, limits.series_per_machine_max)
                    .map_err(|full| refused(RejectReason::TooManySeries, &format!("{key}: {full}")))?;
            }
            if !door.take_rate(kept.len(), now_us, limits) {
                let most = limits.samples_per_second_max;
                let detail = format!("its machine sends {most} samples a second just now; try again when it is calmer");
                return Err(refused(RejectReason::RateLimited, &detail));
            }
            Ok(door.share_layout(Layout::new(machine.id.clone(), kept.series().to_vec())))
        })
    }
}

fn refused(reason: RejectReason, detail: &str) -> NotResent {
    NotResent::Refused { reason, detail: detail.to_owned() }
}

/// A frame for each moment.
fn batches(kept: &Kept, layout: &Arc<Layout>, (arrival, now): (Timestamp, Timestamp)) -> impl Iterator<Item = Batch> {
    kept.moments().filter(|(_, samples)| !samples.is_empty()).map(move |(time, samples)| Batch {
        layout: Arc::clone(layout),
        session: SessionId::RESENT,
        sequence: 0,
        // As it was: the machine has not been heard of since.
        arrival,
        age_ms: u32::try_from(now.since(time).as_millis()).unwrap_or(u32::MAX),
        positions: Positions::List(samples.iter().map(|(position, _)| *position).collect()),
        times: Times::One(time),
        values: samples.iter().map(|(_, value)| *value).collect(),
    })
}
