//! Silence: what the API says of one silence.

use model::Timestamp;
use model::silence::{Matchers, Silence, SilenceState};

#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = Silence)]
pub(crate) struct SilenceShape<'a> {
    id: &'a str,
    state: SilenceState,
    matchers: &'a Matchers,
    starts_at: i64,
    ends_at: i64,
    author: &'a str,
    comment: &'a str,
    created: i64,
}

impl<'a> SilenceShape<'a> {
    pub(crate) fn of(silence: &'a Silence, now: Timestamp) -> Self {
        Self {
            id: &silence.id,
            state: silence.state(now),
            matchers: &silence.matchers,
            starts_at: silence.starts_at.millis(),
            ends_at: silence.ends_at.millis(),
            author: &silence.author,
            comment: &silence.comment,
            created: silence.created.millis(),
        }
    }
}
