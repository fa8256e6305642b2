//! Program: the collector alone, as `sysmonstm-collector` and as `sysmonstm collector`.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use runtime::clock::{SharedClock, SystemClock};
use runtime::drain::Drain;
use runtime::metrics::Registry;
use runtime::telemetry::{Service, init_logs};
use tracing::{error, info};

use crate::config::{LogSettings, Settings};
use crate::sampler::Sampler;
use crate::sources;

/// What is wrong with the settings, and nothing else.
const EXIT_CONFIG: u8 = 78;
/// The whole drain; a supervisor kills soon after.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// `--once` looks twice, because a rate needs a before.
const ONCE_BETWEEN: Duration = Duration::from_secs(1);
/// Work that waits for the spool's disk; one at a time by the outbox's lock.
const BLOCKING_THREADS: usize = 4;

/// Reads this machine's metrics and sends them to a sysmonstm hub.
#[derive(Debug, Default, clap::Args)]
pub struct Flags {
    /// Check the settings and end
    #[arg(long)]
    pub check_config: bool,
    /// Print what the sources read, over a second, and end
    #[arg(long)]
    pub once: bool,
    /// Name of this machine at the hub [env: COLLECTOR_MACHINE_ID]
    #[arg(long, value_name = "NAME")]
    pub machine_id: Option<String>,
    /// Host and port of the hub's gRPC [env: COLLECTOR_AGGREGATOR_URL]
    #[arg(long, value_name = "ADDRESS")]
    pub aggregator_url: Option<String>,
    /// Time between two frames [env: COLLECTOR_COLLECTION_INTERVAL]
    #[arg(long, value_name = "DURATION")]
    pub collection_interval: Option<String>,
    /// Folder for frames the hub has not acknowledged [env: COLLECTOR_SPOOL_DIR]
    #[arg(long, value_name = "FOLDER")]
    pub spool_dir: Option<String>,
    /// error, warn, info, debug or trace [env: LOG_LEVEL]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// auto, json or text [env: LOG_FORMAT]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

impl Flags {
    fn given(&self) -> Vec<(&'static str, &'static str, String)> {
        let all = [
            ("--machine-id", "machine_id", &self.machine_id),
            ("--aggregator-url", "aggregator_url", &self.aggregator_url),
            ("--collection-interval", "collection_interval", &self.collection_interval),
            ("--spool-dir", "spool_dir", &self.spool_dir),
            ("--log-level", "log_level", &self.log_level),
            ("--log-format", "log_format", &self.log_format),
        ];
        let given = all.into_iter().filter_map(|(name, key, text)| Some((name, key, text.clone()?)));
        given.collect()
    }
}

/// Runs the program with the process' environment, to its end.
pub fn main(flags: &Flags) -> ExitCode {
    use_small_pages();
    // A name or a value that is no text belongs to somebody else.
    let variables =
        std::env::vars_os().filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
    let (settings, log) = match Settings::read(variables, &flags.given()) {
        Ok(read) => read,
        Err(problems) => {
            say(io::stderr(), &problems.to_string());
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let ended = if flags.check_config {
        say(io::stdout(), "the settings are fine");
        Ok(())
    } else {
        start(settings, &log, flags.once)
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!(error = format!("{failure:#}"), "collector failed");
            say(io::stderr(), &format!("sysmonstm-collector: {failure:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The allocator asks for huge pages, and a dozen threads with a few KiB each then fill 2 MiB each: measured 25 MB resident
/// against 13 MB in a debug build. A kernel that refuses costs memory only.
fn use_small_pages() {
    #[cfg(target_os = "linux")]
    let _refused = rustix::thread::disable_transparent_huge_pages(true);
}

fn start(settings: Settings, log: &LogSettings, is_once: bool) -> anyhow::Result<()> {
    // One thread is plenty for a frame every few seconds, and each more would cost memory.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .context("start the async runtime")?;
    let clock = SystemClock::shared();
    if is_once {
        let text = runtime.block_on(once(clock))?;
        say(io::stdout(), text.trim_end());
        return Ok(());
    }
    let service = Service { name: "sysmonstm-collector", version: env!("CARGO_PKG_VERSION") };
    init_logs(log.format, &log.level, service, SharedClock::clone(&clock)).context("set up logs")?;
    let ended = runtime.block_on(until_signal(settings, clock));
    // A source that hangs must not hold up the end of the process.
    runtime.shutdown_background();
    ended
}

async fn until_signal(settings: Settings, clock: SharedClock) -> anyhow::Result<()> {
    // Listened for before anything starts, so that a signal drains from the first moment on.
    let signal = signal().context("listen for signals")?;
    let drain = Drain::new();
    let collecting = crate::run(settings, clock, Registry::new(), drain.token());
    tokio::pin!(collecting);
    tokio::select! {
        ended = &mut collecting => return ended.context("start the collector"),
        name = signal => info!(signal = name, "draining"),
    }
    drain.begin();
    let drained = tokio::time::timeout(DRAIN_MAX, collecting).await;
    drained.context("the drain took too long and was broken off")?.context("drain the collector")
}

/// The name of the first signal that asks the process to end.
#[cfg(unix)]
fn signal() -> io::Result<impl Future<Output = &'static str>> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

#[cfg(not(unix))]
fn signal() -> io::Result<impl Future<Output = &'static str>> {
    Ok(async {
        if let Err(failure) = tokio::signal::ctrl_c().await {
            error!(error = %failure, "ctrl-c cannot be listened for");
        }
        "ctrl-c"
    })
}

async fn once(clock: SharedClock) -> anyhow::Result<String> {
    let mut sampler = Sampler::start(sources::standard(), clock, &Registry::new()).context("start the sources")?;
    sampler.print().await;
    tokio::time::sleep(ONCE_BETWEEN).await;
    Ok(sampler.print().await)
}

/// What a person reads; a closed pipe is no failure.
fn say(mut out: impl Write, text: &str) {
    drop(writeln!(out, "{text}"));
}
