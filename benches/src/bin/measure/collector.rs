//! The collector, the release binary as a process of its own: what it costs the machine that it watches, and the network.
//!
//! `collector [SECONDS] [COLLECTOR] [PROGRAM]`: COLLECTOR is `sysmonstm-collector`, PROGRAM `sysmonstm`, both beside this program by default.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use benches::hub_process::HubProcess;
use benches::process::Process;
use benches::report::Figure;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

use crate::{Arguments, Result};

/// Until it has told its layout and the first frames are out.
const SETTLE: Duration = Duration::from_secs(12);
const ACCEPTED: &str = "ingest_samples_total{outcome=\"accepted\"}";
const BUFFER_BYTES: usize = 16 * 1024;

/// Ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is all the same here.
        drop(self.0.kill().and_then(|()| self.0.wait()));
    }
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(mut args: Arguments) -> Result<()> {
    let during = Duration::from_secs(args.next().map_or(Ok(60), |text| text.parse())?);
    let own = std::env::current_exe()?;
    let collector = args.next().map_or_else(|| own.with_file_name("sysmonstm-collector"), PathBuf::from);
    let program = args.next().map_or_else(|| own.with_file_name("sysmonstm"), PathBuf::from);
    let hub = HubProcess::start(&program).await?;
    let sent = Arc::new(AtomicU64::new(0));
    let way = counted(hub.grpc, Arc::clone(&sent)).await?;
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(&collector);
    command.args(["--aggregator-url", &way.to_string(), "--machine-id", "bench", "--log-level", "warn"]);
    command.arg("--spool-dir").arg(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
    let child = Running(command.spawn().map_err(|error| format!("{}: {error}", collector.display()))?);
    let process = Process::of(child.0.id());
    tokio::time::sleep(SETTLE).await;
    let before = (process.run_seconds(), sent.load(Ordering::Relaxed), hub.metric(ACCEPTED).await?);
    tokio::time::sleep(during).await;
    let (cpu, bytes, samples) = (process.run_seconds(), sent.load(Ordering::Relaxed), hub.metric(ACCEPTED).await?);
    let samples = samples - before.2;
    if samples < 1.0 {
        return Err("the hub has no samples of the collector".into());
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let each = (bytes - before.1) as f64 / samples;
    let share = (cpu - before.0) / during.as_secs_f64() * 100.0;
    Figure::new("collector: default sources at 5 s", share, "% of a core").at_most(0.3).print();
    Figure::new("collector: resident", process.rss_mb(), "MB").at_most(12.0).print();
    Figure::new("collector: to the hub, with gRPC's framing", each, "B/sample").at_most(9.0).print();
    Figure::new("collector: samples", samples / during.as_secs_f64(), "samples/s").print();
    Ok(())
}

/// A way to the hub that counts what goes there. It ends with the runtime.
async fn counted(hub: SocketAddr, sent: Arc<AtomicU64>) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let way = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(carry(stream, hub, Arc::clone(&sent)));
        }
    });
    Ok(way)
}

async fn carry(stream: TcpStream, hub: SocketAddr, sent: Arc<AtomicU64>) -> std::io::Result<()> {
    let (mut from, mut back) = stream.into_split();
    let (mut answers, mut to) = TcpStream::connect(hub).await?.into_split();
    // It ends when the hub hangs up.
    tokio::spawn(async move { copy(&mut answers, &mut back).await });
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        sent.fetch_add(read as u64, Ordering::Relaxed);
        to.write_all(&buffer[..read]).await?;
    }
}
