//! Resolved alerts, newest first, page by page. The history has them among those that fire, in the order in which they fired, so a page
//! is read from it step by step until it is full or the range is over. One request does bounded work: a page may be short, or empty, and
//! yet name a next one.
//!
//! A cursor names a time and how many alerts of that very time were passed, not a position in the list: what fires later moves nothing.

use std::time::Duration;

use model::query::{AlertQuery, History, QueryError};
use model::{Alert, AlertState, Timestamp};

use super::alert_filter::AlertFilter;
use crate::error::Problem;
use crate::params::{LIMIT_MAX, OFFSET_MAX, Params, wrong};

/// Each of at most `LIMIT_MAX` rows, but for the first.
const READS_MAX: usize = 10;
/// The resolution of a `Timestamp`.
const TICK: Duration = Duration::from_micros(1);

/// Where a page begins: before `to`, after `skip` alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) to: Timestamp,
    pub(super) skip: usize,
}

/// What is asked for.
pub(super) struct Wanted {
    pub(super) from: Timestamp,
    pub(super) start: Cursor,
    pub(super) filter: AlertFilter,
    pub(super) limit: usize,
}

pub(super) struct Page {
    pub(super) alerts: Vec<Alert>,
    /// Where to look further; none once the range is over.
    pub(super) next: Option<Cursor>,
}

impl Cursor {
    /// From the query, or all that was before `now`.
    pub(super) fn read(params: &Params, now: Timestamp) -> Result<Self, Problem> {
        let Some(text) = params.one("cursor")? else { return Ok(Self { to: now, skip: 0 }) };
        let parsed = text.split_once('.').and_then(|(micros, skip)| Some((micros.parse().ok()?, skip.parse().ok()?)));
        match parsed {
            Some((micros, skip)) if skip <= OFFSET_MAX => {
                Ok(Self { to: Timestamp::from_micros(micros).min(now), skip })
            }
            _ => Err(wrong("cursor", "a cursor", text, "use the one of the page before")),
        }
    }

    fn pass(&mut self, since: Timestamp) {
        let to = since + TICK;
        *self = if to == self.to { Self { to, skip: self.skip + 1 } } else { Self { to, skip: 1 } };
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{}", self.to.micros(), self.skip)
    }
}

pub(super) async fn page(history: &dyn History, wanted: &Wanted) -> Result<Page, QueryError> {
    let (mut alerts, mut at) = (Vec::new(), wanted.start);
    // Mostly all but a few rows are wanted, and then the first read is enough.
    let mut rows = wanted.limit + 1;
    for _ in 0..READS_MAX {
        let found = history.alerts(query(wanted.from, at, rows)).await?;
        let is_last = found.len() < rows;
        for alert in found {
            if alert.state == AlertState::Resolved && wanted.filter.admits(&alert) {
                // Only another one that is wanted makes a next page: no button may lead to nothing.
                if alerts.len() == wanted.limit {
                    return Ok(Page { alerts, next: Some(at) });
                }
                at.pass(alert.since);
                alerts.push(alert);
            } else {
                at.pass(alert.since);
            }
        }
        if is_last {
            return Ok(Page { alerts, next: None });
        }
        rows = LIMIT_MAX;
    }
    Ok(Page { alerts, next: Some(at) })
}

fn query(from: Timestamp, at: Cursor, limit: usize) -> AlertQuery {
    AlertQuery { from, to: at.to.max(from), machine: None, rule: None, offset: at.skip, limit }
}
