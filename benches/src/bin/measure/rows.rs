//! Rows: frames and minutes of a fleet as the graph hands them to a history sink, made up without a graph.

use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::report::Figure;
use model::batch::{Batch, Layout, Positions, Times};
use model::bound::{Bound, BoundLayout, Roster, Slots};
use model::{Aggregate, Aggregates, Labels, MachineId, Output, SeriesKey, SessionId, Slot, Timestamp, Width, Window};
use sinks::sink::{Group, Sink, WriteBatch};

use crate::Result;

pub(crate) const MACHINES: usize = 1_000;
pub(crate) const SERIES: usize = 60;
/// Ticks of all machines that make a batch: 600,000 samples, as the driver's 8 MiB do.
pub(crate) const TICKS: usize = 10;
pub(crate) const BATCHES: u64 = 30;
pub(crate) const FLEET_MINUTES: i64 = 10;

pub(crate) fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// Names first, which a hub learns once, and the minute before those that are measured.
pub(crate) async fn names(fleet: &mut Fleet, sink: &mut impl Sink) -> Result<()> {
    sink.write(fleet.minutes(MACHINES, FLEET_MINUTES..FLEET_MINUTES + 1, 1)).await?;
    Ok(())
}

/// Writes the frames and returns how many samples there were, and how long it took.
pub(crate) async fn raw(fleet: &mut Fleet, sink: &mut impl Sink) -> Result<(usize, Duration)> {
    let mut rng = fastrand::Rng::with_seed(7);
    names(fleet, sink).await?;
    let mut took = Duration::ZERO;
    for number in 0..BATCHES {
        let batch = fleet.frames(number, &mut rng);
        let since = Instant::now();
        sink.write(batch).await?;
        took += since.elapsed();
    }
    Ok((usize::try_from(BATCHES)? * TICKS * MACHINES * SERIES, took))
}

/// Writes minutes of the whole fleet, and then all of them anew with a higher revision. `goal` is for the new ones, in thousands a second.
pub(crate) async fn windows(name: &str, goal: Option<f64>, fleet: &mut Fleet, sink: &mut impl Sink) -> Result<()> {
    for (revision, what) in [(2, "new"), (3, "corrected")] {
        let mut took = Duration::ZERO;
        for minute in (0..FLEET_MINUTES).rev() {
            let batch = fleet.minutes(MACHINES, minute..minute + 1, revision);
            let since = Instant::now();
            sink.write(batch).await?;
            took += since.elapsed();
        }
        let rows = usize::try_from(FLEET_MINUTES)? * MACHINES * SERIES;
        let figure = Figure::new(format!("{name}: minute rows, {what}"), rate(rows, took) / 1e3, "k rows/s");
        match goal.filter(|_| revision == 2) {
            Some(least) => figure.at_least(least).print(),
            None => figure.print(),
        }
    }
    Ok(())
}

/// A fleet, and what it has written.
pub(crate) struct Fleet {
    machines: Vec<(Arc<Layout>, Arc<BoundLayout>)>,
    pub(crate) now: Timestamp,
    pub(crate) t: u64,
}

impl Fleet {
    pub(crate) fn new(now: Timestamp) -> Result<Self> {
        let mut machines = Vec::with_capacity(MACHINES);
        for number in 0..MACHINES {
            let machine = MachineId::parse(&format!("machine-{number:04}"))?;
            let keys: Vec<SeriesKey> = (0..SERIES)
                .map(|n| SeriesKey::parse(&format!("bench.m{n}"), Labels::none()))
                .collect::<std::result::Result<_, _>>()?;
            let series = keys.iter().cloned().map(Arc::new).collect();
            let roster = Arc::new(Roster { machine: machine.clone(), index: u32::try_from(number)?, series });
            let bound = Arc::new(BoundLayout::new(roster, Slots::Identity));
            machines.push((Arc::new(Layout::new(machine, keys)), bound));
        }
        Ok(Self { machines, now, t: 0 })
    }

    fn batch(&mut self, outputs: Vec<Output>) -> Arc<WriteBatch> {
        self.t += 1;
        Arc::new(WriteBatch { groups: vec![Group { t: self.t, outputs }], upto: self.t })
    }

    /// Ticks of every machine, five seconds apart; values with a few decimals, as collectors send them.
    pub(crate) fn frames(&mut self, batch: u64, rng: &mut fastrand::Rng) -> Arc<WriteBatch> {
        let ticks = u64::try_from(TICKS).unwrap_or(1);
        let mut outputs = Vec::with_capacity(TICKS * MACHINES);
        for tick in 0..ticks {
            let back = Duration::from_secs(5 * (BATCHES * ticks - batch * ticks - tick));
            let time = self.now - back;
            for (layout, bound) in &self.machines {
                let values = (0..SERIES).map(|_| f64::from(rng.u32(0..1_000_000)) / 1_000.0).collect();
                let batch = Batch {
                    layout: Arc::clone(layout),
                    session: SessionId(1),
                    sequence: batch,
                    arrival: time,
                    age_ms: 0,
                    positions: Positions::All,
                    times: Times::One(time),
                    values,
                };
                outputs.push(Output::Samples(Bound::new(Arc::new(batch), Arc::clone(bound))));
            }
        }
        self.batch(outputs)
    }

    /// Minutes of these machines from `first` on, counted back from now.
    pub(crate) fn minutes(&mut self, machines: usize, minutes: std::ops::Range<i64>, revision: u64) -> Arc<WriteBatch> {
        let newest = Window::containing(self.now, Width::Minute).start.micros() - Width::Minute.micros();
        let mut outputs = Vec::new();
        for minute in minutes {
            let start = Timestamp::from_micros(newest - minute * Width::Minute.micros());
            for (_, bound) in &self.machines[..machines] {
                let row = |slot: u32| (Slot(slot), Aggregate::of(f64::from(slot) + 0.5, start));
                let slots = 0..u32::try_from(SERIES).unwrap_or(0);
                outputs.push(Output::Minute(Arc::new(Aggregates {
                    roster: Arc::clone(&bound.roster),
                    window: Window { start, width: Width::Minute },
                    revision,
                    is_final: true,
                    rows: slots.map(row).collect(),
                })));
            }
        }
        self.batch(outputs)
    }
}
