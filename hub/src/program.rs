//! Program: what every command shares: words on the terminal, logs, the signals that stop it.

use std::fmt::Display;
use std::io::{self, Write};

use runtime::BoxError;
use runtime::clock::SharedClock;
use runtime::telemetry::{LogError, Service, init_logs};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::LogConfig;

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The signals that ask a program to stop.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

/// Writes a command's answer. A reader that went away (`| head`) is its own affair.
pub fn print(text: impl Display) {
    let mut out = io::stdout().lock();
    drop(write!(out, "{text}").and_then(|()| out.flush()));
}

/// Tells a person what went wrong. For commands, and for what comes before the logs are up.
pub fn complain(text: impl Display) {
    drop(writeln!(io::stderr().lock(), "sysmonstm: {text}"));
}

/// Sets up the logs and the end of the process on a panic.
///
/// # Errors
/// When the level is no level.
pub fn start_logs(name: &'static str, config: &LogConfig, clock: SharedClock) -> Result<(), LogError> {
    let service = Service { name, version: VERSION };
    init_logs(config.format, &config.level, service, clock)?;
    runtime::failstop::install();
    Ok(())
}

impl StopSignals {
    /// From here on the signals no longer kill the process. Call it inside a runtime.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn listen() -> Result<Self, BoxError> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next signal's name; cancel safe.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
