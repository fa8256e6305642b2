//! Window: the aggregates of one machine over one minute or one hour.

use model::{Aggregate, Aggregates, Width};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{event, series};
use crate::bus::{Event, Topic};

#[derive(serde::Serialize)]
struct WindowShape<'a> {
    machine: &'a str,
    start: i64,
    end: i64,
    /// Of two messages about one window the one with the higher revision holds.
    revision: u64,
    /// False: the window is not over yet.
    r#final: bool,
    series: Rows<'a>,
}

struct Rows<'a>(&'a Aggregates);

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
        series: Rows(aggregates),
    };
    event(topic, machine, &shape)
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (mut map, mut name) = (serializer.serialize_map(None)?, String::new());
        for (slot, row) in self.0.rows.iter() {
            series::entry(&mut map, self.0.roster.key(slot), &RowShape::of(&row), &mut name)?;
        }
        map.end()
    }
}

impl RowShape {
    fn of(row: &Aggregate) -> Self {
        let Aggregate { count, sum, min, max, last, .. } = *row;
        Self { count, sum, min, max, last }
    }
}
