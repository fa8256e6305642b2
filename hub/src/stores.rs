//! Stores: what is on disk, opened and understood before anything runs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use journal::{Journal, JournalError, Opened};
use model::{Alert, LogicalTime, Output, Timestamp};
use runtime::telemetry::error_chain;
use sinks::owed;
use sinks::sink::{Cursors, Sink, WriteBatch};
use sinks::spill::Spill;
use sinks::sqlite::{self, Known, SqliteHistory, SqliteSettings, SqliteSink};
use tracing::{error, info, warn};

use crate::base::Base;
use crate::buses::{self, OpenBus};
use crate::cluster::agree::{self, KnownState, Membership};
use crate::cluster::{Cluster, KeptNow, Step};
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
    /// Everything older is replay. Collectors have not been able to send since the journal's end, however long ago that was.
    pub(crate) live_from: LogicalTime,
    left: Left,
}

/// How the stores were left.
struct Left {
    found: Found,
    /// Up to where some store lacks nothing of what alerts did.
    behind: LogicalTime,
    /// Up to where all have everything, counting what waits in their spills.
    stored: LogicalTime,
    /// And without: what is in the stores themselves.
    written: LogicalTime,
    state: LogicalTime,
    /// Damage cost the journal records that the stores have.
    is_short: bool,
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
        let known = known(&history).await;
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
        let t_floor = cursors.rows.max(cursors.raw).max(covered.unwrap_or(0));
        let holds = Holds { embedded: &history, server: server.as_ref() };
        let is_short = !opened.torn.is_empty() && holds.more_than(t_floor, opened.newest_t).await;
        let on_server = server.as_ref().map(|server| server.cursors.map_or(0, Cursors::oldest));
        let left = Left {
            found,
            behind,
            stored: cursors.oldest().min(behind),
            written: cursors.oldest().min(on_server.unwrap_or(LogicalTime::MAX)),
            state: cursors.rows,
            is_short,
        };
        let now = u64::try_from(base.clock.now_us()).unwrap_or(0);
        let live_from = now.max(opened.newest_t.map_or(0, |newest| newest + 1));
        let mut stores = Self {
            journal,
            sink,
            history,
            is_state_only,
            spill,
            server,
            buses,
            known,
            owed: Vec::new(),
            recovery: Recovery { from_t: 0, covered_from: Timestamp::MIN },
            t_floor,
            live_from,
            left,
        };
        let from_t = base.reach().replays_from(found, stores.left.stored);
        stores.recovery = Recovery { from_t, covered_from: stores.covered_from(base, from_t)? };
        stores.owed = stores.alerts_since(stores.left.behind).await;
        Ok(stores)
    }

    /// Puts what all processes found together.
    ///
    /// # Errors
    /// When they do not fit each other, and what to do.
    pub(crate) async fn agree(&mut self, base: &Base, cluster: &Cluster, kept: Option<&KeptNow>) -> Result<()> {
        let Left { found, behind, stored, written, state, .. } = self.left;
        let was = Membership::of(&base.config.data_dir)?;
        // Of the other processes' stores the keeper's state is ahead or behind like any other store.
        let behind = if cluster.is_keeper() { behind } else { behind.min(state) };
        let all = cluster
            .gather(
                Step::Found,
                &agree::Found {
                    was,
                    newest_t: found.newest_t,
                    from_t: found.newest_t.map(|_| base.reach().replays_from(found, stored)),
                    behind,
                    stored: written,
                    t_floor: self.t_floor,
                    now: self.live_from,
                },
            )
            .await?;
        let agreed = match agree::check_clocks(&all).and_then(|()| agree::agree(&all, cluster.start)) {
            Ok(agreed) => agreed,
            Err(refused) => {
                cluster.refuses().await;
                return Err(refused);
            }
        };
        let covered = cluster.gather(Step::Covered, &self.covered_from(base, agreed.from_t)?).await?;
        let mut covered_from = agree::covered(&covered);
        if let Some(until) = agreed.lost_until {
            covered_from = covered_from.max(Timestamp::from_logical(until) + base.reach().ahead_max);
        }
        self.recovery = Recovery { from_t: agreed.from_t, covered_from };
        self.live_from = agreed.live_from;
        // Whose clock is behind begins where live begins, or what it says first would be taken for replay.
        self.t_floor = self.t_floor.max(agreed.newest).max(agreed.live_from);
        let is_new = all.get(cluster.process).is_some_and(agree::Found::is_new);
        if agreed.is_changed && is_new {
            self.begin_at(agreed.newest).await?;
        }
        cluster.gather(Step::Begun, &()).await?;
        self.take_state(cluster, agreed.behind, kept).await?;
        let (process, processes) = (cluster.process, cluster.processes);
        let membership = Membership { process, processes, epoch: agreed.epoch, before: agreed.before };
        membership.save(&base.config.data_dir)?;
        cluster.gather(Step::Saved, &()).await?;
        info!(?agreed, ?covered_from, "processes agree where to begin");
        Ok(())
    }

    /// The state that process 0 keeps is every process'.
    async fn take_state(&mut self, cluster: &Cluster, behind: LogicalTime, kept: Option<&KeptNow>) -> Result<()> {
        let own = match kept {
            Some(kept) => Some(KnownState {
                machines: std::mem::take(&mut self.known.machines),
                alerts: std::mem::take(&mut self.known.alerts),
                owed: self.alerts_since(behind).await,
                kept: kept.clone(),
            }),
            None => None,
        };
        let state = cluster.gather(Step::Known, &own).await?.into_iter().flatten().next();
        let KnownState { machines, alerts, owed, kept } = state.context("process 0 says what it knows")?;
        self.known = Known { machines, alerts };
        self.owed = owed;
        cluster.take(kept);
        Ok(())
    }

    /// Stores of a process that is new in a cluster: the others' stores have what was before.
    async fn begin_at(&mut self, t: LogicalTime) -> Result<()> {
        let nothing = Arc::new(WriteBatch { groups: Vec::new(), upto: t });
        self.sink.write(Arc::clone(&nothing)).await.context("begin the state")?;
        if let Some(server) = &mut self.server {
            let cursors = server.sink.write(nothing).await;
            let cursors =
                cursors.context("begin on the history's server, which must be there when the cluster grows")?;
            server.cursors = Some(cursors);
        }
        Ok(())
    }

    /// From when on the journal has everything, when what is of `from_t` and later replays.
    fn covered_from(&self, base: &Base, from_t: LogicalTime) -> Result<Timestamp> {
        let reach = base.reach();
        let covered = reach.covered_from(self.left.found, from_t);
        let is_damaged = self.left.is_short || has_gaps(&self.journal, from_t).context("look through the journal")?;
        Ok(if is_damaged { reach.without_what_is_lost(covered, self.t_floor) } else { covered })
    }

    /// What this process' copy of the state lacks of the keeper's.
    pub(crate) fn owed_to_state(&self, cluster: Option<&Cluster>) -> Vec<(LogicalTime, Output)> {
        let follows = cluster.is_some_and(|cluster| !cluster.is_keeper());
        if follows { owed::transitions(&self.owed, self.left.state) } else { Vec::new() }
    }

    /// What happened to alerts while some store was behind, as far back as the journal brings the rest.
    async fn alerts_since(&self, behind: LogicalTime) -> Vec<Alert> {
        let oldest = self.left.found.oldest_t.map_or(0, |oldest| oldest.saturating_sub(1));
        changed(&self.history, behind.max(oldest), self.left.state).await
    }
}

async fn known(history: &SqliteHistory) -> Known {
    history.known().await.unwrap_or_else(|error| {
        // Live data goes on without; presence and new alerts fill the screen.
        error!(error = error_chain(&error), "history does not say what it knows");
        Known::default()
    })
}

/// What happened to alerts while some store was behind, as far back as the journal brings the rest.
async fn changed(history: &SqliteHistory, behind: LogicalTime, state: LogicalTime) -> Vec<Alert> {
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
