//! Retention: what is older than its tier keeps goes in small steps, so that no write waits long, and the file gives its pages back.

use model::Timestamp;
use model::synthetic::PREFIX;
use rusqlite::{Connection, params};

use super::config::SqliteSettings;
use super::fleet;

/// Rows deleted in one step: some milliseconds of work.
const STEP_ROWS: u32 = 500;
/// Machines whose windows are looked at in one step.
const STEP_MACHINES: u32 = 50;
/// Pages given back in one step.
const STEP_PAGES: u32 = 1_000;

/// Where a round stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Stage {
    #[default]
    Chunks,
    /// Windows of the machines after this id.
    Windows(i64),
    /// Minutes of the fleet's groups after this id.
    Fleet(i64),
    Alerts,
    DeadLetters,
    Machines,
    Pages,
}

/// What a step did.
pub(super) struct Step {
    /// None at the end of a round.
    pub(super) next: Option<Stage>,
    /// Machines were deleted: their ids mean nothing any more.
    pub(super) forgot: bool,
    /// Dead letters that were deleted.
    pub(super) letters: usize,
}

/// Does one step of a round.
pub(super) fn step(
    sql: &Connection,
    settings: &SqliteSettings,
    now: Timestamp,
    stage: Stage,
) -> rusqlite::Result<Step> {
    let (mut forgot, mut letters) = (false, 0);
    let before = |kept| (now - kept).micros();
    let delete = |text, cutoff: i64| sql.prepare_cached(text)?.execute(params![cutoff, STEP_ROWS]);
    // A full step leaves more to do.
    let after = |deleted, this, next| Some(if deleted < STEP_ROWS as usize { next } else { this });
    let next = match stage {
        Stage::Chunks => {
            let deleted = delete(include_str!("sql/expire_chunks.sql"), before(settings.raw_kept))?;
            after(deleted, Stage::Chunks, Stage::Windows(0))
        }
        Stage::Windows(after) => {
            let kept = [settings.raw_kept, settings.minute_kept, settings.hour_kept, settings.synthetic_kept];
            let cutoffs = kept.map(before);
            Some(expire_windows(sql, after, cutoffs)?.map_or(Stage::Fleet(0), Stage::Windows))
        }
        Stage::Fleet(after) => {
            Some(fleet::expire(sql, after, before(settings.minute_kept))?.map_or(Stage::Alerts, Stage::Fleet))
        }
        Stage::Alerts => {
            delete(include_str!("sql/expire_synthetic_alerts.sql"), before(settings.synthetic_kept))?;
            let deleted = delete(include_str!("sql/expire_alerts.sql"), before(settings.alerts_kept))?;
            after(deleted, Stage::Alerts, Stage::DeadLetters)
        }
        Stage::DeadLetters => {
            let mut statement = sql.prepare_cached(include_str!("sql/expire_dead_letters.sql"))?;
            let cutoff = before(settings.dead_letters_kept);
            letters = statement.execute(params![cutoff, STEP_ROWS, settings.dead_letters_max])?;
            after(letters, Stage::DeadLetters, Stage::Machines)
        }
        Stage::Machines => {
            let longest = settings.raw_kept.max(settings.minute_kept).max(settings.hour_kept);
            forgot = forget_machines(sql, before(longest), before(settings.synthetic_kept))?;
            Some(Stage::Pages)
        }
        Stage::Pages => {
            run_through(sql, &format!("PRAGMA incremental_vacuum({STEP_PAGES})"))?;
            // Syncs what was committed until now, so that a power cut takes back no more than the journal still has.
            run_through(sql, "PRAGMA wal_checkpoint(PASSIVE)")?;
            None
        }
    };
    Ok(Step { next, forgot, letters })
}

/// Some machines further; the last id looked at, none when there are no more.
fn expire_windows(sql: &Connection, after: i64, cutoffs: [i64; 4]) -> rusqlite::Result<Option<i64>> {
    let mut machines = sql.prepare_cached("SELECT id, machine FROM machines WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let found = machines.query_map(params![after, STEP_MACHINES], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found: Vec<(i64, String)> = found.collect::<rusqlite::Result<_>>()?;
    for (id, machine) in &found {
        let [mut raw, mut minute, mut hour, synthetic] = cutoffs;
        if machine.starts_with(PREFIX) {
            (raw, minute, hour) = (raw.max(synthetic), minute.max(synthetic), hour.max(synthetic));
            sql.prepare_cached(include_str!("sql/expire_machine_chunks.sql"))?.execute(params![id, synthetic])?;
        }
        sql.prepare_cached(include_str!("sql/expire_processes.sql"))?.execute(params![id, raw])?;
        sql.prepare_cached(include_str!("sql/expire_minute.sql"))?.execute(params![id, minute])?;
        sql.prepare_cached(include_str!("sql/expire_hour.sql"))?.execute(params![id, hour])?;
        for (is_hour, cutoff) in [(false, minute), (true, hour)] {
            sql.prepare_cached(include_str!("sql/expire_repairs.sql"))?.execute(params![id, is_hour, cutoff])?;
        }
    }
    Ok(found.last().map(|(id, _)| *id))
}

/// Whether any was deleted.
fn forget_machines(sql: &Connection, before: i64, synthetic: i64) -> rusqlite::Result<bool> {
    let transaction = sql.unchecked_transaction()?;
    let ids: Vec<i64> = {
        let mut forget = transaction.prepare_cached(include_str!("sql/forget_machines.sql"))?;
        forget
            .query_map(params![before, STEP_MACHINES, synthetic], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?
    };
    for id in &ids {
        for table in ["series", "process_minutes", "minute_aggregates", "hour_aggregates", "repairs"] {
            transaction.prepare_cached(&format!("DELETE FROM {table} WHERE machine_id = ?1"))?.execute([id])?;
        }
    }
    transaction.commit()?;
    Ok(!ids.is_empty())
}

/// To the end: each step of a vacuum gives back one page only.
fn run_through(sql: &Connection, text: &str) -> rusqlite::Result<()> {
    let mut statement = sql.prepare(text)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::open::open;
    use super::*;
    use crate::fixtures::at;

    #[test]
    fn a_round_gives_the_pages_of_deleted_rows_back() {
        let dir = tempfile::tempdir().unwrap();
        let (sql, _path, _lock) = open(dir.path(), at(0)).unwrap();
        let number = |text: &str| sql.query_row(text, [], |row| row.get::<_, i64>(0)).unwrap();
        let insert =
            "INSERT INTO raw_chunks (machine_id, start_time, end_time, data) VALUES (1, ?1, ?1, zeroblob(20000))";
        for n in 0..1_200 {
            sql.execute(insert, [n]).unwrap();
        }
        let full = number("PRAGMA page_count");
        let settings = SqliteSettings::new(dir.path());
        let mut stage = Stage::default();
        let mut steps = 0;
        loop {
            steps += 1;
            let Some(next) = step(&sql, &settings, at(10_000_000), stage).unwrap().next else {
                break;
            };
            stage = next;
        }
        assert_eq!(number("SELECT COUNT(*) FROM raw_chunks"), 0);
        assert!(full - number("PRAGMA page_count") >= i64::from(STEP_PAGES), "{steps} steps");
    }

    #[test]
    fn made_up_machines_are_kept_for_a_shorter_time() {
        const HOUR_US: i64 = 3_600_000_000;
        let dir = tempfile::tempdir().unwrap();
        let (sql, _path, _lock) = open(dir.path(), at(0)).unwrap();
        for (id, machine) in [(1, "db-1"), (2, "synthetic-load-0001"), (3, "synthetic-hub")] {
            let insert = "INSERT INTO machines (id, machine, last_seen, raw_t) VALUES (?1, ?2, ?3, 1)";
            sql.execute(insert, params![id, machine, 23 * HOUR_US]).unwrap();
            for hour in 0..24 {
                let insert = "INSERT INTO minute_aggregates VALUES (?1, ?2, 1, 1, 1, 1, 1, 1, 1, 1, 1)";
                sql.execute(insert, params![id, hour * HOUR_US]).unwrap();
                let insert =
                    "INSERT INTO raw_chunks (machine_id, start_time, end_time, data) VALUES (?1, ?2, ?2, zeroblob(8))";
                sql.execute(insert, params![id, hour * HOUR_US]).unwrap();
                let insert = "INSERT INTO process_minutes VALUES (?1, ?2, ?2, 1, '[]')";
                sql.execute(insert, params![id, hour * HOUR_US]).unwrap();
            }
        }
        let settings = SqliteSettings::new(dir.path());
        let round = |hour: i64| {
            let mut stage = Some(Stage::default());
            while let Some(now) = stage {
                stage = step(&sql, &settings, Timestamp::from_micros(hour * HOUR_US), now).unwrap().next;
            }
        };
        let count = |text: &str| sql.query_row(text, [], |row| row.get::<_, i64>(0)).unwrap();
        round(24);
        for table in ["minute_aggregates", "raw_chunks", "process_minutes"] {
            let of = |id: i64| count(&format!("SELECT COUNT(*) FROM {table} WHERE machine_id = {id}"));
            assert_eq!((of(1), of(2)), (24, 6), "{table}");
        }
        round(30);
        assert_eq!(count("SELECT COUNT(*) FROM machines"), 1);
        assert_eq!(count("SELECT COUNT(*) FROM minute_aggregates"), 24);
        assert_eq!(count("SELECT COUNT(*) FROM process_minutes"), 18, "kept as long as raw samples");
    }
}
