//! History on a server: frames and windows through the sink, a bare COPY of the same rows beside it, what they occupy, and how long
//! the dashboard's heaviest questions take.
//!
//! `postgres URL`; the database is empty, and its tables are left for a look. Whether the server syncs is told with the figures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::process::Process;
use benches::report::{Figure, median};
use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt};
use model::query::{History, RangeQuery, Tier};
use model::{MachineId, Timestamp, Width, Window};
use runtime::clock::SystemClock;
use runtime::metrics::Registry;
use sinks::postgres::{PostgresHistory, PostgresSettings, PostgresSink, PostgresUrl, open};
use sinks::sink::Sink;
use tokio_postgres::{Client, NoTls};

use crate::rows::{self, BATCHES, FLEET_MINUTES, Fleet, MACHINES, SERIES, TICKS, rate};
use crate::{Arguments, Result};

/// Machines with a week of minutes: their rows lie minute by minute, so that one series' are far apart.
const WEEK_MACHINES: usize = 5;
const WEEK_MINUTES: i64 = 7 * 24 * 60;
const RUNS: usize = 21;
/// Batches that are not counted: a new server makes the files of its log first.
const WARM: u64 = 10;
/// Signature, flags, and length of what follows.
const COPY_HEADER_BYTES: usize = 19;
pub(crate) const DROP_BARE: &str = "DROP TABLE IF EXISTS bare";

#[tokio::main]
pub(crate) async fn run(mut args: Arguments) -> Result<()> {
    let url = args.next().ok_or("usage: measure postgres postgres://user@host:5432/database")?;
    let clock = SystemClock::shared();
    let settings = PostgresSettings::new(PostgresUrl::parse(&url)?, "bench");
    let (mut sink, history) = open(settings, Arc::clone(&clock), &Registry::new());
    sink.connect().await?;
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let mut fleet = Fleet::new(Timestamp::from_micros(clock.now_us()))?;
    raw(&mut fleet, &mut sink, &client, &history).await?;
    rows::windows("postgres", Some(150.0), &mut fleet, &mut sink).await?;
    week(&mut fleet, &mut sink).await?;
    client.batch_execute("VACUUM (ANALYZE) raw_frames, minute_aggregates, series, layouts, machines").await?;
    queries(&fleet, &history, &client).await?;
    drop(client);
    connection.await??;
    Ok(())
}

async fn raw(fleet: &mut Fleet, sink: &mut PostgresSink, client: &Client, history: &PostgresHistory) -> Result<()> {
    rows::names(fleet, sink).await?;
    let mut rng = fastrand::Rng::with_seed(7);
    let (mut through, mut bare) = (Duration::ZERO, Duration::ZERO);
    make_bare(client).await?;
    // In turn, so that both meet the server in the same state.
    for number in 0..BATCHES {
        let batch = fleet.frames(number, &mut rng);
        let since = Instant::now();
        sink.write(batch).await?;
        let took = since.elapsed();
        let t = fleet.t.cast_signed();
        let (_, copied, _) = bare_copy(client, (t - 1, t), usize::MAX).await?;
        if WARM <= number {
            through += took;
            bare += copied;
        }
    }
    client.batch_execute(DROP_BARE).await?;
    let each = TICKS * MACHINES * SERIES;
    let (samples, counted) = (usize::try_from(BATCHES)? * each, usize::try_from(BATCHES - WARM)? * each);
    let (through, bare) = (rate(counted, through), rate(counted, bare));
    let fsync: String = client.query_one("SELECT current_setting('fsync')", &[]).await?.get(0);
    let name = format!("postgres: raw frames, {}, fsync {fsync}", history.server().unwrap_or_default());
    Figure::new(name, through / 1e6, "M samples/s").at_least(5.0).against(bare / 1e6).print();
    let size = "SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_partition_tree('raw_frames')";
    let bytes: i64 = client.query_one(size, &[]).await?.get(0);
    Figure::new("postgres: raw frames on disk with index", bytes as f64 / samples as f64, "B/sample")
        .at_most(12.0)
        .print();
    Ok(())
}

/// A table of the shape of `raw_frames`, in one piece.
pub(crate) async fn make_bare(client: &Client) -> Result<()> {
    client.batch_execute(DROP_BARE).await?;
    client.batch_execute("CREATE TABLE bare (LIKE raw_frames INCLUDING ALL)").await?;
    Ok(())
}

/// Copies the rows of T from behind the first to the second into the bare table, so many at once: how many there were, how long it took, and CPU
/// seconds of the server's process, if it is on this machine. They are read back from the server first, which is not counted.
pub(crate) async fn bare_copy(
    client: &Client,
    (behind, last): (i64, i64),
    rows_max: usize,
) -> Result<(i64, Duration, f64)> {
    let text = format!("COPY (SELECT * FROM raw_frames WHERE {behind} < t AND t <= {last}) TO STDOUT (FORMAT binary)");
    // A message a row, the header before the first and the end by itself.
    let mut rows: Vec<Bytes> = client.copy_out(&text).await?.try_collect().await?;
    rows.pop();
    let header = rows.first_mut().map_or_else(Bytes::new, |first| first.split_to(COPY_HEADER_BYTES));
    let copies: Vec<Vec<Bytes>> = rows.chunks(rows_max).map(|rows| pieces(&header, rows)).collect();
    let count = i64::try_from(rows.len())?;
    drop(rows);
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    let server = Process::of(u32::try_from(pid)?);
    let (since, seconds) = (Instant::now(), server.run_seconds());
    for copy in copies {
        let sink = client.copy_in("COPY bare FROM STDIN (FORMAT binary)").await?;
        let mut sink = std::pin::pin!(sink);
        for piece in copy {
            sink.send(piece).await?;
        }
        sink.finish().await?;
    }
    Ok((count, since.elapsed(), server.run_seconds() - seconds))
}

/// A COPY of these rows as pieces of some 64 KB.
fn pieces(header: &Bytes, rows: &[Bytes]) -> Vec<Bytes> {
    const ROWS_PER_PIECE: usize = 80;
    let whole = rows.chunks(ROWS_PER_PIECE).map(|rows| Bytes::from(rows.concat()));
    std::iter::once(header.clone()).chain(whole).chain([Bytes::from_static(&[0xff, 0xff])]).collect()
}

/// A week of minutes of some machines, the oldest first, as time goes.
async fn week(fleet: &mut Fleet, sink: &mut PostgresSink) -> Result<()> {
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
