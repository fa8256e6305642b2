//! Fail-stop: a panic on any thread is the last log line and the end of the process, seen from outside.

use std::process::Command;

use runtime::clock::SystemClock;
use runtime::telemetry::{LogFormat, Service, init_logs};

/// Set in the child process.
const CHILD: &str = "FAILSTOP_CHILD";

#[test]
fn a_panic_is_the_last_log_line_and_aborts_the_process() {
    let program = std::env::current_exe().unwrap();
    let child = Command::new(program)
        .args(["--ignored", "--exact", "child_that_panics", "--nocapture", "--test-threads=1"])
        .env_remove("RUST_LOG")
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8(child.stdout).unwrap();
    // The test program prints the test's name before it, on the same line.
    let (_, line) = text.lines().last().unwrap().split_once(" ... ").unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["level"], "error");
    assert_eq!(line["event"], "process_aborts_after_a_panic");
    assert_eq!(line["panic"], "worker 3 is broken");
    assert_eq!(line["thread"], "worker-3");
    assert!(line["location"].as_str().unwrap().contains("failstop.rs"));
    assert_eq!(child.status.code(), None, "ended by a signal, not by an exit");
}

#[test]
#[ignore = "the body of the child process of the test above"]
fn child_that_panics() {
    // `make test-long` runs what is ignored, too.
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let service = Service { name: "hub", version: "0" };
    init_logs(LogFormat::Json, "info", service, SystemClock::shared()).unwrap();
    runtime::failstop::install();
    let worker = std::thread::Builder::new().name("worker-3".into());
    let joined = worker.spawn(|| panic!("worker {} is broken", 3)).unwrap().join();
    unreachable!("the process is gone, not {joined:?}");
}
