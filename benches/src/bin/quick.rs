//! Quick: every measuring program for a short time, one table on the screen and the same as JSON in a file. What `make bench` runs.
//!
//! The programs are those beside this one, each a process of its own, so that none measures what another left. `quick [FILE]`.

use std::error::Error;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use benches::report::{self, Figure, median};
use benches::{baseline, replay, workload};
use model::Timestamp;
use runtime::clock::{Clock, SystemClock};
use serde::Serialize;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Program and arguments, sized so that all take less than five minutes.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("latency", &["8", "2"]),
    ("hub", &["idle", "20"]),
    ("hub", &["ack", "8"]),
    ("fanout", &["2"]),
    ("journal", &["150000", "2"]),
    ("memory", &["1000"]),
    ("growth", &["100000", "1"]),
];
const RUNS: usize = 5;
/// A program that takes longer hangs.
const PROGRAM_SECONDS_MAX: &str = "120";
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

fn main() -> Result<()> {
    let file = std::env::args().nth(1).map_or_else(|| PathBuf::from("bench.json"), PathBuf::from);
    let started = Instant::now();
    let mut figures = graph()?;
    say(&report::head());
    figures.iter().for_each(|figure| say(&figure.row()));
    for (program, arguments) in PROGRAMS {
        for figure in run(program, arguments)? {
            say(&figure.row());
            figures.push(figure);
        }
    }
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
    Ok(())
}

/// The graph on a generated workload against a loop over arrays.
fn graph() -> Result<Vec<Figure>> {
    let workload = workload::generate(500, 30, 7)?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let millions = workload.samples as f64 / 1e6;
    let plain = millions / median((0..RUNS).map(|_| baseline::run(&workload).0).collect());
    let mut figures = Vec::new();
    for workers in [1, 2] {
        let walls = replay::measure(&workload, workers, RUNS, 0.0)?.walls;
        let name = format!("graph: 500 machines x 30 min, {workers} worker(s)");
        figures.push(Figure::new(name, millions / median(walls), "M samples/s").against(plain));
    }
    Ok(figures)
}

fn run(program: &str, arguments: &[&str]) -> Result<Vec<Figure>> {
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
