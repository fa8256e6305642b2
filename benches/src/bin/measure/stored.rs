//! The whole hub with its history on a server: what collectors send, until all of it is committed there.
//!
//! `stored URL [MILLIONS] [PROGRAM] [OFFERED]`: samples in millions, all of them and those that are sent each second; PROGRAM is `sysmonstm` beside
//! this program by default. It makes a database of its own. Without OFFERED collectors send as much as the server takes: no more than some batches
//! are on their way to it, so that it never waits and nothing goes through the hub's spill. With it they send whatever becomes of it, and the figure
//! of spilled outputs tells how much went over the disk.
//!
//! In rounds, of which the first is not counted, as a new server makes the files of its log first: in each the rows through the hub, then a bare COPY
//! of these rows, so that both meet server and host in the same state.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use benches::client::{self, Stream};
use benches::fleet;
use benches::hub_process::HubProcess;
use benches::process::Process;
use benches::report::{Figure, median};
use model::Timestamp;
use runtime::clock::{Clock, SystemClock};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::{Client, NoTls};

use crate::postgres::{bare_copy, make_bare};
use crate::{Arguments, Result};

const MACHINES: u32 = 100;
/// Ten a second: six hundred samples for each minute row, so that raw frames are what there is to write.
const INTERVAL_MS: i64 = 100;
const FRAMES_PER_MESSAGE: u32 = 64;
const ROUNDS: u32 = 5;
/// Rows that are sent and not yet written: some batches of the hub's, and less than what makes it spill.
const UNDER_WAY: i64 = 80_000;
const SPILLED: &str = "sinks_outputs_spilled_total{sink=\"postgres\"}";
const WRITTEN: &str = "sinks_outputs_written_total{sink=\"postgres\"}";
const DATABASE: &str = "sysmonstm_stored";
/// Rows that the bare COPY writes at once; some 600,000 samples, as the hub's own batches.
const ROWS_PER_COPY: usize = 10_000;
const LOOK_EVERY: Duration = Duration::from_millis(20);
const COMMITTED_WITHIN: Duration = Duration::from_secs(120);

/// What was written when.
type Progress = Vec<(Instant, i64)>;

/// One round, or all that count.
#[derive(Debug, Clone, Copy, Default)]
struct Took {
    /// Rows of the time in which the server had enough to write, and that time.
    rows: i64,
    steady: Duration,
    /// All rows, and CPU seconds of the hub and of the server's processes for them.
    all_rows: i64,
    hub: f64,
    server: f64,
    /// Through the bare COPY, and CPU seconds of the server's process.
    bare_rows: i64,
    bare: Duration,
    bare_server: f64,
}

struct Rig {
    hub: HubProcess,
    client: Client,
    begin_ms: i64,
    /// Between two messages of a machine, when they come whatever becomes of them.
    every: Option<Duration>,
    written: watch::Sender<i64>,
}

#[tokio::main]
pub(crate) async fn run(mut args: Arguments) -> Result<()> {
    let url = args.next().ok_or("usage: measure stored postgres://user@host:5432/database")?;
    let millions: u32 = args.next().map_or(Ok(80), |text| text.parse())?;
    let program = match args.next() {
        Some(program) => PathBuf::from(program),
        None => std::env::current_exe()?.with_file_name("sysmonstm"),
    };
    let per_message = MACHINES * FRAMES_PER_MESSAGE * u32::try_from(fleet::WIDTH)?;
    let every = |offered: f64| Duration::from_secs_f64(f64::from(per_message) / (offered * 1e6));
    let every = args.next().map(|text| text.parse().map(every)).transpose()?;
    let (server, _) = connect(&url).await?;
    server.batch_execute(&format!("DROP DATABASE IF EXISTS {DATABASE}")).await?;
    server.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await?;
    let (rest, _) = url.rsplit_once('/').ok_or("the URL names no database")?;
    let url = format!("{rest}/{DATABASE}");
    let hub = HubProcess::start_on_server(&program, &url).await?;
    let (client, _) = connect(&url).await?;
    let messages = millions * 1_000_000 / per_message;
    let begin_ms =
        SystemClock::new().now_us() / 1_000 - i64::from(messages) * i64::from(FRAMES_PER_MESSAGE) * INTERVAL_MS;
    let rig = Rig { hub, client, begin_ms, every, written: watch::Sender::new(0) };
    rounds(&rig, messages).await?;
    drop(rig);
    server.batch_execute(&format!("DROP DATABASE {DATABASE} WITH (FORCE)")).await?;
    Ok(())
}

async fn connect(url: &str) -> Result<(Client, tokio::task::JoinHandle<()>)> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // It ends with its client; what was wrong the client's calls say.
    Ok((client, tokio::spawn(async move { drop(connection.await) })))
}

async fn rounds(rig: &Rig, messages: u32) -> Result<()> {
    let mut streams = client::connect(rig.hub.grpc, MACHINES).await?;
    make_bare(&rig.client).await?;
    let (mut all, mut spilled, mut ratios) = (Took::default(), 0.0, Vec::new());
    for round in 0..ROUNDS {
        let part = messages / ROUNDS * round..messages / ROUNDS * (round + 1);
        let (back, took) = rig.round(streams, part).await?;
        streams = back;
        if round == 0 {
            spilled = rig.hub.metric(SPILLED).await?;
            continue;
        }
        ratios.push(rate(took.rows, took.steady) / rate(took.bare_rows, took.bare));
        all = all.and(took);
    }
    ratios.sort_by(f64::total_cmp);
    let spilled = rig.hub.metric(SPILLED).await? - spilled;
    let minutes: i64 = rig.client.query_one("SELECT count(*) FROM minute_aggregates", &[]).await?.get(0);
    let name = format!("stored: raw frames from the running graph to the server, with {minutes} minute rows");
    let bare = rate(all.bare_rows, all.bare);
    Figure::new(name, rate(all.rows, all.steady), "M samples/s").at_least(5.0).against(bare).print();
    let (lowest, highest) = (ratios[0], ratios[ratios.len() - 1]);
    Figure::new("stored: the median of its rounds' ratios to the bare COPY", median(ratios), "of it")
        .at_least(0.8)
        .print();
    Figure::new("stored: the lowest of them", lowest, "of it").print();
    Figure::new("stored: the highest of them", highest, "of it").print();
    Figure::new("stored: the hub's CPU time", ns_per_sample(all.hub, all.all_rows), "ns/sample").print();
    let bare = ns_per_sample(all.bare_server, all.bare_rows);
    Figure::new(
        "stored: the server's, of the processes that write",
        ns_per_sample(all.server, all.all_rows),
        "ns/sample",
    )
    .against(bare)
    .print();
    Figure::new("stored: outputs that went through the spill", spilled, "outputs").print();
    Ok(())
}

fn ns_per_sample(seconds: f64, rows: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let samples = rows as f64 * fleet::WIDTH as f64;
    seconds * 1e9 / samples
}

/// In millions of samples a second.
fn rate(rows: i64, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let samples = rows as f64 * fleet::WIDTH as f64;
    samples / took.as_secs_f64() / 1e6
}

impl Took {
    fn and(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            steady: self.steady + other.steady,
            all_rows: self.all_rows + other.all_rows,
            hub: self.hub + other.hub,
            server: self.server + other.server,
            bare_rows: self.bare_rows + other.bare_rows,
            bare: self.bare + other.bare,
            bare_server: self.bare_server + other.bare_server,
        }
    }
}

impl Rig {
    /// Sends these messages on all streams, waits until all is committed, and copies the same rows once more.
    async fn round(&self, streams: Vec<Stream>, messages: Range<u32>) -> Result<(Vec<Stream>, Took)> {
        let end = rows_of(messages.end);
        let behind = self.newest().await?;
        let (hub, server) = (self.hub.process.run_seconds(), self.server_seconds().await?);
        let (streams, progress) = tokio::join!(self.send_all(streams, messages.clone()), self.follow(end));
        let (streams, progress) = (streams?, progress?);
        let (hub, server) = (self.hub.process.run_seconds() - hub, self.server_seconds().await? - server);
        let newest = self.newest().await?;
        let (bare_rows, bare, bare_server) = bare_copy(&self.client, (behind, newest), ROWS_PER_COPY).await?;
        let (rows, steady) = steady(&progress, (rows_of(messages.start), end));
        if rows == 0 {
            return Err("too little was sent to tell a speed: name more MILLIONS".into());
        }
        Ok((streams, Took { rows, steady, all_rows: bare_rows, hub, server, bare_rows, bare, bare_server }))
    }

    async fn newest(&self) -> Result<i64> {
        Ok(self.client.query_one("SELECT coalesce(max(t), 0) FROM raw_frames", &[]).await?.get(0))
    }

    /// CPU time of the server's processes that serve the hub, as far as they are on this machine.
    async fn server_seconds(&self) -> Result<f64> {
        let text =
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sysmonstm'";
        let rows = self.client.query(text, &[]).await?;
        let pids = rows.iter().filter_map(|row| u32::try_from(row.get::<_, i32>(0)).ok());
        Ok(pids.map(|pid| Process::of(pid).run_seconds()).sum())
    }

    /// Sends these messages on all streams at once, until they are acknowledged.
    async fn send_all(&self, streams: Vec<Stream>, messages: Range<u32>) -> Result<Vec<Stream>> {
        let each = streams.into_iter().map(|stream| {
            let pace = Pace { begin_ms: self.begin_ms, every: self.every, written: self.written.subscribe() };
            tokio::spawn(pace.send(stream, messages.clone()))
        });
        let tasks: Vec<_> = each.collect();
        let mut streams = Vec::with_capacity(tasks.len());
        for task in tasks {
            streams.push(task.await??);
        }
        Ok(streams)
    }

    /// Tells the senders how far the hub is, until the server has so many rows.
    async fn follow(&self, rows: i64) -> Result<Progress> {
        let deadline = Instant::now() + COMMITTED_WITHIN;
        let mut progress = Progress::new();
        while Instant::now() < deadline {
            #[expect(clippy::cast_possible_truncation, reason = "a count")]
            let written = self.hub.metric(WRITTEN).await? as i64;
            progress.push((Instant::now(), written));
            self.written.send_replace(written);
            if rows <= written {
                // Few of what is written are not frames.
                let there: i64 = self.client.query_one("SELECT count(*) FROM raw_frames", &[]).await?.get(0);
                if rows <= there {
                    return Ok(progress);
                }
            }
            sleep(LOOK_EVERY).await;
        }
        Err(format!("not everything was committed within {} s", COMMITTED_WITHIN.as_secs()).into())
    }
}

/// What a stream goes by.
struct Pace {
    begin_ms: i64,
    every: Option<Duration>,
    written: watch::Receiver<i64>,
}

impl Pace {
    async fn send(mut self, mut stream: Stream, messages: Range<u32>) -> Result<Stream> {
        let values = fleet::values(stream.machine, 1);
        let began = Instant::now();
        for (message, due) in messages.zip(0_u32..) {
            match self.every {
                // Open loop: a message every so often, whatever becomes of those before.
                Some(every) => sleep_until(began + every * due).await,
                None => {
                    self.written.wait_for(|written| rows_of(message + 1) <= written + UNDER_WAY).await?;
                }
            }
            let first = i64::from(message * FRAMES_PER_MESSAGE);
            let at = |n| Timestamp::from_millis(self.begin_ms + (first + i64::from(n)) * INTERVAL_MS);
            let frames: Vec<_> = (0..FRAMES_PER_MESSAGE).map(|n| (at(n), values.as_slice())).collect();
            stream.send_many(&frames).await?;
        }
        stream.acknowledged(stream.sequence).await?;
        Ok(stream)
    }
}

/// Of all machines.
fn rows_of(messages: u32) -> i64 {
    i64::from(messages * MACHINES * FRAMES_PER_MESSAGE)
}

/// From the first batch that was written until the last ones were on their way.
fn steady(progress: &Progress, (begin, end): (i64, i64)) -> (i64, Duration) {
    let first = progress.iter().find(|(_, rows)| begin + UNDER_WAY / 2 < *rows);
    let last = progress.iter().rev().find(|(_, rows)| *rows <= end - UNDER_WAY);
    match (first, last) {
        (Some((began, from)), Some((ended, to))) if began < ended => (to - from, *ended - *began),
        _ => (0, Duration::ZERO),
    }
}
