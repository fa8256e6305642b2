//! Progress: one line a second while a run goes on: a bar on a terminal, otherwise JSON.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{MissedTickBehavior, interval_at};

use crate::measure::Second;
use crate::report::table::{ms, whole_words};
use crate::run::Course;

const EVERY: Duration = Duration::from_secs(1);
const BAR: usize = 24;

/// Tells of the run until it is dropped, and closes its seconds.
pub(crate) async fn tell(course: Arc<Course>, duration: Duration, is_loud: bool) {
    let is_terminal = io::stderr().is_terminal();
    let mut ticks = interval_at(course.moment(1_000_000), EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let at_s = course.second();
        let (second, under_way) = {
            let mut board = course.board.lock();
            let counts = &board.counts;
            let under_way = counts.frames_sent.saturating_sub(counts.frames_acknowledged);
            (board.close_second(at_s), under_way)
        };
        if is_loud {
            let text = if is_terminal { bar(second, under_way, duration) } else { line(second, under_way) };
            say(&text);
        }
    }
}

/// Ends the bar's line.
pub(crate) fn end() {
    if io::stderr().is_terminal() {
        say("\n");
    }
}

/// A closed terminal is no reason to end a run.
pub(crate) fn say(text: &str) {
    let mut err = io::stderr().lock();
    drop(err.write_all(text.as_bytes()).and_then(|()| err.flush()));
}

fn bar(second: Second, under_way: u64, duration: Duration) -> String {
    let total_s = duration.as_secs().max(1);
    let filled = usize::try_from(second.at_s.min(total_s) * BAR as u64 / total_s).unwrap_or(BAR);
    format!(
        "\r\x1b[K[{}{}] {} of {total_s} s  {}/s  p50 {} p99 {} max {} ms  {under_way} under way",
        "#".repeat(filled),
        "-".repeat(BAR - filled),
        second.at_s.min(total_s),
        whole_words(second.samples_acknowledged as f64),
        ms(second.p50_us),
        ms(second.p99_us),
        ms(second.max_us)
    )
}

fn line(second: Second, under_way: u64) -> String {
    let Second { at_s, samples_sent, samples_acknowledged, p50_us, p99_us, max_us } = second;
    let line = json!({
        "second": at_s, "samples_sent": samples_sent, "samples_acknowledged": samples_acknowledged,
        "p50_us": p50_us, "p99_us": p99_us, "max_us": max_us, "frames_under_way": under_way,
    });
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_and_the_line_is_json() {
        let second = Second { at_s: 30, samples_acknowledged: 12_000, p99_us: 4_500, ..Second::default() };
        let text = bar(second, 7, Duration::from_secs(60));
        assert!(text.contains(&format!("[{}{}] 30 of 60 s  12.0 k/s", "#".repeat(12), "-".repeat(12))), "{text}");
        let parsed: serde_json::Value = serde_json::from_str(&line(second, 7)).unwrap();
        assert_eq!((parsed["second"].as_u64(), parsed["frames_under_way"].as_u64()), (Some(30), Some(7)));
    }
}
