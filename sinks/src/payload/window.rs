//! Window: the aggregates of one machine over one minute or one hour.

use model::{Aggregate, Aggregates, Width};

use super::{DOCUMENT_BYTES, series, write_json};
use crate::bus::{Event, Topic};

/// All but the series, which follow.
#[derive(serde::Serialize)]
struct WindowShape<'a> {
    machine: &'a str,
    start: i64,
    end: i64,
    /// Of two messages about one window the one with the higher revision holds.
    revision: u64,
    /// False: the window is not over yet.
    r#final: bool,
}

#[derive(serde::Serialize)]
struct RowShape {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    last: f64,
}

pub fn window(aggregates: &Aggregates) -> Event {
    let topic = match aggregates.window.width {
        Width::Minute => Topic::MetricsMinute,
        Width::Hour => Topic::MetricsHour,
    };
    let machine = &aggregates.roster.machine;
    let shape = WindowShape {
        machine: machine.as_str(),
        start: aggregates.window.start.millis(),
        end: aggregates.window.end().millis(),
        revision: aggregates.revision,
        r#final: aggregates.is_final,
    };
    let mut out = Vec::with_capacity(DOCUMENT_BYTES);
    write_json(&mut out, &shape);
    let rows = aggregates.rows.iter();
    series::append(
        &mut out,
        "series",
        rows.map(|(slot, row)| (aggregates.roster.key(slot).as_ref(), RowShape::of(&row))),
    );
    Event { topic, machine: machine.as_str().to_owned(), payload: out.into() }
}

impl RowShape {
    fn of(row: &Aggregate) -> Self {
        let Aggregate { count, sum, min, max, last, .. } = *row;
        Self { count, sum, min, max, last }
    }
}
