//! Writing history: rows and cursor in one transaction.
//!
//! In: whole, durable times. Both lanes are stored with each batch, so both cursors are one. A call that fails drops the connection, whatever
//! its state; the next one connects anew and asks the table how far it is, so that a commit whose answer got lost is not done twice.
//! Invariants: S-1, S-2.

use std::sync::Arc;
use std::time::Duration;

use model::LogicalTime;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tracing::info;

use super::Shared;
use super::error::{Failure, NAME, is_refusal, sink_error};
use super::ids::Ids;
use super::mirror::{Mirrored, Mirrors};
use super::schema::Tiers;
use super::session::Session;
use super::store::{Meters, Mode, Store};
use super::upkeep::{self, Round, Stage};
use super::value::{from_sql_t, sql_t};
use crate::error::SinkError;
use crate::sink::{Cursors, Group, Sink, WriteBatch};

/// The one sink of a hub so far that keeps its cursor here.
const SINK: &str = "history";
/// What a batch may take beyond one statement's time: it has several.
const STATEMENTS: u32 = 3;

/// History on a server as a lossless sink.
pub struct PostgresSink {
    shared: Arc<Shared>,
    session: Option<Session>,
    ids: Ids,
    cursor: LogicalTime,
    /// Who holds the cursor: this value, drawn anew at each start.
    writer: i64,
    stage: Stage,
    drops_itself: bool,
    mirrors: Option<Mirrors>,
    mirrored: Mirrored,
    meters: Meters,
}

impl PostgresSink {
    pub(super) fn new(shared: Arc<Shared>, meters: Meters) -> Self {
        Self {
            shared,
            session: None,
            ids: Ids::default(),
            cursor: 0,
            writer: fastrand::i64(..),
            stage: Stage::default(),
            drops_itself: false,
            mirrors: None,
            mirrored: Mirrored::default(),
            meters,
        }
    }

    /// Rules and silences are copied into tables from here on.
    pub fn mirror(&mut self, mirrors: Mirrors) {
        self.mirrors = Some(mirrors);
    }

    fn cursors(&self) -> Cursors {
        Cursors { rows: self.cursor, raw: self.cursor }
    }

    fn patience(&self) -> Duration {
        self.shared.settings.statement_within * STATEMENTS
    }

    /// The end of a call: the connection survives a success only, and ids that a failed transaction made are not there.
    fn settle<T>(
        &mut self,
        action: &'static str,
        done: Result<Result<(Session, T), Failure>, Elapsed>,
    ) -> Result<T, SinkError> {
        let late = Failure::Late(self.patience().as_secs());
        match done.unwrap_or(Err(late)) {
            Ok((session, answer)) => {
                self.session = Some(session);
                Ok(answer)
            }
            Err(failure) => {
                self.ids.clear();
                Err(sink_error(action, failure))
            }
        }
    }

    /// The connection at hand, or a new one that holds the cursor.
    async fn session(&mut self, at_hand: Option<Session>) -> Result<Session, Failure> {
        if let Some(session) = at_hand.filter(|session| !session.is_closed()) {
            return Ok(session);
        }
        let shared = Arc::clone(&self.shared);
        let settings = &shared.settings;
        let session = Session::open(&settings.url, settings.statement_within).await?;
        let (server, drops_itself) = upkeep::prepare(&session, settings, upkeep::now(&shared.clock)).await?;
        let take = include_str!("../../../sql/queries/take_cursor.sql");
        let row = session.one(take, &[&settings.hub, &settings.process, &SINK, &self.writer]).await?;
        self.cursor = from_sql_t(row.get(0));
        self.drops_itself = drops_itself;
        let is_news = shared.server().as_ref().is_none_or(|known| known.to_string() != server.to_string());
        if is_news {
            info!(server = %server, database = %settings.url, "database found");
        }
        *shared.server() = Some(server);
        Ok(session)
    }

    async fn store(&mut self, at_hand: Option<Session>, batch: &WriteBatch) -> Result<(Session, Cursors), Failure> {
        let session = self.session(at_hand).await?;
        if self.cursor < batch.upto {
            match self.transact(&session, batch, Mode::Whole).await {
                Err(Failure::Sql(error)) if is_refusal(&error) => {
                    session.batch("ROLLBACK").await?;
                    self.ids.clear();
                    self.transact(&session, batch, Mode::Halves).await?;
                }
                done => done?,
            }
            self.cursor = batch.upto;
        }
        Ok((session, self.cursors()))
    }

    async fn transact(&mut self, session: &Session, batch: &WriteBatch, mode: Mode) -> Result<(), Failure> {
        let groups: Vec<&Group> = batch.groups.iter().filter(|group| self.cursor < group.t).collect();
        session.batch("BEGIN").await?;
        let Shared { settings, clock, .. } = self.shared.as_ref();
        // First, because it holds the row's lock: a second writer, or a lost connection's last transaction, is seen before anything is written.
        let set = include_str!("../../../sql/queries/move_cursor.sql");
        let moved =
            session.execute(set, &[&settings.hub, &settings.process, &SINK, &self.writer, &sql_t(batch.upto)]).await?;
        if moved == 0 {
            return Err(Failure::Displaced);
        }
        let now = upkeep::now(clock);
        let mut store = Store { session, ids: &mut self.ids, meters: &self.meters, mode, now };
        store.write(&groups).await?;
        session.batch("COMMIT").await?;
        Ok(())
    }

    async fn upkeep(&mut self, at_hand: Option<Session>) -> Result<(Session, bool), Failure> {
        let session = self.session(at_hand).await?;
        let shared = Arc::clone(&self.shared);
        if self.stage == Stage::default()
            && let Some(mirrors) = &self.mirrors
        {
            self.mirrored.update(&session, &shared.settings.hub, mirrors).await?;
        }
        let tiers = shared.server().as_ref().map_or(Tiers::Native, |server| server.tiers);
        let round = Round {
            settings: &shared.settings,
            cursors: self.cursors(),
            now: upkeep::now(&shared.clock),
            tiers,
            drops_itself: self.drops_itself,
            letters_dropped: &self.meters.letters_dropped,
        };
        let (next, forgot) = upkeep::step(&session, &round, self.stage).await?;
        if forgot {
            self.ids.clear();
        }
        self.stage = next.unwrap_or_default();
        Ok((session, next.is_some()))
    }
}

impl Sink for PostgresSink {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn connect(&mut self) -> Result<Cursors, SinkError> {
        let done = timeout(self.patience(), self.session(None)).await;
        let done = done.map(|done| done.map(|session| (session, ())));
        self.settle("connect", done)?;
        Ok(self.cursors())
    }

    async fn write(&mut self, batch: Arc<WriteBatch>) -> Result<Cursors, SinkError> {
        let at_hand = self.session.take();
        let done = timeout(self.patience(), self.store(at_hand, &batch)).await;
        self.settle("write rows", done)
    }

    async fn flush(&mut self) -> Result<Cursors, SinkError> {
        // Nothing is gathered here.
        Ok(self.cursors())
    }

    async fn maintain(&mut self) -> Result<bool, SinkError> {
        let at_hand = self.session.take();
        let done = timeout(self.patience(), self.upkeep(at_hand)).await;
        self.settle("do upkeep", done)
    }
}
