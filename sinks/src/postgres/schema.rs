//! The schema: numbered migrations under an advisory lock, in variants for plain PostgreSQL and for TimescaleDB; and what is there.

use super::error::Failure;
use super::session::Session;

/// Applied in order, each in both its variants; `schema_migrations` says which ones a database has.
const MIGRATIONS: [Migration; 8] = [
    Migration::same("names", include_str!("../../../sql/migrations/0001_names.sql")),
    Migration {
        name: "tiers",
        native: include_str!("../../../sql/migrations/0002_tiers_native.sql"),
        timescale: include_str!("../../../sql/migrations/0002_tiers_timescale.sql"),
    },
    Migration::same("views", include_str!("../../../sql/migrations/0003_views.sql")),
    Migration::same("resolution", include_str!("../../../sql/migrations/0004_resolution.sql")),
    Migration::same("resend", include_str!("../../../sql/migrations/0005_resend.sql")),
    Migration::same("statistics", include_str!("../../../sql/migrations/0006_statistics.sql")),
    Migration {
        name: "process_minutes",
        native: include_str!("../../../sql/migrations/0007_process_minutes_native.sql"),
        timescale: include_str!("../../../sql/migrations/0007_process_minutes_timescale.sql"),
    },
    Migration::same("processes", include_str!("../../../sql/migrations/0008_processes.sql")),
];

/// First half of the lock's key; the second half is the schema's name.
const LOCK: i32 = 0x7379_736d;

struct Migration {
    name: &'static str,
    native: &'static str,
    timescale: &'static str,
}

impl Migration {
    const fn same(name: &'static str, text: &'static str) -> Self {
        Self { name, native: text, timescale: text }
    }
}

/// Who takes care of the tiers' pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tiers {
    /// This program: native partitions, made ahead and dropped behind.
    Native,
    /// TimescaleDB: hypertables, by its policies.
    Timescale,
}

/// What answers at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `15.14 (Debian ...)`.
    pub version: String,
    /// The extension's version, where the database has it.
    pub timescale: Option<String>,
    pub tiers: Tiers,
    /// Migrations that were applied just now.
    pub applied: Vec<&'static str>,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let version = self.version.split(' ').next().unwrap_or_default();
        match (self.tiers, &self.timescale) {
            (Tiers::Timescale, Some(timescale)) => write!(f, "PostgreSQL {version}, TimescaleDB {timescale}"),
            (Tiers::Native, Some(timescale)) => write!(
                f,
                "PostgreSQL {version}, native partitions (TimescaleDB {timescale} came after the tables were made)"
            ),
            (_, None) => write!(f, "PostgreSQL {version}, native partitions"),
        }
    }
}

/// Brings the schema up to date, and looks what the server has.
pub(super) async fn migrate(session: &Session) -> Result<Server, Failure> {
    let number = known();
    // Without a lock first: a role that may not make tables can still use them.
    let mut found = version(session).await?;
    let mut applied = Vec::new();
    if found < number {
        session.batch("BEGIN").await?;
        session.one("SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))", &[&LOCK]).await?;
        found = version(session).await?;
        applied = apply(session, found).await?;
        session.batch("COMMIT").await?;
    }
    if number < found {
        return Err(Failure::Newer { found, known: number });
    }
    let row = session
        .one(
            "SELECT current_setting('server_version'), (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'), \
             (SELECT relkind = 'p' FROM pg_class WHERE oid = 'raw_frames'::regclass)",
            &[],
        )
        .await?;
    let tiers = if row.get(2) { Tiers::Native } else { Tiers::Timescale };
    Ok(Server { version: row.get(0), timescale: row.get(1), tiers, applied })
}

fn known() -> i32 {
    i32::try_from(MIGRATIONS.len()).expect("a handful of migrations")
}

async fn version(session: &Session) -> Result<i32, Failure> {
    let is_there: bool = session.one("SELECT to_regclass('schema_migrations') IS NOT NULL", &[]).await?.get(0);
    if !is_there {
        return Ok(0);
    }
    let newest = "SELECT coalesce(max(number), 0) FROM schema_migrations";
    Ok(session.one(newest, &[]).await?.get(0))
}

async fn apply(session: &Session, found: i32) -> Result<Vec<&'static str>, Failure> {
    session
        .batch(
            "CREATE TABLE IF NOT EXISTS schema_migrations \
             (number integer PRIMARY KEY, name text NOT NULL, applied timestamptz NOT NULL DEFAULT now())",
        )
        .await?;
    // A database keeps the kind of its tiers, though the extension may come later.
    let kind = "SELECT coalesce((SELECT relkind <> 'p' FROM pg_class WHERE oid = to_regclass('raw_frames')), \
                EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'))";
    let is_timescale: bool = session.one(kind, &[]).await?.get(0);
    let mut applied = Vec::new();
    for (number, migration) in (1..).zip(&MIGRATIONS).filter(|(number, _)| found < *number) {
        session.batch(if is_timescale { migration.timescale } else { migration.native }).await?;
        let note = "INSERT INTO schema_migrations (number, name) VALUES ($1, $2)";
        session.execute(note, &[&number, &migration.name]).await?;
        applied.push(migration.name);
    }
    Ok(applied)
}
