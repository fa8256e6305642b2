//! Reading history: ranges of each tier, alerts, dead letters; and what the hub asks once, at its start.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use model::query::{
    AlertQuery, Answer, DeadLetterQuery, FleetAnswer, FleetQuery, History, ProcessQuery, QueryError, RangeAnswer,
    RangeQuery, SeriesPoints, Tier,
};
use model::{
    Alert, AlertState, Cause, DeadLetter, Kept, Labels, LogicalTime, MachineId, Processes, RejectReason, Rejected,
    Resolution, Rule, SeriesKey, Source, Standing, Timestamp, Width, Window,
};
use tokio_postgres::Row;

use super::error::Failure;
use super::session::Session;
use super::value::{Time, Values, from_sql_t};
use super::{Shared, fleet, upkeep};
use crate::process_list;
use crate::samples::{Sample, sort_samples};

/// Read-only side of the store; clones share it.
#[derive(Clone)]
pub struct PostgresHistory {
    pub(super) shared: Arc<Shared>,
}

/// A series with its row id.
type Asked = (i32, Arc<SeriesKey>);

impl PostgresHistory {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// What answers at the other end; none before the first connection.
    pub fn server(&self) -> Option<String> {
        self.shared.server().as_ref().map(ToString::to_string)
    }

    /// T of the newest batch in any minute that starts at `from` or later; 0 where there is none.
    ///
    /// # Errors
    /// When the server cannot answer.
    pub async fn newest_revision(&self, from: Timestamp) -> Result<LogicalTime, QueryError> {
        self.shared
            .pool
            .run(async {
                let loan = self.shared.pool.lend().await?;
                let text = include_str!("../../../sql/queries/newest_revision.sql");
                let newest: Option<i64> = loan.session().one(text, &[&Time(from)]).await?.get(0);
                loan.give_back();
                Ok(newest.map_or(0, from_sql_t))
            })
            .await
    }

    fn is_partial(&self, from: Timestamp, tier: Tier) -> bool {
        from < upkeep::now(&self.shared.clock) - self.kept(tier)
    }
}

impl History for PostgresHistory {
    fn range(&self, query: RangeQuery) -> Answer<'_, RangeAnswer> {
        Box::pin(self.shared.pool.run(async move {
            let loan = self.shared.pool.lend().await?;
            let answer = range(loan.session(), &query).await?;
            loan.give_back();
            Ok(RangeAnswer { partial: self.is_partial(query.from, query.tier), ..answer })
        }))
    }

    fn processes(&self, query: ProcessQuery) -> Answer<'_, Option<Processes>> {
        Box::pin(self.shared.pool.run(async move {
            let loan = self.shared.pool.lend().await?;
            let (machine, minute) = (query.machine.as_str(), Window::containing(query.at, Width::Minute).start);
            let (from, to) = (Time(query.at - query.reach), Time(query.at + query.reach));
            let params: super::session::Params<'_> = &[&machine, &Time(query.at), &Time(minute), &from, &to];
            let rows = loan.session().query(include_str!("../../../sql/queries/read_processes.sql"), params).await?;
            loan.give_back();
            let Some(row) = rows.first() else { return Ok(None) };
            process_list::table(query.machine, row.get::<_, Time>(0).0, row.get(1)).map(Some).map_err(Failure::Content)
        }))
    }

    fn fleet(&self, query: FleetQuery) -> Answer<'_, FleetAnswer> {
        Box::pin(self.shared.pool.run(async move {
            let loan = self.shared.pool.lend().await?;
            let answer = fleet::read(loan.session(), &query).await?;
            loan.give_back();
            Ok(FleetAnswer { partial: self.is_partial(query.from, Tier::Minute), ..answer })
        }))
    }

    fn alerts(&self, query: AlertQuery) -> Answer<'_, Vec<Alert>> {
        Box::pin(self.shared.pool.run(async move {
            let loan = self.shared.pool.lend().await?;
            let machine = query.machine.as_ref().map(MachineId::as_str);
            let (from, to) = (Time(query.from), Time(query.to));
            let page: super::session::Params<'_> =
                &[&from, &to, &machine, &query.rule, &sql_len(query.offset), &sql_len(query.limit)];
            let rows = loan.session().query(include_str!("../../../sql/queries/read_alerts.sql"), page).await?;
            loan.give_back();
            rows.iter().map(alert).collect()
        }))
    }

    fn dead_letters(&self, query: DeadLetterQuery) -> Answer<'_, Vec<DeadLetter>> {
        Box::pin(self.shared.pool.run(async move {
            let DeadLetterQuery { id, reason, is_waiting, offset, limit } = query;
            let loan = self.shared.pool.lend().await?;
            let rows = match id {
                Some(id) => {
                    let text = include_str!("../../../sql/queries/find_dead_letter.sql");
                    loan.session().query(text, &[&id]).await?
                }
                None => {
                    let reason = reason.map(RejectReason::as_str);
                    let page: super::session::Params<'_> = &[&sql_len(offset), &sql_len(limit), &reason, &is_waiting];
                    loan.session().query(include_str!("../../../sql/queries/read_dead_letters.sql"), page).await?
                }
            };
            loan.give_back();
            rows.iter().map(dead_letter).collect()
        }))
    }

    fn kept(&self, tier: Tier) -> Duration {
        self.shared.settings.kept(tier)
    }
}

pub(super) fn sql_len(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

async fn range(session: &Session, query: &RangeQuery) -> Result<RangeAnswer, Failure> {
    let (machine, metrics) = (query.machine.as_str(), &query.metrics);
    let rows = session.query(include_str!("../../../sql/queries/read_series.sql"), &[&machine, metrics]).await?;
    let Some(first) = rows.first() else {
        return Ok(RangeAnswer::default());
    };
    let machine: i32 = first.get(1);
    let series = rows.iter().map(|row| Ok((row.get(0), Arc::new(series_key(row.get(2), row.get(3))?))));
    let series: Vec<Asked> = series.collect::<Result<_, Failure>>()?;
    match query.tier {
        Tier::Raw => raw(session, query, machine, series).await,
        Tier::Minute => windows(session, query, series, &MINUTES).await,
        Tier::Hour => windows(session, query, series, &HOURS).await,
    }
}

pub(super) fn series_key(metric: &str, labels: &str) -> Result<SeriesKey, Failure> {
    let labels: Labels =
        serde_json::from_str(labels).map_err(|error| Failure::Content(format!("read labels: {error}")))?;
    SeriesKey::parse(metric, labels).map_err(|error| Failure::Content(error.to_string()))
}

/// One list per series, in time order, each sample once. Stops where the points are too many.
async fn raw(session: &Session, query: &RangeQuery, machine: i32, series: Vec<Asked>) -> Result<RangeAnswer, Failure> {
    let places: HashMap<i32, usize> = series.iter().enumerate().map(|(place, (id, _))| (*id, place)).collect();
    let rows = session.query(include_str!("../../../sql/queries/read_layouts.sql"), &[&machine]).await?;
    // Of each layout, the place of each value in the answer.
    let layouts: HashMap<i32, Vec<Option<usize>>> = rows
        .iter()
        .map(|row| (row.get(0), row.get::<_, Vec<i32>>(1).iter().map(|id| places.get(id).copied()).collect()))
        .collect();
    let mut lists: Vec<Vec<Sample>> = vec![Vec::new(); series.len()];
    // A frame has a point at least, but for those of which nothing is asked.
    let frames_max = sql_len(query.points_max).saturating_add(1);
    let text = include_str!("../../../sql/queries/read_frames.sql");
    let rows = session.query(text, &[&machine, &Time(query.from), &Time(query.to), &frames_max]).await?;
    let is_cut = query.points_max < rows.len();
    for row in &rows {
        let (layout, time, values): (i32, Time, Values<'_>) = (row.get(0), row.get(1), row.get(2));
        let Some(layout) = layouts.get(&layout) else { continue };
        for (place, value) in layout.iter().zip(values.iter()) {
            if let (Some(place), Some(value)) = (place, value) {
                lists[*place].push((time.0.micros(), value));
            }
        }
    }
    Ok(raw_answer(series, lists, query.points_max, is_cut))
}

fn raw_answer(series: Vec<Asked>, lists: Vec<Vec<Sample>>, points_max: usize, is_cut: bool) -> RangeAnswer {
    let mut answer = RangeAnswer { truncated: is_cut, ..RangeAnswer::default() };
    let mut left = points_max;
    for ((_, key), mut list) in series.into_iter().zip(lists) {
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

/// How windows of a width are read.
struct Windows {
    width: Width,
    of_several: &'static str,
    /// The same of one series, the chart's question: the server need not sort.
    of_one: &'static str,
}

const MINUTES: Windows = Windows {
    width: Width::Minute,
    of_several: include_str!("../../../sql/queries/read_minute.sql"),
    of_one: include_str!("../../../sql/queries/read_minute_of_one.sql"),
};

const HOURS: Windows = Windows {
    width: Width::Hour,
    of_several: include_str!("../../../sql/queries/read_hour.sql"),
    of_one: include_str!("../../../sql/queries/read_hour_of_one.sql"),
};

async fn windows(
    session: &Session,
    query: &RangeQuery,
    series: Vec<Asked>,
    windows: &Windows,
) -> Result<RangeAnswer, Failure> {
    let ids: Vec<i32> = series.iter().map(|(id, _)| *id).collect();
    let places: HashMap<i32, usize> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    let mut points: Vec<SeriesPoints> =
        series.into_iter().map(|(_, key)| SeriesPoints { key: Some(key), ..SeriesPoints::default() }).collect();
    // The window that `from` falls into begins before it.
    let (from, to) = (Time(Window::containing(query.from, windows.width).start), Time(query.to));
    let one_more = sql_len(query.points_max).saturating_add(1);
    let rows = match ids.as_slice() {
        [id] => session.query(windows.of_one, &[id, &from, &to, &one_more]).await?,
        _ => session.query(windows.of_several, &[&ids, &from, &to, &one_more]).await?,
    };
    for row in rows.iter().take(query.points_max) {
        let place = if points.len() == 1 { Some(&0) } else { places.get(&row.get::<_, i32>(7)) };
        if let Some(place) = place {
            push_window(row, &mut points[*place]);
        }
    }
    points.retain(|points| !points.t.is_empty());
    Ok(RangeAnswer { series: points, truncated: query.points_max < rows.len(), ..RangeAnswer::default() })
}

fn push_window(row: &Row, points: &mut SeriesPoints) {
    let (count, sum): (i64, f64) = (row.get(1), row.get(2));
    points.t.push(row.get::<_, Time>(0).0);
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    points.v.push(sum / count as f64);
    points.count.push(u64::try_from(count).unwrap_or(0));
    points.sum.push(sum);
    points.min.push(row.get(3));
    points.max.push(row.get(4));
    points.last.push(row.get(5));
    points.is_final.push(row.get(6));
}

fn alert(row: &Row) -> Result<Alert, Failure> {
    let content = |error: &dyn std::fmt::Display| Failure::Content(format!("read alert: {error}"));
    let rule: Rule = serde_json::from_str(row.get(1)).map_err(|error| content(&error))?;
    let machine = MachineId::parse(row.get(2)).map_err(|error| content(&error))?;
    let is_firing = row.get::<_, &str>(5) == "firing";
    let (word, silence): (Option<&str>, Option<&str>) = (row.get(11), row.get(12));
    Ok(Alert {
        id: row.get(0),
        rule: Arc::new(rule),
        machine,
        series: Arc::new(series_key(row.get(3), row.get(4))?),
        state: if is_firing { AlertState::Firing } else { AlertState::Resolved },
        value: row.get(6),
        since: row.get::<_, Time>(7).0,
        resolved: row.get::<_, Option<Time>>(8).map(|time| time.0),
        resolution: row.get::<_, Option<&str>>(13).and_then(Resolution::parse),
        // None too for a word that a newer program wrote: the graph says it again.
        standing: word.and_then(|word| Standing::parse(word, silence)),
        t: from_sql_t(row.get(9)),
        cause: if row.get::<_, &str>(10) == Cause::NoData.as_str() { Cause::NoData } else { Cause::Threshold },
    })
}

fn dead_letter(row: &Row) -> Result<DeadLetter, Failure> {
    let reason: &str = row.get(1);
    let unknown = || Failure::Content(format!("dead letter has an unknown reason {reason}: a newer program wrote it"));
    let payload: Option<String> = row.get(7);
    let kept = payload.as_deref().and_then(Kept::from_json).map(Arc::new);
    let rejected = Rejected {
        machine: MachineId::parse(row.get(0)).map_err(|error| Failure::Content(error.to_string()))?,
        reason: RejectReason::parse(reason).ok_or_else(unknown)?,
        count: u32::try_from(row.get::<_, i64>(2)).unwrap_or(u32::MAX),
        arrival: row.get::<_, Time>(3).0,
        detail: row.get(4),
        source: Source::parse(row.get(6)),
        kept,
    };
    let row_text = if rejected.kept.is_none() { payload } else { None };
    let resent = row.get::<_, Option<Time>>(8).map(|time| time.0);
    Ok(DeadLetter { id: row.get(5), rejected, row: row_text, has_row: row.get(9), resent })
}
