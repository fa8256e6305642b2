//! Commands: what a person asks of a connected collector, from the closed list; the collector has the last word.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri};
use model::MachineId;
use model::audit::{Action, Deed};
use model::command::{CollectorCommand, CommandError};
use serde::Serialize;

use super::{json, unknown_machine};
use crate::asker::Asker;
use crate::error::Problem;
use crate::openapi::{CommandPath, MachinePath, Refused};
use crate::params::Params;
use crate::state::Shared;

pub(crate) const COMMANDS: [(&str, CollectorCommand); 5] = [
    ("pause", CollectorCommand::Pause),
    ("resume", CollectorCommand::Resume),
    ("collect_now", CollectorCommand::CollectNow),
    ("resend_layout", CollectorCommand::ResendLayout),
    ("focus", CollectorCommand::Focus),
];

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = CommandSent)]
struct Sent<'a> {
    machine: &'a str,
    command: &'a str,
}

/// Ask something harmless of a connected collector.
///
/// Answers once the command is on its way; what the collector made of it is in the hub's log.
#[utoipa::path(
    post,
    path = "/api/v1/machines/{id}/commands/{command}",
    tag = "machines",
    params(MachinePath, CommandPath),
    responses(
        (status = 202, description = "As asked", body = Sent<'static>),
        Refused<400>, Refused<403>, Refused<404>, Refused<409>, Refused<500>, Refused<503>
    )
)]
pub(super) async fn send(
    State(shared): State<Arc<Shared>>,
    Path((id, name)): Path<(String, String)>,
    Asker(by): Asker,
    (uri, headers): (Uri, HeaderMap),
) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let id = MachineId::parse(&id).map_err(|invalid| Problem::not_found("unknown_machine", invalid.to_string()))?;
    shared.app.settings.hosts.check_origin(&uri, &headers)?;
    let Some((name, command)) = COMMANDS.into_iter().find(|(known, _)| *known == name) else {
        let known = COMMANDS.map(|(known, _)| known).join(", ");
        return Err(Problem::not_found("unknown_command", format!("a collector is asked one of: {known}")));
    };
    if shared.app.hot.machine(&id).is_none() {
        return Err(unknown_machine(&id));
    }
    if !shared.app.control.is_connected(&id).await {
        return Err(CommandError::NotConnected(id).into());
    }
    // First, so that no collector is told anything of which nobody could tell who said it (U-1).
    let deed = Deed::new(by, Action::CommandSent, id.as_str(), name);
    shared.app.audit.record(deed.clone()).await?;
    if let Err(refused) = shared.app.control.command(&id, command).await {
        // A record that cannot be written either has said so in the log.
        shared.app.audit.record(deed.failing(&refused.to_string())).await.ok();
        return Err(refused.into());
    }
    Ok((StatusCode::ACCEPTED, json(&Sent { machine: id.as_str(), command: name })).into_response())
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let said = error.to_string();
        match error {
            CommandError::NotConnected(_) => Self::new(StatusCode::CONFLICT, "not_connected", said),
            CommandError::Busy(_) => Self::unavailable("collector_busy", said),
        }
    }
}
