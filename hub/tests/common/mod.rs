//! The built program as tests meet it: a hub in a folder of its own on free ports, asked over HTTP, and machines that push over real gRPC.

#![allow(dead_code, unused_imports, reason = "each test program uses its part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod machine;
mod program;
mod segment;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
