//! Silences: those that the hub keeps, the one that ends last first, and how to make and end one.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri};
use model::Timestamp;
use model::command::{NewSilence, SilenceChange, SilenceError};
use model::silence::{Matchers, SilenceState};
use serde::{Deserialize, Serialize};

use super::rule_body::{Sent, bad_body};
use super::{Named, json};
use crate::asker::Asker;
use crate::error::Problem;
use crate::openapi::{Paging, Refused, SilencePath, SilencesOf};
use crate::params::{LIMIT_MAX, Params, next_offset};
use crate::shapes::silence::SilenceShape;
use crate::state::Shared;

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SilencePage)]
struct Page<'a> {
    silences: Vec<SilenceShape<'a>>,
    #[schema(required)]
    next: Option<String>,
}

/// A silence as a client asks for it: an end, or how long from its start.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSilence)]
struct Asked {
    matchers: Matchers,
    /// Milliseconds since the epoch, as all times here; now where absent.
    starts_at: Option<i64>,
    ends_at: Option<i64>,
    for_s: Option<u32>,
    author: String,
    #[serde(default)]
    comment: String,
}

impl Asked {
    fn silence(self, now: Timestamp) -> Result<NewSilence, Problem> {
        let starts_at = self.starts_at.map_or(now, Timestamp::from_millis);
        let ends_at = match (self.ends_at, self.for_s) {
            (Some(ends_at), None) => Timestamp::from_millis(ends_at),
            (None, Some(seconds)) => starts_at + Duration::from_secs(u64::from(seconds)),
            _ => return Err(bad_body("a silence has an end: give either ends_at (milliseconds) or for_s (seconds)")),
        };
        Ok(NewSilence { matchers: self.matchers, starts_at, ends_at, author: self.author, comment: self.comment })
    }
}

/// Silences, the one that ends last first.
#[utoipa::path(
    get,
    path = "/api/v1/silences",
    tag = "silences",
    params(Paging, SilencesOf),
    responses((status = 200, description = "As asked", body = Page<'static>), Refused<400>)
)]
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["limit", "cursor", "state"])?;
    let (limit, offset) = (params.limit(LIMIT_MAX)?, params.offset()?);
    let states = [
        ("pending", Some(SilenceState::Pending)),
        ("active", Some(SilenceState::Active)),
        ("ended", Some(SilenceState::Ended)),
    ];
    let (wanted, now) = (params.choice("state", &states, None)?, shared.now());
    let kept = shared.app.silences.silences();
    let found = kept.iter().filter(|silence| wanted.is_none_or(|state| silence.state(now) == state)).skip(offset);
    let found: Vec<SilenceShape<'_>> = found.map(|silence| SilenceShape::of(silence, now)).collect();
    let next = next_offset(offset, limit, found.len());
    Ok(json(&Page { silences: found.into_iter().take(limit).collect(), next }))
}

/// One silence.
#[utoipa::path(
    get,
    path = "/api/v1/silences/{silence}",
    tag = "silences",
    params(SilencePath),
    responses((status = 200, description = "As asked", body = SilenceShape<'static>), Refused<400>, Refused<404>)
)]
pub(super) async fn one(State(shared): State<Arc<Shared>>, Named(id): Named, uri: Uri) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let kept = shared.app.silences.silences();
    match kept.iter().find(|silence| silence.id == id) {
        Some(silence) => Ok(json(&SilenceShape::of(silence, shared.now()))),
        None => Err(SilenceError::NotFound(id).into()),
    }
}

/// Make a silence: alerts go on, nobody is told.
#[utoipa::path(
    post,
    path = "/api/v1/silences",
    tag = "silences",
    request_body = Asked,
    responses(
        (status = 201, description = "As asked", body = SilenceShape<'static>),
        Refused<400>, Refused<403>, Refused<409>, Refused<415>, Refused<422>, Refused<500>, Refused<503>
    )
)]
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    Asker(by): Asker,
    uri: Uri,
    sent: Sent,
) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let asked: Asked = sent.read("silence")?;
    let new = asked.silence(shared.now())?;
    let made = shared.app.silences.change(SilenceChange::Create(new), by).await?;
    Ok((StatusCode::CREATED, json(&SilenceShape::of(&made, shared.now()))).into_response())
}

/// End a silence now; one that has not begun never will.
#[utoipa::path(
    delete,
    path = "/api/v1/silences/{silence}",
    tag = "silences",
    params(SilencePath),
    responses(
        (status = 204, description = "Done"),
        Refused<400>, Refused<403>, Refused<404>, Refused<500>, Refused<503>
    )
)]
pub(super) async fn end(
    State(shared): State<Arc<Shared>>,
    Named(id): Named,
    Asker(by): Asker,
    (uri, headers): (Uri, HeaderMap),
) -> Result<StatusCode, Problem> {
    Params::read(&uri, &[])?;
    shared.app.settings.hosts.check_origin(&uri, &headers)?;
    shared.app.silences.change(SilenceChange::End(id), by).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<SilenceError> for Problem {
    fn from(error: SilenceError) -> Self {
        let said = error.to_string();
        match error {
            SilenceError::Invalid(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_silence", said),
            SilenceError::NotFound(_) => Self::not_found("unknown_silence", said),
            SilenceError::TooMany(_) => Self::new(StatusCode::CONFLICT, "too_many_silences", said),
            SilenceError::Store(_) => {
                // The cause names a file: it is in the log, not for whoever asked.
                let said = "the silences could not be written to disk, nothing changed; the hub's log says why";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "silences_not_stored", said)
            }
            SilenceError::Stopping => Self::unavailable("stopping", said),
        }
    }
}
