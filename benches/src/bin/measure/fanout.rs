//! Fan-out: messages of about 2 KB to a thousand WebSocket clients, from the hub's own program and, where a Python with `socketify` is given,
//! from its server (uWebSockets inside) in the same run, each in its turn, while the other one stands still. The server has one core, the
//! clients the other.
//!
//! `fanout [SECONDS] [CLIENTS] [PYTHON] [PROGRAM]`; PROGRAM is `sysmonstm` beside this program by default.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use benches::client::{self, Stream};
use benches::fleet;
use benches::hub_process::{HubProcess, free_port};
use benches::process::{pause, resume};
use benches::report::{Figure, median};
use benches::viewers::{self, Viewers, read_frame};
use model::Timestamp;
use runtime::clock::{Clock, SystemClock};
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::runtime::Runtime;

use crate::{Arguments, Result};

const SERVER_CORE: usize = 0;
const CLIENT_CORE: usize = 1;
/// Whose messages take turns: enough that none of them is over its rate.
const MACHINES: u32 = 64;
/// Machines that never become stale meanwhile, which would be one more message.
const INTERVAL_MS: u32 = 600_000;
/// Of each machine; its message has 2 KB then.
const SERIES: usize = 40;
const ROUNDS: usize = 3;
/// From a stream's queue to the socket, and some more.
const HOPS: usize = 16;
const START_MAX: Duration = Duration::from_secs(10);
/// Messages under way, and the deliveries a second that are wanted with so many.
const GOALS: [(u64, f64); 2] = [(8, 1.2), (1, 0.26)];

/// Something that sends messages to all viewers on order.
trait Server {
    const NAME: &str;

    fn publish(&mut self, messages: u64) -> io::Result<()>;

    fn process(&self) -> &Child;
}

pub(crate) fn run(mut args: Arguments) -> Result<()> {
    let seconds = Duration::from_secs(args.next().map_or(Ok(5), |text| text.parse())?);
    let clients = args.next().map_or(Ok(1_000), |text| text.parse())?;
    let rival = args.next().filter(|path| !path.is_empty());
    let program = match args.next() {
        Some(program) => PathBuf::from(program),
        None => std::env::current_exe()?.with_file_name("sysmonstm"),
    };
    let mut cores = CpuSet::new();
    cores.set(CLIENT_CORE);
    sched_setaffinity(None, &cores)?;
    let (mut hub, mut hub_viewers) = start_hub(&program, clients)?;
    let bytes = hub_viewers.message_bytes();
    Figure::new("fan-out: a message", bytes as f64, "B").print();
    let mut rival = rival.map(|python| start_rival(&python, bytes, clients)).transpose()?;
    // Each has the core to itself while it is measured.
    if let Some((rival, _)) = &rival {
        pause(rival.process())?;
    }
    for (ahead, goal) in GOALS {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(deliveries(&mut hub_viewers, &mut hub, ahead, seconds)?);
            if let Some((rival, viewers)) = &mut rival {
                pause(hub.process())?;
                resume(rival.process())?;
                theirs.push(deliveries(viewers, rival, ahead, seconds)?);
                pause(rival.process())?;
                resume(hub.process())?;
            }
        }
        let name = format!("fan-out: {clients} clients, {ahead} under way");
        let figure = Figure::new(name, median(ours), "M deliveries/s").at_least(goal);
        let figure = if theirs.is_empty() { figure } else { figure.against(median(theirs)) };
        figure.print();
    }
    let rss = hub.program.process.peak_rss_mb();
    Figure::new("fan-out: the hub, resident, peak", rss, "MB").print();
    Ok(())
}

/// Millions a second.
fn deliveries<S: Server>(viewers: &mut Viewers, server: &mut S, ahead: u64, during: Duration) -> Result<f64> {
    let began = Instant::now();
    let watched = viewers.watch(ahead, during, |messages| server.publish(messages));
    let messages = watched.map_err(|error| format!("{}: {error}", S::NAME))?;
    Ok(messages as f64 * viewers.count() as f64 / began.elapsed().as_secs_f64() / 1e6)
}

/// What is sent to it goes out of the viewers' own thread, as the rival's orders do: a thread beside them would wait for its turn on their
/// core, and the hub would pay for that.
struct Hub {
    program: HubProcess,
    feed: Feed,
    runtime: Runtime,
}

impl Server for Hub {
    const NAME: &str = "the hub";

    fn publish(&mut self, messages: u64) -> io::Result<()> {
        self.runtime.block_on(self.feed.send(messages)).map_err(io::Error::other)
    }

    fn process(&self) -> &Child {
        &self.program.child
    }
}

fn start_hub(program: &Path, clients: usize) -> Result<(Hub, Viewers)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let process = runtime.block_on(HubProcess::start_live_only_on(SERVER_CORE, program))?;
    let series = fleet::series()?;
    let streams = runtime.block_on(client::connect_as(process.grpc, MACHINES, INTERVAL_MS, &series[..SERIES]))?;
    let feed = Feed::new(streams);
    let mut hub = Hub { program: process, feed, runtime };
    hub.publish(MACHINES.into())?;
    // What is there already comes first, a second after the hello; the board has every machine's frame by then.
    let known = |stream: &mut TcpStream| (0..=MACHINES).try_for_each(|_| read_frame(stream).map(drop));
    let mut viewers = Viewers::connect(hub.program.http, clients, known)?;
    viewers.learn(|messages| hub.publish(messages))?;
    Ok((hub, viewers))
}

/// Frames of machines in turn, all of one size on the way out: the values stay, the time goes on.
struct Feed {
    streams: Vec<Stream>,
    next: usize,
    at_ms: i64,
}

impl Feed {
    fn new(streams: Vec<Stream>) -> Self {
        Self { streams, next: 0, at_ms: SystemClock::new().now_us() / 1_000 }
    }

    async fn send(&mut self, messages: u64) -> std::result::Result<(), client::ClientError> {
        for _ in 0..messages {
            let stream = &mut self.streams[self.next];
            self.next = (self.next + 1) % MACHINES as usize;
            if self.next == 0 {
                self.at_ms += 1;
            }
            stream.send(fleet::values(0, 1)[..SERIES].to_vec(), Timestamp::from_millis(self.at_ms)).await?;
        }
        // The streams and their connections are tasks of this thread: here they come to write what was sent.
        for _ in 0..HOPS {
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

struct Rival {
    child: Child,
    control: TcpStream,
}

impl Server for Rival {
    const NAME: &str = "the rival";

    fn publish(&mut self, messages: u64) -> io::Result<()> {
        let order = "m".repeat(usize::try_from(messages).unwrap_or(1));
        viewers::send_text(&mut self.control, &order)
    }

    fn process(&self) -> &Child {
        &self.child
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}

fn start_rival(python: &str, bytes: u64, clients: usize) -> Result<(Rival, Viewers)> {
    let address = free_port()?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/rivals/socketify_fanout.py");
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &SERVER_CORE.to_string(), python, script]);
    // Without the head of four bytes.
    command.args([address.port().to_string(), bytes.saturating_sub(4).to_string()]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let control = open_when_up(address)?;
    let mut rival = Rival { child, control };
    let mut viewers = Viewers::connect(address, clients, |_| Ok(()))?;
    viewers.learn(|messages| rival.publish(messages))?;
    Ok((rival, viewers))
}

fn open_when_up(address: SocketAddr) -> Result<TcpStream> {
    let deadline = Instant::now() + START_MAX;
    loop {
        match viewers::open(address, "/control") {
            Ok(stream) => return Ok(stream),
            Err(error) if deadline < Instant::now() => return Err(error.into()),
            Err(_) => std::thread::park_timeout(Duration::from_millis(50)),
        }
    }
}
