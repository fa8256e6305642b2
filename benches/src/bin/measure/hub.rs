//! The hub itself, the release binary as a process of its own: idle cost, acknowledgement, saturation over gRPC, memory of a fleet.
//!
//! `hub WHAT [SECONDS] [PROGRAM]`, WHAT being `idle`, `ack`, `load` or `fleet`; PROGRAM is `sysmonstm` beside this program by default.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use benches::client::{self, Stream};
use benches::fleet;
use benches::hub_process::HubProcess;
use benches::process::Switches;
use benches::report::{Figure, Spread};
use model::Timestamp;
use runtime::clock::{Clock, SystemClock};

use crate::{Arguments, Result};

/// Until everything has started and the first beats are over.
const SETTLE: Duration = Duration::from_secs(5);
const MACHINES: u32 = 1_000;
/// Frames in one message of a collector that catches up.
const FRAMES_PER_MESSAGE: u64 = 64;

#[tokio::main]
pub(crate) async fn run(mut args: Arguments) -> Result<()> {
    let what = args.next().ok_or("usage: measure hub idle|ack|load|fleet [SECONDS] [PROGRAM]")?;
    let seconds = Duration::from_secs(args.next().map_or(Ok(30), |text| text.parse())?);
    let program = match args.next() {
        Some(program) => PathBuf::from(program),
        None => std::env::current_exe()?.with_file_name("sysmonstm"),
    };
    let hub = HubProcess::start(&program).await?;
    match what.as_str() {
        "idle" => idle(&hub, seconds).await,
        "ack" => acknowledgement(&hub, seconds).await?,
        "load" => {
            saturation("load", &hub, seconds).await?;
            drop(hub);
            saturation("load, history off", &HubProcess::start_live_only(&program).await?, seconds).await?;
        }
        "fleet" => memory(&hub, seconds).await?,
        other => return Err(format!("{other} is none of idle, ack, load, fleet").into()),
    }
    Ok(())
}

async fn idle(hub: &HubProcess, during: Duration) {
    tokio::time::sleep(SETTLE).await;
    let (cpu, switches) = (hub.process.run_seconds(), hub.process.switches());
    tokio::time::sleep(during).await;
    let share = (hub.process.run_seconds() - cpu) / during.as_secs_f64() * 100.0;
    let wakes = per_second(&switches, &hub.process.switches(), during);
    Figure::new("idle: hub without series", share, "% of a core").at_most(0.1).print();
    Figure::new("idle: hub without series, resident", hub.process.rss_mb(), "MB").at_most(30.0).print();
    Figure::new("idle: hub without series, wake-ups", wakes.values().sum(), "1/s").print();
    for (thread, wakes) in wakes.into_iter().filter(|(_, wakes)| *wakes > 0.05) {
        Figure::new(format!("idle: wake-ups of {thread}"), wakes, "1/s").print();
    }
}

fn per_second(
    before: &BTreeMap<String, Switches>,
    after: &BTreeMap<String, Switches>,
    during: Duration,
) -> BTreeMap<String, f64> {
    let rate = |(name, after): (&String, &Switches)| {
        let earlier = before.get(name).map_or(0, |switches| switches.voluntary);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let count = after.voluntary.saturating_sub(earlier) as f64;
        (name.clone(), count / during.as_secs_f64())
    };
    after.iter().map(rate).collect()
}

/// Each of a thousand collectors sends a frame a second; how long until the hub says that it is on disk?
async fn acknowledgement(hub: &HubProcess, during: Duration) -> Result<()> {
    let streams = client::connect(hub.grpc, MACHINES).await?;
    let rounds = during.as_secs();
    let (clock, began) = (Arc::new(SystemClock::new()), Instant::now() + Duration::from_millis(200));
    let cpu = hub.process.run_seconds();
    let tasks: Vec<_> = streams
        .into_iter()
        .map(|stream| tokio::spawn(send_and_wait(stream, Arc::clone(&clock), began, rounds)))
        .collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await??);
    }
    let cpu = hub.process.run_seconds() - cpu;
    let spread = Spread::of(took);
    for (percent, goal) in [(50, 3.0), (99, 15.0)] {
        let ms = Duration::from_nanos(spread.percentile(percent)).as_secs_f64() * 1e3;
        Figure::new(format!("ack: 1,000 batches/s over gRPC, p{percent}"), ms, "ms").at_most(goal).print();
    }
    let share = cpu / began.elapsed().as_secs_f64() * 100.0;
    Figure::new("ack: CPU of the hub at 60,000 samples/s in 1,000 streams", share, "% of a core").print();
    Ok(())
}

/// Open loop: each frame is due a second after the one before, its stream's machine a millisecond after the machine before.
async fn send_and_wait(mut stream: Stream, clock: Arc<SystemClock>, began: Instant, rounds: u64) -> Result<Vec<u64>> {
    let mut took = Vec::new();
    for round in 0..rounds {
        let due = began + Duration::from_secs(round) + Duration::from_millis(u64::from(stream.machine));
        tokio::time::sleep_until(due.into()).await;
        let at = Timestamp::from_micros(clock.now_us());
        let sent = Instant::now();
        let sequence = stream.send(fleet::values(stream.machine, round), at).await?;
        stream.acknowledged(sequence).await?;
        if round > 0 {
            took.push(u64::try_from(sent.elapsed().as_nanos())?);
        }
    }
    Ok(took)
}

/// A hundred collectors come back with a spool, as fast as the hub takes it.
async fn saturation(name: &str, hub: &HubProcess, during: Duration) -> Result<()> {
    let streams = client::connect(hub.grpc, 100).await?;
    let now_ms = SystemClock::new().now_us() / 1_000;
    let (sent, deadline) = (Arc::new(AtomicU64::new(0)), Instant::now() + during);
    let (cpu, own_cpu, began) =
        (hub.process.run_seconds(), benches::process::Process::own().run_seconds(), Instant::now());
    let tasks: Vec<_> =
        streams.into_iter().map(|stream| tokio::spawn(catch_up(stream, now_ms, Arc::clone(&sent), deadline))).collect();
    for task in tasks {
        task.await??;
    }
    let (took, cpu) = (began.elapsed().as_secs_f64(), hub.process.run_seconds() - cpu);
    let own = benches::process::Process::own().run_seconds() - own_cpu;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let samples = sent.load(Ordering::Relaxed) as f64 * fleet::WIDTH as f64;
    Figure::new(format!("{name}: acknowledged over gRPC, columnar"), samples / took / 1e6, "M samples/s").print();
    Figure::new(format!("{name}: the same per core of the hub"), samples / cpu / 1e6, "M samples/s")
        .at_least(10.0)
        .print();
    Figure::new(format!("{name}: cores of the hub"), cpu / took, "cores").print();
    Figure::new(format!("{name}: cores of the senders"), own / took, "cores").print();
    Figure::new(format!("{name}: resident, peak"), hub.process.peak_rss_mb(), "MB").print();
    Ok(())
}

async fn catch_up(mut stream: Stream, now_ms: i64, sent: Arc<AtomicU64>, deadline: Instant) -> Result<()> {
    // From 20 hours ago, a frame each second: never ahead of the clock, never too old.
    let mut at_ms = now_ms - 20 * 3_600_000;
    let values = fleet::values(stream.machine, 1);
    while Instant::now() < deadline && at_ms < now_ms {
        let frames = (0..FRAMES_PER_MESSAGE).map(|_| {
            at_ms += 1_000;
            (Timestamp::from_millis(at_ms), values.as_slice())
        });
        let frames: Vec<_> = frames.collect();
        stream.send_many(&frames).await?;
        sent.fetch_add(FRAMES_PER_MESSAGE, Ordering::Relaxed);
    }
    stream.acknowledged(stream.sequence).await?;
    Ok(())
}

/// A thousand machines with a frame each 5 s, for long enough to fill the windows inside the horizon.
async fn memory(hub: &HubProcess, during: Duration) -> Result<()> {
    let mut streams = client::connect(hub.grpc, MACHINES).await?;
    let clock = SystemClock::new();
    let interval_ms = 5_000_i64;
    let frames = 15 * 60_000 / interval_ms;
    // The past quarter of an hour first, as from a spool, then in real time.
    let begin_ms = clock.now_us() / 1_000 - frames * interval_ms;
    for frame in 0..frames {
        for stream in &mut streams {
            let values = fleet::values(stream.machine, frame.unsigned_abs());
            stream.send(values, Timestamp::from_millis(begin_ms + frame * interval_ms)).await?;
        }
        // Read what is answered: answers that nobody reads fill the window that a connection's streams share.
        for stream in &mut streams {
            stream.acknowledged(stream.sequence).await?;
        }
    }
    let began = Instant::now();
    for round in 0..during.as_secs() / 5 {
        tokio::time::sleep_until((began + Duration::from_secs(5 * round)).into()).await;
        for stream in &mut streams {
            let values = fleet::values(stream.machine, round);
            let sequence = stream.send(values, Timestamp::from_micros(clock.now_us())).await?;
            stream.acknowledged(sequence).await?;
        }
    }
    tokio::time::sleep(SETTLE).await;
    let rss = hub.process.rss_mb();
    Figure::new("fleet: hub with 1,000 machines x 60 series, resident", rss, "MB").at_most(150.0).print();
    Figure::new("fleet: resident, peak", hub.process.peak_rss_mb(), "MB").print();
    Ok(())
}
