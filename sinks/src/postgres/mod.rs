//! History on a server: TimescaleDB, or plain PostgreSQL with native partitions.
//!
//! In: a `driver` writes through `PostgresSink`, one transaction a batch, rows and cursor together. Out: `PostgresHistory` answers
//! `model::query::History` from a few connections of its own. Neither needs the server to be there when it is made: the driver spills until
//! it is, and queries answer that it is away. The tables are in `sql/`.

mod config;
mod error;
mod fleet;
mod frames;
mod ids;
mod import;
mod letters;
mod mirror;
mod names;
mod partitions;
mod pool;
mod read;
mod repair;
mod resend;
mod rows;
mod schema;
mod session;
mod store;
mod timescale;
mod tls;
mod upkeep;
mod value;
mod windows;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runtime::clock::SharedClock;
use runtime::metrics::Registry;

use crate::error::SinkError;
pub use config::{InvalidUrl, PostgresSettings, PostgresUrl};
pub use import::{Imported, import};
pub use mirror::Mirrors;
use pool::Pool;
pub use read::PostgresHistory;
pub use resend::RowRefused;
pub use schema::{Server, Tiers};
use session::Session;
use store::Meters;
pub use write::PostgresSink;

/// What the writer and the readers share.
struct Shared {
    settings: PostgresSettings,
    pool: Pool,
    clock: SharedClock,
    /// As it was found at the last connection.
    server: Mutex<Option<Server>>,
}

impl Shared {
    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes both ends. Connects to nothing yet.
pub fn open(settings: PostgresSettings, clock: SharedClock, registry: &Registry) -> (PostgresSink, PostgresHistory) {
    let meters = Meters::new(registry);
    let pool = Pool::new(settings.url.clone(), settings.readers, settings.query_within);
    let shared = Arc::new(Shared { pool, settings, clock, server: Mutex::default() });
    (PostgresSink::new(Arc::clone(&shared), meters), PostgresHistory::new(shared))
}

/// Brings a database's schema up to date, with partitions or policies; answers with what it found and did.
///
/// # Errors
/// When the database cannot be reached or changed, or a newer program has migrated it.
pub async fn migrate(settings: &PostgresSettings, clock: &SharedClock) -> Result<Server, SinkError> {
    let session = Session::open(&settings.url, settings.statement_within).await;
    let session = session.map_err(|failure| error::sink_error("connect", failure))?;
    let prepared = upkeep::prepare(&session, settings, upkeep::now(clock)).await;
    Ok(prepared.map_err(|failure| error::sink_error("migrate", failure))?.0)
}
