//! Reading history: ranges of each tier, alerts, dead letters; and what the hub asks once, at its start.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use model::query::{
    AlertQuery, Answer, DeadLetterQuery, FleetAnswer, FleetQuery, History, ProcessQuery, QueryError, RangeAnswer,
    RangeQuery, SeriesPoints, Tier,
};
use model::{
    Alert, AlertState, Cause, DeadLetter, Kept, Labels, LogicalTime, MachineId, MachineInfo, Processes, RejectReason,
    Rejected, Resolution, Rule, SeriesKey, Source, Standing, Timestamp, Width, Window,
};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::Shared;
use super::chunk::Chunk;
use super::fleet;
use super::gather::{self, Batches, SPAN_MAX};
use super::pool::ReadError;
use super::rows::sql_t;
use crate::memory::KnownMachine;
use crate::process_list;
use crate::samples::{Sample, sort_samples};

/// Firing alerts read at the start; the hot store shows no more.
const FIRING_MAX: u32 = 100_000;

/// Machines read at the start, the newest first: above what a hub admits.
const MACHINES_MAX: u32 = 50_000;

/// Samples of one series, in order of writing.
type SeriesSamples = (Arc<SeriesKey>, Vec<Sample>);

/// Read-only side of the store; clones share it.
#[derive(Clone)]
pub struct SqliteHistory {
    shared: Arc<Shared>,
}

/// What the hot store is seeded with.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub machines: Vec<KnownMachine>,
    /// Alerts that fire.
    pub alerts: Vec<Alert>,
}

impl SqliteHistory {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// T of the newest batch in any minute that starts at `from` or later; 0 where there is none. The cursor may be ahead of it: it moves
    /// with the heartbeat, which is in no journal.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn newest_revision(&self, from: Timestamp) -> Result<LogicalTime, QueryError> {
        let query = move |sql: &Connection| {
            let mut select = sql.prepare_cached(include_str!("sql/read_newest_revision.sql"))?;
            let newest: Option<i64> = select.query_row([from.micros()], |row| row.get(0))?;
            Ok(newest.and_then(|t| u64::try_from(t).ok()).unwrap_or(0))
        };
        self.shared.pool.query(query).await
    }

    /// Machines and firing alerts as of the newest transaction.
    ///
    /// # Errors
    /// As any query.
    pub async fn known(&self) -> Result<Known, QueryError> {
        self.shared
            .pool
            .query(|sql| {
                Ok(Known {
                    machines: known_machines(sql)?,
                    alerts: alerts(sql, include_str!("sql/read_firing.sql"), params![FIRING_MAX])?,
                })
            })
            .await
    }

    /// Alerts of which something happened after `t`, in order of their beginning.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn alerts_after(&self, t: LogicalTime) -> Result<Vec<Alert>, QueryError> {
        let read = move |sql: &Connection| {
            alerts(sql, include_str!("sql/read_alerts_after.sql"), params![sql_t(t), FIRING_MAX])
        };
        self.shared.pool.query(read).await
    }
}

impl History for SqliteHistory {
    fn range(&self, query: RangeQuery) -> Answer<'_, RangeAnswer> {
        Box::pin(async move {
            let oldest = Timestamp::from_micros(self.shared.clock.now_us()) - self.kept(query.tier);
            let is_partial = query.from < oldest;
            // Before the database: what is stored meanwhile is then met twice, which `raw_t` tells, and never missed.
            let waiting = match query.tier {
                Tier::Raw => self.shared.gathered().of(&query.machine).to_vec(),
                Tier::Minute | Tier::Hour => Batches::new(),
            };
            let read = move |sql: &Connection| match query.tier {
                Tier::Raw => raw(sql, &query, &waiting),
                Tier::Minute => windows(sql, &query, Width::Minute, include_str!("sql/read_minute.sql")),
                Tier::Hour => windows(sql, &query, Width::Hour, include_str!("sql/read_hour.sql")),
            };
            let answer = self.shared.pool.query(read).await?;
            Ok(RangeAnswer { partial: is_partial, ..answer })
        })
    }

    fn processes(&self, query: ProcessQuery) -> Answer<'_, Option<Processes>> {
        Box::pin(self.shared.pool.query(move |sql| processes(sql, query)))
    }

    fn fleet(&self, query: FleetQuery) -> Answer<'_, FleetAnswer> {
        let oldest = Timestamp::from_micros(self.shared.clock.now_us()) - self.kept(Tier::Minute);
        let partial = query.from < oldest;
        Box::pin(self.shared.pool.query(move |sql| Ok(FleetAnswer { partial, ..fleet::read(sql, &query)? })))
    }

    fn alerts(&self, query: AlertQuery) -> Answer<'_, Vec<Alert>> {
        Box::pin(self.shared.pool.query(move |sql| {
            let machine = query.machine.as_ref().map(MachineId::as_str);
            let page = params![
                query.from.micros(),
                query.to.micros(),
                machine,
                query.rule,
                sql_len(query.offset),
                sql_len(query.limit)
            ];
            alerts(sql, include_str!("sql/read_alerts.sql"), page)
        }))
    }

    fn dead_letters(&self, query: DeadLetterQuery) -> Answer<'_, Vec<DeadLetter>> {
        Box::pin(self.shared.pool.query(move |sql| {
            let DeadLetterQuery { id, reason, is_waiting, offset, limit } = query;
            if let Some(id) = id {
                return dead_letters(sql, include_str!("sql/find_dead_letter.sql"), params![id]);
            }
            let (offset, limit, reason) = (sql_len(offset), sql_len(limit), reason.map(RejectReason::as_str));
            let page = params![offset, limit, reason, is_waiting];
            dead_letters(sql, include_str!("sql/read_dead_letters.sql"), page)
        }))
    }

    fn kept(&self, tier: Tier) -> Duration {
        self.shared.settings.kept(tier)
    }
}

fn sql_len(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

/// A machine's row id, and up to which T its raw samples are in chunks.
fn machine_row(sql: &Connection, machine: &MachineId) -> rusqlite::Result<Option<(i64, i64)>> {
    let mut select = sql.prepare_cached("SELECT id, raw_t FROM machines WHERE machine = ?1")?;
    select.query_row([machine.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

fn processes(sql: &Connection, query: ProcessQuery) -> Result<Option<Processes>, ReadError> {
    let Some((machine, _)) = machine_row(sql, &query.machine)? else { return Ok(None) };
    let minute = Window::containing(query.at, Width::Minute).start;
    let (at, from, to) = (query.at.micros(), (query.at - query.reach).micros(), (query.at + query.reach).micros());
    let mut select = sql.prepare_cached(include_str!("sql/read_processes.sql"))?;
    let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let found: Option<(i64, String)> =
        select.query_row(params![machine, at, minute.micros(), from, to], row).optional()?;
    let Some((time, text)) = found else { return Ok(None) };
    process_list::table(query.machine, Timestamp::from_micros(time), &text).map(Some).map_err(ReadError::Content)
}

/// The machine's series of these metrics, with their row ids.
pub(super) fn series_rows(
    sql: &Connection,
    machine: i64,
    metrics: &[String],
) -> Result<Vec<(i64, Arc<SeriesKey>)>, ReadError> {
    let mut select =
        sql.prepare_cached("SELECT id, metric, labels FROM series WHERE machine_id = ?1 ORDER BY metric, labels")?;
    let mut rows = select.query([machine])?;
    let mut series = Vec::new();
    while let Some(row) = rows.next()? {
        let metric: String = row.get(1)?;
        if is_asked(metrics, &metric) {
            series.push((row.get(0)?, Arc::new(series_key(&metric, &row.get::<_, String>(2)?)?)));
        }
    }
    Ok(series)
}

fn is_asked(metrics: &[String], metric: &str) -> bool {
    metrics.is_empty() || metrics.iter().any(|asked| asked == metric)
}

fn series_key(metric: &str, labels: &str) -> Result<SeriesKey, ReadError> {
    let labels: Labels =
        serde_json::from_str(labels).map_err(|error| ReadError::Content(format!("read labels: {error}")))?;
    SeriesKey::parse(metric, labels).map_err(|error| ReadError::Content(error.to_string()))
}

/// Chunks of the range, then what waits in memory: one list per series, in time order, each sample once.
fn raw(sql: &Connection, query: &RangeQuery, waiting: &Batches) -> Result<RangeAnswer, ReadError> {
    let stored = machine_row(sql, &query.machine)?;
    let mut lists: Vec<SeriesSamples> = Vec::new();
    let mut points = 0;
    if let Some((machine, _)) = stored {
        let series = series_rows(sql, machine, &query.metrics)?;
        lists = series.iter().map(|(_, key)| (Arc::clone(key), Vec::new())).collect();
        let mut select = sql.prepare_cached("SELECT data FROM raw_chunks WHERE id = ?1")?;
        for id in chunk_ids(sql, machine, query)? {
            if query.points_max < points {
                break;
            }
            let mut rows = select.query([id])?;
            let Some(row) = rows.next()? else { continue };
            let damaged = || ReadError::Content(format!("chunk {id} of raw samples is damaged"));
            let chunk = Chunk::open(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?).ok_or_else(damaged)?;
            for ((id, _), (_, list)) in series.iter().zip(&mut lists) {
                let samples = chunk.samples(*id).map_err(|_damaged| damaged())?;
                let is_inside = |(time, _): &Sample| query.from.micros() <= *time && *time < query.to.micros();
                let before = list.len();
                list.extend(samples.into_iter().filter(is_inside));
                points += list.len() - before;
            }
        }
    }
    let stored_t = stored.map_or(0, |(_, raw_t)| u64::try_from(raw_t).unwrap_or(0));
    let first = waiting.partition_point(|(t, _)| *t <= stored_t);
    read_waiting(&waiting[first..], query, &mut lists);
    Ok(raw_answer(lists, query.points_max))
}

/// In order of writing, so that of a sample stored twice the first one stands.
fn chunk_ids(sql: &Connection, machine: i64, query: &RangeQuery) -> rusqlite::Result<Vec<i64>> {
    let mut select = sql.prepare_cached(include_str!("sql/find_chunks.sql"))?;
    let range = params![machine, query.from.micros(), query.to.micros(), SPAN_MAX];
    let mut ids: Vec<i64> = select.query_map(range, |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    ids.sort_unstable();
    Ok(ids)
}

fn read_waiting(waiting: &[(u64, model::Bound)], query: &RangeQuery, lists: &mut Vec<SeriesSamples>) {
    let mut known: Option<&Arc<model::Roster>> = None;
    for (_, bound) in waiting {
        if known.is_some_and(|roster| Arc::ptr_eq(roster, bound.roster())) {
            continue;
        }
        known = Some(bound.roster());
        // Series that no chunk has yet.
        for key in bound.roster().series.iter().filter(|key| is_asked(&query.metrics, &key.metric)) {
            if lists.iter().all(|(listed, _)| listed != key) {
                lists.push((Arc::clone(key), Vec::new()));
            }
        }
    }
    for (key, list) in lists {
        gather::read(waiting, key, (query.from, query.to), list);
    }
}

fn raw_answer(lists: Vec<SeriesSamples>, points_max: usize) -> RangeAnswer {
    let mut answer = RangeAnswer::default();
    let mut left = points_max;
    for (key, mut list) in lists {
        sort_samples(&mut list, &key);
        answer.truncated |= left < list.len();
        list.truncate(left);
        left -= list.len();
        if !list.is_empty() {
            answer.series.push(SeriesPoints {
                key: Some(key),
                t: list.iter().map(|(time, _)| Timestamp::from_micros(*time)).collect(),
                v: list.iter().map(|(_, value)| *value).collect(),
                ..SeriesPoints::default()
            });
        }
    }
    answer
}

fn windows(sql: &Connection, query: &RangeQuery, width: Width, text: &str) -> Result<RangeAnswer, ReadError> {
    let mut answer = RangeAnswer::default();
    let Some((machine, _)) = machine_row(sql, &query.machine)? else {
        return Ok(answer);
    };
    let series = series_rows(sql, machine, &query.metrics)?;
    let places: HashMap<i64, usize> = series.iter().enumerate().map(|(place, (id, _))| (*id, place)).collect();
    answer.series =
        series.into_iter().map(|(_, key)| SeriesPoints { key: Some(key), ..SeriesPoints::default() }).collect();
    // The window that `from` falls into begins before it.
    let from = Window::containing(query.from, width).start;
    let mut select = sql.prepare_cached(text)?;
    let mut rows = select.query(params![machine, from.micros(), query.to.micros()])?;
    let mut points = 0;
    while let Some(row) = rows.next()? {
        let Some(place) = places.get(&row.get::<_, i64>(0)?) else {
            continue;
        };
        if points == query.points_max {
            answer.truncated = true;
            break;
        }
        points += 1;
        push_window(row, &mut answer.series[*place])?;
    }
    answer.series.retain(|points| !points.t.is_empty());
    Ok(answer)
}

fn push_window(row: &Row<'_>, points: &mut SeriesPoints) -> rusqlite::Result<()> {
    let (count, sum): (i64, f64) = (row.get(2)?, row.get(3)?);
    points.t.push(Timestamp::from_micros(row.get(1)?));
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    points.v.push(sum / count as f64);
    points.count.push(u64::try_from(count).unwrap_or(0));
    points.sum.push(sum);
    points.min.push(row.get(4)?);
    points.max.push(row.get(5)?);
    points.last.push(row.get(6)?);
    points.is_final.push(row.get(7)?);
    Ok(())
}

pub(super) fn alerts(sql: &Connection, text: &str, parameters: impl rusqlite::Params) -> Result<Vec<Alert>, ReadError> {
    let mut select = sql.prepare_cached(text)?;
    let mut rows = select.query(parameters)?;
    let mut alerts = Vec::new();
    while let Some(row) = rows.next()? {
        alerts.push(alert(row)?);
    }
    Ok(alerts)
}

fn alert(row: &Row<'_>) -> Result<Alert, ReadError> {
    let content = |error: &dyn std::fmt::Display| ReadError::Content(format!("read alert: {error}"));
    let rule: Rule = serde_json::from_str(&row.get::<_, String>(1)?).map_err(|error| content(&error))?;
    let machine = MachineId::parse(&row.get::<_, String>(2)?).map_err(|error| content(&error))?;
    let series = series_key(&row.get::<_, String>(3)?, &row.get::<_, String>(4)?)?;
    let is_firing = row.get::<_, String>(5)? == "firing";
    Ok(Alert {
        id: row.get(0)?,
        rule: Arc::new(rule),
        machine,
        series: Arc::new(series),
        state: if is_firing { AlertState::Firing } else { AlertState::Resolved },
        value: row.get(6)?,
        since: Timestamp::from_micros(row.get(7)?),
        resolved: row.get::<_, Option<i64>>(8)?.map(Timestamp::from_micros),
        resolution: row.get::<_, Option<String>>("resolution")?.and_then(|word| Resolution::parse(&word)),
        standing: standing(row)?,
        t: u64::try_from(row.get::<_, i64>(9)?).unwrap_or(0),
        cause: if row.get::<_, String>(10)? == Cause::NoData.as_str() { Cause::NoData } else { Cause::Threshold },
    })
}

/// None too for a word that a newer program wrote: the graph says it again.
fn standing(row: &Row<'_>) -> rusqlite::Result<Option<Standing>> {
    let (word, silence): (Option<String>, Option<String>) = (row.get("standing")?, row.get("silence")?);
    Ok(word.and_then(|word| Standing::parse(&word, silence.as_deref())))
}

fn dead_letters(sql: &Connection, text: &str, page: &[&dyn ToSql]) -> Result<Vec<DeadLetter>, ReadError> {
    let mut select = sql.prepare_cached(text)?;
    let mut rows = select.query(page)?;
    let mut letters = Vec::new();
    while let Some(row) = rows.next()? {
        letters.push(dead_letter(row)?);
    }
    Ok(letters)
}

pub(super) fn dead_letter(row: &Row<'_>) -> Result<DeadLetter, ReadError> {
    let (machine, reason): (String, String) = (row.get(0)?, row.get(1)?);
    let unknown =
        || ReadError::Content(format!("dead letter has an unknown reason {reason}: a newer program wrote it"));
    let (source, payload): (String, Option<String>) = (row.get("source")?, row.get("payload")?);
    let rejected = Rejected {
        machine: MachineId::parse(&machine).map_err(|error| ReadError::Content(error.to_string()))?,
        reason: RejectReason::parse(&reason).ok_or_else(unknown)?,
        count: row.get(2)?,
        arrival: Timestamp::from_micros(row.get(3)?),
        detail: row.get(4)?,
        source: Source::parse(&source),
        kept: payload.and_then(|text| Kept::from_json(&text)).map(Arc::new),
    };
    let resent = row.get::<_, Option<i64>>("resent")?.map(Timestamp::from_micros);
    // Only a server refuses rows.
    Ok(DeadLetter { id: row.get("key")?, rejected, row: None, has_row: false, resent })
}

fn known_machines(sql: &Connection) -> Result<Vec<KnownMachine>, ReadError> {
    let mut select = sql.prepare_cached(
        "SELECT machine, info, last_seen FROM machines WHERE last_seen > 0 ORDER BY last_seen DESC LIMIT ?1",
    )?;
    let mut rows = select.query([MACHINES_MAX])?;
    let mut machines = Vec::new();
    while let Some(row) = rows.next()? {
        let machine: String = row.get(0)?;
        let info: Option<String> = row.get(1)?;
        // Written by us; what an older program wrote in another shape is left out, the collector says it again.
        let Ok(machine) = MachineId::parse(&machine) else {
            continue;
        };
        let info = info.and_then(|text| serde_json::from_str::<MachineInfo>(&text).ok());
        machines.push(KnownMachine {
            machine,
            info: info.map(Arc::new),
            last_seen: Timestamp::from_micros(row.get(2)?),
        });
    }
    Ok(machines)
}
