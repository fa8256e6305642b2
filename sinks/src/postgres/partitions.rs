//! Native partitions: made ahead of time and behind it as far as a tier is kept, dropped when all of one is too old.
//!
//! A partition's name has its bounds in seconds (`raw_frames_1763733600_1763737200`), so that the list of names says what is covered. What
//! lies in the default partition where a new one is made moves into it.

use std::time::Duration;

use model::Timestamp;
use model::query::Tier;

use super::config::PostgresSettings;
use super::error::Failure;
use super::session::Session;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// Lengths of partitions: of these the shortest that keeps their number near `PARTITIONS`.
const STEPS: [i64; 7] = [HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY, 365 * DAY];
/// Enough that little more than asked is kept, few enough that planning a query is quick.
const PARTITIONS: i64 = 24;
/// Steps made ahead: a database whose hub is away for so long loses nothing, it only fills the default partition.
const AHEAD: i64 = 2;
/// Rows of a default partition deleted at once.
const DELETE_ROWS: i64 = 10_000;

/// A table in pieces by time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) kept: Duration,
    /// Its times are starts of windows, each with about as many rows.
    pub(super) is_windows: bool,
}

/// The tables that are partitioned, and how long each keeps its rows.
pub(super) fn tables(settings: &PostgresSettings) -> [Table; 5] {
    [
        Table { name: "raw_frames", kept: settings.kept(Tier::Raw), is_windows: false },
        Table { name: "process_minutes", kept: settings.kept(Tier::Raw), is_windows: false },
        Table { name: "minute_aggregates", kept: settings.kept(Tier::Minute), is_windows: true },
        Table { name: "fleet_minutes", kept: settings.kept(Tier::Minute), is_windows: false },
        Table { name: "hour_aggregates", kept: settings.kept(Tier::Hour), is_windows: true },
    ]
}

/// `[start, end)` in seconds.
type Span = (i64, i64);

impl Table {
    fn step(self) -> i64 {
        let kept = i64::try_from(self.kept.as_secs()).unwrap_or(i64::MAX);
        let fits = |step: &&i64| kept / PARTITIONS <= **step;
        STEPS.iter().find(fits).copied().unwrap_or(STEPS[STEPS.len() - 1])
    }

    /// Quoted, because a time before 1970 has a sign.
    fn partition(self, (start, end): Span) -> String {
        format!("\"{}_{start}_{end}\"", self.name)
    }

    async fn spans(self, session: &Session) -> Result<Vec<Span>, Failure> {
        let names = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
                     WHERE i.inhparent = ($1::text)::regclass";
        let rows = session.query(names, &[&self.name]).await?;
        let mut spans: Vec<Span> = rows.iter().filter_map(|row| self.span(row.get(0))).collect();
        spans.sort_unstable();
        Ok(spans)
    }

    /// The bounds in a partition's name; none for the default one.
    fn span(self, partition: &str) -> Option<Span> {
        let bounds = partition.strip_prefix(self.name)?.strip_prefix('_')?;
        let (start, end) = bounds.split_once('_')?;
        Some((start.parse().ok()?, end.parse().ok()?))
    }

    /// What is not covered, in pieces that end where steps end.
    fn missing(self, covered: &[Span], now: Timestamp) -> Vec<Span> {
        let step = self.step();
        let from = (now - self.kept).secs().div_euclid(step) * step;
        let to = (now.secs().div_euclid(step) + 1 + AHEAD) * step;
        let mut missing = Vec::new();
        let mut at = from;
        for (start, end) in covered.iter().copied().chain([(to, to)]) {
            while at < start.min(to) {
                let end = ((at.div_euclid(step) + 1) * step).min(start);
                missing.push((at, end));
                at = end;
            }
            at = at.max(end);
        }
        missing
    }

    async fn make(self, session: &Session, span: Span) -> Result<(), Failure> {
        let (table, partition) = (self.name, self.partition(span));
        let bound = |secs: i64| format!("'{}'", Timestamp::from_secs(secs).to_rfc3339());
        let (from, to) = (bound(span.0), bound(span.1));
        // See the migration of that name: the copy does not have it.
        let statistics = if self.is_windows {
            format!("ALTER TABLE {partition} ALTER COLUMN time SET STATISTICS 1;")
        } else {
            String::new()
        };
        // Behind a long query the lock is not waited for: every writer would queue behind us. The next round tries again.
        let made = session
            .batch(&format!(
                "BEGIN; SET LOCAL lock_timeout = 2000; \
                 CREATE TABLE {partition} (LIKE {table} INCLUDING ALL); {statistics} \
                 WITH moved AS (DELETE FROM {table}_default WHERE time >= {from} AND time < {to} RETURNING *) \
                 INSERT INTO {partition} SELECT * FROM moved; \
                 ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({from}) TO ({to}); COMMIT"
            ))
            .await;
        or_rolled_back(session, made).await
    }

    async fn drop(self, session: &Session, span: Span) -> Result<(), Failure> {
        let partition = self.partition(span);
        let dropped =
            session.batch(&format!("BEGIN; SET LOCAL lock_timeout = 2000; DROP TABLE {partition}; COMMIT")).await;
        or_rolled_back(session, dropped).await
    }
}

async fn or_rolled_back(session: &Session, done: Result<(), tokio_postgres::Error>) -> Result<(), Failure> {
    if let Err(error) = done {
        session.batch("ROLLBACK").await?;
        return Err(error.into());
    }
    Ok(())
}

/// Makes what is missing. Two hubs may do so at once: the one that comes second finds the name taken.
pub(super) async fn make_ahead(session: &Session, settings: &PostgresSettings, now: Timestamp) -> Result<(), Failure> {
    for table in tables(settings) {
        for span in table.missing(&table.spans(session).await?, now) {
            match table.make(session, span).await {
                Err(Failure::Sql(error)) if error.code().is_some_and(|code| code.code() == "42P07") => {}
                made => made?,
            }
        }
    }
    Ok(())
}

/// Drops what is too old, and deletes it from the default partitions.
pub(super) async fn drop_behind(session: &Session, settings: &PostgresSettings, now: Timestamp) -> Result<(), Failure> {
    for table in tables(settings) {
        let before = now - table.kept;
        for span in table.spans(session).await? {
            if span.1 <= before.secs() {
                table.drop(session, span).await?;
            }
        }
        let name = table.name;
        let delete = format!(
            "DELETE FROM {name}_default WHERE ctid IN (SELECT ctid FROM {name}_default WHERE time < $1 LIMIT {DELETE_ROWS})"
        );
        session.execute(&delete, &[&super::value::Time(before)]).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_covered_without_gaps_in_a_few_pieces_however_long_it_is_kept() {
        let now = Timestamp::from_secs(1_763_700_000);
        for hours in [1, 24, 7 * 24, 90 * 24, 10 * 365 * 24] {
            let table = Table { name: "raw_frames", kept: Duration::from_secs(hours * 3_600), is_windows: false };
            let spans = table.missing(&[], now);
            assert!(
                spans.windows(2).all(|pair| pair[0].1 == pair[1].0) && spans.len() < 45,
                "{hours}: {}",
                spans.len()
            );
            assert!(spans[0].0 <= (now - table.kept).secs() && now.secs() < spans[spans.len() - 1].0);
            assert_eq!(table.missing(&spans, now), []);
        }
    }

    #[test]
    fn what_lies_between_others_is_filled_whatever_their_length() {
        let table = Table { name: "raw_frames", kept: Duration::from_secs(3 * 3_600), is_windows: false };
        let now = Timestamp::from_secs(100 * HOUR + 60);
        let covered = [(90 * HOUR, 97 * HOUR + 5), (98 * HOUR + 7, 99 * HOUR), (101 * HOUR, 102 * HOUR)];
        let filled: Vec<(i64, i64)> =
            table.missing(&covered, now).into_iter().map(|(start, end)| (start - 97 * HOUR, end - 97 * HOUR)).collect();
        let wanted = [(5, HOUR), (HOUR, HOUR + 7), (2 * HOUR, 3 * HOUR), (3 * HOUR, 4 * HOUR), (5 * HOUR, 6 * HOUR)];
        assert_eq!(filled, wanted);
        assert_eq!(table.span("raw_frames_-3600_0"), Some((-3_600, 0)));
        assert_eq!(table.span("raw_frames_default"), None);
    }
}
