//! Soak: a hub of its own under the same load for minutes or days, looked at all along, and a verdict on what drifts.
//!
//! In: options. Out: a line of JSON for each look in a file, a verdict. The hub is a child process with a folder and ports of its own, ended with the
//! soak. Bounds: looks kept for the verdict are limited by the options' check; every question to the hub has a deadline.

mod child;
mod drift;
mod look;
pub mod options;
pub mod table;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use runtime::clock::SystemClock;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use self::child::{Folder, HubChild};
pub use self::drift::Trend;
use self::drift::{Watched, judge};
use self::look::Look;
use self::options::SoakOptions;
use crate::domain::machines::Machines;
use crate::http::Hub;
use crate::measure::Counts;
use crate::options::BadOptions;
use crate::plan::Faults;
use crate::progress::say;
use crate::run::{Course, Encoding, Fleet, Left, Load};
use crate::schedule::{Schedule, whole};

/// Shown like real machines, so that nothing treats them more lightly.
const PREFIX: &str = "soak-";
const SETTLE: Duration = Duration::from_secs(30);
/// Part of the looks that a busy machine may leave without an answer.
const UNANSWERED_MAX: f64 = 0.01;
const SAY_EVERY: Duration = Duration::from_secs(60);
const MIB: f64 = 1_048_576.0;

/// One of a look's figures.
type Figure = fn(&Look) -> f64;

/// What must not grow. Disk sizes are told and not judged: history and journal grow to their bounds for hours by design.
const WATCHED: [(Watched, Figure); 5] = [
    (Watched { name: "resident", unit: "MiB", part: 0.05, least: 16.0 }, |look| look.resident_bytes / MIB),
    (Watched { name: "open files", unit: "", part: 0.0, least: 4.0 }, |look| look.open_files),
    (Watched { name: "threads", unit: "", part: 0.0, least: 2.0 }, |look| look.threads),
    (Watched { name: "queued", unit: "records", part: 0.5, least: 1_000.0 }, |look| look.queued),
    (Watched { name: "p99", unit: "ms", part: 0.5, least: 5.0 }, |look| look.p99_us as f64 / 1e3),
];

/// What a soak came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    pub version: &'static str,
    pub began: String,
    pub took_s: f64,
    pub asked_samples_per_s: f64,
    pub samples_per_s: f64,
    /// Looks before this second are not judged: windows and caches fill.
    pub judged_from_s: f64,
    pub looks: usize,
    pub unanswered: usize,
    pub trends: Vec<Trend>,
    pub journal_bytes: u64,
    pub history_bytes: u64,
    /// Of the hub, from the first look to the last.
    pub hub_cores: f64,
    pub unacknowledged: u64,
    pub counts: Counts,
    /// Everything that speaks against the hub; nothing when it is fine.
    pub problems: Vec<String>,
}

impl Verdict {
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Soaks `program`, which is this program's own file unless somebody says otherwise.
///
/// # Errors
/// When the options make no sense, the hub does not come up, or the log cannot be written.
pub(crate) async fn perform(options: &SoakOptions, data_dir: Option<&Path>, program: PathBuf) -> Result<Verdict> {
    options.check().map_err(BadOptions)?;
    let mut log = File::create(&options.log).with_context(|| format!("write {}", options.log.display()))?;
    let (folder, hub_log) = (Folder::at(data_dir)?, options.log.with_extension("hub.log"));
    let path = folder.path().to_owned();
    let hub = tokio::task::spawn_blocking(move || HubChild::start(&program, &path, &hub_log)).await??;
    say(&format!("the hub is at {}, its data in {}\n", hub.http, folder.path().display()));
    let clock = SystemClock::shared();
    let course = Course::new(&load(options, &hub.grpc)?, &clock)?;
    let began = model::Timestamp::from_micros(clock.now_us()).to_string();
    let mut soaking = Soaking { options, hub, course, folder: folder.path(), looks: Vec::new(), problems: Vec::new() };
    let left = soaking.run(&mut log).await?;
    let verdict = soaking.verdict(began, left);
    writeln!(log, "{}", serde_json::to_string(&verdict)?).context("write the verdict")?;
    Ok(verdict)
}

fn load(options: &SoakOptions, grpc: &str) -> Result<Load> {
    let samples = f64::from(options.machines) * f64::from(options.series);
    let interval_us = whole(samples / options.rate * 1e6);
    let schedule = Schedule { seed: options.seed, machines: options.machines, interval_us, jitter: 0.0 };
    let span_us = u64::try_from(options.duration.as_micros()).unwrap_or(u64::MAX);
    Ok(Load {
        fleet: Fleet { schedule, faults: Faults::default(), span_us },
        domain: Arc::new(Machines::new(PREFIX, options.series as usize, options.seed)?),
        grpc: grpc.to_owned(),
        settle: SETTLE,
        keeps_truth: false,
        encoding: Encoding::Live,
    })
}

/// A soak on its way.
struct Soaking<'s> {
    options: &'s SoakOptions,
    hub: HubChild,
    course: Arc<Course>,
    folder: &'s Path,
    looks: Vec<Look>,
    problems: Vec<String>,
}

impl Soaking<'_> {
    /// Sends and looks until the time is over, the hub has ended, or somebody stops it.
    async fn run(&mut self, log: &mut File) -> Result<Left> {
        let course = Arc::clone(&self.course);
        let sending = course.run();
        let stopped = stopped();
        tokio::pin!(sending, stopped);
        let mut ticks = interval_at(Instant::now() + self.options.every, self.options.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = Instant::now();
        loop {
            tokio::select! {
                left = &mut sending => return left.context("send"),
                () = &mut stopped => {
                    self.problems.push("stopped before its end".to_owned());
                    return Ok(Left::default());
                }
                _ = ticks.tick() => {}
            }
            if let Some(status) = self.hub.ended()? {
                self.problems.push(format!("the hub ended: {status}"));
                return Ok(Left::default());
            }
            let look = look(&self.course, &self.hub, self.folder).await;
            writeln!(log, "{}", serde_json::to_string(&look)?).context("write the log")?;
            if SAY_EVERY <= said.elapsed() {
                said = Instant::now();
                say(&table::line_of(&look, self.options.every));
            }
            self.looks.push(look);
        }
    }

    fn verdict(mut self, began: String, left: Left) -> Verdict {
        let counts = self.course.board.lock().counts.clone();
        let took_s = self.course.now_us() as f64 / 1e6;
        let judged_from_s = self.options.warm_up().as_secs_f64();
        let answered: Vec<&Look> = self.looks.iter().filter(|look| look.unanswered.is_none()).collect();
        let trends = trends(&answered, judged_from_s);
        let unanswered = self.looks.len() - answered.len();
        let last = answered.last().copied().cloned().unwrap_or_default();
        let hub_cores = match answered.first() {
            Some(first) if first.at_s < last.at_s => (last.cpu_s - first.cpu_s) / (last.at_s - first.at_s),
            Some(_) | None => 0.0,
        };
        let problems = &mut self.problems;
        if trends.is_empty() {
            problems.push("there are too few looks to judge by".to_owned());
        }
        let drifts = trends.iter().filter(|trend| trend.is_drift);
        problems.extend(
            drifts
                .map(|trend| format!("{} grew by {:.1} {} while it was judged", trend.name, trend.growth, trend.unit)),
        );
        if self.looks.len() as f64 * UNANSWERED_MAX < unanswered as f64 {
            problems.push(format!("{unanswered} of {} looks had no answer", self.looks.len()));
        }
        if 0 < left.unacknowledged {
            problems.push(format!("{} frames were never acknowledged", left.unacknowledged));
        }
        problems.extend(counts.refused.iter().map(|(reason, samples)| format!("{samples} samples refused: {reason}")));
        Verdict {
            version: env!("CARGO_PKG_VERSION"),
            began,
            took_s,
            asked_samples_per_s: self.options.rate,
            samples_per_s: counts.samples_acknowledged as f64 / took_s.max(1e-3),
            judged_from_s,
            looks: self.looks.len(),
            unanswered,
            trends,
            journal_bytes: last.journal_bytes,
            history_bytes: last.history_bytes,
            hub_cores,
            unacknowledged: left.unacknowledged,
            counts,
            problems: self.problems,
        }
    }
}

/// Of everything that is watched, from the first judged second on.
fn trends(looks: &[&Look], judged_from_s: f64) -> Vec<Trend> {
    let judged: Vec<&&Look> = looks.iter().filter(|look| judged_from_s <= look.at_s).collect();
    let one = |(watched, figure): &(Watched, Figure)| {
        let points: Vec<(f64, f64)> = judged.iter().map(|look| (look.at_s, figure(look))).collect();
        judge(watched, &points)
    };
    WATCHED.iter().filter_map(one).collect()
}

async fn look(course: &Course, hub: &HubChild, folder: &Path) -> Look {
    let mut look = Look { at_s: course.now_us() as f64 / 1e6, ..Look::default() };
    {
        let mut board = course.board.lock();
        let under_way = board.counts.frames_sent.saturating_sub(board.counts.frames_acknowledged);
        look.read_second(board.close_second(course.now_us() / 1_000_000), under_way);
    }
    look.read_folder(folder);
    // It may have ended this moment; the next turn sees to that.
    if let Some(usage) = hub.usage() {
        look.read_usage(usage);
    }
    match Hub::at(&hub.http).ask(|hub| hub.text("/metrics")).await {
        Ok(text) => look.read_metrics(&text),
        Err(error) => look.unanswered = Some(error.to_string()),
    }
    look
}

/// Ends when somebody wants this program to.
async fn stopped() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soaked(figure: impl Fn(f64) -> Look) -> Vec<String> {
        let looks: Vec<Look> = (0..720).map(|n| f64::from(n) * 5.0).map(|at_s| Look { at_s, ..figure(at_s) }).collect();
        let trends = trends(&looks.iter().collect::<Vec<_>>(), 1_200.0);
        assert_eq!(trends.len(), WATCHED.len());
        trends.into_iter().filter(|trend| trend.is_drift).map(|trend| trend.name.to_owned()).collect()
    }

    #[test]
    fn each_figure_that_drifts_is_named_and_no_other() {
        let steady =
            |_| Look { resident_bytes: 3e8, open_files: 60.0, threads: 12.0, p99_us: 9_000, ..Look::default() };
        assert_eq!(soaked(steady), Vec::<String>::new());
        let leaks = |at_s| Look { resident_bytes: 3e8 + 3e4 * at_s, ..steady(at_s) };
        assert_eq!(soaked(leaks), ["resident"]);
        let forgets = |at_s: f64| Look { open_files: 60.0 + (at_s / 100.0).floor(), ..steady(at_s) };
        assert_eq!(soaked(forgets), ["open files"]);
        let slows = |at_s: f64| Look { p99_us: 9_000 + whole(at_s * 10.0), queued: at_s * 10.0, ..steady(at_s) };
        assert_eq!(soaked(slows), ["queued", "p99"]);
        // What fills up at first and then stays is none.
        let fills = |at_s: f64| Look { resident_bytes: 1e8 + 2e5 * at_s.min(1_200.0), ..steady(at_s) };
        assert_eq!(soaked(fills), Vec::<String>::new());
    }
}
