//! Serve: `sysmonstm up` and `sysmonstm hub`: a hub until a signal, or until a part of it fails.

use anyhow::{Context, Result, bail};
use runtime::clock::{SharedClock, SystemClock};
use tracing::{error, info, warn};

use crate::config::Config;
use crate::exit::Exit;
use crate::health::url_of;
use crate::program::{StopSignals, complain, start_logs};
use crate::rules::LoadError;
use crate::wiring::{Ending, Hub, Role};

/// For tests of the program only: a release build refuses it.
const FAULT_VARIABLE: &str = "SYSMONSTM_FAULT";

/// Runs to the end of the process.
#[must_use]
pub fn serve(role: Role, config: Config) -> Exit {
    let clock = SystemClock::shared();
    if let Err(error) = start_logs("sysmonstm", &config.log, SharedClock::clone(&clock)) {
        complain(error);
        return Exit::Config;
    }
    if let Some((_, fault)) = crate::config::environment().iter().find(|(name, _)| name == FAULT_VARIABLE)
        && let Err(error) = runtime::fault::arm(fault)
    {
        error!(%error, variable = FAULT_VARIABLE, "hub does not start");
        return Exit::Config;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "async runtime cannot be started");
            return Exit::Failed;
        }
    };
    let ended = runtime.block_on(until_stopped(role, config, clock));
    // A blocking call that hangs (a dead disk) must not hold up the end of the process.
    runtime.shutdown_background();
    match ended {
        Ok(()) => Exit::Fine,
        Err(failure) => {
            error!(error = format!("{failure:#}"), "hub failed");
            // A supervisor that restarts it would only see the same again.
            if failure.is::<LoadError>() { Exit::Config } else { Exit::Failed }
        }
    }
}

async fn until_stopped(role: Role, config: Config, clock: SharedClock) -> Result<()> {
    let mut signals = StopSignals::listen().map_err(anyhow::Error::from_boxed).context("listen for signals")?;
    info!(data_dir = %config.data_dir.display(), pid = std::process::id(), "hub starts");
    for setting in &config.unused {
        warn!(setting, "setting has no effect in this program");
    }
    let mut hub = tokio::select! {
        hub = Hub::start(config, role, clock) => hub?,
        signal = signals.next() => {
            info!(signal, "hub stopped while it started");
            return Ok(());
        }
    };
    let dashboard = url_of(hub.http_address, "/");
    info!(dashboard, grpc = %hub.grpc_address, "hub is up");
    let mut is_asked = false;
    let fault = tokio::select! {
        ending = hub.ended() => match ending {
            Ending::Fault(end) => Some(end),
            Ending::CalledOff(why) => {
                info!(why, "hub drains");
                None
            }
        },
        signal = signals.next() => {
            info!(signal, "hub drains");
            is_asked = true;
            None
        }
    };
    let stopping = hub.stop();
    tokio::pin!(stopping);
    let all_ended = loop {
        tokio::select! {
            all_ended = &mut stopping => break all_ended,
            // Somebody who asks twice does not want to wait.
            signal = signals.next() => {
                if std::mem::replace(&mut is_asked, true) {
                    bail!("{signal} while draining: what was not finished is replayed from the journal");
                }
            }
        }
    };
    info!(all_ended, "hub stopped");
    match fault {
        Some(end) => bail!("{end}"),
        None => Ok(()),
    }
}
