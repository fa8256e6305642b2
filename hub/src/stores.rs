//! Stores: what is on disk, opened and understood before anything runs.

use std::time::Duration;

use anyhow::{Context, Result};
use journal::{Journal, JournalError, Opened};
use model::{Alert, LogicalTime, Timestamp};
use runtime::telemetry::error_chain;
use sinks::sink::Sink;
use sinks::spill::Spill;
use sinks::sqlite::{self, Known, SqliteHistory, SqliteSettings, SqliteSink};
use tracing::{error, info, warn};

use crate::base::Base;
use crate::buses::{self, OpenBus};
use crate::folder;
use crate::recovery::{Found, GENESIS, Recovery};
use crate::server::Server;

/// Rows that the newest records can have changed start no longer ago.
const ROWS_WITHIN: Duration = Duration::from_secs(2 * 3_600);

pub(crate) struct Stores {
    pub(crate) journal: Journal,
    pub(crate) sink: SqliteSink,
    pub(crate) history: SqliteHistory,
    /// The data folder keeps what a start must know and no more: the history is on a server, which may be away, or off.
    pub(crate) is_state_only: bool,
    pub(crate) spill: Spill,
    /// The history itself, where it is kept on a server.
    pub(crate) server: Option<Server>,
    /// The buses in use.
    pub(crate) buses: Vec<OpenBus>,
    /// Machines and firing alerts.
    pub(crate) known: Known,
    /// Alerts of which something happened that not every store has.
    pub(crate) owed: Vec<Alert>,
    pub(crate) recovery: Recovery,
    /// The newest T that the history has seen.
    pub(crate) t_floor: LogicalTime,
}

impl Stores {
    /// Blocks while the journal's newest segment is checked: call it before anything else runs.
    ///
    /// # Errors
    /// What cannot be used, and what to do.
    pub(crate) async fn open(base: &Base) -> Result<Self> {
        let config = &base.config;
        folder::prepare(&config.data_dir)?;
        let (mut journal, opened) = Journal::open(config.journal.clone()).context("open the journal")?;
        report(&opened);
        let server = Server::open(base).await?;
        let is_state_only = server.is_some() || !config.history.is_on;
        let name = if is_state_only { "state" } else { config.history.store.name };
        let settings = SqliteSettings { name, ..config.history.store.clone() };
        let store = sqlite::open(settings, base.clock(), &base.registry);
        let (mut sink, history) = store.context("open the history")?;
        let spill = Spill::open(&config.history.spill).context("open the history's spill")?;
        let cursors = sink.connect().await.context("read the history's cursors")?;
        let known = match history.known().await {
            Ok(known) => known,
            Err(error) => {
                // Live data goes on without; presence and new alerts fill the screen.
                error!(error = error_chain(&error), "history does not say what it knows");
                Known::default()
            }
        };
        if opened.newest_t.is_none() {
            let now = u64::try_from(base.clock.now_us()).unwrap_or(0);
            journal.set_cursor(GENESIS, now).context("mark the journal's beginning")?;
        }
        let found = Found { oldest_t: opened.oldest_t, newest_t: opened.newest_t, genesis: journal.cursor(GENESIS) };
        let covered = server.as_ref().map(Server::covered);
        let buses = buses::open(base, opened.newest_t.unwrap_or(0))?;
        // Alerts that a crash kept from an outbox come again with the records that they are of.
        let told = buses.iter().map(|bus| bus.covered);
        let behind = covered.into_iter().chain(told).min().unwrap_or(LogicalTime::MAX);
        let stored = cursors.oldest().min(behind);
        let owed =
            owed(&history, behind.max(opened.oldest_t.map_or(0, |oldest| oldest.saturating_sub(1))), cursors.rows)
                .await;
        let mut recovery = base.reach().recover(found, stored);
        let t_floor = cursors.rows.max(cursors.raw).max(covered.unwrap_or(0));
        let holds = Holds { embedded: &history, server: server.as_ref() };
        let is_short = !opened.torn.is_empty() && holds.more_than(t_floor, opened.newest_t).await;
        if is_short || has_gaps(&journal, recovery.from_t).context("look through the journal")? {
            recovery = base.reach().without_what_is_lost(recovery, t_floor);
        }
        info!(machines = known.machines.len(), firing = known.alerts.len(), ?recovery, "stores opened");
        Ok(Self { journal, sink, history, is_state_only, spill, server, buses, known, owed, recovery, t_floor })
    }
}

/// What happened to alerts while some store was behind, as far back as the journal brings the rest.
async fn owed(history: &SqliteHistory, behind: LogicalTime, state: LogicalTime) -> Vec<Alert> {
    if state <= behind {
        return Vec::new();
    }
    history.alerts_after(behind).await.unwrap_or_else(|error| {
        error!(error = error_chain(&error), "history does not say which alerts other stores lack");
        Vec::new()
    })
}

/// The stores' rows.
struct Holds<'a> {
    embedded: &'a SqliteHistory,
    server: Option<&'a Server>,
}

impl Holds<'_> {
    /// Whether rows hold a record that the journal no longer has. Not so when only the cursor is ahead of the journal: it moves with the
    /// heartbeat, which leaves no record.
    async fn more_than(&self, t_floor: LogicalTime, newest: Option<LogicalTime>) -> bool {
        let Some(newest) = newest.filter(|newest| *newest < t_floor) else { return newest.is_none() };
        let recent = Timestamp::from_logical(t_floor) - ROWS_WITHIN;
        let revision = match self.server {
            Some(server) => server.history.newest_revision(recent).await,
            None => self.embedded.newest_revision(recent).await,
        };
        match revision {
            Ok(revision) => newest < revision,
            Err(error) => {
                error!(
                    error = error_chain(&error),
                    "history does not say what it holds: damage is taken to have cost records"
                );
                true
            }
        }
    }
}

/// Reads what the replay will read, because the graph has to know of damage before it begins; a fraction of what the replay takes.
fn has_gaps(journal: &Journal, from_t: LogicalTime) -> Result<bool, JournalError> {
    let mut reader = journal.reader_from(from_t);
    while reader.next()?.is_some() {}
    Ok(!reader.gaps().is_empty())
}

fn report(opened: &Opened) {
    for torn in &opened.torn {
        if torn.records == 0 {
            // What is cut was never acknowledged: it is the end of a write that a crash stopped.
            warn!(?torn, "journal tail was torn");
        } else {
            error!(?torn, "journal is damaged: good records behind it are set aside");
        }
    }
    if opened.cursors_lost {
        warn!("journal cursors were damaged");
    }
}
