//! A soak of the real hub, of ten seconds: it looks, judges, cleans up after itself, and says so when the hub is gone.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use testkit::servers::private_dir;

const SMALL: [&str; 10] =
    ["--machines", "20", "--series", "10", "--rate", "1000", "--duration", "10s", "--every", "250ms"];

fn soak(dir: &Path, args: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_sysmonstm"));
    program.args(["synth", "soak"]).args(SMALL).args(args).env_clear().current_dir(dir).output().unwrap()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn ten_seconds_are_looked_at_all_along_and_judged() {
    let dir = private_dir().unwrap();
    let data = dir.path().join("data");
    let output = soak(dir.path(), &["--log", "soak.jsonl", "--data-dir", data.to_str().unwrap()]);
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let mut lines = lines(&dir.path().join("soak.jsonl"));
    let verdict = lines.pop().unwrap();
    let names: Vec<&str> =
        verdict["trends"].as_array().unwrap().iter().map(|trend| trend["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["resident", "open files", "threads", "queued", "p99"], "{told}");
    // Whether ten seconds of a program that has just begun are steady is not the question; that it says what it saw is.
    let is_fine = verdict["problems"].as_array().unwrap().is_empty();
    assert_eq!(output.status.code(), Some(if is_fine { 0 } else { 1 }), "{told}");
    assert!(told.contains(if is_fine { "verdict         fine" } else { "NOT FINE" }), "{told}");
    assert_eq!((&verdict["unacknowledged"], &verdict["unanswered"]), (&0.into(), &0.into()), "{told}");
    assert_eq!(verdict["counts"]["samples_acknowledged"].as_u64(), Some(10_000), "{told}");

    assert_eq!(verdict["looks"].as_u64(), Some(lines.len() as u64));
    assert!(lines.len() >= 5, "{told}");
    let last = lines.last().unwrap();
    for figure in ["resident_bytes", "open_files", "threads", "journal_bytes", "history_bytes"] {
        assert!(last[figure].as_f64() > Some(0.0), "{figure}: {last}");
    }
    assert!(lines.iter().any(|look| look["p99_us"].as_u64() > Some(0)));

    // A folder in use is another hub's, or an earlier soak's.
    let again = soak(dir.path(), &["--data-dir", data.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("is not empty"));
}

#[test]
fn a_hub_that_does_not_come_up_is_told_and_so_are_options_that_make_no_sense() {
    let dir = private_dir().unwrap();
    let output = soak(dir.path(), &["--program", "/bin/true"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the hub ended at once"));
    let mut program = Command::new(env!("CARGO_BIN_EXE_sysmonstm"));
    let output = program.args(["synth", "soak", "--rate", "0"]).env_clear().current_dir(dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--rate is 0"));
}
