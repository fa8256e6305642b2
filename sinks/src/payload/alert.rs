//! Alert: what happened (an event), and what fires (in a machine's document).

use model::{Alert, AlertShape, Change, Transition};

use super::event;
use crate::bus::{Event, Topic};

#[derive(serde::Serialize)]
struct EventShape<'a> {
    /// The same in every repetition of the event: an event comes at least once, and may come again after a failure.
    key: String,
    #[serde(flatten)]
    alert: AlertShape<'a>,
}

/// The event of a transition.
pub fn alert(transition: &Transition) -> Event {
    let alert = Alert::after(transition);
    let (topic, change) = match transition.change {
        Change::Fired => (Topic::AlertsFired, "fired"),
        Change::Resolved => (Topic::AlertsResolved, "resolved"),
    };
    let shape = EventShape { key: format!("{}:{change}", alert.id), alert: AlertShape::of(&alert) };
    event(topic, &transition.machine, &shape)
}
