//! Server: the history on TimescaleDB or PostgreSQL, where an address is given: found out about at the start, and never waited for.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use model::LogicalTime;
use runtime::file::replace;
use runtime::telemetry::error_chain;
use sinks::postgres::{self, PostgresHistory, PostgresSettings, PostgresSink};
use sinks::sink::{Cursors, Sink};
use sinks::spill::Spill;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::base::Base;
use crate::config::{Config, ServerConfig};
use crate::folder;

/// What a start waits for the server at most; what it has not said by then is taken to be unknown.
const ASK_WITHIN: Duration = Duration::from_secs(10);
/// Whose cursor it is, in the data folder.
const IDENTITY: &str = "hub-id";

pub(crate) struct Server {
    pub(crate) sink: PostgresSink,
    pub(crate) history: PostgresHistory,
    pub(crate) spill: Spill,
    /// As the server has them; none when it did not answer.
    pub(crate) cursors: Option<Cursors>,
}

impl Server {
    /// None without an address.
    ///
    /// # Errors
    /// When the data folder cannot be used; never because of the server.
    pub(crate) async fn open(base: &Base) -> Result<Option<Self>> {
        let Some(ServerConfig { spill, .. }) = &base.config.history.server else { return Ok(None) };
        let settings = settings(&base.config)?;
        let database = settings.url.to_string();
        let (mut sink, history) = postgres::open(settings, base.clock(), &base.registry);
        let spill = Spill::open(spill).context("open the spill of the history's server")?;
        let cursors = match timeout(ASK_WITHIN, sink.connect()).await {
            Ok(Ok(cursors)) => Some(cursors),
            Ok(Err(error)) => {
                let error = error_chain(&error);
                warn!(
                    database,
                    error, "history's server is away: outputs wait on disk and are written when it is back"
                );
                None
            }
            Err(_elapsed) => {
                warn!(database, "history's server does not answer: outputs wait on disk and are written when it does");
                None
            }
        };
        info!(database, ?cursors, "history is kept on a server");
        Ok(Some(Self { sink, history, spill, cursors }))
    }

    /// Everything up to here is on the server, or waits in its spill: what a replay need not bring again.
    pub(crate) fn covered(&self) -> LogicalTime {
        self.cursors.map_or(0, Cursors::oldest).max(self.spill.durable())
    }
}

/// The server's settings, under this data folder's identity.
///
/// # Errors
/// Without an address, or when the identity can be neither read nor made.
pub(crate) fn settings(config: &Config) -> Result<PostgresSettings> {
    let Some(server) = &config.history.server else {
        return Err(anyhow!("no database is named; set TIMESCALE_URL=postgres://user@host:5432/database"));
    };
    folder::prepare(&config.data_dir)?;
    Ok(PostgresSettings { hub: identity(&config.data_dir)?, ..server.settings.clone() })
}

/// Drawn once for a data folder, so that two hubs may share a database and one that lost its folder begins anew.
fn identity(data_dir: &Path) -> Result<String> {
    let path = data_dir.join(IDENTITY);
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        Ok(_) => Err(anyhow!("{} is empty; delete it to get a new identity", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let drawn = format!("{:016x}", fastrand::u64(..));
            replace(&path, format!("{drawn}\n").as_bytes()).with_context(|| format!("write {}", path.display()))?;
            Ok(drawn)
        }
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_folder_keeps_its_identity_and_another_one_has_another() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = identity(one.path()).unwrap();
        assert_eq!(identity(one.path()).unwrap(), first);
        assert_ne!(identity(other.path()).unwrap(), first);
        std::fs::write(one.path().join(IDENTITY), "").unwrap();
        assert!(identity(one.path()).unwrap_err().to_string().contains("delete it"));
    }
}
