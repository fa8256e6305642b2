//! The graph as one process and as two of one worker each, half of the frames crossing: samples a second, and bytes between the two.
//!
//! Cases in turn, round by round, medians of all; bytes are counted in a run of their own.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use benches::report::{Figure, median};
use benches::together::{self, Came, Case};
use benches::workload::{self, SERIES_PER_MACHINE, Workload};
use model::output_codec::{Decoder, Encoder};
use model::{Bound, BoundLayout, Record, Roster, Slots};
use pipeline::{Feed, Reach};

use crate::{Arguments, Result};

const OWN: Feed = Feed::Live(Reach::Own);
/// Name, processes, workers of each, and what a sink asks for.
const CASES: &[(&str, usize, usize, Feed)] = &[
    ("one process, 1 worker", 1, 1, OWN),
    ("one process, 2 workers", 1, 2, OWN),
    ("two processes, each its own outputs", 2, 1, OWN),
    ("two processes, changes of both", 2, 1, Feed::Changes(Reach::All)),
    ("two processes, changes and samples of both", 2, 1, Feed::Live(Reach::All)),
];
/// Rounds of the code alone.
const CODE_ROUNDS: usize = 20;

pub(crate) fn run(mut args: Arguments) -> Result<()> {
    let machines = args.next().map_or(Ok(2_000), |text| text.parse())?;
    let minutes = args.next().map_or(Ok(10), |text| text.parse())?;
    let rounds: usize = args.next().map_or(Ok(5), |text| text.parse())?;
    let only = args.next();
    let workload = workload::generate(machines, minutes, 7)?;
    match only.as_deref() {
        None => {}
        Some("code") => return code(&workload),
        Some(case) => {
            let (_, processes, workers, feed) = CASES.get(case.parse::<usize>()?).ok_or("there is no such case")?;
            together::run(
                &workload,
                Case { processes: *processes, workers: *workers, feed: *feed, is_counted: false },
            )?;
            return Ok(());
        }
    }
    let mut came: Vec<Vec<Came>> = vec![Vec::new(); CASES.len()];
    for _ in 0..rounds {
        for ((_, processes, workers, feed), came) in CASES.iter().zip(&mut came) {
            let case = Case { processes: *processes, workers: *workers, feed: *feed, is_counted: false };
            came.push(together::run(&workload, case)?);
        }
    }
    let samples = workload.samples as f64;
    let of = |came: &[Came], read: fn(&Came) -> f64| median(came.iter().map(read).collect());
    let alone = &came[0];
    for ((name, ..), came) in CASES.iter().zip(&came) {
        let rate = |came: &[Came]| samples / of(came, |came| came.wall_s) / 1e6;
        let cost = |came: &[Came]| of(came, |came| came.cpu_s) / samples * 1e9;
        Figure::new(format!("together: {name}"), rate(came), "M samples/s").against(rate(alone)).print();
        Figure::new(format!("together: {name}, CPU"), cost(came), "ns a sample").against(cost(alone)).print();
    }
    wire(&workload)?;
    code(&workload)
}

/// Bytes that pass between two processes, by what is asked for.
fn wire(workload: &Workload) -> Result<()> {
    let count = |feed| together::run(workload, Case { processes: 2, workers: 1, feed, is_counted: true });
    let (own, changes, all) = (count(OWN)?, count(Feed::Changes(Reach::All))?, count(Feed::Live(Reach::All))?);
    let crossing = workload.samples as f64 / 2.0;
    Figure::new("together: wire of the exchange, half crossing", own.bytes as f64 / crossing, "B a crossing").print();
    // Each process is given its own and the other's, so half of all that they are given has crossed.
    let told = |bytes: u64, least: u64, given: u64| bytes.saturating_sub(least) as f64 / (given as f64 / 2.0);
    let of_change = told(changes.bytes, own.bytes, changes.changes);
    Figure::new("together: wire of a change that is told", of_change, "B").print();
    let of_sample = told(all.bytes, changes.bytes, all.shown);
    Figure::new("together: wire of a sample that is told", of_sample, "B").print();
    let part = all.shown as f64 / 2.0 / workload.samples as f64;
    Figure::new("together: samples that are told, of all", part, "part").print();
    Ok(())
}

/// What telling and hearing frames costs by itself.
fn code(workload: &Workload) -> Result<()> {
    let frames: Vec<Bound> = bound(workload);
    let samples: usize = frames.iter().map(|bound| bound.batch.len()).sum();
    let (mut told, mut heard, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    // Names go once, ahead.
    encoder.time(1, &mut bytes);
    frames.iter().for_each(|bound| encoder.samples(bound, &mut bytes));
    decoder.read(&bytes, |_| {})?;
    let with_names = bytes.len();
    for _ in 0..CODE_ROUNDS {
        bytes.clear();
        let since = Instant::now();
        tell(&mut encoder, &frames, &mut bytes);
        told.push(since.elapsed().as_secs_f64() / samples as f64 * 1e9);
        let since = Instant::now();
        hear(&mut decoder, &bytes)?;
        heard.push(since.elapsed().as_secs_f64() / samples as f64 * 1e9);
    }
    let of_a_series = (with_names - bytes.len()) as f64 / series(&frames) as f64;
    Figure::new("together: wire of a series that is named", of_a_series, "B").print();
    Figure::new("together: to tell a sample", median(told), "ns").print();
    Figure::new("together: to hear a sample", median(heard), "ns").print();
    Ok(())
}

/// Of all machines that the frames are of.
fn series(frames: &[Bound]) -> usize {
    let rosters: BTreeMap<_, _> =
        frames.iter().map(|bound| (bound.batch.machine(), bound.roster().series.len())).collect();
    rosters.values().sum()
}

/// The workload's first frames as `normalize` binds them.
fn bound(workload: &Workload) -> Vec<Bound> {
    const FRAMES: usize = 4_000;
    let mut layouts = BTreeMap::new();
    let batches = workload.records.iter().filter_map(|stamped| match &stamped.record {
        Record::Batch(batch) if batch.len() * 2 > SERIES_PER_MACHINE as usize => Some(batch),
        _ => None,
    });
    let bound = batches.take(FRAMES).map(|batch| {
        let layout = layouts.entry(batch.layout.id).or_insert_with(|| {
            let series = batch.layout.series.iter().cloned().map(Arc::new).collect();
            let roster = Roster { machine: batch.layout.machine.clone(), index: 0, series };
            Arc::new(BoundLayout::new(Arc::new(roster), Slots::Identity))
        });
        Bound::new(Arc::clone(batch), Arc::clone(layout))
    });
    bound.collect()
}

/// Found by its name when its instructions are counted.
#[inline(never)]
fn tell(encoder: &mut Encoder, frames: &[Bound], out: &mut Vec<u8>) {
    encoder.time(1, out);
    frames.iter().for_each(|bound| encoder.samples(bound, out));
}

/// As above.
#[inline(never)]
fn hear(decoder: &mut Decoder, bytes: &[u8]) -> Result<()> {
    decoder.read(bytes, |entry| {
        black_box(entry);
    })?;
    Ok(())
}
