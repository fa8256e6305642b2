//! Table: a soak's verdict for a terminal, and a line now and then while it goes on.

use std::fmt::Write;
use std::time::Duration;

use super::look::Look;
use super::{MIB, Verdict};
use crate::report::table::{ms, whole_words};

/// The whole verdict as lines.
#[must_use]
pub fn render(verdict: &Verdict) -> String {
    let mut out = String::new();
    let Verdict { took_s, looks, unanswered, judged_from_s, .. } = verdict;
    let (asked, reached) = (whole_words(verdict.asked_samples_per_s), whole_words(verdict.samples_per_s));
    line(
        &mut out,
        format_args!("\n{took_s:.0} s at {reached}/s of {asked}/s asked, {:.2} cores of the hub", verdict.hub_cores),
    );
    line(
        &mut out,
        format_args!("{looks} looks, {unanswered} without an answer; judged from second {judged_from_s:.0} on\n"),
    );
    let head = ["median", "highest", "an hour", "growth", "allowed"];
    line(&mut out, format_args!("{:<16}{}", "", head.map(|word| format!("{word:>12}")).concat()));
    for trend in &verdict.trends {
        let name =
            if trend.unit.is_empty() { trend.name.to_owned() } else { format!("{}, {}", trend.name, trend.unit) };
        let figures = [trend.median, trend.highest, trend.per_hour, trend.growth, trend.allowed];
        let figures = figures.map(|figure| format!("{figure:>12.1}")).concat();
        line(&mut out, format_args!("{name:<16}{figures}  {}", if trend.is_drift { "DRIFTS" } else { "steady" }));
    }
    let (journal, history) = (verdict.journal_bytes as f64 / MIB, verdict.history_bytes as f64 / MIB);
    line(
        &mut out,
        format_args!("\non disk         journal {journal:.0} MiB, history {history:.0} MiB (told, not judged)"),
    );
    match verdict.problems.as_slice() {
        [] => line(&mut out, format_args!("verdict         fine")),
        problems => problems.iter().for_each(|problem| line(&mut out, format_args!("NOT FINE        {problem}"))),
    }
    out
}

/// How the hub is, `every` being the time since the look before.
pub(super) fn line_of(look: &Look, every: Duration) -> String {
    if let Some(reason) = &look.unanswered {
        return format!("{:.0} s  no answer: {reason}\n", look.at_s);
    }
    format!(
        "{:.0} s  {}/s  resident {:.0} MiB  files {}  queued {}  p99 {} ms  journal {:.0} MiB  history {:.0} MiB\n",
        look.at_s,
        whole_words(look.samples_acknowledged as f64 / every.as_secs_f64()),
        look.resident_bytes / MIB,
        look.open_files,
        look.queued,
        ms(look.p99_us),
        look.journal_bytes as f64 / MIB,
        look.history_bytes as f64 / MIB
    )
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a string cannot fail");
}
