//! History on SQLite, in the hub's own process: raw samples as chunks, minutes, hours, alerts, machines, dead letters.
//!
//! In: a `driver` writes through `SqliteSink`. Out: `SqliteHistory` answers `model::query::History` from a pool of read-only
//! connections and from what is still gathered in memory. One file, one writer, one process.

mod chunk;
mod config;
mod expire;
pub(crate) mod export;
mod fleet;
mod gather;
mod open;
mod pool;
mod read;
mod repair;
mod rows;
#[cfg(test)]
mod tests;
mod write;

use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Timestamp;
use runtime::clock::SharedClock;
use runtime::metrics::Registry;

use crate::error::SinkError;
use crate::status::LETTERS_DROPPED;
pub use config::SqliteSettings;
use gather::Gathered;
use pool::Pool;
pub use read::{Known, SqliteHistory};
pub use write::SqliteSink;
use write::{Meters, Writer};

/// What the writer and the readers share.
struct Shared {
    settings: SqliteSettings,
    gathered: Mutex<Gathered>,
    pool: Pool,
    clock: SharedClock,
    /// Keeps other processes out as long as anyone holds the store.
    _lock: File,
}

impl Shared {
    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the store in its folder, making or mending what is needed. Blocking: call it at the start.
///
/// # Errors
/// `Broken` with what to do when another process holds the folder, it cannot be written to, or a newer program wrote the file. A damaged
/// file is no error: it is set aside, which is said in the log.
pub fn open(
    settings: SqliteSettings,
    clock: SharedClock,
    registry: &Registry,
) -> Result<(SqliteSink, SqliteHistory), SinkError> {
    let now = Timestamp::from_micros(clock.now_us());
    let (connection, path, lock) = open::open(&settings.dir, now)?;
    let help = "Alert transitions that found nothing to change.";
    let meters = Meters {
        unchanged: registry.counter("sinks_alerts_unchanged_total", help, &[]),
        letters_dropped: registry.counter(LETTERS_DROPPED.0, LETTERS_DROPPED.1, &[("sink", settings.name)]),
    };
    let shared = Arc::new(Shared {
        pool: Pool::new(path, settings.readers, settings.query_within),
        settings,
        gathered: Mutex::default(),
        clock: Arc::clone(&clock),
        _lock: lock,
    });
    let writer = Writer::new(connection, Arc::clone(&shared), clock, meters)?;
    Ok((SqliteSink::new(writer), SqliteHistory::new(shared)))
}
