//! Payloads: what other programs read in Redis and on the event bus, as JSON. The schemas are in docs/schema, tested against these.
//!
//! Base units; times in milliseconds since the Unix epoch; a series is named `metric{label="value"}`. What is not known is `null`.

mod alert;
mod machine;
mod series;
#[cfg(test)]
mod tests;
mod window;

use model::machine::Presence;
use model::{MachineId, Timestamp};

use crate::bus::{Event, Topic};
pub use alert::alert;
pub use machine::machine;
pub(crate) use machine::write_machine;
pub use window::window;

/// Most of a document of 60 series.
const DOCUMENT_BYTES: usize = 2 * 1024;

#[derive(serde::Serialize)]
struct PresenceShape<'a> {
    machine: &'a str,
    /// `up`, `stale`, `down`, or `removed`: forgotten after it was down for long.
    status: &'static str,
    at: i64,
    last_seen: Option<i64>,
}

pub fn presence(presence: &Presence) -> Event {
    let Presence { machine, status, at, last_seen } = presence;
    let (status, at, last_seen) = (status.as_str(), at.millis(), millis(*last_seen));
    event(Topic::Presence, machine, &PresenceShape { machine: machine.as_str(), status, at, last_seen })
}

/// A machine that was down for so long that it is forgotten.
pub fn removed(machine: &MachineId, at: Timestamp) -> Event {
    let shape = PresenceShape { machine: machine.as_str(), status: "removed", at: at.millis(), last_seen: None };
    event(Topic::Presence, machine, &shape)
}

fn event(topic: Topic, machine: &MachineId, shape: &impl serde::Serialize) -> Event {
    Event { topic, machine: machine.as_str().to_owned(), payload: to_json(shape).into() }
}

fn to_json(shape: &impl serde::Serialize) -> Vec<u8> {
    let mut text = Vec::new();
    write_json(&mut text, shape);
    text
}

fn write_json(out: &mut Vec<u8>, shape: &impl serde::Serialize) {
    serde_json::to_writer(out, shape).expect("plain data with text keys serializes");
}

/// None for the time that stands for "never".
fn millis(time: Timestamp) -> Option<i64> {
    (time != Timestamp::MIN).then(|| time.millis())
}
