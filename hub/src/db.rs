//! Db: the commands about the history's server.

use anyhow::{Context, Result};
use runtime::clock::SystemClock;
use sinks::postgres;

use crate::config::Config;
use crate::exit::Exit;
use crate::program::{complain, print};
use crate::server;

/// Brings the database's schema up to date, and says what it found.
#[must_use]
pub fn migrate(config: &Config) -> Exit {
    run(async {
        let settings = server::settings(config)?;
        let found = postgres::migrate(&settings, &SystemClock::shared()).await.context("migrate the database")?;
        let applied =
            if found.applied.is_empty() { "nothing, it was up to date".to_owned() } else { found.applied.join(", ") };
        print(format_args!("{}\n{found}\napplied: {applied}\n", settings.url));
        Ok(())
    })
}

fn run(command: impl Future<Output = Result<()>>) -> Exit {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(command));
    match done {
        Ok(()) => Exit::Fine,
        Err(error) => {
            complain(format_args!("{error:#}"));
            Exit::Failed
        }
    }
}
