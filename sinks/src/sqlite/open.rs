//! Opening the database file: one process at a time, the schema up to date, a damaged file set aside and never overwritten.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tracing::{error, warn};

use crate::error::SinkError;

pub(super) const NAME: &str = "history";
pub(super) const FILE: &str = "history.db";
/// Lies beside the file when it turned out to be damaged while it was in use.
const MARK: &str = "history.db.damaged";

/// Applied in order; the file's `user_version` says how many it has.
const MIGRATIONS: [&str; 9] = [
    include_str!("sql/0001_schema.sql"),
    include_str!("sql/0002_repairs.sql"),
    include_str!("sql/0003_fleet.sql"),
    include_str!("sql/0004_alert_cause.sql"),
    include_str!("sql/0005_repairs_stand.sql"),
    include_str!("sql/0006_standing.sql"),
    include_str!("sql/0007_resolution.sql"),
    include_str!("sql/0008_resend.sql"),
    include_str!("sql/0009_process_minutes.sql"),
];

/// Statements kept compiled: more than there are.
const STATEMENTS: usize = 64;

/// The lock is held as long as the file lives.
pub(super) fn open(dir: &Path, now: Timestamp) -> Result<(Connection, PathBuf, File), SinkError> {
    let unusable = |source: std::io::Error| SinkError::Broken {
        sink: NAME,
        action: "open data folder",
        advice: format!("make {} a folder that this user may write to", dir.display()),
        source: source.into(),
    };
    std::fs::create_dir_all(dir).map_err(unusable)?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let lock = options.open(dir.join("history.lock")).map_err(unusable)?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => SinkError::Broken {
            sink: NAME,
            action: "lock data folder",
            advice: format!("another process uses {}; stop it or give this one another --data-dir", dir.display()),
            source: "the lock is held".into(),
        },
        TryLockError::Error(source) => unusable(source),
    })?;
    let path = dir.join(FILE);
    let mark = dir.join(MARK);
    let opened = open_file(&path);
    let damage = opened.as_ref().err().filter(|error| is_damage(error)).map(ToString::to_string);
    let damage = damage.or_else(|| mark.exists().then(|| "it was found damaged while in use".to_owned()));
    let connection = if let Some(damage) = damage {
        drop(opened);
        set_aside(&path, now, &damage)?;
        drop(std::fs::remove_file(&mark));
        open_file(&path)
    } else {
        opened
    };
    let connection = connection.map_err(|error| sink_error("open database", error))?;
    migrate(&connection)?;
    Ok((connection, path, lock))
}

fn open_file(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Both count only before the first table is made.
    connection.pragma_update(None, "page_size", 8_192)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // No fsync per commit: after a power cut the newest transactions may be gone, with their cursor, never in part; the hub's
    // journal, which is synced, brings them again. A process that is killed loses nothing at all.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -32_768)?;
    connection.pragma_update(None, "journal_size_limit", 67_108_864)?;
    probe(&connection)?;
    Ok(connection)
}

/// Touches the schema and both ends of each table: finds what is not a database or has lost its start, in no time.
fn probe(connection: &Connection) -> rusqlite::Result<()> {
    let mut list = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let tables: Vec<String> = list.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for table in tables.iter().filter(|table| !table.starts_with("sqlite_")) {
        let mut look = connection.prepare(&format!("SELECT * FROM {table} LIMIT 1"))?;
        let mut rows = look.query([])?;
        while rows.next()?.is_some() {}
    }
    Ok(())
}

fn migrate(connection: &Connection) -> Result<(), SinkError> {
    let failed = |error| sink_error("bring schema up to date", error);
    let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)).map_err(failed)?;
    let version = version as usize;
    if MIGRATIONS.len() < version {
        return Err(SinkError::Broken {
            sink: NAME,
            action: "read schema version",
            advice: "run the newer program that wrote it, or start with another --data-dir".to_owned(),
            source: format!("the file has schema {version}, this program knows {}", MIGRATIONS.len()).into(),
        });
    }
    for (number, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let script = format!("BEGIN IMMEDIATE;\n{migration}\nPRAGMA user_version = {};\nCOMMIT;", number + 1);
        connection.execute_batch(&script).map_err(failed)?;
    }
    Ok(())
}

pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "cache_size", -8_192)?;
    Ok(connection)
}

pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

pub(super) fn mark_damaged(dir: &Path) {
    let mark = dir.join(MARK);
    if let Err(error) = std::fs::write(&mark, "the hub sets history.db aside when it starts\n") {
        warn!(error = %error, mark = %mark.display(), "damaged database could not be marked: move it away before the next start");
    }
}

/// Moves the file with its write-ahead log, which belongs to it.
fn set_aside(path: &Path, now: Timestamp, damage: &str) -> Result<(), SinkError> {
    let with = |suffix: &str| {
        let mut name = OsString::from(path);
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = with(&format!(".corrupt-{}", now.secs()));
    for suffix in ["-wal", "-shm", ""] {
        let mut to = aside.clone().into_os_string();
        to.push(suffix);
        match std::fs::rename(with(suffix), &to) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(SinkError::Broken {
                    sink: NAME,
                    action: "set damaged database aside",
                    advice: format!("move {} away by hand and start again", path.display()),
                    source: source.into(),
                });
            }
            _ => {}
        }
    }
    error!(
        error = damage,
        moved_to = %aside.display(),
        "history database is damaged and was set aside; a new one begins and the journal refills what it still has. \
         To save more, stop the hub, run `sqlite3 FILE .recover` on the moved file and import its rows; delete it when it is not needed"
    );
    Ok(())
}

/// By what the driver does next.
pub(super) fn sink_error(action: &'static str, error: rusqlite::Error) -> SinkError {
    let advice = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "the file is damaged: restart the hub, which sets it aside, and check the disk"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            "make the data folder and its files writable for this user"
        }
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => {
            "this is a fault of the program: please report it with this line"
        }
        // Busy, full, I/O: they pass.
        _ => {
            return SinkError::Unavailable { sink: NAME, action, source: error.into() };
        }
    };
    SinkError::Broken { sink: NAME, action, advice: advice.to_owned(), source: error.into() }
}
