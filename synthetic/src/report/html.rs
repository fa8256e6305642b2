//! HTML: a report as one page: tables, plots as SVG inside it, nothing fetched and no script.

use std::fmt::Write;

use super::plot::{Line, Plot, Scale, escaped, round_step};
use super::{Report, table};
use crate::latency::Summary;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:820px;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}\
table{border-collapse:collapse;width:100%}th,td{text-align:right;padding:.2rem .5rem;border-bottom:1px solid #d6dbe1}th:first-child,td:first-child{text-align:left}\
figure{margin:2rem 0}figcaption{font-weight:600}svg{width:100%;height:auto}svg text{font-size:12px;fill:#57606a}.grid{stroke:#e3e7ec}polyline{fill:none;stroke-width:1.6}\
.c1{stroke:#0a62c4;color:#0a62c4}.c2{stroke:#b35900;color:#b35900}.c3{stroke:#a3134f;color:#a3134f}.c4{stroke:#1a7f37;color:#1a7f37}.key span{font-weight:600;margin-right:1rem}\
pre{background:#f3f5f7;padding:1rem;overflow:auto;white-space:pre-wrap}.outcome{border-left:4px solid;padding-left:1rem}.outcome span{color:#1b1f24}\
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}th,td{border-color:#30363d}.grid{stroke:#22282f}svg text{fill:#9aa4af}pre{background:#161b22}.outcome span{color:#e6edf3}\
.c1{stroke:#58a6ff;color:#58a6ff}.c2{stroke:#f0a35e;color:#f0a35e}.c3{stroke:#ff7eb6;color:#ff7eb6}.c4{stroke:#56d364;color:#56d364}}";

const COLOURS: [&str; 4] = ["c1", "c2", "c3", "c4"];

/// The page.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">",
    );
    add(
        &mut page,
        format_args!("<title>Synthetic load, {}</title><style>{STYLE}</style></head><body>", escaped(&report.began)),
    );
    add(
        &mut page,
        format_args!("<h1>Synthetic load</h1><p>Began {}, sysmonstm {}.<br>", escaped(&report.began), report.version),
    );
    add(&mut page, format_args!("{}.</p>", escaped(&table::asked(&report.setting))));
    outcome(&mut page, report);
    stages(&mut page, report);
    add(&mut page, format_args!("{}{}{}", percentiles(report), rate(report), over_time(report)));
    add(&mut page, format_args!("<h2>In words</h2><pre>{}</pre>", escaped(&table::render(report))));
    page.push_str("<h2>How it is measured</h2><p>Open loop: every frame has a moment at which it is due, whatever the hub does. Latencies count from that moment, \
                   so that a stall counts for all frames that were due in it (coordinated omission is corrected); <em>service</em> counts from the moment a frame was really sent. \
                   Histograms have three significant digits from 1 \u{b5}s to 60 s. The clock is monotonic.</p></body></html>");
    page
}

/// What a reader asks first: whether it all arrived, how fast, and who was the limit.
fn outcome(page: &mut String, report: &Report) {
    let (colour, verdict) = match &report.verification {
        _ if 0 < report.unacknowledged => ("c3", format!("{} frames were never acknowledged.", report.unacknowledged)),
        Some(verdict) if verdict.is_equal => ("c4", "The hub's history has all of it.".to_owned()),
        Some(_) => ("c3", "The hub's history is not what was sent: see below.".to_owned()),
        None if report.is_fine() => ("c1", "Everything was acknowledged; the history was not compared.".to_owned()),
        None => ("c3", "No step of the search kept within the bound.".to_owned()),
    };
    let rate = table::whole_words(report.samples_per_s);
    add(page, format_args!("<p class=\"outcome {colour}\"><strong>{verdict}</strong><br>"));
    add(
        page,
        format_args!("<span>{rate} samples/s acknowledged. Limit: {}.</span></p>", escaped(&table::limit(report))),
    );
}

fn stages(page: &mut String, report: &Report) {
    page.push_str("<table><thead><tr><th>ms</th><th>count</th><th>mean</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>max</th></tr></thead><tbody>");
    for stage in report.stages.iter().filter(|stage| 0 < stage.summary.count) {
        let Summary { count, mean_us, p50_us, p90_us, p99_us, p999_us, max_us, .. } = stage.summary;
        add(
            page,
            format_args!(
                "<tr><td>{}<br><small>{}</small></td><td>{count}</td><td>{:.3}</td>",
                stage.name,
                escaped(stage.what),
                mean_us / 1e3
            ),
        );
        for us in [p50_us, p90_us, p99_us, p999_us, max_us] {
            add(page, format_args!("<td>{}</td>", table::ms(us)));
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table>");
}

/// The x axis is how rare it is: each step to the right is ten times rarer.
fn percentiles(report: &Report) -> String {
    let rarity = |percent: f64| -(1.0 - (percent / 100.0).min(0.999_999)).log10();
    let stages = report.stages.iter().filter(|stage| 0 < stage.summary.count);
    let lines = stages.zip(COLOURS).map(|(stage, colour)| Line {
        name: stage.name,
        colour,
        points: stage.curve.iter().map(|(percent, us)| (rarity(*percent), *us as f64 / 1e3)).collect(),
    });
    let ticks = [
        (0.0, "0 %"),
        (50.0, "50 %"),
        (90.0, "90 %"),
        (99.0, "99 %"),
        (99.9, "99.9 %"),
        (99.99, "99.99 %"),
        (99.999, "99.999 %"),
    ];
    Plot {
        title: "Latency by percentile",
        x_ticks: ticks.iter().map(|(percent, text)| (rarity(*percent), (*text).to_owned())).collect(),
        x_name: "percentile",
        y_scale: Scale::Log,
        y_name: "ms",
        y_text: plain,
        lines: lines.collect(),
    }
    .svg()
}

fn rate(report: &Report) -> String {
    let line = |name, colour, value: fn(&crate::measure::Second) -> u64| Line {
        name,
        colour,
        points: report.timeline.iter().map(|second| (second.at_s as f64, value(second) as f64)).collect(),
    };
    Plot {
        title: "Rate over time",
        x_ticks: second_ticks(report),
        x_name: "seconds",
        y_scale: Scale::Linear,
        y_name: "samples/s",
        y_text: table::whole_words,
        lines: vec![
            line("sent", "c2", |second| second.samples_sent),
            line("acknowledged", "c1", |second| second.samples_acknowledged),
        ],
    }
    .svg()
}

fn over_time(report: &Report) -> String {
    let line = |name, colour, value: fn(&crate::measure::Second) -> u64| Line {
        name,
        colour,
        points: report.timeline.iter().map(|second| (second.at_s as f64, value(second) as f64 / 1e3)).collect(),
    };
    Plot {
        title: "Acknowledgement over time, from when it was due",
        x_ticks: second_ticks(report),
        x_name: "seconds",
        y_scale: Scale::Log,
        y_name: "ms",
        y_text: plain,
        lines: vec![
            line("p50", "c1", |second| second.p50_us),
            line("p99", "c2", |second| second.p99_us),
            line("max", "c3", |second| second.max_us),
        ],
    }
    .svg()
}

fn second_ticks(report: &Report) -> Vec<(f64, String)> {
    let last = report.timeline.last().map_or(1, |second| second.at_s).max(1) as f64;
    let step = round_step(last).max(1.0);
    let ticks = std::iter::successors(Some(0.0), |at| Some(at + step)).take_while(|at| *at <= last);
    ticks.map(|at| (at, format!("{at:.0}"))).collect()
}

fn plain(ms: f64) -> String {
    format!("{ms}")
}

fn add(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::super::tests::{course, setting};
    use super::*;
    use crate::measure::Measured;

    #[test]
    fn the_page_needs_nothing_from_elsewhere_and_has_its_three_plots() {
        let mut measured = Measured::default();
        for second in 1..=5_u64 {
            measured.acknowledge((0, 0, 1_500 * second), 60);
            measured.close_second(second);
        }
        let page = render(&Report::of(setting(), course(), &measured));
        assert_eq!(page.matches("<svg").count(), 3);
        for foreign in ["<script", "http:", "https:", "src=", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert!(page.contains("Latency by percentile") && page.contains("service"));
        assert!(page.contains("the history was not compared") && page.contains("10 machines x 60 series"));
    }

    #[test]
    fn a_run_without_a_single_answer_has_a_page_too() {
        assert!(render(&Report::of(setting(), course(), &Measured::default())).contains("Rate over time"));
    }
}
