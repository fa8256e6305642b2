//! Processes of a machine: the newest table from memory, that of an instant from the history.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use model::query::{MachineView, ProcessQuery, Tier};
use model::{Process, Processes, Timestamp};
use serde::Serialize;

use super::{OfMachine, json, unknown_machine};
use crate::error::Problem;
use crate::openapi::{MachinePath, Moment, Refused};
use crate::params::Params;
use crate::shapes::machine_id;
use crate::state::Shared;

/// How far from the instant a table may be taken: the history has one a minute.
const REACH_MIN: Duration = Duration::from_secs(90);
/// Retention goes in pieces: a store may have somewhat more than it keeps.
const MARGIN: Duration = Duration::from_secs(3_600);
/// A collector sends a table with each third frame.
const REACH_INTERVALS: u32 = 5;

#[derive(Serialize, utoipa::ToSchema)]
struct ProcessTable<'a> {
    #[schema(schema_with = machine_id)]
    machine: &'a str,
    /// When it was taken; `null` where no table is known.
    #[schema(required)]
    time: Option<i64>,
    by_cpu: &'a [Process],
    by_memory: &'a [Process],
}

/// The busiest and largest processes: of the newest table, however old, or at an instant.
///
/// Of an instant it is the busiest table of its minute, or one that was taken nearer to it and is still in memory; where the minute has
/// none, the nearest within 90 s or five intervals of the collector.
#[utoipa::path(
    get,
    path = "/api/v1/machines/{id}/processes",
    tag = "machines",
    params(MachinePath, Moment),
    responses(
        (status = 200, description = "As asked", body = ProcessTable<'static>),
        Refused<400>, Refused<404>, Refused<500>, Refused<503>
    )
)]
pub(super) async fn processes(
    State(shared): State<Arc<Shared>>,
    OfMachine(id): OfMachine,
    uri: Uri,
) -> Result<Response, Problem> {
    let at = Params::read(&uri, &["at"])?.time("at", shared.now())?;
    let view = shared.app.hot.machine(&id).ok_or_else(|| unknown_machine(&id))?;
    let table = match at {
        None => view.processes.clone(),
        Some(at) => of_instant(&shared, &view, at).await?,
    };
    let table = table.as_deref();
    Ok(json(&ProcessTable {
        machine: id.as_str(),
        time: table.map(|table| table.time.millis()),
        by_cpu: table.map_or(&[], |table| &table.by_cpu),
        by_memory: table.map_or(&[], |table| &table.by_memory),
    }))
}

async fn of_instant(shared: &Shared, view: &MachineView, at: Timestamp) -> Result<Option<Arc<Processes>>, Problem> {
    let interval = view.info.as_ref().map_or(0, |info| info.interval_ms);
    let reach = REACH_MIN.max(Duration::from_millis(u64::from(interval)) * REACH_INTERVALS);
    let away = |table: &Processes| table.time.since(at).max(at.since(table.time));
    let newest = view.processes.clone().filter(|table| away(table) <= reach);
    // A store need not be asked for what it does not keep, nor for times that it cannot write down.
    let oldest = shared.now() - shared.app.history.kept(Tier::Raw) - MARGIN;
    if at + reach < oldest {
        return Ok(newest);
    }
    let _permit = shared.history_permit().await;
    let stored = shared.app.history.processes(ProcessQuery { machine: view.machine.clone(), at, reach }).await;
    match (stored, newest) {
        (Ok(Some(stored)), Some(newest)) if away(&newest) < away(&stored) => Ok(Some(newest)),
        (Ok(Some(stored)), _) => Ok(Some(Arc::new(stored))),
        // While the history is away, what is in memory is still there.
        (Ok(None) | Err(_), Some(newest)) => Ok(Some(newest)),
        (Ok(None), None) => Ok(None),
        (Err(error), None) => Err(error.into()),
    }
}
