//! Windows: aggregates as rows of the minute and the hour tier, many in one statement.

use std::iter::once;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use hashbrown::HashSet;
use model::{Aggregate, Aggregates, LogicalTime, Output, Roster, Rows, Slot, Timestamp, Width};
use tokio_postgres::error::SqlState;

use super::error::Failure;
use super::ids::Ids;
use super::session::Session;
use super::value::{COPY_HEADER, COPY_TRAILER, Time, real, server_us, sql_t};

/// Rows of one statement: some megabytes of parameters.
const STATEMENT_ROWS: usize = 20_000;
/// Rows that are encoded at once: what a socket takes.
const COPY_ROWS: usize = 2_000;
/// Ten columns, each behind its length.
const ROW_BYTES: usize = 111;

/// One row of a tier.
#[derive(Debug, Clone)]
pub(super) struct WindowRow {
    pub(super) series: i32,
    pub(super) start: Timestamp,
    pub(super) row: Aggregate,
    pub(super) revision: i64,
    pub(super) is_final: bool,
    /// None for what is made again from the tier below; with the slot of its series there.
    pub(super) of: Option<(Arc<Aggregates>, Slot)>,
}

impl WindowRow {
    /// The row alone as the graph says it.
    pub(super) fn output(&self) -> Option<(LogicalTime, Output)> {
        let (of, slot) = self.of.as_ref()?;
        // Its series is all that the roster then names.
        let (machine, series) = (of.roster.machine.clone(), [Arc::clone(of.roster.key(*slot))].into());
        let (roster, rows) = (Roster { machine, index: 0, series }, Rows::Some([(Slot(0), self.row)].into()));
        let alone = Arc::new(Aggregates { rows, roster: Arc::new(roster), ..of.as_ref().clone() });
        let output = if of.window.width == Width::Hour { Output::Hour(alone) } else { Output::Minute(alone) };
        Some((of.revision, output))
    }
}

/// What decides whether a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its window is newer than any that is known of its machine, so that it should have no rows; the higher revision where it has.
    Ahead,
    /// The higher revision.
    Revision,
    /// More samples: the window is on the repair list.
    More,
    /// As many samples: it is made again from the tier below.
    Again,
}

/// A window of a machine, as the repair list has it.
type Place = (i32, bool, Timestamp);

/// The windows of one write.
#[derive(Default)]
pub(super) struct Windows {
    places: Vec<(Place, i64)>,
    rows: Vec<(Place, WindowRow)>,
    ahead: HashSet<Place>,
}

impl Windows {
    pub(super) fn add(&mut self, ids: &mut Ids, t: LogicalTime, rows: &Arc<Aggregates>) -> Result<(), Failure> {
        let slots = ids.slots(&rows.roster)?;
        let (machine, start) = (ids.machine(&rows.roster.machine)?, rows.window.start);
        let place = (machine, rows.window.width == Width::Hour, start);
        self.places.push((place, sql_t(t)));
        if ids.goes_ahead(&rows.roster.machine, rows.window) {
            self.ahead.insert(place);
        }
        rows.rows.each(|slot, row| {
            // A row belongs to a slot of its own roster.
            let Some(series) = slots.get(slot.index()) else { return };
            let (revision, is_final) = (sql_t(rows.revision), rows.is_final);
            let of = Some((Arc::clone(rows), slot));
            let row = WindowRow { series: *series, start, row: *row, revision, is_final, of };
            self.rows.push((place, row));
        });
        Ok(())
    }

    /// Tells the repair list, and sorts the rows by tier and by what decides for them; of several versions of one row the newest is left.
    pub(super) async fn sort(self, session: &Session) -> Result<Vec<(Width, Verdict, Vec<WindowRow>)>, Failure> {
        if self.rows.is_empty() {
            return Ok(Vec::new());
        }
        let listed = renew(session, &self.places).await?;
        let mut kinds = Vec::new();
        for width in [Width::Minute, Width::Hour] {
            for verdict in [Verdict::Ahead, Verdict::Revision, Verdict::More] {
                kinds.push((width, verdict, Vec::new()));
            }
        }
        for (place, row) in self.rows {
            let verdict = match (listed.contains(&place), self.ahead.contains(&place)) {
                (true, _) => 2,
                (false, false) => 1,
                (false, true) => 0,
            };
            kinds[3 * usize::from(place.1) + verdict].2.push(row);
        }
        for (_, _, rows) in &mut kinds {
            newest_of_each(rows);
        }
        kinds.retain(|(_, _, rows)| !rows.is_empty());
        Ok(kinds)
    }
}

/// One statement writes a row once. Sorted, so that pages are touched in order and two writers meet in one order.
fn newest_of_each(rows: &mut Vec<WindowRow>) {
    rows.sort_unstable_by_key(|row| (row.series, row.start, row.revision, row.is_final));
    // `dedup_by` keeps the former of two; the newest is the latter.
    rows.dedup_by(|later, kept| {
        let is_same = (later.series, later.start) == (kept.series, kept.start);
        if is_same {
            std::mem::swap(later, kept);
        }
        is_same
    });
}

/// Which of these windows are on the repair list; they are due again.
async fn renew(session: &Session, places: &[(Place, i64)]) -> Result<HashSet<Place>, Failure> {
    let mut newest = places.to_vec();
    newest.sort_unstable();
    let machines: Vec<i32> = newest.iter().map(|((machine, _, _), _)| *machine).collect();
    let are_hours: Vec<bool> = newest.iter().map(|((_, is_hour, _), _)| *is_hour).collect();
    let starts: Vec<Time> = newest.iter().map(|((_, _, start), _)| Time(*start)).collect();
    let times: Vec<i64> = newest.iter().map(|(_, t)| *t).collect();
    let text = include_str!("../../../sql/queries/renew_repairs.sql");
    let rows = session.query(text, &[&machines, &are_hours, &starts, &times]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get::<_, Time>(2).0)).collect())
}

fn text(width: Width, verdict: Verdict) -> &'static str {
    match (width, verdict) {
        (Width::Minute, Verdict::Revision | Verdict::Ahead) => include_str!("../../../sql/queries/upsert_minute.sql"),
        (Width::Minute, Verdict::More) => include_str!("../../../sql/queries/upsert_repaired_minute.sql"),
        (Width::Minute, Verdict::Again) => include_str!("../../../sql/queries/repair_minute.sql"),
        (Width::Hour, Verdict::Revision | Verdict::Ahead) => include_str!("../../../sql/queries/upsert_hour.sql"),
        (Width::Hour, Verdict::More) => include_str!("../../../sql/queries/upsert_repaired_hour.sql"),
        (Width::Hour, Verdict::Again) => include_str!("../../../sql/queries/repair_hour.sql"),
    }
}

/// Writes rows of which none has the key of another.
pub(super) async fn write(
    session: &Session,
    width: Width,
    verdict: Verdict,
    rows: &[WindowRow],
) -> Result<(), tokio_postgres::Error> {
    let is_written = verdict == Verdict::Ahead && copy(session, width, rows).await?;
    if is_written { Ok(()) } else { upsert(session, width, verdict, rows).await }
}

/// Twice as fast as the upsert, and takes new keys only: false when one is not, and nothing is written then.
async fn copy(session: &Session, width: Width, rows: &[WindowRow]) -> Result<bool, tokio_postgres::Error> {
    let text = match width {
        Width::Minute => include_str!("../../../sql/queries/copy_minute.sql"),
        Width::Hour => include_str!("../../../sql/queries/copy_hour.sql"),
    };
    session.batch("SAVEPOINT ahead").await?;
    let pieces = rows.chunks(COPY_ROWS).map(encode);
    let framed = once(Bytes::from_static(COPY_HEADER)).chain(pieces).chain(once(Bytes::from_static(COPY_TRAILER)));
    match session.copy_in(text, framed).await {
        Ok(_) => session.batch("RELEASE SAVEPOINT ahead").await.map(|()| true),
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            session.batch("ROLLBACK TO SAVEPOINT ahead; RELEASE SAVEPOINT ahead").await.map(|()| false)
        }
        Err(error) => Err(error),
    }
}

/// Rows as the server's binary COPY takes them, in the order of the statement's columns.
fn encode(rows: &[WindowRow]) -> Bytes {
    let mut out = BytesMut::with_capacity(rows.len() * ROW_BYTES);
    for WindowRow { series, start, row, revision, is_final, of: _ } in rows {
        out.put_i16(10);
        out.put_i32(4);
        out.put_i32(*series);
        out.put_i32(1);
        out.put_u8(u8::from(*is_final));
        out.put_i32(8);
        out.put_i64(server_us(*start));
        out.put_i32(8);
        out.put_i64(i64::try_from(row.count).unwrap_or(i64::MAX));
        for value in [row.sum, row.min, row.max, row.last] {
            out.put_i32(8);
            out.put_f64(real(value));
        }
        for long in [server_us(row.last_time), *revision] {
            out.put_i32(8);
            out.put_i64(long);
        }
    }
    out.freeze()
}

async fn upsert(
    session: &Session,
    width: Width,
    verdict: Verdict,
    rows: &[WindowRow],
) -> Result<(), tokio_postgres::Error> {
    for rows in rows.chunks(STATEMENT_ROWS) {
        let series: Vec<i32> = rows.iter().map(|row| row.series).collect();
        let are_final: Vec<bool> = rows.iter().map(|row| row.is_final).collect();
        let starts: Vec<Time> = rows.iter().map(|row| Time(row.start)).collect();
        let counts: Vec<i64> = rows.iter().map(|row| i64::try_from(row.row.count).unwrap_or(i64::MAX)).collect();
        let reals = |of: fn(&Aggregate) -> f64| -> Vec<f64> { rows.iter().map(|row| real(of(&row.row))).collect() };
        let (sums, mins) = (reals(|row| row.sum), reals(|row| row.min));
        let (maxes, lasts) = (reals(|row| row.max), reals(|row| row.last));
        let last_times: Vec<Time> = rows.iter().map(|row| Time(row.row.last_time)).collect();
        let revisions: Vec<i64> = rows.iter().map(|row| row.revision).collect();
        session
            .execute(
                text(width, verdict),
                &[&series, &are_final, &starts, &counts, &sums, &mins, &maxes, &lasts, &last_times, &revisions],
            )
            .await?;
    }
    Ok(())
}
