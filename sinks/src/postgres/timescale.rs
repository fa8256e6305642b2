//! TimescaleDB's policies: columnstore and retention follow the hub's settings at every start.
//!
//! Written for 2.11 and later: the compression names of the older releases still work in the newest ones, where the columnstore's are
//! the preferred ones, so the older are tried first and the newer where a release has dropped them. A server under the Apache licence has
//! neither policy: then rows stay as they are, and this program drops old chunks itself.

use std::time::Duration;

use tracing::{info, warn};

use super::config::PostgresSettings;
use super::error::{Failure, message};
use super::partitions::{Table, tables};
use super::session::Session;

/// What a chunk is grouped and ordered by when it is compressed; frames are small arrays that do not gain from it.
const COMPRESSED: [(&str, &str, &str); 3] = [
    ("minute_aggregates", "series_id", "time DESC"),
    ("hour_aggregates", "series_id", "time DESC"),
    ("fleet_minutes", "tag_name, metric", "tag_value, time DESC"),
];

/// Beyond what may still be corrected: late samples reach as far back as the raw tier, and repairs a little longer.
const MARGIN: Duration = Duration::from_secs(24 * 3_600);

/// Sets the policies; true when this program has to drop old chunks itself.
pub(super) async fn set_policies(session: &Session, settings: &PostgresSettings) -> Result<bool, Failure> {
    for (table, segment, order) in COMPRESSED {
        let after = settings.raw_kept + MARGIN;
        // Up to 2.13 the same settings a second time are an error once a chunk is compressed.
        let is_set = is_compressed(session, table).await?;
        let order = (!is_set).then_some((segment, order));
        let older = compress(table, order, after, Names::Compression);
        let newer = compress(table, order, after, Names::Columnstore);
        if let Some(error) = attempt(session, &[older, newer]).await? {
            warn!(table, error, "chunks are not compressed: the server offers no policy for it");
        }
    }
    let mut drops_itself = false;
    for table in tables(settings) {
        if let Some(error) = attempt(session, &[retain(table)]).await? {
            info!(table = table.name, error, "the server offers no retention policy: the hub drops old chunks itself");
            drops_itself = true;
        }
    }
    Ok(drops_itself)
}

/// Whether its compression was set up before. Read so that a release without the column is one that does not say.
async fn is_compressed(session: &Session, table: &str) -> Result<bool, Failure> {
    let text = "SELECT (to_jsonb(known) ->> 'compression_enabled')::boolean FROM timescaledb_information.hypertables AS known \
                WHERE hypertable_schema = current_schema() AND hypertable_name = $1";
    let rows = session.query(text, &[&table]).await?;
    Ok(rows.first().and_then(|row| row.get::<_, Option<bool>>(0)).unwrap_or(false))
}

/// Drops the chunks of which all is too old.
pub(super) async fn drop_behind(session: &Session, settings: &PostgresSettings) -> Result<(), Failure> {
    for table in tables(settings) {
        let (name, kept) = (table.name, interval(table.kept));
        session.batch(&format!("SELECT drop_chunks('{name}', older_than => {kept})")).await?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Names {
    /// 2.0 and later.
    Compression,
    /// 2.18 and later.
    Columnstore,
}

/// `order`: what chunks are grouped and ordered by, while that is not set.
fn compress(table: &str, order: Option<(&str, &str)>, after: Duration, names: Names) -> String {
    let after = interval(after);
    let (switch, prefix, policy) = match names {
        Names::Compression => (
            "compress",
            "compress_",
            format!(
                "SELECT remove_compression_policy('{table}', if_exists => true); \
                 SELECT add_compression_policy('{table}', {after})"
            ),
        ),
        Names::Columnstore => (
            "enable_columnstore",
            "",
            format!(
                "CALL remove_columnstore_policy('{table}', if_exists => true); \
                 CALL add_columnstore_policy('{table}', after => {after})"
            ),
        ),
    };
    let set = order.map(|(segment, order)| {
        format!(
            "ALTER TABLE {table} SET (timescaledb.{switch}, timescaledb.{prefix}segmentby = '{segment}', \
             timescaledb.{prefix}orderby = '{order}'); "
        )
    });
    set.unwrap_or_default() + &policy
}

fn retain(table: Table) -> String {
    let (name, kept) = (table.name, interval(table.kept));
    format!(
        "SELECT remove_retention_policy('{name}', if_exists => true); SELECT add_retention_policy('{name}', {kept})"
    )
}

fn interval(duration: Duration) -> String {
    format!("INTERVAL '{} seconds'", duration.as_secs())
}

/// The first of these that the server knows; the last one's message when it knows none. Other errors are errors.
async fn attempt(session: &Session, ways: &[String]) -> Result<Option<String>, Failure> {
    let mut unknown = None;
    for way in ways {
        match session.batch(&format!("BEGIN; {way}; COMMIT")).await {
            Ok(()) => return Ok(None),
            Err(error) => {
                session.batch("ROLLBACK").await?;
                // Not supported under this licence, no such function, no such option.
                let is_unknown = error.code().is_some_and(|code| ["0A000", "42883", "22023"].contains(&code.code()));
                if !is_unknown {
                    return Err(error.into());
                }
                unknown = Some(message(&error));
            }
        }
    }
    Ok(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_of_the_columnstore_say_the_same() {
        let day = Duration::from_secs(86_400);
        let older = compress("hour_aggregates", Some(("series_id", "time DESC")), day, Names::Compression);
        let newer = compress("hour_aggregates", Some(("series_id", "time DESC")), day, Names::Columnstore);
        for text in [&older, &newer] {
            assert!(text.contains("segmentby = 'series_id'") && text.contains("INTERVAL '86400 seconds'"), "{text}");
        }
        assert!(older.contains("SELECT add_compression_policy") && newer.contains("CALL add_columnstore_policy"));
        let again = compress("hour_aggregates", None, day, Names::Compression);
        assert!(!again.contains("ALTER") && older.ends_with(&again), "{again}");
    }
}
