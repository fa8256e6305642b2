//! The whole hub with its history on a server: collectors come back with a spool, and all of it has to be committed there.
//!
//! `stored URL [MILLIONS] [PROGRAM]`: samples in millions; PROGRAM is `sysmonstm` beside this program by default. It makes a database of its own.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use benches::client::{self, Stream};
use benches::fleet;
use benches::hub_process::HubProcess;
use benches::report::Figure;
use model::Timestamp;
use runtime::clock::{Clock, SystemClock};
use tokio_postgres::{Client, NoTls};

use crate::postgres::bare_copy;
use crate::{Arguments, Result};

const MACHINES: u32 = 100;
/// Ten a second: six hundred samples for each minute row, so that raw frames are what there is to write.
const INTERVAL_MS: i64 = 100;
const FRAMES_PER_MESSAGE: i64 = 64;
const DATABASE: &str = "sysmonstm_stored";
/// Rows that the bare COPY writes at once; some 600,000 samples, as the hub's own batches.
const ROWS_PER_COPY: i64 = 10_000;
const LOOK_EVERY: Duration = Duration::from_millis(100);
const COMMITTED_WITHIN: Duration = Duration::from_secs(120);

#[tokio::main]
pub(crate) async fn run(mut args: Arguments) -> Result<()> {
    let url = args.next().ok_or("usage: measure stored postgres://user@host:5432/database")?;
    let millions: i64 = args.next().map_or(Ok(30), |text| text.parse())?;
    let program = match args.next() {
        Some(program) => PathBuf::from(program),
        None => std::env::current_exe()?.with_file_name("sysmonstm"),
    };
    let (server, _) = connect(&url).await?;
    server.batch_execute(&format!("DROP DATABASE IF EXISTS {DATABASE}")).await?;
    server.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await?;
    let (rest, _) = url.rsplit_once('/').ok_or("the URL names no database")?;
    let url = format!("{rest}/{DATABASE}");
    let hub = HubProcess::start_on_server(&program, &url).await?;
    let (client, _) = connect(&url).await?;

    let streams = client::connect(hub.grpc, MACHINES).await?;
    let frames = millions * 1_000_000 / i64::from(MACHINES) / i64::try_from(fleet::WIDTH)?;
    let messages = frames / FRAMES_PER_MESSAGE;
    let begin_ms = SystemClock::new().now_us() / 1_000 - messages * FRAMES_PER_MESSAGE * INTERVAL_MS;
    let (began, cpu) = (Instant::now(), hub.process.run_seconds());
    let tasks: Vec<_> = streams.into_iter().map(|stream| tokio::spawn(send(stream, begin_ms, messages))).collect();
    for task in tasks {
        task.await??;
    }
    let acknowledged = began.elapsed();
    let rows = messages * FRAMES_PER_MESSAGE * i64::from(MACHINES);
    committed(&hub, &client, rows).await?;
    let (took, cpu) = (began.elapsed(), hub.process.run_seconds() - cpu);
    drop(hub);

    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let samples = rows as f64 * fleet::WIDTH as f64;
    let bare = samples / bare_copy(&client, &slices(&client).await?).await?.as_secs_f64();
    let per_second = |took: Duration| samples / took.as_secs_f64() / 1e6;
    let minutes: i64 = client.query_one("SELECT count(*) FROM minute_aggregates", &[]).await?.get(0);
    let name = format!("stored: raw frames from the running graph to the server, with {minutes} minute rows");
    Figure::new(name, per_second(took), "M samples/s").at_least(5.0).against(bare / 1e6).print();
    Figure::new("stored: acknowledged meanwhile", per_second(acknowledged), "M samples/s").print();
    Figure::new("stored: cores of the hub", cpu / took.as_secs_f64(), "cores").print();
    drop(client);
    server.batch_execute(&format!("DROP DATABASE {DATABASE} WITH (FORCE)")).await?;
    Ok(())
}

async fn connect(url: &str) -> Result<(Client, tokio::task::JoinHandle<()>)> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // It ends with its client; what was wrong the client's calls say.
    Ok((client, tokio::spawn(async move { drop(connection.await) })))
}

async fn send(mut stream: Stream, begin_ms: i64, messages: i64) -> Result<()> {
    let values = fleet::values(stream.machine, 1);
    for message in 0..messages {
        let at = |n| Timestamp::from_millis(begin_ms + (message * FRAMES_PER_MESSAGE + n) * INTERVAL_MS);
        let frames: Vec<_> = (0..FRAMES_PER_MESSAGE).map(|n| (at(n), values.as_slice())).collect();
        stream.send_many(&frames).await?;
    }
    stream.acknowledged(stream.sequence).await?;
    Ok(())
}

/// Waits until the hub says that the server has everything, and the server, too.
async fn committed(hub: &HubProcess, client: &Client, rows: i64) -> Result<()> {
    let deadline = Instant::now() + COMMITTED_WITHIN;
    while Instant::now() < deadline {
        if hub.metric("sinks_lag_seconds{sink=\"postgres\"}").await? < 1.0 {
            let there: i64 = client.query_one("SELECT count(*) FROM raw_frames", &[]).await?.get(0);
            if rows <= there {
                return Ok(());
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(format!("not everything was committed within {} s", COMMITTED_WITHIN.as_secs()).into())
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
