//! The repair list: windows that the graph could not correct any more are made again, minutes from frames, hours from minutes.
//!
//! The list lies beside the rows that it is about, because it changes in the transactions that write them: what the graph says of a
//! repaired window makes it due again, and only what holds more than the repaired row replaces it meanwhile.
//! Bounded: as many as there are windows; they go with them.
//! Loss: a minute whose frames are no longer kept stays as it is. Invariants: S-1, W-3 an hour is the merge of its minutes.

use std::time::Duration;

use hashbrown::HashMap;
use model::{Aggregate, Labels, LogicalTime, SeriesKey, Timestamp, Width, Window};

use super::error::Failure;
use super::session::Session;
use super::value::{Time, Values, sql_t};
use super::windows::{self, Verdict, WindowRow};
use crate::samples::{Sample, merged, sort_samples};

/// Windows made again in one step: some tens of milliseconds of work.
const STEP_WINDOWS: i64 = 20;
/// Until its horizon has passed (10 min behind the machine's newest, which may itself come late) the graph is likely to correct an hour,
/// which would only make it due again.
const HOUR_WAIT: Duration = Duration::from_secs(1_800);

struct Request {
    machine: i32,
    start: Timestamp,
    t: i64,
}

/// One step, in a transaction of its own; true when more is due. Every frame up to `cursor` is stored.
pub(super) async fn step(
    session: &Session,
    cursor: LogicalTime,
    now: Timestamp,
    raw_kept: Duration,
) -> Result<bool, Failure> {
    session.batch("BEGIN").await?;
    let minutes = requests(session, Width::Minute, cursor, now).await?;
    for request in &minutes {
        if now - raw_kept <= request.start {
            repair_minute(session, request).await?;
        }
        finish(session, Width::Minute, request).await?;
    }
    let is_closed = now - Duration::from_secs(3_600) - HOUR_WAIT;
    let hours = requests(session, Width::Hour, cursor, is_closed).await?;
    for request in &hours {
        repair_hour(session, request).await?;
        finish(session, Width::Hour, request).await?;
    }
    session.batch("COMMIT").await?;
    Ok(i64::try_from(minutes.len().max(hours.len())).is_ok_and(|count| count == STEP_WINDOWS))
}

async fn requests(
    session: &Session,
    width: Width,
    upto: LogicalTime,
    before: Timestamp,
) -> Result<Vec<Request>, Failure> {
    let read = include_str!("../../../sql/queries/read_repairs.sql");
    let rows = session.query(read, &[&(width == Width::Hour), &sql_t(upto), &Time(before), &STEP_WINDOWS]).await?;
    let request =
        |row: &tokio_postgres::Row| Request { machine: row.get(0), start: row.get::<_, Time>(1).0, t: row.get(2) };
    Ok(rows.iter().map(request).collect())
}

async fn finish(session: &Session, width: Width, request: &Request) -> Result<(), Failure> {
    let text = include_str!("../../../sql/queries/finish_repair.sql");
    session.execute(text, &[&request.machine, &(width == Width::Hour), &Time(request.start)]).await?;
    Ok(())
}

/// Every sample of the minute, series by series; and the hour goes on the list.
async fn repair_minute(session: &Session, request: &Request) -> Result<(), Failure> {
    let window = Window { start: request.start, width: Width::Minute };
    let mut lists = samples(session, request.machine, (window.start, window.end())).await?;
    let series = include_str!("../../../sql/queries/read_series_of.sql");
    let mut rows = Vec::new();
    for row in session.query(series, &[&request.machine]).await? {
        let Some(mut list) = lists.remove(&row.get::<_, i32>(0)) else { continue };
        // Of the key only the metric counts here, which says whether it is one of events.
        let key = SeriesKey { metric: row.get::<_, String>(1).into(), labels: Labels::none() };
        sort_samples(&mut list, &key);
        let samples = list.iter().map(|(time, value)| Aggregate::of(*value, Timestamp::from_micros(*time)));
        rows.extend(merged(samples).map(|aggregate| again(row.get(0), request, aggregate)));
    }
    windows::write(session, Width::Minute, Verdict::Again, &rows).await?;
    let hour = Window::containing(request.start, Width::Hour).start;
    let add = include_str!("../../../sql/queries/add_repair.sql");
    session.execute(add, &[&request.machine, &true, &Time(hour), &request.t]).await?;
    Ok(())
}

/// A machine's samples of a range by series, in order of time and writing.
pub(super) async fn samples(
    session: &Session,
    machine: i32,
    (from, to): (Timestamp, Timestamp),
) -> Result<HashMap<i32, Vec<Sample>>, Failure> {
    let layouts = session.query(include_str!("../../../sql/queries/read_layouts.sql"), &[&machine]).await?;
    let layouts: HashMap<i32, Vec<i32>> = layouts.iter().map(|row| (row.get(0), row.get(1))).collect();
    let read = include_str!("../../../sql/queries/read_frames.sql");
    let mut lists: HashMap<i32, Vec<Sample>> = HashMap::new();
    for row in session.query(read, &[&machine, &Time(from), &Time(to), &i64::MAX]).await? {
        let Some(layout) = layouts.get(&row.get::<_, i32>(0)) else { continue };
        let (time, values): (Time, Values<'_>) = (row.get(1), row.get(2));
        for (series, value) in layout.iter().zip(values.iter()) {
            if let Some(value) = value {
                lists.entry(*series).or_default().push((time.0.micros(), value));
            }
        }
    }
    Ok(lists)
}

/// The merge of the hour's minutes as they stand.
async fn repair_hour(session: &Session, request: &Request) -> Result<(), Failure> {
    let window = Window { start: request.start, width: Width::Hour };
    let read = include_str!("../../../sql/queries/read_minutes_of_hour.sql");
    let minutes = session.query(read, &[&request.machine, &Time(window.start), &Time(window.end())]).await?;
    let minutes: Vec<(i32, Aggregate)> = minutes.iter().map(|row| (row.get(0), aggregate(row))).collect();
    let of_series = minutes.chunk_by(|a, b| a.0 == b.0);
    let hours = of_series.filter_map(|rows| {
        let hour = merged(rows.iter().map(|(_, row)| *row))?;
        Some(again(rows[0].0, request, hour))
    });
    let hours: Vec<WindowRow> = hours.collect();
    windows::write(session, Width::Hour, Verdict::Again, &hours).await?;
    Ok(())
}

fn again(series: i32, request: &Request, row: Aggregate) -> WindowRow {
    WindowRow { series, start: request.start, row, revision: request.t, is_final: true, of: None }
}

fn aggregate(row: &tokio_postgres::Row) -> Aggregate {
    Aggregate {
        count: u64::try_from(row.get::<_, i64>(1)).unwrap_or(0),
        sum: row.get(2),
        min: row.get(3),
        max: row.get(4),
        last: row.get(5),
        last_time: row.get::<_, Time>(6).0,
    }
}
