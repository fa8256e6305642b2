//! Fragments: pieces of a page, ready to be put in by htmx. Rows of the alerts tables.
//!
//! Columns: severity, machine, rule and summary, value against threshold, since, and how it stands or when and why it resolved. No alert, no row: the page has the words for it.
//! What does not fit into an answer is told in its head, as the total or the cursor of the next page. Everything from outside is escaped.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::Uri;
use model::catalogue::unit_of;
use model::rule::{MACHINE_DOWN, Operator};
use model::{Alert, AlertState, Resolution, Severity, Standing, Timestamp};

use super::alert_filter::AlertFilter;
use super::resolved_alerts::{self, Cursor, Wanted};
use crate::error::Problem;
use crate::format;
use crate::html::Escaped;
use crate::openapi::{Refused, Rows};
use crate::params::{Params, wrong};
use crate::state::Shared;

/// Rows of one answer. More than the pages of the API have, because a reader who asks for more gets all of them anew when alerts come and go.
pub(crate) const ROWS_MAX: usize = 5_000;
const LIMIT: usize = 100;
const RESOLVED_SPAN: Duration = Duration::from_secs(7 * 86_400);
const STATES: &[(&str, AlertState)] = &[("active", AlertState::Firing), ("resolved", AlertState::Resolved)];
const TOTAL: &str = "x-total-count";
const NEXT: &str = "x-next-cursor";

/// Rows of an alerts table, for a page.
#[utoipa::path(
    get,
    path = "/fragments/alerts",
    tag = "fragments",
    params(Rows),
    responses(
        (
            status = 200, description = "As asked", body = String, content_type = "text/html",
            headers(
                ("x-total-count" = u64, description = "Firing alerts that pass the filter, also those beyond `limit`"),
                ("x-next-cursor" = String, description = "`cursor` of the next page of resolved alerts, where there may be one")
            )
        ),
        Refused<400>, Refused<500>, Refused<503>
    )
)]
pub(super) async fn alerts(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["state", "q", "severity", "limit", "cursor"])?;
    match params.choice("state", STATES, AlertState::Firing)? {
        AlertState::Firing => active(&shared, &params),
        AlertState::Resolved => resolved(&shared, &params).await,
    }
}

fn active(shared: &Shared, params: &Params) -> Result<Response, Problem> {
    let (limit, filter) = (params.count("limit", ROWS_MAX, LIMIT)?, AlertFilter::read(params)?);
    if let Some(text) = params.one("cursor")? {
        return Err(wrong("cursor", "of this list", text, "only state=resolved has pages; use `limit`"));
    }
    let mut alerts = shared.app.hot.alerts();
    alerts.retain(|alert| !alert.is_synthetic() && filter.admits(alert));
    let total = [(TOTAL, alerts.len().to_string())];
    Ok((total, rows(alerts.iter().take(limit).map(Arc::as_ref))).into_response())
}

async fn resolved(shared: &Shared, params: &Params) -> Result<Response, Problem> {
    let now = shared.now();
    let wanted = Wanted {
        from: now - RESOLVED_SPAN,
        start: Cursor::read(params, now)?,
        filter: AlertFilter::read(params)?,
        limit: params.count("limit", ROWS_MAX, LIMIT)?,
    };
    let page = resolved_alerts::page(shared.app.history.as_ref(), &wanted).await?;
    let next = page.next.map(|cursor| [(NEXT, cursor.to_string())]);
    Ok((next, rows(&page.alerts)).into_response())
}

fn rows<'a>(alerts: impl IntoIterator<Item = &'a Alert>) -> Html<String> {
    let mut rows = String::new();
    for alert in alerts {
        row(&mut rows, alert).expect("a String takes any text");
    }
    Html(rows)
}

fn row(out: &mut String, alert: &Alert) -> std::fmt::Result {
    let severity = match alert.rule.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let machine = Escaped(alert.machine.as_str());
    let icon = format!("<svg class=\"icon\" aria-hidden=\"true\"><use href=\"#i-{severity}\"></use></svg>");
    write!(out, "<tr data-severity=\"{severity}\">")?;
    write!(out, "<td><span class=\"severity\" data-severity=\"{severity}\">{icon}{severity}</span></td>")?;
    write!(out, "<td><a href=\"/machines/{machine}\">{machine}</a></td>")?;
    write!(out, "<td>{}</td>", Subject(alert))?;
    write!(out, "<td>{}</td>", Reading(alert))?;
    write!(out, "<td>{}</td>", Time(Some(alert.since)))?;
    match alert.state {
        AlertState::Firing => writeln!(out, "{}</tr>", Stands(alert)),
        AlertState::Resolved => writeln!(out, "<td>{}{}</td></tr>", Time(alert.resolved), why(alert)),
    }
}

/// The rule, what it says, and which series of the machine it is about.
struct Subject<'a>(&'a Alert);

impl std::fmt::Display for Subject<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(alert) = self;
        write!(out, "{}", Escaped(&alert.rule.name))?;
        if !alert.rule.summary.is_empty() {
            write!(out, " <span class=\"muted\">{}</span>", Escaped(&alert.rule.summary))?;
        }
        for (name, value) in alert.series.labels.iter() {
            write!(out, " <span class=\"muted\" title=\"{}\">{}</span>", Escaped(name), Escaped(value))?;
        }
        Ok(())
    }
}

/// The value against the threshold; of a resolved alert the threshold, and the value that was calm again.
struct Reading<'a>(&'a Alert);

impl std::fmt::Display for Reading<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(alert) = self;
        let metric = alert.series.metric.as_ref();
        let shown = |value| format::value(metric, unit_of(metric), value);
        let (value, threshold) = (shown(alert.value), shown(alert.rule.threshold));
        let sign = sign(alert.rule.operator);
        match alert.state {
            // It is about no value: one has stopped coming.
            AlertState::Firing if alert.rule.name == MACHINE_DOWN => out.write_str("silent"),
            AlertState::Resolved if alert.rule.name == MACHINE_DOWN => out.write_str("heard again"),
            AlertState::Firing => write!(out, "{} {sign} {}", Escaped(&value), Escaped(&threshold)),
            AlertState::Resolved if alert.resolution == Some(Resolution::RuleGone) => {
                write!(out, "{sign} {}", Escaped(&threshold))
            }
            AlertState::Resolved => {
                let (threshold, value) = (Escaped(&threshold), Escaped(&value));
                write!(out, "{sign} {threshold} <span class=\"muted\">calm at {value}</span>")
            }
        }
    }
}

const fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Gt => "&gt;",
        Operator::Gte => "≥",
        Operator::Lt => "&lt;",
        Operator::Lte => "≤",
        Operator::Eq => "=",
        Operator::Ne => "≠",
    }
}

/// How a firing alert stands, with what a page needs to silence it or to end its silence.
struct Stands<'a>(&'a Alert);

impl std::fmt::Display for Stands<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(alert) = self;
        let standing = alert.standing.as_ref().unwrap_or(&Standing::Active);
        let labels = serde_json::to_string(&alert.series.labels).map_err(|_not_text| std::fmt::Error)?;
        write!(out, "<td data-standing=\"{}\" data-rule=\"{}\"", standing.as_str(), Escaped(&alert.rule.name))?;
        write!(out, " data-machine=\"{}\" data-labels=\"{}\"", Escaped(alert.machine.as_str()), Escaped(&labels))?;
        match standing {
            Standing::Active => write!(out, ">active</td>"),
            Standing::Silenced(id) => write!(out, " data-silence=\"{}\">silenced</td>", Escaped(id)),
            Standing::Inhibited => write!(out, ">inhibited: machine is down</td>"),
        }
    }
}

/// An alert that ended with its rule says so; that a value was calm again stands beside the threshold.
fn why(alert: &Alert) -> &'static str {
    match alert.resolution {
        Some(Resolution::RuleGone) => " <span class=\"muted\">rule gone</span>",
        Some(Resolution::Value) | None => "",
    }
}

/// A `<time>` that the page's script may put into the reader's own zone, or nothing.
struct Time(Option<Timestamp>);

impl std::fmt::Display for Time {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(at) => write!(out, "<time datetime=\"{}\">{}</time>", at.to_rfc3339(), format::time(at)),
            None => Ok(()),
        }
    }
}
