//! Upkeep: what a connection begins with, and one small step after the other of repairs and retention.

use model::Timestamp;
use runtime::clock::SharedClock;
use runtime::metrics::Counter;

use super::config::PostgresSettings;
use super::error::Failure;
use super::schema::{self, Server, Tiers};
use super::session::Session;
use super::value::Time;
use super::{partitions, repair, timescale};
use crate::sink::Cursors;

/// Rows deleted in one step: some milliseconds of work.
const STEP_ROWS: i64 = 1_000;
/// Machines forgotten in one step.
const STEP_MACHINES: i64 = 50;

/// Where a round stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Stage {
    #[default]
    Repairs,
    Pieces,
    Alerts,
    DeadLetters,
    Machines,
}

/// What a step goes by.
pub(super) struct Round<'a> {
    pub(super) settings: &'a PostgresSettings,
    pub(super) cursors: Cursors,
    pub(super) now: Timestamp,
    pub(super) tiers: Tiers,
    /// The extension has no retention policy: see `prepare`.
    pub(super) drops_itself: bool,
    pub(super) letters_dropped: &'a Counter,
}

pub(super) fn now(clock: &SharedClock) -> Timestamp {
    Timestamp::from_micros(clock.now_us())
}

/// Migrates, then makes partitions or sets policies; also whether this program has to drop old chunks of a hypertable.
pub(super) async fn prepare(
    session: &Session,
    settings: &PostgresSettings,
    now: Timestamp,
) -> Result<(Server, bool), Failure> {
    let server = schema::migrate(session).await?;
    let drops_itself = match server.tiers {
        Tiers::Native => {
            partitions::make_ahead(session, settings, now).await?;
            false
        }
        Tiers::Timescale => timescale::set_policies(session, settings).await?,
    };
    Ok((server, drops_itself))
}

/// One step; the stage of the next one, none at the end of a round; and whether machines were forgotten, whose ids mean nothing any more.
pub(super) async fn step(session: &Session, round: &Round<'_>, stage: Stage) -> Result<(Option<Stage>, bool), Failure> {
    let Round { settings, now, .. } = round;
    let mut forgot = false;
    // A full step leaves more to do.
    let after = |deleted: u64, this, next| Some(if deleted < STEP_ROWS.unsigned_abs() { next } else { this });
    let next = match stage {
        Stage::Repairs => {
            let is_more = repair::step(session, round.cursors.oldest(), *now, settings.raw_kept).await?;
            Some(if is_more { Stage::Repairs } else { Stage::Pieces })
        }
        Stage::Pieces => {
            match round.tiers {
                Tiers::Native => {
                    partitions::make_ahead(session, settings, *now).await?;
                    partitions::drop_behind(session, settings, *now).await?;
                }
                Tiers::Timescale if round.drops_itself => timescale::drop_behind(session, settings).await?,
                Tiers::Timescale => {}
            }
            let (minute, hour) = (Time(*now - settings.minute_kept), Time(*now - settings.hour_kept));
            session.execute(include_str!("../../../sql/queries/expire_repairs.sql"), &[&minute, &hour]).await?;
            Some(Stage::Alerts)
        }
        Stage::Alerts => {
            let text = include_str!("../../../sql/queries/expire_alerts.sql");
            let deleted = session.execute(text, &[&Time(*now - settings.alerts_kept), &STEP_ROWS]).await?;
            after(deleted, Stage::Alerts, Stage::DeadLetters)
        }
        Stage::DeadLetters => {
            let text = include_str!("../../../sql/queries/expire_dead_letters.sql");
            let (before, most) = (Time(*now - settings.dead_letters_kept), i64::from(settings.dead_letters_max));
            let deleted = session.execute(text, &[&before, &STEP_ROWS, &most]).await?;
            round.letters_dropped.add(deleted);
            after(deleted, Stage::DeadLetters, Stage::Machines)
        }
        Stage::Machines => {
            forgot = forget_machines(session, settings, *now).await?;
            None
        }
    };
    Ok((next, forgot))
}

async fn forget_machines(session: &Session, settings: &PostgresSettings, now: Timestamp) -> Result<bool, Failure> {
    let longest = settings.raw_kept.max(settings.minute_kept).max(settings.hour_kept);
    session.batch("BEGIN").await?;
    let forget = include_str!("../../../sql/queries/forget_machines.sql");
    let rows = session.query(forget, &[&Time(now - longest), &STEP_MACHINES]).await?;
    let ids: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    if !ids.is_empty() {
        for table in ["series", "layouts", "repairs"] {
            session.execute(&format!("DELETE FROM {table} WHERE machine_id = ANY ($1)"), &[&ids]).await?;
        }
    }
    session.batch("COMMIT").await?;
    Ok(!ids.is_empty())
}
