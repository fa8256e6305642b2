//! The built program as tests meet it: a hub in a folder of its own on free ports, asked over HTTP, and machines that push over real gRPC.

#![allow(dead_code, unused_imports, reason = "each test program uses its part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod group;
pub(crate) mod kills;
mod machine;
mod program;
pub(crate) mod roaming;
mod segment;
pub(crate) mod simulated;
#[cfg(feature = "integration")]
pub(crate) mod tables;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use group::Group;
pub(crate) use machine::{Machine, Push};
pub(crate) use program::{Program, rule_file};
pub(crate) use segment::{Damage, Framed, Segment};

/// Long enough for a slow machine; nothing waits for it when all is well.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Milliseconds since the epoch, as the hub's clock has them.
#[expect(clippy::disallowed_methods, reason = "the hub under test is another process with the system's clock")]
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Keeps everybody from writing to the embedded history for as long as this is so.
pub(crate) fn hold_history(dir: &std::path::Path, is_held: impl Fn() -> bool) {
    let sql = rusqlite::Connection::open(dir.join("history.db")).unwrap();
    sql.busy_timeout(SOON).unwrap();
    sql.execute_batch("BEGIN IMMEDIATE").unwrap();
    while is_held() {
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
    sql.execute_batch("ROLLBACK").unwrap();
}

/// The same for this time.
pub(crate) fn hold_history_for(dir: &std::path::Path, time: std::time::Duration) {
    let until = std::time::Instant::now() + time;
    hold_history(dir, || std::time::Instant::now() < until);
}
