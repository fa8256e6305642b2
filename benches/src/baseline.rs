//! Baseline: the same work as a plain loop over arrays, without an engine: minute and hour aggregates, thresholds, latest values.
//!
//! It neither deduplicates nor orders nor publishes anything, so it is a limit, not a competitor: what the graph's figures are a ratio of.

use std::sync::Barrier;
use std::time::Instant;

use model::{Batch, Positions, Record};

use crate::workload::{BASE_MS, SERIES_PER_MACHINE, Workload, threshold};

const WIDTH: usize = SERIES_PER_MACHINE as usize;

/// What a window keeps of a series.
#[derive(Clone, Copy)]
pub struct Cell {
    count: u32,
    sum: f64,
    min: f64,
    max: f64,
    last: f64,
    last_ms: i64,
}

/// Before the first value.
pub const EMPTY: Cell =
    Cell { count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, last: 0.0, last_ms: i64::MIN };

/// Seconds that the loop takes on as many threads, each with its part of the machines and arrays of its own.
pub fn run_on(threads: usize, workload: &Workload) -> f64 {
    let threads = threads.max(1);
    let part = |number: usize| -> Vec<(usize, &Batch)> {
        let frames = workload.records.iter().filter_map(|stamped| frame(&stamped.record));
        let own = frames.filter(|(machine, _)| machine % threads == number);
        own.map(|(machine, batch)| (machine / threads, batch)).collect()
    };
    let parts: Vec<_> = (0..threads).map(part).collect();
    let start = Barrier::new(threads);
    std::thread::scope(|scope| {
        let together = || {
            start.wait();
        };
        let run = |frames| scope.spawn(move || looped(workload.machines as usize, frames, together).0);
        let running: Vec<_> = parts.into_iter().map(run).collect();
        let walls = running.into_iter().map(|thread| thread.join().expect("a loop over arrays does not fail"));
        walls.fold(0.0, f64::max)
    })
}

/// Seconds that the loop takes, and the sum over all minutes, so that no compiler leaves the work out.
pub fn run(workload: &Workload) -> (f64, f64) {
    let frames = workload.records.iter().filter_map(|stamped| frame(&stamped.record)).collect();
    looped(workload.machines as usize, frames, || {})
}

/// `ready` is called when all memory is there, before the clock starts.
fn looped(machines: usize, frames: Vec<(usize, &Batch)>, ready: impl FnOnce()) -> (f64, f64) {
    let newest = frames.iter().map(|(_, batch)| ms(batch)).max().unwrap_or(0);
    let (minutes, hours) = (index(newest / 60_000) + 1, index(newest / 3_600_000) + 1);
    let series = machines * WIDTH;
    let mut minute_cells = vec![EMPTY; series * minutes];
    let mut hour_cells = vec![EMPTY; series * hours];
    let mut latest = vec![(i64::MIN, 0.0_f64, false); series];
    let thresholds: Vec<f64> = (0..SERIES_PER_MACHINE).map(|slot| threshold(slot).unwrap_or(f64::INFINITY)).collect();
    let mut changes = 0_u64;
    ready();
    let started = Instant::now();
    for (machine, batch) in &frames {
        let at = ms(batch);
        let first = (index(at / 60_000) * machines + machine) * WIDTH;
        let minute = &mut minute_cells[first..first + WIDTH];
        let first = (index(at / 3_600_000) * machines + machine) * WIDTH;
        let hour = &mut hour_cells[first..first + WIDTH];
        let state = &mut latest[machine * WIDTH..(machine + 1) * WIDTH];
        let mut one = |slot: usize, value: f64| {
            add(&mut minute[slot], at, value);
            add(&mut hour[slot], at, value);
            let (newest, last, is_above) = &mut state[slot];
            if at > *newest {
                (*newest, *last) = (at, value);
                changes += u64::from(*is_above != (value > thresholds[slot]));
                *is_above = value > thresholds[slot];
            }
        };
        match &batch.positions {
            Positions::All => batch.values.iter().enumerate().for_each(|(slot, value)| one(slot, *value)),
            Positions::List(list) => {
                list.iter().zip(&batch.values).for_each(|(slot, value)| one(usize::from(*slot), *value))
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let total: f64 = minute_cells.iter().filter(|cell| cell.count > 0).map(|cell| cell.sum).sum();
    assert!(changes > 0, "a workload crosses thresholds");
    (seconds, total)
}

fn frame(record: &Record) -> Option<(usize, &Batch)> {
    let Record::Batch(batch) = record else { return None };
    let number = batch.machine().as_str().get(1..)?.parse().ok()?;
    Some((number, batch))
}

fn ms(batch: &Batch) -> i64 {
    batch.newest().millis() - BASE_MS
}

fn index(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

/// Counts a value of this time in milliseconds.
pub fn add(cell: &mut Cell, at: i64, value: f64) {
    cell.count += 1;
    cell.sum += value;
    cell.min = if value < cell.min { value } else { cell.min };
    cell.max = if value > cell.max { value } else { cell.max };
    if at > cell.last_ms {
        (cell.last, cell.last_ms) = (value, at);
    }
}
