//! Tables of a history on PostgreSQL, by names instead of ids and without the logical times, which no two runs have in common.

use std::collections::BTreeSet;

use testkit::eventually;
use testkit::postgres::Database;
use tokio_postgres::Client;

use super::SOON;

/// Of each: its name, and what makes rows of it the same. An hour that is open shows every five minutes, in whoever runs as long.
const TABLES: [(&str, &str); 4] = [
    ("minutes", "SELECT (machine, metric, labels, time, count, sum, min, max, last)::text FROM minute ORDER BY 1"),
    (
        "hours",
        "SELECT (machine, metric, labels, time, count, sum, min, max, last)::text FROM hour WHERE is_final ORDER BY 1",
    ),
    ("samples", "SELECT (machine, metric, labels, time, value)::text FROM raw_samples ORDER BY 1"),
    ("alerts", "SELECT (rule_name, machine, metric, labels, since, resolved, state)::text FROM alerts ORDER BY 1"),
];

/// Rows that are there once for each of these.
const ONCE: [(&str, &str); 4] = [
    ("frames", "SELECT machine_id, time FROM raw_frames"),
    ("minutes", "SELECT machine, metric, labels, time FROM minute"),
    ("hours", "SELECT machine, metric, labels, time FROM hour"),
    ("alerts", "SELECT rule_name, machine, metric, labels, since FROM alerts"),
];

/// Both have the same rows, as soon as what closes by silence has closed.
pub(crate) async fn are_equal(database: &Database, expected: &Database) {
    let (left, right) = (database.client().await.unwrap(), expected.client().await.unwrap());
    for (table, query) in TABLES {
        let differing = async || differing(&rows(&left, query).await, &rows(&right, query).await);
        let none = |differing: &Vec<String>| differing.is_empty();
        eventually(SOON, differing, none).await.unwrap_or_else(|error| panic!("{table}: {error}"));
    }
}

/// No row is there twice, however it came.
pub(crate) async fn repeat_nothing(database: &Database) {
    let client = database.client().await.unwrap();
    for (table, query) in ONCE {
        let repeated = format!("SELECT rows::text FROM ({query}) AS rows GROUP BY rows HAVING 1 < count(*) LIMIT 5");
        assert_eq!(rows(&client, &repeated).await, Vec::<String>::new(), "{table} has rows twice");
    }
}

async fn rows(client: &Client, query: &str) -> Vec<String> {
    client.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Some of what only one of them has; both are in order.
fn differing(left: &[String], right: &[String]) -> Vec<String> {
    if left == right {
        return Vec::new();
    }
    let (all_left, all_right): (BTreeSet<_>, BTreeSet<_>) = (left.iter().collect(), right.iter().collect());
    let counts = format!("{} rows and {}", left.len(), right.len());
    let only = |sign: char, mine: &BTreeSet<&String>, other: &BTreeSet<&String>| {
        mine.difference(other).take(5).map(|row| format!("{sign}{row}")).collect::<Vec<_>>()
    };
    [vec![counts], only('+', &all_left, &all_right), only('-', &all_right, &all_left)].concat()
}
