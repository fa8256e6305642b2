//! The whole hub with its history on a server: what collectors send, until all of it is committed there.
//!
//! `stored URL [MILLIONS] [PROGRAM] [OFFERED]`: samples in millions, all of them and those that are sent each second; PROGRAM is `sysmonstm` beside
//! this program by default. It makes a database of its own. The first third is sent slowly and not counted: a new server makes the files of its
//! log first. What is offered beyond the server's speed goes through the hub's spill, which the figure of spilled outputs tells.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use benches::client::{self, Stream};
use benches::fleet;
use benches::hub_process::HubProcess;
use benches::report::Figure;
use model::Timestamp;
use runtime::clock::{Clock, SystemClock};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::{Client, NoTls};

use crate::postgres::{bare_copy, make_bare};
use crate::{Arguments, Result};

const MACHINES: u32 = 100;
/// Ten a second: six hundred samples for each minute row, so that raw frames are what there is to write.
const INTERVAL_MS: i64 = 100;
const FRAMES_PER_MESSAGE: u32 = 64;
/// Million samples a second: a little more than the goal.
const OFFERED: f64 = 5.2;
/// The same before it counts.
const OFFERED_WARM: f64 = 1.5;
/// What waits at the end of the load tells a speed only if it is some seconds' work.
const BACKLOG_ROWS: i64 = 150_000;
const SPILLED: &str = "sinks_outputs_spilled_total{sink=\"postgres\"}";
const DATABASE: &str = "sysmonstm_stored";
/// Rows that the bare COPY writes at once; some 600,000 samples, as the hub's own batches.
const ROWS_PER_COPY: i64 = 10_000;
const LOOK_EVERY: Duration = Duration::from_millis(100);
const COMMITTED_WITHIN: Duration = Duration::from_secs(120);

#[tokio::main]
pub(crate) async fn run(mut args: Arguments) -> Result<()> {
    let url = args.next().ok_or("usage: measure stored postgres://user@host:5432/database")?;
    let millions: u32 = args.next().map_or(Ok(60), |text| text.parse())?;
    let program = match args.next() {
        Some(program) => PathBuf::from(program),
        None => std::env::current_exe()?.with_file_name("sysmonstm"),
    };
    let offered: f64 = args.next().map_or(Ok(OFFERED), |text| text.parse())?;
    let (server, _) = connect(&url).await?;
    server.batch_execute(&format!("DROP DATABASE IF EXISTS {DATABASE}")).await?;
    server.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await?;
    let (rest, _) = url.rsplit_once('/').ok_or("the URL names no database")?;
    let url = format!("{rest}/{DATABASE}");
    let hub = HubProcess::start_on_server(&program, &url).await?;
    let (client, _) = connect(&url).await?;

    let streams = client::connect(hub.grpc, MACHINES).await?;
    let per_message = MACHINES * FRAMES_PER_MESSAGE;
    let width = u32::try_from(fleet::WIDTH)?;
    let messages = millions * 1_000_000 / (per_message * width);
    let rows_of = |messages: u32| i64::from(messages * per_message);
    let every = |offered: f64| Duration::from_secs_f64(f64::from(per_message * width) / (offered * 1e6));
    let begin_ms =
        SystemClock::new().now_us() / 1_000 - i64::from(messages) * i64::from(FRAMES_PER_MESSAGE) * INTERVAL_MS;
    let streams = send_all(streams, begin_ms, (0..messages / 3, every(OFFERED_WARM))).await?;
    let warm = committed(&hub, &client, rows_of(messages / 3)).await?;
    let (began, cpu, spilled) = (Instant::now(), hub.process.run_seconds(), hub.metric(SPILLED).await?);
    send_all(streams, begin_ms, (messages / 3..messages, every(offered))).await?;
    let (sent, waiting) = (Instant::now(), rows_of(messages) - written(&hub).await?);
    let all = committed(&hub, &client, rows_of(messages)).await?;
    let drained = sent.elapsed();
    let (took, cpu) = (began.elapsed(), hub.process.run_seconds() - cpu);
    let spilled = hub.metric(SPILLED).await? - spilled;
    drop(hub);

    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let samples = |rows: i64| rows as f64 * f64::from(width);
    make_bare(&client).await?;
    let bare = samples(all) / bare_copy(&client, &slices(&client).await?).await?.as_secs_f64();
    let through = samples(all - warm) / took.as_secs_f64();
    let minutes: i64 = client.query_one("SELECT count(*) FROM minute_aggregates", &[]).await?.get(0);
    let name = format!("stored: raw frames from the running graph to the server, with {minutes} minute rows");
    Figure::new(name, through / 1e6, "M samples/s").at_least(5.0).against(bare / 1e6).print();
    Figure::new("stored: cores of the hub", cpu / took.as_secs_f64(), "cores").print();
    Figure::new("stored: outputs that went through the spill", spilled, "outputs").print();
    if BACKLOG_ROWS <= waiting {
        let rate = samples(waiting) / drained.as_secs_f64();
        Figure::new("stored: catching up, once nothing more was sent", rate / 1e6, "M samples/s").print();
    }
    drop(client);
    server.batch_execute(&format!("DROP DATABASE {DATABASE} WITH (FORCE)")).await?;
    Ok(())
}

async fn connect(url: &str) -> Result<(Client, tokio::task::JoinHandle<()>)> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // It ends with its client; what was wrong the client's calls say.
    Ok((client, tokio::spawn(async move { drop(connection.await) })))
}

/// Sends these messages on all streams at once, until they are acknowledged.
async fn send_all(
    streams: Vec<Stream>,
    begin_ms: i64,
    (messages, every): (Range<u32>, Duration),
) -> Result<Vec<Stream>> {
    let tasks: Vec<_> =
        streams.into_iter().map(|stream| tokio::spawn(send(stream, begin_ms, (messages.clone(), every)))).collect();
    let mut streams = Vec::with_capacity(tasks.len());
    for task in tasks {
        streams.push(task.await??);
    }
    Ok(streams)
}

/// Open loop: a message every so often, whatever becomes of those before.
async fn send(mut stream: Stream, begin_ms: i64, (messages, every): (Range<u32>, Duration)) -> Result<Stream> {
    let values = fleet::values(stream.machine, 1);
    let began = Instant::now();
    for (message, due) in messages.zip(0_u32..) {
        sleep_until(began + every * due).await;
        let at = |n| Timestamp::from_millis(begin_ms + i64::from(message * FRAMES_PER_MESSAGE + n) * INTERVAL_MS);
        let frames: Vec<_> = (0..FRAMES_PER_MESSAGE).map(|n| (at(n), values.as_slice())).collect();
        stream.send_many(&frames).await?;
    }
    stream.acknowledged(stream.sequence).await?;
    Ok(stream)
}

/// Waits until the server has so many rows, and says how many it has. It is asked only when the hub has written about as much.
async fn committed(hub: &HubProcess, client: &Client, rows: i64) -> Result<i64> {
    let deadline = Instant::now() + COMMITTED_WITHIN;
    while Instant::now() < deadline {
        if rows <= written(hub).await? {
            let there: i64 = client.query_one("SELECT count(*) FROM raw_frames", &[]).await?.get(0);
            if rows <= there {
                return Ok(there);
            }
        }
        sleep(LOOK_EVERY).await;
    }
    Err(format!("not everything was committed within {} s", COMMITTED_WITHIN.as_secs()).into())
}

/// Outputs that the server has, of which few are not frames.
async fn written(hub: &HubProcess) -> Result<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "a count")]
    Ok(hub.metric("sinks_outputs_written_total{sink=\"postgres\"}").await? as i64)
}

/// Ranges of T, from behind the first to the second, of about as many rows each.
async fn slices(client: &Client) -> Result<Vec<(i64, i64)>> {
    let text = format!(
        "SELECT t FROM (SELECT t, row_number() OVER (ORDER BY t) AS number, count(*) OVER () AS count FROM raw_frames) AS rows \
         WHERE number % {ROWS_PER_COPY} = 0 OR number = count ORDER BY t"
    );
    let ends: Vec<i64> = client.query(&text, &[]).await?.iter().map(|row| row.get(0)).collect();
    let begins = std::iter::once(-1).chain(ends.iter().copied());
    Ok(begins.zip(ends.iter().copied()).collect())
}
