//! What the graph could not correct any more is made again: the real graph and the real SQLite history against each sample counted once.
//! Samples come far behind the horizon and just within it, in windows that were repaired before and in windows still open.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use model::query::{History, RangeQuery, Tier};
use model::{
    Aggregate, Batch, Catalogue, Dataflow, Labels, Layout, LogicalTime, MachineId, Output, Positions, Record,
    SeriesKey, SessionId, Stamped, Times, Timestamp, Width, Window,
};
use pipeline::{Feed, Settings, SinkPort, SinkSpec};
use runtime::clock::ManualClock;
use runtime::metrics::Registry;
use sinks::sink::{Group, Sink, WriteBatch};
use sinks::sqlite::{SqliteSettings, open};
use testkit::eventually::eventually_blocking;

const SOON: Duration = Duration::from_secs(60);
const SECOND: u64 = 1_000_000;
/// A full hour.
const BASE: u64 = 1_763_640_000 * SECOND;
const WIDTH: u16 = 3;

/// A few hours of one machine whose data comes so many seconds after it was measured: now and then far too late.
fn arrivals(rng: &mut Rng) -> Vec<Stamped> {
    let series = |n: u16| match n {
        2 => SeriesKey::parse("payment.amount", Labels::none()).unwrap(),
        _ => SeriesKey::parse("m", Labels::parse([("n", n.to_string().as_str())]).unwrap()).unwrap(),
    };
    let layout = Arc::new(Layout::new(MachineId::parse("a").unwrap(), (0..WIDTH).map(series).collect()));
    let behind = *rng.choice(&[0, 30, 6_000]).unwrap();
    let mut records = Vec::new();
    for tick in 0..500_u64 {
        let t = BASE + 8_000 * SECOND + tick * 20 * SECOND + rng.u64(0..SECOND);
        let late = match rng.u8(..) {
            0..20 => rng.u64(590..660),
            20..40 => rng.u64(600..7_000),
            40..60 => rng.u64(0..590),
            _ => 0,
        };
        let measured = Timestamp::from_logical(t - (behind + late) * SECOND - (t % SECOND));
        let positions: Vec<u16> = (0..WIDTH).filter(|_| late == 0 || rng.bool()).collect();
        let values = positions.iter().map(|_| f64::from(rng.i32(-50..50)) / 4.0).collect();
        let (layout, session, arrival) = (Arc::clone(&layout), SessionId(1), Timestamp::from_logical(t));
        let (positions, times) = (Positions::List(positions.into()), Times::One(measured));
        let batch = Batch { layout, session, sequence: tick + 1, arrival, age_ms: 0, positions, times, values };
        records.push(Stamped { t, record: Record::Batch(Arc::new(batch)) });
    }
    records
}

type Rows = BTreeMap<(String, i64), String>;

/// Each sample once; of an event all.
fn oracle(records: &[Stamped], width: Width) -> Rows {
    let mut seen = BTreeSet::new();
    let mut windows: BTreeMap<(String, i64), Aggregate> = BTreeMap::new();
    for stamped in records {
        let Record::Batch(batch) = &stamped.record else { continue };
        for n in 0..batch.len() {
            let (series, at, value) = (&batch.layout.series[batch.position(n)], batch.time(n), batch.values[n]);
            if series.metric.as_ref() != "payment.amount" && !seen.insert((series.to_string(), at)) {
                continue;
            }
            let key = (series.to_string(), Window::containing(at, width).start.micros());
            let new = Aggregate::of(value, at);
            windows.entry(key).and_modify(|old| old.merge(&new)).or_insert(new);
        }
    }
    let text = |r: &Aggregate| format!("n={} sum={} min={} max={} last={}", r.count, r.sum, r.min, r.max, r.last);
    windows.iter().map(|(key, row)| (key.clone(), text(row))).collect()
}

async fn stored(history: &impl History, tier: Tier) -> Rows {
    let (from, to) = (Timestamp::EPOCH, Timestamp::from_logical(BASE * 2));
    let machine = MachineId::parse("a").unwrap();
    let query = RangeQuery { machine, metrics: Vec::new(), from, to, tier, points_max: 200_000 };
    let mut rows = Rows::new();
    for s in history.range(query).await.unwrap().series {
        let key = s.key.as_ref().unwrap().to_string();
        for n in 0..s.t.len() {
            let text =
                format!("n={} sum={} min={} max={} last={}", s.count[n], s.sum[n], s.min[n], s.max[n], s.last[n]);
            rows.insert((key.clone(), s.t[n].micros()), text);
        }
    }
    rows
}

struct Collect(Arc<Mutex<Vec<(LogicalTime, Output)>>>, SyncSender<()>);

impl SinkPort for Collect {
    fn output(&mut self, t: LogicalTime, output: Output) {
        self.0.lock().unwrap().push((t, output));
    }
    fn flush(&mut self) {}
    fn progress(&mut self, _before: LogicalTime) {}
    fn complete(&mut self) {
        self.1.send(()).unwrap();
    }
}

/// All that leaves the graph for the history, by time.
fn through_the_graph(records: &[Stamped], end: LogicalTime) -> BTreeMap<LogicalTime, Vec<Output>> {
    let outputs = Arc::new(Mutex::new(Vec::new()));
    let (done, waiting) = sync_channel(1);
    let kept = Arc::clone(&outputs);
    let port = move |_| -> Box<dyn SinkPort> { Box::new(Collect(Arc::clone(&kept), done.clone())) };
    let sinks = [SinkSpec { name: "collect", feed: Feed::History, port: Box::new(port) }];
    let settings = Settings::new(1, Catalogue::standard());
    let (graph, running) = pipeline::start(&settings, &sinks, Arc::new(|| true)).unwrap();
    for stamped in records {
        graph.seal(stamped.t);
        graph.push(0, stamped.clone()).unwrap();
    }
    graph.seal(end);
    eventually_blocking(SOON, || graph.completed(), |done| *done >= end).unwrap();
    graph.close();
    waiting.recv_timeout(SOON).unwrap();
    running.join().unwrap();
    let mut by_time: BTreeMap<LogicalTime, Vec<Output>> = BTreeMap::new();
    for (t, output) in outputs.lock().unwrap().drain(..) {
        by_time.entry(t).or_default().push(output);
    }
    by_time
}

async fn maintain(sink: &mut impl Sink) {
    while sink.maintain().await.unwrap() {}
}

/// Writes everything in slices, with upkeep between them, and lets the store come to rest.
async fn store(
    outputs: BTreeMap<LogicalTime, Vec<Output>>,
    seed: u64,
    (mut sink, history): (impl Sink, impl History),
    clock: &ManualClock,
) -> (Rows, Rows) {
    let mut rng = Rng::with_seed(seed);
    let (mut groups, mut clock_t) = (Vec::new(), BASE);
    for (t, outputs) in outputs {
        groups.push(Group { t, outputs });
        if rng.u8(..) < 200 {
            continue;
        }
        sink.write(Arc::new(WriteBatch { groups: std::mem::take(&mut groups), upto: t })).await.unwrap();
        clock.advance(Duration::from_micros(t - clock_t));
        clock_t = t;
        if rng.u8(..) < 100 {
            sink.flush().await.unwrap();
        }
        if rng.u8(..) < 150 {
            maintain(&mut sink).await;
        }
    }
    let upto = groups.last().map_or(clock_t, |group| group.t);
    sink.write(Arc::new(WriteBatch { groups, upto })).await.unwrap();
    sink.flush().await.unwrap();
    clock.advance(Duration::from_secs(3 * 3_600));
    // Minutes first, then the hours they ask for.
    for _ in 0..3 {
        maintain(&mut sink).await;
    }
    (stored(&history, Tier::Minute).await, stored(&history, Tier::Hour).await)
}

fn clock() -> ManualClock {
    ManualClock::at(i64::try_from(BASE).unwrap())
}

#[tokio::test]
async fn after_repair_the_rows_are_those_of_every_sample_whatever_the_graph_said_in_between() {
    for seed in 0..12 {
        let (dir, clock) = (testkit::servers::private_dir().unwrap(), clock());
        let settings = SqliteSettings { gather_batches: 10, ..SqliteSettings::new(dir.path()) };
        check(seed, open(settings, clock.shared(), &Registry::new()).unwrap(), &clock).await;
    }
}

#[cfg(feature = "integration")]
#[tokio::test]
async fn and_so_they_are_on_postgresql() {
    for seed in 20..24 {
        let (database, clock) = (testkit::postgres::Database::of_the_run().await.unwrap(), clock());
        let url = sinks::postgres::PostgresUrl::parse(database.url()).unwrap();
        let settings = sinks::postgres::PostgresSettings::new(url, "hub");
        check(seed, sinks::postgres::open(settings, clock.shared(), &Registry::new()), &clock).await;
    }
}

async fn check(seed: u64, ends: (impl Sink, impl History), clock: &ManualClock) {
    let records = arrivals(&mut Rng::with_seed(seed));
    let end = records.last().unwrap().t + 3_600 * SECOND;
    let outputs = through_the_graph(&records, end);
    let repairs = outputs.values().flatten().filter(|output| matches!(output, Output::Repair(_))).count();
    assert!(repairs > 5, "seed {seed} puts something on the list");
    let (minutes, hours) = store(outputs, seed, ends, clock).await;
    assert_eq!(minutes, oracle(&records, Width::Minute), "minutes of seed {seed}");
    assert_eq!(hours, oracle(&records, Width::Hour), "hours of seed {seed}");
}
