//! Db: the commands about the history's server.

use anyhow::{Context, Result};
use runtime::clock::SystemClock;
use sinks::postgres::{self, Imported};

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

/// Copies the embedded history to the server, and says how far it is.
#[must_use]
pub fn import(config: &Config) -> Exit {
    run(async {
        let settings = server::settings(config)?;
        print(format_args!("from {} to {}\n", config.data_dir.display(), settings.url));
        let told = |so_far: &Imported| print(progress(so_far));
        let imported = postgres::import(&config.data_dir, &settings, &SystemClock::shared(), told).await;
        let imported = imported.context("import the embedded history")?;
        if 0 < imported.machines_before {
            print(format_args!("{} machines were there from an earlier run\n", imported.machines_before));
        }
        print(format_args!(
            "done: {} samples, {} windows, {} alerts, {} dead letters\n",
            imported.samples, imported.windows, imported.alerts, imported.dead_letters
        ));
        Ok(())
    })
}

fn progress(so_far: &Imported) -> String {
    let Imported { machines, machines_total, samples, windows, .. } = so_far;
    format!("machine {machines} of {machines_total}: {samples} samples, {windows} windows so far\n")
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
