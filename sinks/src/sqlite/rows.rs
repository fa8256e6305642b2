//! Outputs as rows: one function per kind, all inside the caller's transaction.
//!
//! Names become ids once and are remembered; after a failed transaction the memory is thrown away, for the ids may not be there.

use std::sync::Arc;

use hashbrown::HashMap;
use model::machine::Presence;
use model::{
    Aggregate, Aggregates, Alert, Change, DeadLetter, LogicalTime, MachineId, MachineInfo, Output, Processes, Rejected,
    Repair, Resent, Resolution, Roster, SeriesKey, StandingChange, Transition, Width, Window, catalogue,
};
use runtime::metrics::Counter;
use rusqlite::{Connection, Statement, params};

use super::fleet;
use super::gather::RawChunk;
use crate::process_list;

/// What a row function fails with: the database, or a value that does not become text.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error("a value cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// Series of a machine remembered beyond twice its roster.
const SPARE_KEYS: usize = 256;

type Result<T> = std::result::Result<T, RowError>;

/// Ids of machines and series, as far as they were needed.
#[derive(Default)]
pub(super) struct Ids {
    machines: HashMap<MachineId, MachineIds>,
}

struct MachineIds {
    id: i64,
    by_key: HashMap<Arc<SeriesKey>, i64>,
    /// The roster met last, with the id of each slot.
    roster: Option<Arc<Roster>>,
    slots: Vec<i64>,
}

impl Ids {
    pub(super) fn clear(&mut self) {
        self.machines.clear();
    }

    pub(super) fn machine(&mut self, sql: &Connection, machine: &MachineId) -> Result<i64> {
        Ok(self.entry(sql, machine)?.id)
    }

    /// The machine's id, and those of the roster's slots.
    pub(super) fn slots(&mut self, sql: &Connection, roster: &Arc<Roster>) -> Result<(i64, &[i64])> {
        let ids = self.entry(sql, &roster.machine)?;
        let is_known = ids.roster.as_ref().is_some_and(|known| Arc::ptr_eq(known, roster));
        if !is_known {
            ids.roster = None;
            ids.slots.clear();
            // Series that went out of use must not be remembered for good.
            if ids.by_key.len() > 2 * roster.series.len() + SPARE_KEYS {
                ids.by_key.clear();
            }
            for key in &roster.series {
                let id = match ids.by_key.get(key) {
                    Some(id) => *id,
                    None => {
                        let id = insert_series(sql, ids.id, key)?;
                        ids.by_key.insert(Arc::clone(key), id);
                        id
                    }
                };
                ids.slots.push(id);
            }
            ids.roster = Some(Arc::clone(roster));
        }
        Ok((ids.id, &ids.slots))
    }

    fn entry(&mut self, sql: &Connection, machine: &MachineId) -> Result<&mut MachineIds> {
        if !self.machines.contains_key(machine) {
            let mut insert = sql.prepare_cached(include_str!("sql/insert_machine.sql"))?;
            let id = insert.query_row([machine.as_str()], |row| row.get(0))?;
            let ids = MachineIds { id, by_key: HashMap::new(), roster: None, slots: Vec::new() };
            self.machines.insert(machine.clone(), ids);
        }
        Ok(self.machines.get_mut(machine).expect("inserted above"))
    }
}

fn insert_series(sql: &Connection, machine: i64, key: &SeriesKey) -> Result<i64> {
    let labels = serde_json::to_string(&key.labels)?;
    let mut insert = sql.prepare_cached(include_str!("sql/insert_series.sql"))?;
    let unit = catalogue::unit_of(&key.metric);
    Ok(insert.query_row(params![machine, key.metric.as_ref(), labels, unit], |row| row.get(0))?)
}

/// Writes rows under one transaction's ids.
pub(super) struct RowWriter<'a> {
    pub(super) sql: &'a Connection,
    pub(super) ids: &'a mut Ids,
    /// Transitions that changed nothing: a Fired for what fires, a Resolved for what does not.
    pub(super) unchanged: &'a Counter,
}

impl RowWriter<'_> {
    pub(super) fn write(&mut self, t: LogicalTime, output: &Output) -> Result<()> {
        match output {
            // Raw samples come as chunks.
            Output::Samples(_) => Ok(()),
            Output::Minute(rows) | Output::Hour(rows) => self.window(t, rows),
            Output::Transition(transition) => self.transition(transition),
            Output::Standing(change) => self.standing(change),
            Output::Presence(presence) => self.presence(presence),
            Output::Machine(info) => self.info(info),
            Output::Processes(table) => self.processes(table),
            Output::Rejected(rejected) => self.rejected(t, rejected),
            Output::Resent(resent) => self.resent(resent),
            Output::Repair(repair) => self.repair(t, repair),
            Output::Fleet(fleet) => Ok(fleet::write(self.sql, fleet)?),
            // The live view's.
            Output::Hottest(_) | Output::Group(_) => Ok(()),
        }
    }

    pub(super) fn chunk(&mut self, machine: i64, chunk: &RawChunk) -> Result<()> {
        let mut insert = self.sql.prepare_cached(include_str!("sql/insert_chunk.sql"))?;
        insert.execute(params![machine, chunk.start, chunk.end, chunk.data])?;
        Ok(())
    }

    /// Every raw sample of the machine up to `t` is in chunks now.
    pub(super) fn raw_t(&mut self, machine: i64, t: LogicalTime, last_seen: i64) -> Result<()> {
        let mut update = self.sql.prepare_cached(include_str!("sql/set_raw_t.sql"))?;
        update.execute(params![machine, sql_t(t), last_seen])?;
        Ok(())
    }

    fn window(&mut self, t: LogicalTime, rows: &Aggregates) -> Result<()> {
        let machine = self.ids.machine(self.sql, &rows.roster.machine)?;
        let is_hour = rows.window.width == Width::Hour;
        let mut renew = self.sql.prepare_cached(include_str!("sql/renew_repair.sql"))?;
        let is_listed = renew.execute(params![machine, is_hour, rows.window.start.micros(), sql_t(t)])? > 0;
        let mut upsert = self.sql.prepare_cached(match (rows.window.width, is_listed) {
            (Width::Minute, false) => include_str!("sql/upsert_minute.sql"),
            (Width::Minute, true) => include_str!("sql/upsert_repaired_minute.sql"),
            (Width::Hour, false) => include_str!("sql/upsert_hour.sql"),
            (Width::Hour, true) => include_str!("sql/upsert_repaired_hour.sql"),
        })?;
        let (machine, slots) = self.ids.slots(self.sql, &rows.roster)?;
        let (start, revision) = (rows.window.start.micros(), sql_t(rows.revision));
        for (slot, row) in rows.rows.iter() {
            // A row belongs to a slot of its own roster.
            let Some(series) = slots.get(slot.index()) else {
                continue;
            };
            upsert_row(&mut upsert, (machine, start, *series), &row, (revision, rows.is_final))?;
        }
        Ok(())
    }

    fn transition(&mut self, transition: &Transition) -> Result<()> {
        let alert = Alert::after(transition);
        let labels = serde_json::to_string(&alert.series.labels)?;
        let (rule, machine, metric) = (&alert.rule.name, alert.machine.as_str(), alert.series.metric.as_ref());
        let (value, t) = (real(alert.value), sql_t(alert.t));
        let changed = match transition.change {
            Change::Fired => {
                let (severity, json) = (format!("{:?}", alert.rule.severity), serde_json::to_string(&alert.rule)?);
                let severity = severity.to_lowercase();
                let since = alert.since.micros();
                let mut fire = self.sql.prepare_cached(include_str!("sql/fire_alert.sql"))?;
                let cause = alert.cause.as_str();
                fire.execute(params![alert.id, rule, machine, metric, labels, severity, value, since, t, json, cause])?
            }
            Change::Resolved => {
                let mut resolve = self.sql.prepare_cached(include_str!("sql/resolve_alert.sql"))?;
                let (at, why) = (transition.at.micros(), alert.resolution.map(Resolution::as_str));
                resolve.execute(params![rule, machine, metric, labels, value, at, t, why, alert.since.micros()])?
            }
        };
        if changed == 0 {
            self.unchanged.increment();
        }
        Ok(())
    }

    fn standing(&mut self, change: &StandingChange) -> Result<()> {
        let mut update = self.sql.prepare_cached(include_str!("sql/set_standing.sql"))?;
        update.execute(params![change.id(), change.standing.as_str(), change.standing.silence()])?;
        Ok(())
    }

    fn presence(&mut self, presence: &Presence) -> Result<()> {
        let machine = self.ids.machine(self.sql, &presence.machine)?;
        let mut update = self.sql.prepare_cached(include_str!("sql/set_presence.sql"))?;
        update.execute(params![machine, presence.status.as_str(), presence.last_seen.micros()])?;
        Ok(())
    }

    fn info(&mut self, info: &MachineInfo) -> Result<()> {
        let machine = self.ids.machine(self.sql, &info.machine)?;
        let mut update = self.sql.prepare_cached(include_str!("sql/set_info.sql"))?;
        update.execute(params![machine, serde_json::to_string(info)?, info.arrival.micros()])?;
        Ok(())
    }

    fn processes(&mut self, table: &Processes) -> Result<()> {
        let machine = self.ids.machine(self.sql, &table.machine)?;
        let (time, start) = (table.time.micros(), Window::containing(table.time, Width::Minute).start.micros());
        let (busy, data) = (real(process_list::busy(table)), serde_json::to_string(&process_list::kept(table))?);
        let mut upsert = self.sql.prepare_cached(include_str!("sql/upsert_processes.sql"))?;
        upsert.execute(params![machine, start, time, busy, data])?;
        Ok(())
    }

    /// Puts a minute on the repair list; asked again later, it is repaired later.
    fn repair(&mut self, t: LogicalTime, repair: &Repair) -> Result<()> {
        let machine = self.ids.machine(self.sql, &repair.machine)?;
        let mut insert = self.sql.prepare_cached(include_str!("sql/insert_repair.sql"))?;
        insert.execute(params![machine, repair.minute.micros(), sql_t(t)])?;
        Ok(())
    }

    fn rejected(&mut self, t: LogicalTime, rejected: &Rejected) -> Result<()> {
        let (id, payload) = (DeadLetter::id_of(t, rejected), rejected.kept.as_ref().map(|kept| kept.to_json()));
        let Rejected { machine, reason, count, arrival, detail, source, .. } = rejected;
        let (machine, reason, source) = (machine.as_str(), reason.as_str(), source.as_str());
        let mut insert = self.sql.prepare_cached(include_str!("sql/insert_dead_letter.sql"))?;
        insert.execute(params![machine, reason, count, arrival.micros(), detail, id, source, payload])?;
        Ok(())
    }

    fn resent(&mut self, resent: &Resent) -> Result<()> {
        let mut update = self.sql.prepare_cached(include_str!("sql/set_resent.sql"))?;
        update.execute(params![resent.id, resent.at.micros()])?;
        Ok(())
    }
}

/// Writes one row through an upsert of windows; `key` is machine, start and series, `version` what decides which row stands.
pub(super) fn upsert_row(
    upsert: &mut Statement<'_>,
    (machine, start, series): (i64, i64, i64),
    row: &Aggregate,
    (revision, is_final): (i64, bool),
) -> Result<()> {
    let count = i64::try_from(row.count).unwrap_or(i64::MAX);
    let (sum, min, max, last) = (real(row.sum), real(row.min), real(row.max), real(row.last));
    let last_time = row.last_time.micros();
    upsert.execute(params![machine, start, series, count, sum, min, max, last, last_time, revision, is_final])?;
    Ok(())
}

/// T as SQLite's integer: microseconds fit for 290,000 years.
pub(super) fn sql_t(t: LogicalTime) -> i64 {
    i64::try_from(t).unwrap_or(i64::MAX)
}

/// SQLite stores NaN as NULL, which the schema refuses. Samples are finite; only a sum that overflowed both ways is not.
pub(super) fn real(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}
