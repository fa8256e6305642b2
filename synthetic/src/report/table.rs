//! Table: a report for a terminal.

use std::fmt::Write;

use super::{Exit, Limit, Report, Search, Setting};
use crate::verify::Verdict;

/// Differences shown; the JSON file has more.
const DIFFERENCES_SHOWN: usize = 20;

/// The whole report as lines.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut out = String::from("\n");
    line(&mut out, format_args!("{}", asked(&report.setting)));
    line(&mut out, format_args!(""));
    line(
        &mut out,
        format_args!("{:<14} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9}", "ms", "count", "p50", "p90", "p99", "p99.9", "max"),
    );
    for stage in report.stages.iter().filter(|stage| 0 < stage.summary.count) {
        let s = &stage.summary;
        let [p50, p90, p99, p999, max] = [s.p50_us, s.p90_us, s.p99_us, s.p999_us, s.max_us].map(ms);
        line(
            &mut out,
            format_args!("{:<14} {:>10} {p50:>9} {p90:>9} {p99:>9} {p999:>9} {max:>9}", stage.name, s.count),
        );
    }
    line(&mut out, format_args!(""));
    counts(&mut out, report);
    exits(&mut out, &report.exits);
    if let Some(search) = &report.search {
        steps(&mut out, search);
    }
    if let Some(verdict) = &report.verification {
        verification(&mut out, verdict);
    }
    out
}

/// What was asked for.
pub(super) fn asked(setting: &Setting) -> String {
    let Setting { domain: _, machines, series, interval_ms, duration_s, seed, names, encoding, .. } = setting;
    let interval = round(*interval_ms);
    format!(
        "{machines} machines x {series} series every {interval} ms for {duration_s:.0} s, seed {seed}, {encoding} frames, names {names}*"
    )
}

/// Who set the pace, and why.
pub(super) fn limit(report: &Report) -> String {
    let who = match report.limit {
        Limit::None => "none",
        Limit::Hub => "the hub",
        Limit::Generator => "THE GENERATOR",
    };
    format!("{who}: {}", report.limit_why)
}

/// Where in the hub it is slow.
fn exits(out: &mut String, exits: &[Exit]) {
    if exits.is_empty() {
        return;
    }
    line(out, format_args!("\nthe hub's own transactions of the last five minutes, ms"));
    line(out, format_args!("{:<14} {:>9} {:>9} {:>9} {:>6} {:>6}", "", "p50", "p99", "max", "late", "lost"));
    for exit in exits {
        let told = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2}"));
        let [p50, p99, max] = [exit.p50_ms, exit.p99_ms, exit.max_ms].map(told);
        line(out, format_args!("{:<14} {p50:>9} {p99:>9} {max:>9} {:>6} {:>6}", exit.name, exit.late, exit.lost));
    }
}

/// A comparison alone.
#[must_use]
pub fn verified(verdict: &Verdict) -> String {
    let mut out = String::new();
    verification(&mut out, verdict);
    out
}

fn counts(out: &mut String, report: &Report) {
    let counts = &report.counts;
    let per_s = whole_words(report.samples_per_s);
    line(out, format_args!("sent           {} samples in {} frames", counts.samples_sent, counts.frames_sent));
    line(
        out,
        format_args!("acknowledged   {} samples, {per_s}/s over {:.1} s", counts.samples_acknowledged, report.took_s),
    );
    if 0 < report.unacknowledged {
        line(out, format_args!("LOST           {} frames were never acknowledged", report.unacknowledged));
    }
    for (reason, samples) in &counts.refused {
        line(out, format_args!("refused        {samples} samples: {reason}"));
    }
    let faults = [
        ("late", counts.late),
        ("shuffled", counts.shuffled),
        ("duplicate", counts.duplicates),
        ("replayed", counts.replayed),
        ("burst", counts.burst),
        ("sent again after a break", counts.frames_resent),
    ];
    let faults: Vec<String> =
        faults.iter().filter(|(_, count)| 0 < *count).map(|(name, count)| format!("{count} {name}")).collect();
    if !faults.is_empty() || 0 < counts.disconnects + counts.breaks {
        line(out, format_args!("frames         {}", faults.join(", ")));
        line(out, format_args!("streams        {} cut on purpose, {} broken", counts.disconnects, counts.breaks));
    }
    if let Some(cores) = report.generator_cores {
        line(out, format_args!("generator      {cores:.2} cores"));
    }
    line(out, format_args!("limit          {}", limit(report)));
}

fn steps(out: &mut String, search: &Search) {
    line(out, format_args!(""));
    line(
        out,
        format_args!("{:>14} {:>14} {:>9} {:>9} {:>9}  ", "asked 1/s", "reached 1/s", "p50 ms", "p99 ms", "max ms"),
    );
    for step in &search.steps {
        let (asked, reached) = (whole_words(step.target_samples_per_s), whole_words(step.samples_per_s));
        let [p50, p99, max] = [step.p50_us, step.p99_us, step.max_us].map(ms);
        let verdict = if step.is_within { "within" } else { step.why.as_str() };
        line(out, format_args!("{asked:>14} {reached:>14} {p50:>9} {p99:>9} {max:>9}  {verdict}"));
    }
    let bound = ms(search.bound_us);
    match search.samples_per_s {
        Some(rate) => {
            line(out, format_args!("highest rate with p99 <= {bound} ms: {} samples/s", whole_words(rate)));
        }
        None => line(out, format_args!("no rate kept p99 <= {bound} ms; start lower or raise --bound")),
    }
}

fn verification(out: &mut String, verdict: &Verdict) {
    line(out, format_args!(""));
    let Verdict { samples, windows, transitions, machines, .. } = verdict;
    let what = format!("{samples} samples in {windows} windows and {transitions} alert changes of {machines} machines");
    if verdict.is_equal {
        line(out, format_args!("verified       the hub's history has all of it: {what}"));
        return;
    }
    line(out, format_args!("NOT VERIFIED   {} differences in {what}", verdict.differences));
    for difference in verdict.told.iter().take(DIFFERENCES_SHOWN) {
        line(out, format_args!("  {difference}"));
    }
    let more = verdict.differences.saturating_sub(DIFFERENCES_SHOWN as u64);
    if 0 < more {
        line(out, format_args!("  and {more} more; --json has the first hundred"));
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a String takes everything");
}

/// Milliseconds with three digits that count.
#[must_use]
pub fn ms(us: u64) -> String {
    let ms = us as f64 / 1e3;
    let digits = if ms < 1.0 {
        3
    } else if ms < 10.0 {
        2
    } else if ms < 100.0 {
        1
    } else {
        0
    };
    format!("{ms:.digits$}")
}

/// `1.25 M`
#[must_use]
pub fn whole_words(value: f64) -> String {
    if value >= 1e6 {
        format!("{:.2} M", value / 1e6)
    } else if value >= 1e4 {
        format!("{:.1} k", value / 1e3)
    } else {
        format!("{value:.0}")
    }
}

fn round(ms: f64) -> String {
    format!("{ms:.3}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{course, setting};
    use super::*;
    use crate::measure::Measured;

    #[test]
    fn the_table_says_what_was_lost_and_what_differs() {
        let mut measured = Measured::default();
        measured.acknowledge((0, 0, 1_500), 60);
        measured.refuse("rate_limited", 120);
        let mut report = Report::of(setting(), course(), &measured);
        report.unacknowledged = 3;
        let difference = crate::verify::Difference {
            machine: "synthetic-load-0001".into(),
            what: "system.cpu.utilization minute 10:00".into(),
            expected: "count 12".into(),
            found: "nothing".into(),
        };
        report.verification = Some(Verdict { differences: 1, told: vec![difference], ..Verdict::default() });
        let text = render(&report);
        for part in [
            "LOST           3 frames",
            "refused        120 samples: rate_limited",
            "NOT VERIFIED   1 differences",
            "synthetic-load-0001 system.cpu.utilization minute 10:00: expected count 12, found nothing",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!([1_500, 150, 15_000, 150_000].map(ms), ["1.50", "0.150", "15.0", "150"]);
    }
}
