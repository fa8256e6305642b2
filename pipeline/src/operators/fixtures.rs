//! What the operators' own tests share: frames of one machine, and a stage driven by hand.

use std::fmt::Write;
use std::sync::Arc;

use model::{
    Batch, Bound, BoundLayout, Catalogue, Labels, Layout, LogicalTime, MachineId, Positions, Roster, SeriesKey,
    SessionId, Slots, Times, Timestamp,
};

use crate::settings::Settings;
use crate::stage::{At, Stage};

pub(crate) const SECOND: LogicalTime = 1_000_000;

pub(crate) fn settings() -> Settings {
    Settings::new(1, Catalogue::standard())
}

pub(crate) fn at(second: f64) -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "a test's seconds are small")]
    Timestamp::from_micros((second * 1e6) as i64)
}

/// Frames of one machine with series `m{n="0"}`, `m{n="1"}`, ...
pub(crate) struct Feed {
    pub(crate) sent: Arc<Layout>,
    pub(crate) layout: Arc<BoundLayout>,
    pub(crate) session: SessionId,
    pub(crate) age_ms: u32,
}

impl Feed {
    pub(crate) fn new(machine: &str, width: usize) -> Self {
        Self::of(machine, width, 0)
    }

    /// Of the machine with this index on its worker.
    pub(crate) fn of(machine: &str, width: usize, index: u32) -> Self {
        let key = |n: usize| SeriesKey::parse("m", Labels::parse([("n", n.to_string().as_str())]).unwrap()).unwrap();
        let machine = MachineId::parse(machine).unwrap();
        let sent = Arc::new(Layout::new(machine.clone(), (0..width).map(key).collect()));
        let series = sent.series.iter().cloned().map(Arc::new).collect();
        let roster = Arc::new(Roster { machine, index, series });
        let layout = Arc::new(BoundLayout::new(roster, Slots::Identity));
        Self { sent, layout, session: SessionId(1), age_ms: 0 }
    }

    /// A frame of the first `values.len()` series.
    pub(crate) fn frame(&mut self, second: f64, values: &[f64]) -> Bound {
        let is_whole = values.len() == self.sent.series.len();
        let positions = if is_whole { Positions::All } else { Positions::List((0..).take(values.len()).collect()) };
        self.bound(positions, Times::One(at(second)), values)
    }

    pub(crate) fn bound(&mut self, positions: Positions, times: Times, values: &[f64]) -> Bound {
        let (layout, session, age_ms) = (Arc::clone(&self.sent), self.session, self.age_ms);
        let values = values.into();
        let batch = Batch { layout, session, sequence: 1, arrival: Timestamp::EPOCH, age_ms, positions, times, values };
        Bound::new(Arc::new(batch), Arc::clone(&self.layout))
    }
}

/// Drives a stage as the glue does, and prints what it publishes, a line each: its second of T, then the text.
pub(crate) fn outputs<S: Stage>(
    mut stage: S,
    records: impl IntoIterator<Item = (LogicalTime, S::In)>,
    until: LogicalTime,
    print: impl Fn(&S::Out) -> String,
) -> String {
    let mut out: Vec<At<S::Out>> = Vec::new();
    for (t, item) in records {
        stage.advance(t, &mut out);
        stage.apply(t, &item, &mut out);
    }
    stage.advance(until, &mut out);
    out.iter().fold(String::new(), |mut text, At { t, item }| {
        writeln!(text, "{}: {}", t / SECOND, print(item)).unwrap();
        text
    })
}
