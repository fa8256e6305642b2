//! Export: everything an embedded history holds, as the outputs that it was made from, for another store to take.
//!
//! Read-only and beside a running hub: what its writer still gathers in memory is in its journal, and not here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use model::batch::{Batch, Layout, Positions, Times};
use model::bound::{Bound, BoundLayout, Roster, Slots};
use model::machine::{Presence, Status};
use model::{
    Aggregate, Aggregates, Alert, DeadLetter, FleetMinute, FleetRow, MachineId, MachineInfo, Output, SeriesKey,
    SessionId, Slot, Tag, Timestamp, Width, Window,
};
use rusqlite::{Connection, Row, params};

use super::chunk::Chunk;
use super::open::{FILE, NAME, open_reader, sink_error};
use super::pool::ReadError;
use super::read;
use crate::error::SinkError;
use crate::process_list;

/// Series of one layout; frames of a machine with more come in several.
const LAYOUT_SERIES: usize = 1_000;
/// Dead letters held at once: some megabytes.
const LETTERS: i64 = 500;

pub(crate) struct Export {
    sql: Connection,
}

/// A machine, and the id that its rows have here.
pub(crate) struct Exported {
    pub(crate) id: i64,
    pub(crate) machine: MachineId,
}

/// A window on the repair list. `t`: of the request. `is_done`: it was made again, and is once more when the graph speaks of it.
pub(crate) struct ExportedRepair {
    pub(crate) is_hour: bool,
    pub(crate) start: Timestamp,
    pub(crate) t: i64,
    pub(crate) is_done: bool,
}

type Result<T> = std::result::Result<T, SinkError>;

fn failed(error: ReadError) -> SinkError {
    match error {
        ReadError::Sql(error) => sink_error("read embedded history", error),
        ReadError::Content(text) => {
            SinkError::Unavailable { sink: NAME, action: "read embedded history", source: text.into() }
        }
    }
}

fn sql_failed(error: rusqlite::Error) -> SinkError {
    failed(error.into())
}

impl Export {
    /// # Errors
    /// When the folder has no history, or it cannot be read.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Err(SinkError::Broken {
                sink: NAME,
                action: "open embedded history",
                advice: "name the folder that has it with --data-dir".to_owned(),
                source: format!("{} is not there", path.display()).into(),
            });
        }
        Ok(Self { sql: open_reader(&path).map_err(sql_failed)? })
    }

    /// In the order of their ids.
    pub(crate) fn machines(&self) -> Result<Vec<Exported>> {
        let mut select = self.sql.prepare("SELECT id, machine FROM machines ORDER BY id").map_err(sql_failed)?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).map_err(sql_failed)?;
        let mut machines = Vec::new();
        for row in rows {
            let (id, name) = row.map_err(sql_failed)?;
            let machine = MachineId::parse(&name).map_err(|error| failed(ReadError::Content(error.to_string())))?;
            machines.push(Exported { id, machine });
        }
        Ok(machines)
    }

    /// What the machine is, its frames and its windows.
    pub(crate) fn of_machine(&self, exported: &Exported) -> Result<Vec<Output>> {
        let series = read::series_rows(&self.sql, exported.id, &[]).map_err(failed)?;
        let keys = series.iter().map(|(_, key)| Arc::clone(key)).collect();
        let roster = Arc::new(Roster { machine: exported.machine.clone(), index: 0, series: keys });
        let slots: BTreeMap<i64, usize> = series.iter().enumerate().map(|(slot, (id, _))| (*id, slot)).collect();
        let mut outputs = self.state(exported)?;
        outputs.extend(self.processes(exported)?);
        outputs.extend(self.frames(exported, &roster, &slots)?);
        for (width, table) in [(Width::Minute, "minute_aggregates"), (Width::Hour, "hour_aggregates")] {
            let windows = self.windows(exported.id, table, &slots).map_err(sql_failed)?;
            outputs.extend(windows.into_iter().map(|((start, revision, is_final), rows)| {
                let window = Window { start: Timestamp::from_micros(start), width };
                let revision = u64::try_from(revision).unwrap_or(0);
                let (roster, rows) = (Arc::clone(&roster), rows.into_iter().collect());
                let rows = Arc::new(Aggregates { roster, window, revision, is_final, rows });
                if width == Width::Minute { Output::Minute(rows) } else { Output::Hour(rows) }
            }));
        }
        Ok(outputs)
    }

    /// Windows of the machine on the repair list.
    pub(crate) fn repairs(&self, exported: &Exported) -> Result<Vec<ExportedRepair>> {
        let text = "SELECT is_hour, start_time, t, is_done FROM repairs WHERE machine_id = ?1";
        let read = |row: &Row<'_>| {
            let start = Timestamp::from_micros(row.get(1)?);
            Ok(ExportedRepair { is_hour: row.get(0)?, start, t: row.get(2)?, is_done: row.get(3)? })
        };
        let mut select = self.sql.prepare(text).map_err(sql_failed)?;
        let rows = select.query_map([exported.id], read).map_err(sql_failed)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql_failed)
    }

    fn state(&self, exported: &Exported) -> Result<Vec<Output>> {
        let text = "SELECT info, status, last_seen FROM machines WHERE id = ?1";
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let (info, status, seen): (Option<String>, String, i64) =
            self.sql.query_row(text, [exported.id], read).map_err(sql_failed)?;
        let last_seen = Timestamp::from_micros(seen);
        // What an older program wrote in another shape is left out: the collector says it again.
        let info: Option<MachineInfo> = info.and_then(|text| serde_json::from_str(&text).ok());
        let mut outputs: Vec<Output> = info.into_iter().map(|info| Output::Machine(Arc::new(info))).collect();
        let status = [Status::Up, Status::Stale, Status::Down].into_iter().find(|known| known.as_str() == status);
        let (machine, status) = (exported.machine.clone(), status.unwrap_or(Status::Down));
        outputs.push(Output::Presence(Arc::new(Presence { machine, status, at: last_seen, last_seen })));
        Ok(outputs)
    }

    /// Minute by minute.
    fn processes(&self, exported: &Exported) -> Result<Vec<Output>> {
        let text = "SELECT time, data FROM process_minutes WHERE machine_id = ?1 ORDER BY start_time";
        let mut select = self.sql.prepare(text).map_err(sql_failed)?;
        let mut rows = select.query([exported.id]).map_err(sql_failed)?;
        let mut outputs = Vec::new();
        while let Some(row) = rows.next().map_err(sql_failed)? {
            let (time, text): (i64, String) = (row.get(0).map_err(sql_failed)?, row.get(1).map_err(sql_failed)?);
            let table = process_list::table(exported.machine.clone(), Timestamp::from_micros(time), &text);
            outputs.push(Output::Processes(Arc::new(table.map_err(|text| failed(ReadError::Content(text)))?)));
        }
        Ok(outputs)
    }

    /// Every sample of every chunk, moment by moment.
    fn frames(&self, exported: &Exported, roster: &Arc<Roster>, slots: &BTreeMap<i64, usize>) -> Result<Vec<Output>> {
        let layouts = layouts(roster);
        let text = "SELECT data FROM raw_chunks WHERE machine_id = ?1 ORDER BY id";
        let mut select = self.sql.prepare(text).map_err(sql_failed)?;
        let mut rows = select.query([exported.id]).map_err(sql_failed)?;
        let mut outputs = Vec::new();
        while let Some(row) = rows.next().map_err(sql_failed)? {
            let data: Vec<u8> = row.get(0).map_err(sql_failed)?;
            let damaged = || failed(ReadError::Content("a chunk of raw samples is damaged".to_owned()));
            let chunk = Chunk::open(&data).ok_or_else(damaged)?;
            let mut moments: BTreeMap<(i64, usize), Vec<(u16, f64)>> = BTreeMap::new();
            for (id, slot) in slots {
                for (time, value) in chunk.samples(*id).map_err(|_damaged| damaged())? {
                    let position = u16::try_from(slot % LAYOUT_SERIES).unwrap_or(u16::MAX);
                    moments.entry((time, slot / LAYOUT_SERIES)).or_default().push((position, value));
                }
            }
            outputs.extend(moments.into_iter().map(|((time, piece), samples)| {
                let (layout, bound) = &layouts[piece];
                Output::Samples(Bound::new(Arc::new(batch(layout, time, &samples)), Arc::clone(bound)))
            }));
        }
        Ok(outputs)
    }

    #[expect(clippy::type_complexity, reason = "the key of a window's version, and its rows")]
    fn windows(
        &self,
        machine: i64,
        table: &str,
        slots: &BTreeMap<i64, usize>,
    ) -> rusqlite::Result<BTreeMap<(i64, i64, bool), Vec<(Slot, Aggregate)>>> {
        let text = format!(
            "SELECT series_id, start_time, revision, is_final, count, sum, min, max, last, last_time FROM {table} \
             WHERE machine_id = ?1"
        );
        let mut select = self.sql.prepare(&text)?;
        let mut rows = select.query([machine])?;
        let mut windows: BTreeMap<(i64, i64, bool), Vec<(Slot, Aggregate)>> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let Some(slot) = slots.get(&row.get::<_, i64>(0)?) else { continue };
            let version = (row.get(1)?, row.get(2)?, row.get(3)?);
            let aggregate = Aggregate {
                count: u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
                sum: row.get(5)?,
                min: row.get(6)?,
                max: row.get(7)?,
                last: row.get(8)?,
                last_time: Timestamp::from_micros(row.get(9)?),
            };
            windows.entry(version).or_default().push((Slot(u32::try_from(*slot).unwrap_or(u32::MAX)), aggregate));
        }
        Ok(windows)
    }

    /// All of them, firing and resolved, those of made-up machines too.
    pub(crate) fn alerts(&self) -> Result<Vec<Alert>> {
        read::alerts(&self.sql, include_str!("sql/export_alerts.sql"), []).map_err(failed)
    }

    /// Some after a row id, the oldest first, and the id to go on after; none at the end.
    pub(crate) fn dead_letters(&self, after: i64) -> Result<Option<(Vec<DeadLetter>, i64)>> {
        let read_some = || -> std::result::Result<Option<(Vec<DeadLetter>, i64)>, ReadError> {
            let mut select = self.sql.prepare(include_str!("sql/export_dead_letters.sql"))?;
            let mut rows = select.query(params![after, LETTERS])?;
            let (mut letters, mut last) = (Vec::new(), after);
            while let Some(row) = rows.next()? {
                letters.push(read::dead_letter(row)?);
                last = row.get("id")?;
            }
            Ok((!letters.is_empty()).then_some((letters, last)))
        };
        read_some().map_err(failed)
    }

    /// Minutes of the fleet, each revision whole.
    pub(crate) fn fleet(&self) -> Result<Vec<Output>> {
        let read_all = || -> rusqlite::Result<Vec<Output>> {
            let mut select = self.sql.prepare(
                "SELECT tag_name, tag_value, start_time, revision, metric, machines, count, sum, min, max \
                 FROM fleet_groups JOIN fleet_minutes ON group_id = id \
                 ORDER BY tag_name, tag_value, start_time, revision, metric",
            )?;
            let mut rows = select.query([])?;
            let mut minutes: Vec<FleetMinute> = Vec::new();
            while let Some(row) = rows.next()? {
                let (name, value): (String, String) = (row.get(0)?, row.get(1)?);
                let tag = (!name.is_empty()).then(|| Tag::new(&name, &value));
                let minute = Timestamp::from_micros(row.get(2)?);
                let revision = u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0);
                let is_same =
                    |known: &FleetMinute| (&known.tag, known.minute, known.revision) == (&tag, minute, revision);
                if !minutes.last().is_some_and(is_same) {
                    minutes.push(FleetMinute { tag, minute, revision, rows: Vec::new() });
                }
                let Some(last) = minutes.last_mut() else { continue };
                last.rows.push(FleetRow {
                    metric: row.get::<_, String>(4)?.into(),
                    machines: row.get(5)?,
                    count: u64::try_from(row.get::<_, i64>(6)?).unwrap_or(0),
                    sum: row.get(7)?,
                    min: row.get(8)?,
                    max: row.get(9)?,
                });
            }
            Ok(minutes.into_iter().map(|minute| Output::Fleet(Arc::new(minute))).collect())
        };
        read_all().map_err(sql_failed)
    }
}

/// The roster in layouts of at most `LAYOUT_SERIES`.
fn layouts(roster: &Arc<Roster>) -> Vec<(Arc<Layout>, Arc<BoundLayout>)> {
    let pieces = roster.series.chunks(LAYOUT_SERIES).enumerate();
    pieces
        .map(|(piece, keys)| {
            let keys: Vec<SeriesKey> = keys.iter().map(|key| key.as_ref().clone()).collect();
            let first = u32::try_from(piece * LAYOUT_SERIES).unwrap_or(u32::MAX);
            let slots = (first..).take(keys.len()).collect();
            let bound = BoundLayout::new(Arc::clone(roster), Slots::Map(slots));
            (Arc::new(Layout::new(roster.machine.clone(), keys)), Arc::new(bound))
        })
        .collect()
}

fn batch(layout: &Arc<Layout>, time: i64, samples: &[(u16, f64)]) -> Batch {
    let time = Timestamp::from_micros(time);
    Batch {
        layout: Arc::clone(layout),
        session: SessionId::NONE,
        sequence: 0,
        arrival: time,
        age_ms: 0,
        positions: Positions::List(samples.iter().map(|(position, _)| *position).collect()),
        times: Times::One(time),
        values: samples.iter().map(|(_, value)| *value).collect(),
    }
}
