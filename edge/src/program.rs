//! Program: the edge as `sysmonstm-edge` and as `sysmonstm edge`.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use runtime::clock::{SharedClock, SystemClock};
use runtime::drain::Drain;
use runtime::metrics::Registry;
use runtime::telemetry::{Service, init_logs};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

use crate::config::Config;
use crate::relay;

/// What is wrong with the settings, and nothing else.
const EXIT_CONFIG: u8 = 78;
/// The whole drain; a supervisor kills soon after.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Shows the machines that a hub publishes to anybody, read-only. The token comes from EDGE_TOKEN or EDGE_TOKEN_FILE.
#[derive(Debug, Default, clap::Args)]
pub struct Flags {
    /// Check the settings and end
    #[arg(long)]
    pub check_config: bool,
    /// The page, its WebSocket and the hub's connection [default: 127.0.0.1:8080] [env: EDGE_HTTP_ADDRESS]
    #[arg(long, value_name = "ADDRESS")]
    pub http_address: Option<String>,
    /// Let other machines connect although there is no TLS [env: EDGE_INSECURE]
    #[arg(long)]
    pub insecure: bool,
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
            ("--http-address", "http_address", self.http_address.clone()),
            ("--insecure", "insecure", self.insecure.then(|| String::from("true"))),
            ("--log-level", "log_level", self.log_level.clone()),
            ("--log-format", "log_format", self.log_format.clone()),
        ];
        all.into_iter().filter_map(|(name, key, text)| Some((name, key, text?))).collect()
    }
}

/// Runs the program with the process' environment, to its end.
pub fn main(flags: &Flags) -> ExitCode {
    // A name or a value that is no text belongs to somebody else.
    let variables =
        std::env::vars_os().filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
    let config = match Config::read(variables, &flags.given()) {
        Ok(config) => config,
        Err(problems) => {
            say(io::stderr(), &format!("sysmonstm-edge: {problems}"));
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if flags.check_config {
        say(io::stdout(), "the settings are fine");
        return ExitCode::SUCCESS;
    }
    match start(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!(error = format!("{failure:#}"), "edge failed");
            say(io::stderr(), &format!("sysmonstm-edge: {failure:#}"));
            ExitCode::FAILURE
        }
    }
}

fn start(config: Config) -> anyhow::Result<()> {
    // One thread writes the same bytes to ten thousand sockets in a fraction of a second; each more would cost memory.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the async runtime")?;
    let clock = SystemClock::shared();
    let service = Service { name: "sysmonstm-edge", version: env!("CARGO_PKG_VERSION") };
    init_logs(config.log_format, &config.log_level, service, SharedClock::clone(&clock)).context("set up logs")?;
    runtime::failstop::install();
    runtime.block_on(until_signal(config, clock))
}

async fn until_signal(config: Config, clock: SharedClock) -> anyhow::Result<()> {
    // Listened for before anything starts, so that a signal drains from the first moment on.
    let mut terminate = signal(SignalKind::terminate()).context("listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for signals")?;
    let listener = listen(&config).await?;
    info!(page = %format_args!("http://{}/", listener.local_addr()?), pid = std::process::id(), "edge is up");
    let drain = Drain::new();
    let serving = relay::serve(listener, config.relay, clock, Registry::new(), drain.token());
    tokio::pin!(serving);
    let signal = tokio::select! {
        () = &mut serving => anyhow::bail!("the server ended by itself"),
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    info!(signal, "edge drains");
    drain.begin();
    tokio::time::timeout(DRAIN_MAX, serving).await.context("the drain took too long and was broken off")?;
    info!("edge stopped");
    Ok(())
}

async fn listen(config: &Config) -> anyhow::Result<TcpListener> {
    let address = config.http_address;
    TcpListener::bind(address).await.map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::AddrInUse => "another program listens there: stop it, or choose another port",
            ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose a higher one",
            _ => "choose another address",
        };
        anyhow::anyhow!("cannot listen on {address}: {error}; {advice} (--http-address, EDGE_HTTP_ADDRESS)")
    })
}

/// What a person reads; a closed pipe is no failure.
fn say(mut out: impl Write, text: &str) {
    drop(writeln!(out, "{text}"));
}
