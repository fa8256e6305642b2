//! Audit: who changed which rule, silence or collector, newest first.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use model::audit::{Action, AuditError, Door, Entry};
use serde::Serialize;

use super::json;
use crate::error::Problem;
use crate::openapi::{AuditPaging, Refused};
use crate::params::{Params, wrong};
use crate::state::Shared;

const LIMIT: usize = 100;

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AuditPage)]
struct Page<'a> {
    entries: Vec<EntryShape<'a>>,
    #[schema(required)]
    next: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AuditEntry)]
struct EntryShape<'a> {
    id: u64,
    time: i64,
    author: &'a str,
    address: &'a str,
    via: Door,
    action: Action,
    subject: &'a str,
    detail: &'a str,
    /// Put on record, and then not carried out.
    failed: bool,
}

/// Who changed which rule, silence or collector, newest first.
///
/// The cursor is the id of the last entry of the page before, so that new ones shift nothing.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    tag = "audit",
    params(AuditPaging),
    responses((status = 200, description = "As asked", body = Page<'static>), Refused<400>)
)]
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["limit", "cursor"])?;
    let limit = params.limit(LIMIT)?;
    let cursor = params.one("cursor")?;
    let bad_cursor = |text| wrong("cursor", "a cursor", text, "use the `next` of the page before");
    let before = cursor.map(|text| text.parse::<u64>().map_err(|_not_a_number| bad_cursor(text))).transpose()?;
    let found = shared.app.audit.entries(before, limit + 1);
    let entries: Vec<EntryShape<'_>> = found.iter().take(limit).map(|entry| EntryShape::of(entry)).collect();
    let next = entries.last().filter(|_| limit < found.len()).map(|last| last.id.to_string());
    Ok(json(&Page { entries, next }))
}

impl<'a> EntryShape<'a> {
    fn of(entry: &'a Entry) -> Self {
        let Entry { id, time, deed } = entry;
        Self {
            id: *id,
            time: time.millis(),
            author: &deed.actor.author,
            address: &deed.actor.address,
            via: deed.actor.via,
            action: deed.action,
            subject: &deed.subject,
            detail: &deed.detail,
            failed: deed.failed,
        }
    }
}

impl From<AuditError> for Problem {
    fn from(_logged: AuditError) -> Self {
        let said = "the audit record could not be written to disk, so nothing was done; the hub's log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "audit_not_stored", said)
    }
}
