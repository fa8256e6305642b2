//! Command: `sysmonstm synth`: runs, watches, compares, reports.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use runtime::clock::{SharedClock, SystemClock};
use serde_json::json;
use tokio::time::sleep;

use crate::demo;
use crate::http::Hub;
use crate::options::{BadOptions, Command, RunOptions};
use crate::progress;
use crate::report::{self, Exit, Report, Setting, html, table};
use crate::run::{Course, Left, Load, RunError};
use crate::search::Seeker;
use crate::soak;
use crate::truth::Truth;
use crate::verify::verify;
use crate::watch;

/// A rule made at run time judges samples two seconds later; one more for the way there.
const RULE_TAKES: Duration = Duration::from_secs(3);

/// How a command ended, for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Fine,
    /// Something is lost, differs, or went wrong.
    Failed,
    /// The options make no sense.
    Usage,
}

/// Runs a command to its end. What it has to say goes to `out`, progress and problems to stderr.
///
/// `data_dir` is the hub's folder where it is this machine's: the demo takes the history in it away for a while, a soak's hub begins in it.
pub fn main(command: &Command, data_dir: Option<&Path>, out: &mut dyn Write) -> Outcome {
    let threads = match command {
        Command::Run(options) => usize::from(options.threads),
        Command::Verify { .. } | Command::Demo { .. } | Command::Soak(_) => 1,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            progress::say(&format!("sysmonstm: no threads: {error}\n"));
            return Outcome::Failed;
        }
    };
    let ended = runtime.block_on(run(command, data_dir, out));
    // A question that hangs must not hold up the end.
    runtime.shutdown_background();
    ended.unwrap_or_else(|error| {
        progress::say(&format!("sysmonstm: {error:#}\n"));
        if error.is::<BadOptions>() { Outcome::Usage } else { Outcome::Failed }
    })
}

async fn run(command: &Command, data_dir: Option<&Path>, out: &mut dyn Write) -> Result<Outcome> {
    match command {
        Command::Run(options) => {
            let report = perform(options).await?;
            write_files(options, &report)?;
            out.write_all(table::render(&report).as_bytes()).context("write the report")?;
            Ok(if report.is_fine() { Outcome::Fine } else { Outcome::Failed })
        }
        Command::Demo { hub, grpc } => {
            let left = demo::play(hub, grpc, data_dir).await?;
            Ok(if left.unacknowledged == 0 { Outcome::Fine } else { Outcome::Failed })
        }
        Command::Soak(options) => {
            let own = || std::env::current_exe().context("find this program's own file");
            let program = options.program.clone().map_or_else(own, Ok)?;
            let verdict = soak::perform(options, data_dir, program).await?;
            out.write_all(soak::table::render(&verdict).as_bytes()).context("write the verdict")?;
            Ok(if verdict.is_fine() { Outcome::Fine } else { Outcome::Failed })
        }
        Command::Verify { file, hub, within } => {
            let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
            let truth: Truth = serde_json::from_str(&text).with_context(|| format!("read {}", file.display()))?;
            let (hub, rule) = (Hub::at(hub), truth.rule.clone());
            let verdict = verify(Arc::new(truth), &hub, *within).await?;
            // It was left for this comparison; an earlier one may have deleted it.
            if let Some(rule) = rule.filter(|_| verdict.is_equal) {
                drop(hub.ask(move |hub| hub.delete(&format!("/api/v1/rules/{rule}"))).await);
            }
            out.write_all(table::verified(&verdict).as_bytes()).context("write the verdict")?;
            Ok(if verdict.is_equal { Outcome::Fine } else { Outcome::Failed })
        }
    }
}

/// Runs what the options ask for, without writing anything.
///
/// # Errors
/// When the options make no sense, or the hub does not take the machines.
pub async fn perform(options: &RunOptions) -> Result<Report> {
    let clock = SystemClock::shared();
    let prefix = options.prefix(clock.now_us());
    let load = options.load(&prefix)?;
    let hub = Hub::at(&options.hub);
    if options.search.find_limit {
        return search(options, &load, &prefix, &clock).await;
    }
    let rule = if options.keeps_truth() && load.domain.breach_at().is_some() {
        Some(make_rule(&hub, &prefix).await?)
    } else {
        None
    };
    let ended = run_and_compare(options, &load, &prefix, &clock, rule.clone()).await;
    if let (Some(rule), None) = (rule, &options.check.expect) {
        let deleted = hub.ask(move |hub| hub.delete(&format!("/api/v1/rules/{rule}"))).await;
        deleted.context("delete the run's rule from the hub")?;
    }
    ended
}

async fn run_and_compare(
    options: &RunOptions,
    load: &Load,
    prefix: &str,
    clock: &SharedClock,
    rule: Option<String>,
) -> Result<Report> {
    let (mut report, left) = once(options, load, prefix, clock).await?;
    compare(options, left, rule, &mut report).await?;
    // At the very end: by then a slow exit has shown what was under way.
    report.exits = exits(&Hub::at(&options.hub)).await;
    Ok(report)
}

/// A hub that does not tell has none.
async fn exits(hub: &Hub) -> Vec<Exit> {
    let answer = hub.ask(|hub| hub.get("/api/v1/synthetic")).await;
    answer.ok().and_then(|mut body| serde_json::from_value(body["stages"].take()).ok()).unwrap_or_default()
}

async fn compare(options: &RunOptions, left: Left, rule: Option<String>, report: &mut Report) -> Result<()> {
    let Some(truth) = left.truth else { return Ok(()) };
    let truth = Truth { rule, ..truth };
    if let Some(path) = &options.check.expect {
        write_file(path, &serde_json::to_string(&truth)?)?;
    }
    if options.check.verify {
        progress::say("asking the hub's history for all of it\n");
        let hub = Hub::at(&options.hub);
        let within = options.check.verify_within + 3 * options.interval;
        report.verification = Some(verify(Arc::new(truth), &hub, within).await.context("compare with the history")?);
    }
    Ok(())
}

/// One run, followed by a live connection.
async fn once(options: &RunOptions, load: &Load, prefix: &str, clock: &SharedClock) -> Result<(Report, Left)> {
    let course = Course::new(load, clock)?;
    let began = model::Timestamp::from_micros(clock.now_us()).to_string();
    let cpu_before = own_cpu_s();
    let duration = Duration::from_micros(load.fleet.span_us);
    let followed = load.fleet.schedule.machines.min(watch::FOLLOWED_MAX);
    let names: Vec<String> =
        (0..followed).map(|machine| Ok(load.domain.face(machine)?.name)).collect::<Result<_, RunError>>()?;
    let telling = tokio::spawn(progress::tell(Arc::clone(&course), duration, !options.search.find_limit));
    let watching = tokio::spawn(watch::follow(Arc::clone(&course), Hub::at(&options.hub).live_url(), names));
    let left = tokio::select! {
        left = course.run() => left,
        _ = tokio::signal::ctrl_c() => {
            progress::say("\nstopped; what was not acknowledged is not followed any further\n");
            Ok(Left::default())
        }
    };
    let took_s = course.now_us() as f64 / 1e6;
    telling.abort();
    watching.abort();
    if !options.search.find_limit {
        progress::end();
    }
    let left = left?;
    let mut board = course.board.lock();
    board.close_second(course.second());
    let cpu_s = own_cpu_s().zip(cpu_before).map(|(after, before)| after - before);
    let ended = report::Course { began, took_s, cpu_s, unacknowledged: left.unacknowledged };
    Ok((Report::of(setting(options, load, prefix), ended, &board), left))
}

fn setting(options: &RunOptions, load: &Load, prefix: &str) -> Setting {
    let fleet = &load.fleet;
    Setting {
        domain: options.domain.to_possible_value().map_or_else(String::new, |name| name.get_name().to_owned()),
        machines: fleet.schedule.machines,
        series: load.domain.face(0).map_or(0, |face| face.series.len()),
        interval_ms: fleet.schedule.interval_us as f64 / 1e3,
        duration_s: fleet.span_us as f64 / 1e6,
        seed: fleet.schedule.seed,
        names: prefix.to_owned(),
        encoding: load.encoding.as_str(),
        target_samples_per_s: fleet.samples_per_s(load.domain.samples_per_frame()),
    }
}

async fn search(options: &RunOptions, load: &Load, prefix: &str, clock: &SharedClock) -> Result<Report> {
    let bound_us = u64::try_from(options.search.bound.as_micros()).unwrap_or(u64::MAX);
    let samples = f64::from(load.fleet.schedule.machines) * load.domain.samples_per_frame() as f64;
    // A machine sends at most one frame a millisecond.
    let mut seeker = Seeker::new(bound_us, options.search.start_rate.max(1.0), samples * 1_000.0);
    let mut newest = None;
    while let Some(rate) = seeker.next_rate() {
        let mut step = load.clone();
        step.fleet.span_us = u64::try_from(options.search.step.as_micros()).unwrap_or(u64::MAX);
        step.fleet.schedule.interval_us = crate::schedule::whole(samples / rate * 1e6).max(1_000);
        step.settle = options.settle.min(Duration::from_secs(10));
        let (report, _) = once(options, &step, prefix, clock).await?;
        seeker.note(rate, &report);
        let p99 = report.stage("acknowledged").map_or(0, |stage| stage.summary.p99_us);
        let line = json!({"asked_per_s": rate, "reached_per_s": report.samples_per_s, "p99_us": p99});
        progress::say(&format!("{line}\n"));
        newest = Some(report);
    }
    let report = newest.context("the search took no step")?;
    Ok(Report { search: Some(seeker.finish()), unacknowledged: 0, ..report })
}

/// A rule on the series that breaches, for this run's machines alone.
async fn make_rule(hub: &Hub, prefix: &str) -> Result<String> {
    let name = format!("{prefix}level");
    let rule = json!({
        "name": name, "metric": crate::domain::machines::LEVEL, "operator": "gt", "threshold": 0.5, "severity": "info",
        "machines": [format!("{prefix}*")], "summary": "breaches on purpose; made by a synthetic run, and deleted by it",
    });
    hub.ask(move |hub| hub.post("/api/v1/rules", &rule)).await.context("make the run's rule at the hub")?;
    sleep(RULE_TAKES).await;
    Ok(name)
}

fn write_files(options: &RunOptions, report: &Report) -> Result<()> {
    if let Some(path) = &options.json {
        write_file(path, &serde_json::to_string_pretty(report)?)?;
    }
    if let Some(path) = &options.html {
        write_file(path, &html::render(report))?;
    }
    Ok(())
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// CPU time of all threads of this program, where the system tells.
fn own_cpu_s() -> Option<f64> {
    let nanos = |entry: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(entry.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    };
    Some(std::fs::read_dir("/proc/self/task").ok()?.filter_map(nanos).sum::<f64>() / 1e9)
}
