//! Page: what is shown, as HTML that needs no script. Made at most once a second, and shared by everybody who asks.

use std::fmt::Write;
use std::sync::{LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use model::Status;
use web::Escaped;

use super::board::Shown;
use super::picture::Picture;
use super::routes::STALE_AFTER_MS;
use super::{bars, chart, format};
use crate::protocol::{Column, Kind, Now};

const INFALLIBLE: &str = "a String takes any text";
/// A browser without a script asks again so often.
const REFRESH_S: u32 = 30;

/// One file for a browser, several for who reads them; each has the name of what it does the same way here.
const SCRIPT: &str = concat!(
    "'use strict';\n(() => {\n",
    include_str!("../../page/dom.js"),
    include_str!("../../page/format.js"),
    include_str!("../../page/chart.js"),
    include_str!("../../page/bars.js"),
    include_str!("../../page/live.js"),
    "})();\n"
);

/// A file of the page, under a name that changes with its content.
pub(super) struct Asset {
    pub(super) path: String,
    pub(super) media_type: &'static str,
    pub(super) text: &'static str,
}

pub(super) static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    let asset = |name: &str, end: &str, media_type, text: &'static str| {
        let hash = crc32fast::hash(text.as_bytes());
        Asset { path: format!("/assets/{name}-{hash:08x}.{end}"), media_type, text }
    };
    [
        asset("page", "css", "text/css; charset=utf-8", include_str!("../../page/page.css")),
        asset("page", "js", "text/javascript; charset=utf-8", SCRIPT),
        asset("icon", "svg", "image/svg+xml", include_str!("../../page/icon.svg")),
    ]
});

/// The newest page.
#[derive(Debug)]
pub(super) struct Page {
    made: Mutex<Option<Made>>,
}

#[derive(Debug)]
struct Made {
    version: u64,
    age_s: i64,
    html: Bytes,
}

impl Page {
    pub(super) fn new() -> Self {
        Self { made: Mutex::default() }
    }

    /// As of now.
    pub(super) fn of(&self, shown: Option<&Shown>, now_ms: i64) -> Bytes {
        let version = shown.map_or(0, |shown| shown.version);
        let age_ms = shown.map_or(0, |shown| (now_ms - shown.received).max(0));
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref()
            && (made.version, made.age_s) == (version, age_ms / 1_000)
        {
            return made.html.clone();
        }
        let html: Bytes = match shown {
            Some(shown) => render(&shown.picture, shown.received, age_ms),
            None => nothing(),
        }
        .into();
        *made = Some(Made { version, age_s: age_ms / 1_000, html: html.clone() });
        html
    }
}

fn head(out: &mut String, title: &str) {
    let [style, script, icon] = &*ASSETS;
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"dark light\">\n\
         <title>{}</title>\n<link rel=\"icon\" href=\"{}\">\n<link rel=\"stylesheet\" href=\"{}\">\n\
         <noscript><meta http-equiv=\"refresh\" content=\"{REFRESH_S}\"></noscript>\n<script src=\"{}\" defer></script>\n</head>\n<body>\n",
        Escaped(title),
        icon.path,
        style.path,
        script.path
    )
    .expect(INFALLIBLE);
}

fn nothing() -> String {
    let mut out = String::new();
    head(&mut out, "Status");
    out.push_str(
        "<header><h1>Status</h1></header>\n<main data-empty>\n<p class=\"empty\">There is nothing to show yet: the source has not connected. \
         This page asks again by itself.</p>\n</main>\n</body>\n</html>\n",
    );
    out
}

fn render(picture: &Picture, received: i64, age_ms: i64) -> String {
    let title = &picture.head.title;
    let summary = summary(&picture.now);
    let mut out = String::with_capacity(1 << 14);
    head(&mut out, &format!("{title}: {summary}"));
    let is_stale = STALE_AFTER_MS <= age_ms;
    let at = Timestamp::from_millisecond(received).map_or_else(|_| String::new(), |at| format!("{at:.0}"));
    let worst = worst(&picture.now).map_or("none", Status::as_str);
    write!(
        out,
        "<header>\n<h1>{}</h1>\n<p class=\"summary\" data-status=\"{worst}\" aria-live=\"polite\">{}<span>{summary}</span></p>\n\
         <p class=\"age\">Updated <time datetime=\"{at}\">{}</time></p>\n</header>\n\
         <p class=\"banner\" role=\"status\"{}>The source is silent. This is what was known <span>{}</span>.</p>\n",
        Escaped(title),
        mark(),
        format::ago(age_ms),
        if is_stale { "" } else { " hidden" },
        format::ago(age_ms),
    )
    .expect(INFALLIBLE);
    write!(out, "<main{}>\n<ul class=\"machines\">\n", if is_stale { " class=\"old\"" } else { "" }).expect(INFALLIBLE);
    for (at, (name, now)) in picture.head.names.iter().zip(&picture.now).enumerate() {
        machine(&mut out, picture, name, (at, now));
    }
    out.push_str("</ul>\n");
    if picture.now.is_empty() {
        out.push_str("<p class=\"empty\">No machine is shown here just now.</p>\n");
    }
    if !picture.now.is_empty() {
        bars::incidents(&mut out, &picture.past.incidents, &picture.head.names);
    }
    out.push_str(
        "</main>\n<footer>\n<p>Charts: the last hour, a minute a point.</p>\n<p>Bars: how much of each day (UTC) a machine was heard from, up to \
         the last whole hour. A whole bar is 99.5 % and more, a shorter one 95 % and more, a short one less.</p>\n</footer>\n</body>\n</html>\n",
    );
    out
}

/// In a sentence: how many are up.
fn summary(now: &[Now]) -> String {
    let count = |status| now.iter().filter(|one| one.status == status).count();
    let (up, stale, down) = (count(Status::Up), count(Status::Stale), count(Status::Down));
    match (now.len(), up) {
        (0, _) => String::from("no machines"),
        (1, 1) => String::from("up"),
        (all, up) if all == up => format!("all {all} up"),
        (all, up) => {
            let mut text = format!("{up} of {all} up");
            for (count, word) in [(stale, "stale"), (down, "down")] {
                if count != 0 {
                    write!(text, ", {count} {word}").expect(INFALLIBLE);
                }
            }
            text
        }
    }
}

fn worst(now: &[Now]) -> Option<Status> {
    now.iter().map(|one| one.status).max()
}

/// A shape per status, beside its colour and its word; the style shows the one that fits.
fn mark() -> &'static str {
    "<svg class=\"mark\" viewBox=\"0 0 12 12\" aria-hidden=\"true\"><circle class=\"up\" cx=\"6\" cy=\"6\" r=\"5\"/>\
     <path class=\"stale\" d=\"M6 .8 11.6 11H.4Z\"/><path class=\"down\" d=\"M1 1h10v10H1Z\"/></svg>"
}

fn machine(out: &mut String, picture: &Picture, name: &str, (at, now): (usize, &Now)) {
    let status = now.status.as_str();
    let silence = now.last_seen.map_or_else(String::new, |seen| silence(picture.time - seen));
    write!(
        out,
        "<li class=\"machine\" data-status=\"{status}\">\n<h2>{}</h2>\n<p class=\"status\">{}<span class=\"word\">{status}</span> \
         <span class=\"silence\">{silence}</span></p>\n",
        Escaped(name),
        mark(),
    )
    .expect(INFALLIBLE);
    let metrics = picture.head.metrics.iter().zip(&now.values).zip(&picture.charts[at]);
    for ((column, value), points) in metrics {
        metric(out, column, *value, points);
    }
    bars::days(out, picture.past.days[at].as_ref());
    out.push_str("</li>\n");
}

fn silence(silent_ms: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "ages stay far below 2^53")]
    let silent_s = (silent_ms / 1_000).max(0) as f64;
    format!("no data for {}", format::seconds(silent_s.max(1.0)))
}

fn metric(out: &mut String, column: &Column, value: Option<f64>, points: &[Option<f64>]) {
    let label = Escaped(&column.label);
    let shown = format::value(column.kind, value);
    write!(out, "<section class=\"metric\">\n<h3>{label}</h3>\n<p class=\"value\">{shown}</p>\n").expect(INFALLIBLE);
    if column.kind == Kind::Ratio {
        let share = format::tenths(value.unwrap_or(0.0).clamp(0.0, 1.0) * 100.0);
        let level = level(share);
        writeln!(
            out,
            "<svg class=\"gauge\" data-level=\"{level}\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"{label} {shown}\"><rect class=\"rest\" width=\"100\" height=\"4\"/><rect class=\"part\" width=\"{share:.1}\" height=\"4\"/></svg>",
        )
        .expect(INFALLIBLE);
    }
    let (line, area) = chart::paths(column.kind, points);
    let words = chart::words(column, points);
    write!(
        out,
        "<svg class=\"chart\" viewBox=\"{}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\"><path class=\"area\" d=\"{area}\"/>\
         <path class=\"line\" d=\"{line}\"/></svg>\n<p class=\"range\">{}</p>\n</section>\n",
        chart::view_box(),
        Escaped(&words),
        chart::caption(column, points),
    )
    .expect(INFALLIBLE);
}

/// Where a person should look.
fn level(percent: f64) -> &'static str {
    if percent >= 90.0 {
        "high"
    } else if percent >= 75.0 {
        "raised"
    } else {
        "calm"
    }
}
