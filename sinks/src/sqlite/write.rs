//! Writing history: rows, due chunks and both cursors in one transaction.
//!
//! In: whole, durable times. The rows lane is stored with each batch; the raw lane gathers up to ten minutes and its cursor stays behind
//! the oldest batch that waits. After a restart the journal brings again what was gathered; `raw_t` per machine says what is in chunks
//! already, so no sample is stored twice.
//! Invariants: S-1, S-2.

use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use model::{LogicalTime, MachineId, Output, Timestamp};
use runtime::clock::SharedClock;
use runtime::metrics::Counter;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::task::spawn_blocking;

use super::Shared;
use super::expire::{self, Stage};
use super::gather::{self, Batches, Due};
use super::open::{NAME, is_damage, mark_damaged, sink_error};
use super::repair::{self, Bounds};
use super::rows::{Ids, RowError, RowWriter, sql_t};
use crate::error::SinkError;
use crate::sink::{Cursors, Lane, Sink, WriteBatch};

const ROWS: &str = "rows";
const RAW: &str = "raw";

/// Machines whose chunks go into one transaction: some tens of milliseconds; the next ones go with the next batch.
const MACHINES_MAX: usize = 256;

/// The embedded history as a lossless sink.
pub struct SqliteSink {
    writer: Arc<Mutex<Writer>>,
    name: &'static str,
}

pub(super) struct Writer {
    connection: Connection,
    shared: Arc<Shared>,
    clock: SharedClock,
    ids: Ids,
    cursors: Cursors,
    /// Everything up to here was taken into `gathered`, or is in chunks.
    gathered_upto: LogicalTime,
    /// Machines with chunks beyond the raw cursor, and how far: an earlier run wrote them.
    ahead: HashMap<MachineId, LogicalTime>,
    stage: Stage,
    meters: Meters,
}

pub(super) struct Meters {
    /// Transitions that changed nothing.
    pub(super) unchanged: Counter,
    /// Dead letters that retention removed.
    pub(super) letters_dropped: Counter,
}

impl SqliteSink {
    pub(super) fn new(writer: Writer) -> Self {
        let name = writer.shared.settings.name;
        Self { writer: Arc::new(Mutex::new(writer)), name }
    }

    /// The cursors as they are stored.
    pub fn cursors(&self) -> Cursors {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).cursors
    }

    async fn with_writer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, SinkError> + Send + 'static,
    ) -> Result<T, SinkError> {
        let writer = Arc::clone(&self.writer);
        let done = spawn_blocking(move || {
            runtime::fault::strike("sqlite");
            work(&mut writer.lock().unwrap_or_else(PoisonError::into_inner))
        });
        done.await.map_err(|error| SinkError::Unavailable { sink: NAME, action: "run writer", source: error.into() })?
    }
}

impl Sink for SqliteSink {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn connect(&mut self) -> Result<Cursors, SinkError> {
        self.with_writer(|writer| Ok(writer.cursors)).await
    }

    async fn write(&mut self, batch: Arc<WriteBatch>) -> Result<Cursors, SinkError> {
        self.with_writer(move |writer| writer.write(&batch)).await
    }

    async fn flush(&mut self) -> Result<Cursors, SinkError> {
        self.with_writer(Writer::flush).await
    }

    async fn maintain(&mut self) -> Result<bool, SinkError> {
        self.with_writer(Writer::maintain).await
    }
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        shared: Arc<Shared>,
        clock: SharedClock,
        meters: Meters,
    ) -> Result<Self, SinkError> {
        let failed = |error| sink_error("read cursors", error);
        let cursors = Cursors {
            rows: read_cursor(&connection, ROWS).map_err(failed)?,
            raw: read_cursor(&connection, RAW).map_err(failed)?,
        };
        let ahead = read_ahead(&connection, cursors.raw).map_err(failed)?;
        Ok(Self {
            connection,
            shared,
            clock,
            ids: Ids::default(),
            cursors,
            gathered_upto: cursors.raw,
            ahead,
            stage: Stage::default(),
            meters,
        })
    }

    fn write(&mut self, batch: &WriteBatch) -> Result<Cursors, SinkError> {
        self.gather(batch);
        let settings = &self.shared.settings;
        let due = {
            let gathered = self.shared.gathered();
            let is_full = settings.gather_bytes_max <= gathered.bytes;
            let age = u64::try_from(settings.gather_for.as_micros()).unwrap_or(u64::MAX);
            let due = Due {
                batches: if is_full { 1 } else { settings.gather_batches },
                before: batch.upto.saturating_sub(age),
                behind: settings.gather_bytes_max as u64,
            };
            gathered.due(&due, MACHINES_MAX)
        };
        self.store(batch, due)
    }

    /// Everything gathered goes into chunks.
    fn flush(&mut self) -> Result<Cursors, SinkError> {
        let nothing = WriteBatch { groups: Vec::new(), upto: self.gathered_upto };
        loop {
            let everything = Due { batches: 1, before: LogicalTime::MAX, behind: 0 };
            let due = self.shared.gathered().due(&everything, MACHINES_MAX);
            if due.is_empty() {
                return Ok(self.cursors);
            }
            self.store(&nothing, due)?;
        }
    }

    /// Memory only, so it holds also when the transaction fails: a batch that is offered again is not taken twice.
    fn gather(&mut self, batch: &WriteBatch) {
        let mut gathered = self.shared.gathered();
        for group in batch.groups.iter().filter(|group| self.gathered_upto < group.t) {
            for output in &group.outputs {
                if let Output::Samples(bound) = output
                    && !bound.batch.is_empty()
                    && self.ahead.get(&bound.roster().machine).is_none_or(|t| *t < group.t)
                {
                    gathered.add(group.t, bound);
                }
            }
        }
        self.gathered_upto = self.gathered_upto.max(batch.upto);
    }

    /// One transaction; what it stored leaves memory only after the commit.
    fn store(&mut self, batch: &WriteBatch, due: Vec<MachineId>) -> Result<Cursors, SinkError> {
        let waiting: Vec<Batches> = {
            let gathered = self.shared.gathered();
            due.iter().map(|machine| gathered.of(machine).to_vec()).collect()
        };
        let oldest = self.shared.gathered().oldest_without(&due);
        let cursors = Cursors {
            rows: self.cursors.rows.max(batch.upto),
            raw: oldest.map_or(self.gathered_upto, |t| t.saturating_sub(1)).max(self.cursors.raw),
        };
        if let Err(error) = self.transact(batch, &waiting, cursors) {
            // Rolled back, with whatever ids it had made.
            self.ids.clear();
            return Err(self.row_failed("write rows", error));
        }
        self.cursors = cursors;
        self.shared.gathered().remove(&due);
        self.ahead.retain(|_, t| cursors.raw < *t);
        Ok(cursors)
    }

    fn transact(&mut self, batch: &WriteBatch, waiting: &[Batches], cursors: Cursors) -> Result<(), RowError> {
        let transaction = self.connection.transaction()?;
        let mut rows = RowWriter { sql: &transaction, ids: &mut self.ids, unchanged: &self.meters.unchanged };
        for group in batch.groups.iter().filter(|group| self.cursors.of(Lane::Rows) < group.t) {
            for output in &group.outputs {
                rows.write(group.t, output)?;
            }
        }
        for batches in waiting {
            write_chunks(&mut rows, batches, self.gathered_upto)?;
        }
        let mut set = transaction.prepare_cached(include_str!("sql/set_cursor.sql"))?;
        set.execute(params![ROWS, sql_t(cursors.rows)])?;
        set.execute(params![RAW, sql_t(cursors.raw)])?;
        drop(set);
        Ok(transaction.commit()?)
    }

    fn row_failed(&self, action: &'static str, error: RowError) -> SinkError {
        match error {
            RowError::Sql(error) => self.failed(action, error),
            RowError::Json(error) => SinkError::Unavailable { sink: NAME, action, source: error.into() },
        }
    }

    /// A damaged file is marked, so that the next start sets it aside even if the damage lies deep.
    fn failed(&self, action: &'static str, error: rusqlite::Error) -> SinkError {
        if is_damage(&error) {
            mark_damaged(&self.shared.settings.dir);
        }
        sink_error(action, error)
    }

    /// One step of a round: the repair list first, then retention.
    fn maintain(&mut self) -> Result<bool, SinkError> {
        let now = Timestamp::from_micros(self.clock.now_us());
        if matches!(self.stage, Stage::Chunks) {
            let bounds = Bounds { cursors: self.cursors, now, raw_kept: self.shared.settings.raw_kept };
            let repaired = repair::step(&self.connection, &bounds);
            if repaired.map_err(|error| self.row_failed("repair windows", error))? {
                return Ok(true);
            }
        }
        let step = expire::step(&self.connection, &self.shared.settings, now, self.stage);
        let step = step.map_err(|error| self.failed("delete old rows", error))?;
        self.meters.letters_dropped.add(step.letters as u64);
        if step.forgot {
            self.ids.clear();
        }
        self.stage = step.next.unwrap_or_default();
        Ok(step.next.is_some())
    }
}

/// Everything of one machine that waits.
fn write_chunks(rows: &mut RowWriter<'_>, batches: &Batches, upto: LogicalTime) -> Result<(), RowError> {
    let mut id = None;
    for (roster, run) in gather::runs(batches) {
        let (machine, series) = rows.ids.slots(rows.sql, &roster)?;
        let chunks = gather::chunks(run, &roster, series);
        for chunk in &chunks {
            rows.chunk(machine, chunk)?;
        }
        id = Some(machine);
    }
    let last_seen = batches.iter().map(|(_, bound)| bound.batch.arrival.micros()).max();
    if let (Some(machine), Some(last_seen)) = (id, last_seen) {
        rows.raw_t(machine, upto, last_seen)?;
    }
    Ok(())
}

fn read_cursor(sql: &Connection, sink: &str) -> rusqlite::Result<LogicalTime> {
    let t: Option<i64> =
        sql.query_row("SELECT t FROM sink_cursor WHERE sink = ?1", [sink], |row| row.get(0)).optional()?;
    Ok(t.map_or(0, |t| u64::try_from(t).unwrap_or(0)))
}

fn read_ahead(sql: &Connection, raw: LogicalTime) -> rusqlite::Result<HashMap<MachineId, LogicalTime>> {
    let mut select = sql.prepare("SELECT machine, raw_t FROM machines WHERE raw_t > ?1")?;
    let rows = select.query_map([sql_t(raw)], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    let mut ahead = HashMap::new();
    for row in rows {
        let (machine, t) = row?;
        // Written by us from a parsed id.
        if let Ok(machine) = MachineId::parse(&machine) {
            ahead.insert(machine, u64::try_from(t).unwrap_or(0));
        }
    }
    Ok(ahead)
}

#[cfg(test)]
mod tests {
    use runtime::clock::ManualClock;
    use runtime::metrics::Registry;

    use super::super::{SqliteSettings, open};
    use super::*;
    use crate::fixtures::{at, rejected};
    use crate::sink::Group;

    #[tokio::test]
    async fn a_full_disk_is_tried_again_and_nothing_is_lost_or_half_written() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(at(1).micros());
        let (mut sink, _history) = open(SqliteSettings::new(dir.path()), clock.shared(), &Registry::new()).unwrap();
        let count = |sink: &SqliteSink| {
            let writer = sink.writer.lock().unwrap();
            writer.connection.query_row("SELECT COUNT(*) FROM dead_letters", [], |row| row.get::<_, i64>(0)).unwrap()
        };
        let limit = |sink: &SqliteSink, pages: i64| {
            let writer = sink.writer.lock().unwrap();
            writer.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
        };
        limit(&sink, 30);
        let outputs = (0..5_000).map(|_| Output::Rejected(rejected("a", at(1)))).collect();
        let batch = Arc::new(WriteBatch { groups: vec![Group { t: 1, outputs }], upto: 1 });
        let error = sink.write(Arc::clone(&batch)).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert_eq!((count(&sink), sink.cursors().rows), (0, 0));
        limit(&sink, 1_000_000);
        assert_eq!(sink.write(batch).await.unwrap().rows, 1);
        assert_eq!(count(&sink), 5_000);
    }
}
