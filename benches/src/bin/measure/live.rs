//! From a collector's send until a WebSocket client has the machine: a fleet over real gRPC, and one viewer of all of it that takes each change
//! at once (`rate_ms` 0).
//!
//! Open loop: a thread sends each frame when it is due, on a clock of its own, so that the wake-ups of a runtime's timer are not in it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use benches::client::{self, Stream};
use benches::fleet;
use benches::hub_process::HubProcess;
use benches::report::{Figure, Spread};
use benches::viewers::{self, read_frame};
use model::Timestamp;
use runtime::clock::{Clock, SystemClock};
use serde::Deserialize;

use crate::{Arguments, Result};

const MACHINES: u32 = 1_000;
/// The pace of a fleet that reports every 5 s, and of one that makes 500,000 samples a second; the p50 and p99 in milliseconds that are wanted.
const PACES: [(&str, Duration, Option<f64>, f64); 2] = [
    ("12 k samples/s", Duration::from_millis(5_000), Some(1.0), 5.0),
    ("500 k samples/s", Duration::from_millis(120), None, 50.0),
];
const SUBSCRIBE: &str = r#"{"type":"subscribe","machines":["*"],"detail":"summary","rate_ms":0}"#;

/// What each machine sent last: its time, and when.
type Sent = Arc<Mutex<Vec<Option<(i64, Instant)>>>>;

pub(crate) fn run(mut args: Arguments) -> Result<()> {
    let seconds = Duration::from_secs(args.next().map_or(Ok(10), |text| text.parse())?);
    let program = match args.next() {
        Some(program) => PathBuf::from(program),
        None => std::env::current_exe()?.with_file_name("sysmonstm"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    for (name, interval, p50, p99) in PACES {
        let hub = runtime.block_on(HubProcess::start(&program))?;
        let interval_ms = u32::try_from(interval.as_millis())?.max(1_000);
        let streams = runtime.block_on(client::connect_as(hub.grpc, MACHINES, interval_ms, &fleet::series()?))?;
        let sent: Sent = Arc::new(Mutex::new(vec![None; MACHINES as usize]));
        let watching = watch(hub.http, Arc::clone(&sent))?;
        let (cpu, began) = (hub.process.run_seconds(), Instant::now());
        // One interval goes by in which every machine is new.
        let frames = send(&runtime, streams, &sent, interval, interval.max(Duration::from_secs(1)) + seconds)?;
        let cpu = (hub.process.run_seconds() - cpu) / began.elapsed().as_secs_f64() * 100.0;
        drop(hub);
        let mut took = watching.join().map_err(|_panic| "the viewer failed")?;
        // A frame that the next one of its machine overtook is never shown: what is told is of this part of them.
        let shown = took.len() as f64 / f64::from(frames) * 100.0;
        took.drain(..took.len().min(MACHINES as usize));
        let spread = Spread::of(took);
        for (percent, goal) in [(50, p50), (99, Some(p99))] {
            let ms = Duration::from_nanos(spread.percentile(percent)).as_secs_f64() * 1e3;
            let figure = Figure::new(format!("live: send to WebSocket at {name}, p{percent}"), ms, "ms");
            if let Some(goal) = goal { figure.at_most(goal) } else { figure }.print();
        }
        Figure::new(format!("live: frames shown at {name}"), shown, "%").print();
        Figure::new(format!("live: CPU of the hub at {name}"), cpu, "% of a core").print();
    }
    Ok(())
}

/// Sends the machines' frames in turn, evenly spaced, and says how many.
fn send(
    runtime: &tokio::runtime::Runtime,
    mut streams: Vec<Stream>,
    sent: &Sent,
    interval: Duration,
    during: Duration,
) -> Result<u32> {
    let (clock, began, step) = (SystemClock::new(), Instant::now(), interval / MACHINES);
    let mut number = 0_u32;
    while began.elapsed() < during {
        let due = began + step * number;
        while let Some(left) = due.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
        let machine = (number % MACHINES) as usize;
        let values = fleet::values(number % MACHINES, u64::from(number / MACHINES) + 1);
        let at = Timestamp::from_micros(clock.now_us());
        sent.lock().unwrap_or_else(PoisonError::into_inner)[machine] = Some((at.millis(), Instant::now()));
        runtime.block_on(streams[machine].send(values, at))?;
        number += 1;
    }
    for stream in &mut streams {
        runtime.block_on(stream.acknowledged(stream.sequence))?;
    }
    Ok(number)
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default, borrow)]
    machines: Vec<Machine<'a>>,
}

#[derive(Deserialize)]
struct Machine<'a> {
    id: &'a str,
    last_seen: i64,
}

/// Nanoseconds from each send until its machine came with that time; ends with the connection.
fn watch(hub: SocketAddr, sent: Sent) -> Result<std::thread::JoinHandle<Vec<u64>>> {
    let numbers: std::collections::HashMap<String, usize> =
        (0..MACHINES).map(|machine| (fleet::machine_name(machine), machine as usize)).collect();
    let mut stream = viewers::open(hub, "/ws")?;
    viewers::send_text(&mut stream, SUBSCRIBE)?;
    let watching = std::thread::spawn(move || {
        let mut took = Vec::new();
        while let Ok(payload) = read_frame(&mut stream) {
            let now = Instant::now();
            let Ok(message) = serde_json::from_slice::<Message<'_>>(&payload) else { continue };
            let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
            for machine in message.machines {
                let place = numbers.get(machine.id).and_then(|number| sent.get_mut(*number));
                if let Some((_, since)) = place.and_then(|place| place.take_if(|sent| sent.0 == machine.last_seen)) {
                    took.push(u64::try_from(now.saturating_duration_since(since).as_nanos()).unwrap_or(u64::MAX));
                }
            }
        }
        took
    });
    Ok(watching)
}
