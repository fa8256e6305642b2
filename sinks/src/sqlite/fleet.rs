//! Minutes of the fleet: written by whole revisions, read as series, forgotten group by group.

use std::sync::Arc;

use model::query::{FleetAnswer, FleetPoints, FleetQuery, OfFleet};
use model::{FleetMinute, LogicalTime, Tag, Timestamp, Width, Window};
use rusqlite::{Connection, params};

use super::pool::ReadError;
use super::rows::{real, sql_t};

/// Groups whose old minutes go in one step.
const STEP_GROUPS: u32 = 200;

/// The whole fleet has no tag; a tag's name is never empty.
fn columns(tag: Option<&Tag>) -> (&str, &str) {
    tag.map_or(("", ""), |tag| (&tag.name, &tag.value))
}

pub(super) fn write(sql: &Connection, fleet: &FleetMinute) -> rusqlite::Result<()> {
    let (name, value) = columns(fleet.tag.as_ref());
    let (start, revision) = (fleet.minute.micros(), sql_t(fleet.revision));
    let mut insert = sql.prepare_cached(include_str!("sql/insert_fleet_group.sql"))?;
    let mut upsert = sql.prepare_cached(include_str!("sql/upsert_fleet_minute.sql"))?;
    for row in &fleet.rows {
        let group: i64 = insert.query_row(params![name, value, row.metric.as_ref()], |row| row.get(0))?;
        let count = i64::try_from(row.count).unwrap_or(i64::MAX);
        let (sum, min, max) = (real(row.sum), real(row.min), real(row.max));
        upsert.execute(params![group, start, row.machines, count, sum, min, max, revision])?;
    }
    // A revision is whole: what it does not have is not there any more.
    sql.prepare_cached(include_str!("sql/clear_fleet_minute.sql"))?.execute(params![name, value, start, revision])?;
    Ok(())
}

/// Some groups further; the last id looked at, none when there are no more.
pub(super) fn expire(sql: &Connection, after: i64, before: i64) -> rusqlite::Result<Option<i64>> {
    let mut page =
        sql.prepare_cached("SELECT MAX(id) FROM (SELECT id FROM fleet_groups WHERE id > ?1 ORDER BY id LIMIT ?2)")?;
    let last: Option<i64> = page.query_row(params![after, STEP_GROUPS], |row| row.get(0))?;
    let Some(last) = last else { return Ok(None) };
    let transaction = sql.unchecked_transaction()?;
    transaction.prepare_cached(include_str!("sql/expire_fleet.sql"))?.execute(params![after, last, before])?;
    transaction.prepare_cached(include_str!("sql/forget_fleet_groups.sql"))?.execute(params![after, last])?;
    transaction.commit()?;
    Ok(Some(last))
}

pub(super) fn read(sql: &Connection, query: &FleetQuery) -> Result<FleetAnswer, ReadError> {
    let (name, value) = match &query.of {
        OfFleet::All => ("", Some("")),
        OfFleet::Name(name) => (name.as_str(), None),
        OfFleet::Tag(tag) => (tag.name.as_ref(), Some(tag.value.as_ref())),
    };
    // The minute that `from` falls into begins before it.
    let from = Window::containing(query.from, Width::Minute).start;
    let mut answer = FleetAnswer::default();
    let mut select = sql.prepare_cached(include_str!("sql/read_fleet.sql"))?;
    let mut rows = select.query(params![name, value, query.metric, from.micros(), query.to.micros()])?;
    let mut points_left = query.points_max;
    while let Some(row) = rows.next()? {
        if points_left == 0 {
            answer.truncated = true;
            break;
        }
        points_left -= 1;
        let value: String = row.get(0)?;
        let is_known = answer.series.last().is_some_and(|last| columns(last.tag.as_ref()).1 == value);
        if !is_known {
            let tag = (!name.is_empty()).then(|| Tag { name: Arc::from(name), value: value.into() });
            answer.series.push(FleetPoints { tag, ..FleetPoints::default() });
        }
        let Some(points) = answer.series.last_mut() else { continue };
        points.t.push(Timestamp::from_micros(row.get(1)?));
        points.machines.push(row.get(2)?);
        points.count.push(LogicalTime::try_from(row.get::<_, i64>(3)?).unwrap_or(0));
        points.sum.push(row.get(4)?);
        points.min.push(row.get(5)?);
        points.max.push(row.get(6)?);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::super::open::open;
    use super::*;
    use crate::fixtures::{at, fleet_minute};
    use tempfile::TempDir;

    fn store() -> (TempDir, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let (sql, _path, _lock) = open(dir.path(), at(0)).unwrap();
        (dir, sql)
    }

    fn query(of: OfFleet) -> FleetQuery {
        FleetQuery { metric: "cpu".to_owned(), of, from: at(0), to: at(1_000), points_max: 100 }
    }

    /// `role=db 60:3` for three machines at second 60.
    fn shown(sql: &Connection, of: OfFleet) -> Vec<String> {
        let answer = read(sql, &query(of)).unwrap();
        let one = |series: &FleetPoints| {
            let name = series.tag.as_ref().map_or("all".to_owned(), Tag::to_string);
            let points = series.t.iter().zip(&series.machines).map(|(t, n)| format!(" {}:{n}", t.secs()));
            name + &points.collect::<String>()
        };
        answer.series.iter().map(one).collect()
    }

    #[test]
    fn a_revision_replaces_the_one_before_whole_and_a_repeat_changes_nothing() {
        let (_dir, sql) = store();
        let db = Some(Tag::new("role", "db"));
        let revisions = [
            fleet_minute(db.as_ref(), at(60), 1, &[("cpu", 2), ("disk", 2)]),
            fleet_minute(db.as_ref(), at(60), 2, &[("disk", 3)]),
        ];
        let disks = |sql: &Connection| {
            let query = FleetQuery { metric: "disk".to_owned(), ..query(OfFleet::Name("role".to_owned())) };
            read(sql, &query).unwrap().series[0].machines.clone()
        };
        write(&sql, &revisions[0]).unwrap();
        assert_eq!(shown(&sql, OfFleet::Name("role".to_owned())), ["role=db 60:2"]);
        for _ in 0..2 {
            write(&sql, &revisions[1]).unwrap();
            assert_eq!(shown(&sql, OfFleet::Name("role".to_owned())), [""; 0], "F-2: the metric is gone");
            assert_eq!(disks(&sql), [3]);
        }
        write(&sql, &fleet_minute(db.as_ref(), at(60), 3, &[])).unwrap();
        let left: i64 = sql.query_row("SELECT COUNT(*) FROM fleet_minutes", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "an emptied group");
    }

    #[test]
    fn the_whole_fleet_one_tag_or_every_value_of_a_name_is_read() {
        let (_dir, sql) = store();
        let tags = [None, Some(Tag::new("role", "db")), Some(Tag::new("role", "web")), Some(Tag::new("site", "x"))];
        for (tag, machines) in tags.iter().zip(1..) {
            for minute in [60, 120] {
                write(&sql, &fleet_minute(tag.as_ref(), at(minute), 1, &[("cpu", machines)])).unwrap();
            }
        }
        assert_eq!(shown(&sql, OfFleet::All), ["all 60:1 120:1"]);
        assert_eq!(shown(&sql, OfFleet::Tag(Tag::new("role", "web"))), ["role=web 60:3 120:3"]);
        assert_eq!(shown(&sql, OfFleet::Name("role".to_owned())), ["role=db 60:2 120:2", "role=web 60:3 120:3"]);
        let few = read(&sql, &FleetQuery { points_max: 3, ..query(OfFleet::Name("role".to_owned())) }).unwrap();
        assert!(few.truncated && few.series.iter().map(|series| series.t.len()).sum::<usize>() == 3);
        let range = FleetQuery { from: at(90), to: at(120), ..query(OfFleet::All) };
        assert_eq!(read(&sql, &range).unwrap().series[0].t, [at(60)], "the minute that the range begins in");
    }

    #[test]
    fn old_minutes_go_and_groups_without_any_too() {
        let (_dir, sql) = store();
        for n in 0..250 {
            let tag = Tag::new("n", &n.to_string());
            write(&sql, &fleet_minute(Some(&tag), at(60), 1, &[("cpu", 1)])).unwrap();
        }
        write(&sql, &fleet_minute(None, at(60), 1, &[("cpu", 1)])).unwrap();
        write(&sql, &fleet_minute(None, at(120), 1, &[("cpu", 1)])).unwrap();
        let (mut after, mut steps) = (0, 0);
        while let Some(last) = expire(&sql, after, at(100).micros()).unwrap() {
            (after, steps) = (last, steps + 1);
        }
        assert_eq!((steps, shown(&sql, OfFleet::All)), (2, vec!["all 120:1".to_owned()]));
        let groups: i64 = sql.query_row("SELECT COUNT(*) FROM fleet_groups", [], |row| row.get(0)).unwrap();
        assert_eq!(groups, 1);
    }
}
