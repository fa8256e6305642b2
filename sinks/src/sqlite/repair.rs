//! The repair list: windows that the graph could not correct any more are made again, minutes from raw samples, hours from minutes.
//!
//! In: the list, which is written like any row. A minute waits until the raw lane has passed its request, so that every sample is in a
//! chunk; its hour waits until it is closed. Out: rows that stand. A window stays on the list when it is done, for the graph knows nothing of
//! the repair: what the graph says of it later makes it due again, and only what holds more than the repaired row replaces it meanwhile.
//! Bounded: as many as there are windows; they go with them.
//! Loss: a minute whose raw samples are no longer kept stays as it is. Invariants: S-1, W-3 an hour is the merge of its minutes.

use std::time::Duration;

use model::{Aggregate, Labels, LogicalTime, SeriesKey, Timestamp, Width, Window};
use rusqlite::{Connection, Row, params};
use tracing::error;

use super::chunk::Chunk;
use super::gather::SPAN_MAX;
use super::rows::{RowError, sql_t, upsert_row};
use crate::samples::{Sample, merged, sort_samples};
use crate::sink::Cursors;

/// Windows made again in one step: some milliseconds of work each.
const STEP_WINDOWS: u32 = 20;
/// Until its horizon has passed (10 min behind the machine's newest, which may itself come late) the graph is likely to correct an hour,
/// which would only make it due again.
const HOUR_WAIT: Duration = Duration::from_secs(1_800);

struct Request {
    machine: i64,
    start: i64,
    t: i64,
}

/// What a step goes by.
pub(super) struct Bounds {
    pub(super) cursors: Cursors,
    pub(super) now: Timestamp,
    pub(super) raw_kept: Duration,
}

/// One step, in a transaction of its own; true when more is due.
pub(super) fn step(sql: &Connection, bounds: &Bounds) -> Result<bool, RowError> {
    let transaction = sql.unchecked_transaction()?;
    let minutes = requests(&transaction, Width::Minute, bounds.cursors.raw, bounds.now)?;
    for request in &minutes {
        if bounds.now - bounds.raw_kept <= Timestamp::from_micros(request.start) {
            repair_minute(&transaction, request)?;
        }
        finish(&transaction, Width::Minute, request)?;
    }
    let is_closed = bounds.now - Duration::from_secs(3_600) - HOUR_WAIT;
    let hours = requests(&transaction, Width::Hour, bounds.cursors.rows, is_closed)?;
    for request in &hours {
        repair_hour(&transaction, request)?;
        finish(&transaction, Width::Hour, request)?;
    }
    transaction.commit()?;
    Ok(minutes.len().max(hours.len()) == STEP_WINDOWS as usize)
}

fn requests(sql: &Connection, width: Width, upto: LogicalTime, before: Timestamp) -> Result<Vec<Request>, RowError> {
    let mut select = sql.prepare_cached(include_str!("sql/read_repairs.sql"))?;
    let asked = params![width == Width::Hour, sql_t(upto), before.micros(), STEP_WINDOWS];
    let read = |row: &Row<'_>| Ok(Request { machine: row.get(0)?, start: row.get(1)?, t: row.get(2)? });
    Ok(select.query_map(asked, read)?.collect::<rusqlite::Result<_>>()?)
}

fn finish(sql: &Connection, width: Width, request: &Request) -> Result<(), RowError> {
    let text = "UPDATE repairs SET is_done = 1 WHERE machine_id = ?1 AND is_hour = ?2 AND start_time = ?3";
    sql.prepare_cached(text)?.execute(params![request.machine, width == Width::Hour, request.start])?;
    Ok(())
}

/// Every raw sample of the minute, series by series; and the hour goes on the list.
fn repair_minute(sql: &Connection, request: &Request) -> Result<(), RowError> {
    let Request { machine, start, t } = *request;
    let end = start + Width::Minute.micros();
    let mut find = sql.prepare_cached(include_str!("sql/find_chunks.sql"))?;
    let mut ids: Vec<i64> =
        find.query_map(params![machine, start, end, SPAN_MAX], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    // In order of writing: of a sample stored twice the first one stands.
    ids.sort_unstable();
    let mut series = series_of(sql, machine)?;
    let mut select = sql.prepare_cached("SELECT data FROM raw_chunks WHERE id = ?1")?;
    for id in ids {
        let data: Vec<u8> = select.query_row([id], |row| row.get(0))?;
        let is_whole = Chunk::open(&data).is_some_and(|chunk| {
            series.iter_mut().all(|(id, _, list)| {
                let samples = chunk.samples(*id);
                let inside = samples.iter().flatten().filter(|(time, _)| start <= *time && *time < end);
                list.extend(inside.copied());
                samples.is_ok()
            })
        });
        if !is_whole {
            // Half of the samples would make a wrong row out of one that is nearly right.
            error!(chunk = id, "chunk of raw samples is damaged: its minutes are not repaired");
            return Ok(());
        }
    }
    let mut upsert = sql.prepare_cached(include_str!("sql/repair_minute.sql"))?;
    for (id, key, mut list) in series {
        sort_samples(&mut list, &key);
        if let Some(row) = merged(list.iter().map(|(time, value)| Aggregate::of(*value, Timestamp::from_micros(*time))))
        {
            upsert_row(&mut upsert, (machine, start, id), &row, (t, true))?;
        }
    }
    let hour = Window::containing(Timestamp::from_micros(start), Width::Hour).start;
    sql.prepare_cached(include_str!("sql/insert_hour_repair.sql"))?.execute(params![machine, hour.micros(), t])?;
    Ok(())
}

/// The machine's series; of the key only the metric counts here, which says whether it is one of events.
fn series_of(sql: &Connection, machine: i64) -> Result<Vec<(i64, SeriesKey, Vec<Sample>)>, RowError> {
    let mut select = sql.prepare_cached("SELECT id, metric FROM series WHERE machine_id = ?1 ORDER BY id")?;
    let read = |row: &Row<'_>| {
        let metric: String = row.get(1)?;
        let key = SeriesKey { metric: metric.into(), labels: Labels::none() };
        Ok((row.get(0)?, key, Vec::new()))
    };
    Ok(select.query_map([machine], read)?.collect::<rusqlite::Result<_>>()?)
}

/// The merge of the hour's minutes as they stand.
fn repair_hour(sql: &Connection, request: &Request) -> Result<(), RowError> {
    let Request { machine, start, t } = *request;
    let mut select = sql.prepare_cached(include_str!("sql/read_minutes_of_hour.sql"))?;
    let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, aggregate(row)?));
    let end = start + Width::Hour.micros();
    let minutes: Vec<(i64, Aggregate)> =
        select.query_map(params![machine, start, end], read)?.collect::<rusqlite::Result<_>>()?;
    let mut upsert = sql.prepare_cached(include_str!("sql/repair_hour.sql"))?;
    for of_series in minutes.chunk_by(|a, b| a.0 == b.0) {
        if let Some(row) = merged(of_series.iter().map(|(_, row)| *row)) {
            upsert_row(&mut upsert, (machine, start, of_series[0].0), &row, (t, true))?;
        }
    }
    Ok(())
}

fn aggregate(row: &Row<'_>) -> rusqlite::Result<Aggregate> {
    Ok(Aggregate {
        count: u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
        sum: row.get(2)?,
        min: row.get(3)?,
        max: row.get(4)?,
        last: row.get(5)?,
        last_time: Timestamp::from_micros(row.get(6)?),
    })
}
