//! What can go wrong with the database, by what is done next: try again, call a person, or put the one row aside.

use model::query::QueryError;
use tokio_postgres::Error;

use crate::error::{SinkError, chain};

pub(super) const NAME: &str = "postgres";

/// Of a write or of upkeep.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Sql(#[from] Error),
    #[error("a value cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// What is stored is not what we wrote.
    #[error("{0}")]
    Content(String),
    /// A deadline of ours: the server, or the network, hangs.
    #[error("no answer within {0} s")]
    Late(u64),
    #[error("another hub with this data folder's identity writes into this database")]
    Displaced,
    #[error("the hub of this data folder has not run with this database yet")]
    TooEarly,
    #[error("the database has schema {found}, this program knows {known}")]
    Newer { found: i32, known: i32 },
}

/// Whether the server refused the row itself: another row may well be taken.
pub(super) fn is_refusal(error: &Error) -> bool {
    // Cardinality, data, integrity, program limits, and what a trigger raises.
    let classes = ["21", "22", "23", "44", "54", "P0"];
    error.code().is_some_and(|code| classes.iter().any(|class| code.code().starts_with(class)))
}

/// The server's own words.
pub(super) fn message(error: &Error) -> String {
    let Some(db) = error.as_db_error() else { return chain(error) };
    let detail = db.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
    format!("{}{detail} [{}]", db.message(), db.code().code())
}

fn words(failure: &Failure) -> String {
    match failure {
        // The driver prints `db error` and keeps what matters in its source.
        Failure::Sql(error) => message(error),
        other => chain(other),
    }
}

/// By what the driver does next.
pub(super) fn sink_error(action: &'static str, failure: Failure) -> SinkError {
    let advice = match &failure {
        Failure::Newer { .. } => Some("run the newer program that migrated it, or give this one another database"),
        Failure::Displaced => Some("stop the other hub, or give it a data folder of its own (not a copy of this one)"),
        Failure::TooEarly => Some(
            "start it once with TIMESCALE_URL, so that its journal comes first, and import when it has written for \
                 some seconds; it may go on running",
        ),
        Failure::Sql(error) => error.code().and_then(|code| advice(code.code())),
        Failure::Json(_) | Failure::Content(_) => {
            Some("this is a fault of the program: please report it with this line")
        }
        Failure::Late(_) => None,
    };
    let source = words(&failure).into();
    match advice {
        Some(advice) => SinkError::Broken { sink: NAME, action, advice: advice.to_owned(), source },
        None => SinkError::Unavailable { sink: NAME, action, source },
    }
}

/// What a person must do; none for what passes by itself: connections, resources (a full disk among them), conflicts, restarts.
fn advice(code: &str) -> Option<&'static str> {
    match code {
        "42501" => Some("let the role of TIMESCALE_URL own the tables, or grant it what it lacks"),
        "25006" => Some("the server only takes reads: point TIMESCALE_URL at the primary, or end its read-only mode"),
        "3D000" => Some("create the database that TIMESCALE_URL names"),
        "3F000" => Some("create the schema that TIMESCALE_URL names"),
        "42P01" | "42703" | "42P10" | "42883" | "42704" | "42804" => {
            Some("the tables are not those of this program: restore them, or give the hub an empty database")
        }
        "XX001" | "XX002" => Some("the database is damaged: check its disk and restore a backup"),
        _ if code.starts_with("28") => Some("check user and password in TIMESCALE_URL, and pg_hba.conf"),
        _ => None,
    }
}

/// What a reader is told.
pub(super) fn query_error(failure: Failure, within_ms: u64) -> QueryError {
    match &failure {
        Failure::Late(_) => QueryError::Timeout(within_ms),
        Failure::Sql(error) => match error.code().map(|code| code.code()) {
            // Ended by the server at the same deadline.
            Some("57014") => QueryError::Timeout(within_ms),
            None | Some("57P01" | "57P02" | "57P03" | "53300") => QueryError::Unavailable(words(&failure)),
            Some(_) => QueryError::Failed(words(&failure)),
        },
        Failure::Json(_) | Failure::Content(_) | Failure::Displaced | Failure::TooEarly | Failure::Newer { .. } => {
            QueryError::Failed(words(&failure))
        }
    }
}
