//! History on a server: frames and windows through the sink, a bare COPY of the same rows beside it, what they occupy, and how long
//! the dashboard's heaviest questions take.
//!
//! Usage: `postgres postgres://user@host:5432/database`; the database is empty, and its tables are left for a look.

use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::report::{Figure, median};
use futures_util::{SinkExt, TryStreamExt};
use model::batch::{Batch, Layout, Positions, Times};
use model::bound::{Bound, BoundLayout, Roster, Slots};
use model::query::{History, RangeQuery, Tier};
use model::{Aggregate, Aggregates, Labels, MachineId, Output, SeriesKey, SessionId, Slot, Timestamp, Width, Window};
use runtime::clock::SystemClock;
use runtime::metrics::Registry;
use sinks::postgres::{PostgresHistory, PostgresSettings, PostgresSink, PostgresUrl, open};
use sinks::sink::{Group, Sink, WriteBatch};
use tokio_postgres::{Client, NoTls};

use crate::{Arguments, Result};

const MACHINES: usize = 1_000;
const SERIES: usize = 60;
/// Machines with a week of minutes: their rows lie minute by minute, so that one series' are far apart.
const WEEK_MACHINES: usize = 5;
const WEEK_MINUTES: i64 = 7 * 24 * 60;
/// Ticks of all machines that make a batch: 600,000 samples, as the driver's 8 MiB do.
const TICKS: usize = 10;
const BATCHES: u64 = 20;
const FLEET_MINUTES: i64 = 10;
const RUNS: usize = 21;

struct Fleet {
    machines: Vec<(Arc<Layout>, Arc<BoundLayout>)>,
    now: Timestamp,
    t: u64,
}

impl Fleet {
    fn new(now: Timestamp) -> Result<Self> {
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
    fn frames(&mut self, batch: u64, rng: &mut fastrand::Rng) -> Arc<WriteBatch> {
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
    fn minutes(&mut self, machines: usize, minutes: std::ops::Range<i64>, revision: u64) -> Arc<WriteBatch> {
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

fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

#[tokio::main]
pub(crate) async fn run(mut args: Arguments) -> Result<()> {
    let url = args.next().ok_or("usage: postgres postgres://user@host:5432/database")?;
    let clock = SystemClock::shared();
    let settings = PostgresSettings::new(PostgresUrl::parse(&url)?, "bench");
    let (mut sink, history) = open(settings, Arc::clone(&clock), &Registry::new());
    sink.connect().await?;
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let mut fleet = Fleet::new(Timestamp::from_micros(clock.now_us()))?;
    raw(&mut fleet, &mut sink, &client, &history).await?;
    windows(&mut fleet, &mut sink).await?;
    client.batch_execute("VACUUM (ANALYZE) raw_frames, minute_aggregates, series, layouts, machines").await?;
    queries(&fleet, &history, &client).await?;
    drop(client);
    connection.await??;
    Ok(())
}

async fn raw(fleet: &mut Fleet, sink: &mut PostgresSink, client: &Client, history: &PostgresHistory) -> Result<()> {
    let mut rng = fastrand::Rng::with_seed(7);
    // Names first, which a hub learns once, and the minute before those that are measured.
    let warm = fleet.minutes(MACHINES, FLEET_MINUTES..FLEET_MINUTES + 1, 1);
    sink.write(warm).await?;
    let first_t = fleet.t + 1;
    let mut took = Duration::ZERO;
    for number in 0..BATCHES {
        let batch = fleet.frames(number, &mut rng);
        let since = Instant::now();
        sink.write(batch).await?;
        took += since.elapsed();
    }
    let samples = usize::try_from(BATCHES)? * TICKS * MACHINES * SERIES;
    let through = rate(samples, took);
    let bare = rate(samples, bare_copy(client, first_t).await?);
    // The baseline: a bare COPY of the same rows, a transaction each batch.
    let name = format!("postgres: raw frames, {}", history.server().unwrap_or_default());
    Figure::new(name, through / 1e6, "M samples/s").at_least(5.0).against(bare / 1e6).print();
    let size = "SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_partition_tree('raw_frames')";
    let bytes: i64 = client.query_one(size, &[]).await?.get(0);
    Figure::new("postgres: raw frames on disk with index", bytes as f64 / samples as f64, "B/sample")
        .at_most(12.0)
        .print();
    Ok(())
}

/// What the server gives back of each batch, into a table of the same shape.
async fn bare_copy(client: &Client, first_t: u64) -> Result<Duration> {
    client.batch_execute("DROP TABLE IF EXISTS bare; CREATE TABLE bare (LIKE raw_frames INCLUDING ALL)").await?;
    let mut took = Duration::ZERO;
    for t in first_t..first_t + BATCHES {
        let text = format!("COPY (SELECT * FROM raw_frames WHERE t = {t}) TO STDOUT (FORMAT binary)");
        let pieces: Vec<bytes::Bytes> = client.copy_out(&text).await?.try_collect().await?;
        let mut pieces: std::collections::VecDeque<bytes::Bytes> =
            pieces.chunks(64).map(|run| bytes::Bytes::from(run.concat())).collect();
        let since = Instant::now();
        let sink = client.copy_in("COPY bare FROM STDIN (FORMAT binary)").await?;
        let mut sink = std::pin::pin!(sink);
        while let Some(piece) = pieces.pop_front() {
            sink.send(piece).await?;
        }
        sink.finish().await?;
        took += since.elapsed();
    }
    client.batch_execute("DROP TABLE bare").await?;
    Ok(took)
}

async fn windows(fleet: &mut Fleet, sink: &mut PostgresSink) -> Result<()> {
    for (revision, what) in [(2, "new"), (3, "corrected")] {
        let mut took = Duration::ZERO;
        for minute in (0..FLEET_MINUTES).rev() {
            let batch = fleet.minutes(MACHINES, minute..minute + 1, revision);
            let since = Instant::now();
            sink.write(batch).await?;
            took += since.elapsed();
        }
        let rows = usize::try_from(FLEET_MINUTES)? * MACHINES * SERIES;
        let figure = Figure::new(format!("postgres: minute rows, {what}"), rate(rows, took) / 1e3, "k rows/s");
        if revision == 2 { figure.at_least(150.0) } else { figure }.print();
    }
    // The oldest first, as time goes.
    let firsts: Vec<i64> = (0..WEEK_MINUTES - 120).step_by(100).collect();
    for first in firsts.into_iter().rev() {
        let batch = fleet.minutes(WEEK_MACHINES, first + FLEET_MINUTES + 1..first + FLEET_MINUTES + 101, 2);
        sink.write(batch).await?;
    }
    Ok(())
}

async fn queries(fleet: &Fleet, history: &PostgresHistory, client: &Client) -> Result<()> {
    let mut range = Vec::new();
    let mut points = 0;
    for run in 0..RUNS {
        let query = RangeQuery {
            machine: MachineId::parse("machine-0002")?,
            metrics: vec![format!("bench.m{}", run + 3)],
            from: fleet.now - Duration::from_secs(7 * 86_400),
            to: fleet.now,
            tier: Tier::Minute,
            points_max: 20_000,
        };
        let since = Instant::now();
        points = history.range(query).await?.series.iter().map(|series| series.t.len()).sum();
        range.push(since.elapsed().as_secs_f64() * 1e3);
    }
    let name = format!("postgres: a week of minutes of one series ({points} points)");
    Figure::new(name, median(range), "ms").at_most(20.0).print();
    let start = Window::containing(fleet.now, Width::Minute).start.micros() - Width::Minute.micros();
    let latest = format!(
        "SELECT machine, avg, max FROM minute WHERE metric = 'bench.m1' AND time = to_timestamp({})",
        start / 1_000_000
    );
    let statement = client.prepare(&latest).await?;
    let (mut times, mut rows) = (Vec::new(), 0);
    for _ in 0..RUNS {
        let since = Instant::now();
        rows = client.query(&statement, &[]).await?.len();
        times.push(since.elapsed().as_secs_f64() * 1e3);
    }
    let name = format!("postgres: the fleet's latest minute of one metric ({rows} rows)");
    Figure::new(name, median(times), "ms").at_most(50.0).print();
    Ok(())
}
