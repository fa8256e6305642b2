//! Every measurement for a short time, one table on the screen and the same as JSON in a file. What `make bench` runs.
//!
//! Each is a process of its own, so that none measures what another left.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use benches::report::{self, Figure};
use model::Timestamp;
use runtime::clock::{Clock, SystemClock};
use serde::Serialize;

use crate::{Arguments, Result};

/// Program, and its arguments: sized so that all take some ten minutes.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("measure", &["graph"]),
    ("measure", &["parts"]),
    ("measure", &["instructions"]),
    ("measure", &["latency", "8", "2"]),
    ("measure", &["hub", "idle", "20"]),
    ("measure", &["hub", "ack", "8"]),
    ("measure", &["hub", "load", "8"]),
    ("measure", &["hub", "fleet", "10"]),
    ("measure", &["live", "6"]),
    ("measure", &["generator", "6"]),
    ("measure", &["collector", "30"]),
    ("measure", &["fleet"]),
    ("measure", &["journal", "150000", "2"]),
    ("measure", &["restart", "1000", "10", "2"]),
    ("measure", &["sqlite"]),
    ("measure", &["together", "1000", "5", "3"]),
    ("weigh", &["memory", "1000"]),
    ("weigh", &["growth", "100000", "1"]),
];
/// Those of a server, whose addresses follow the file's name in this order; without one it is left out, which is said.
const SERVERS: &[&[&str]] = &[&["postgres", "stored"], &["redis"]];
/// A program that takes longer hangs.
const PROGRAM_SECONDS_MAX: &str = "180";
/// What coreutils' `timeout` ends with then.
const TIMED_OUT: i32 = 124;

/// What the figures were measured on and of.
#[derive(Debug, Serialize)]
struct Report {
    machine: String,
    cores: usize,
    commit: String,
    date: String,
    seconds: f64,
    figures: Vec<Figure>,
}

pub(crate) fn run(mut args: Arguments) -> Result<()> {
    let file = args.next().map_or_else(|| PathBuf::from("bench.json"), PathBuf::from);
    let started = Instant::now();
    let mut figures = Vec::new();
    say(&report::head());
    // One that fails is no reason to throw the others' figures away, but the end says so.
    let mut failed = Vec::new();
    let mut told = |program: &str, arguments: &[&str]| match figures_of(program, arguments) {
        Ok(more) => {
            more.iter().for_each(|figure| say(&figure.row()));
            figures.extend(more);
        }
        Err(error) => {
            say(&error.to_string());
            failed.push(program.to_owned());
        }
    };
    for (program, arguments) in PROGRAMS {
        told(program, arguments);
    }
    for names in SERVERS {
        match args.next().filter(|url| !url.is_empty()) {
            Some(url) => names.iter().for_each(|name| told("measure", &[name, &url])),
            None => say(&format!("{}: left out, as no server of it is named", names.join(", "))),
        }
    }
    // Without a Python that has the rival's server the last argument is empty, as `fanout` wants it.
    told("measure", &["fanout", "2", "1000", &args.next().unwrap_or_default()]);
    let report = Report {
        machine: processor(),
        cores: std::thread::available_parallelism()?.get(),
        commit: commit(),
        date: Timestamp::from_micros(SystemClock::new().now_us()).to_string(),
        seconds: started.elapsed().as_secs_f64(),
        figures,
    };
    std::fs::write(&file, serde_json::to_string_pretty(&report)?)?;
    let Report { machine, cores, commit, date, seconds, .. } = report;
    say(&format!("\n{machine}, {cores} cores, commit {commit}, {date}, {seconds:.0} s; also in {}", file.display()));
    if failed.is_empty() { Ok(()) } else { Err(format!("{} of the programs failed", failed.len()).into()) }
}

fn figures_of(program: &str, arguments: &[&str]) -> Result<Vec<Figure>> {
    let path = std::env::current_exe()?.with_file_name(program);
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", PROGRAM_SECONDS_MAX]).arg(&path).args(arguments);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if output.status.code() == Some(TIMED_OUT) {
        return Err(format!("{program} {} took longer than {PROGRAM_SECONDS_MAX} s", arguments.join(" ")).into());
    }
    if !output.status.success() {
        return Err(format!("{program} {} failed: {}", arguments.join(" "), output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| String::from("unknown processor"), |(_, name)| name.trim().to_owned())
}

/// With a mark when the tree has changes that are not in it.
fn commit() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=10"]).output();
    output.map_or_else(|_| String::from("unknown"), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[expect(clippy::print_stdout, reason = "a program's output")]
fn say(line: &str) {
    println!("{line}");
}
