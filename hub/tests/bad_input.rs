//! Bad input: each gets a clear message that says what to do, and loses nothing that was acknowledged.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use common::{Machine, Program, now_ms};
use serde_json::Value;
use testkit::servers::private_dir;

/// Starts a hub that cannot come up; its exit code and the reason in its log.
fn refused(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut program = Program::spawn("hub", dir, args);
    let code = program.wait().code();
    let failed = program.events("hub_failed");
    let reason = failed.first().map_or_else(String::new, |line| line["error"].as_str().unwrap().to_owned());
    (code, reason)
}

/// A hub that has taken some frames of one machine and was killed, so that part of them is only in the journal.
async fn killed_with_frames(dir: &Path) -> Machine {
    let (mut hub, machine) = with_frames(dir).await;
    hub.kill();
    machine
}

async fn with_frames(dir: &Path) -> (Program, Machine) {
    let hub = Program::hub(dir);
    let mut machine = Machine::new("db-1", &["system.cpu.utilization"]);
    let start = now_ms() - 200_000;
    for second in 0..100_u8 {
        machine.measure(start + i64::from(second) * 1_000, &[f64::from(second) / 128.0]);
    }
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
    (hub, machine)
}

/// The newest segment of the journal.
fn newest_segment(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir.join("journal")).unwrap().map(|file| file.unwrap().path());
    let segments = files.filter(|path| path.extension().is_some_and(|end| end == "journal"));
    segments.max().unwrap()
}

fn has_all_frames(body: &Value) -> bool {
    body["series"][0]["t"].as_array().is_some_and(|t| t.len() == 100)
}

const HISTORY: &str = "/api/machines/db-1/history?metric=CPU_PERCENT&from=now-10m&tier=raw&max_points=1000";

#[test]
fn a_port_in_use_is_named_with_its_setting() {
    let dir = private_dir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (key, flag) in [("HUB_HTTP_ADDRESS", "--http-address"), ("HUB_GRPC_ADDRESS", "--grpc-address")] {
        let mut program = Program::spawn_with(dir.path(), &[(key, &address)]);
        assert_eq!(program.wait().code(), Some(1));
        let reason = program.events("hub_failed")[0]["error"].as_str().unwrap().to_owned();
        assert!(reason.contains(&format!("cannot listen on {address}: ")), "{reason}");
        assert!(reason.contains("another program") && reason.contains(flag), "{reason}");
    }
}

#[test]
fn a_data_folder_that_is_a_file_is_refused() {
    let dir = private_dir().unwrap();
    let path = dir.path().join("data");
    fs::write(&path, "").unwrap();
    let (code, reason) = refused(&path, &[]);
    assert_eq!(code, Some(1));
    assert!(reason.contains("is a file, or lies in one; choose a folder with --data-dir"), "{reason}");
}

#[test]
fn a_data_folder_has_one_hub_at_a_time() {
    let dir = private_dir().unwrap();
    let mut first = Program::hub(dir.path());
    let (code, reason) = refused(dir.path(), &[]);
    assert_eq!(code, Some(1));
    assert!(reason.contains("is in use by another process"), "{reason}");
    assert_eq!(first.terminate().code(), Some(0));
}

#[test]
fn rules_with_problems_are_refused_at_the_start_with_all_of_them() {
    let dir = private_dir().unwrap();
    let rules = common::rule_file(dir.path(), "[[rule]]\nname = \"x\"\n");
    let (code, reason) = refused(dir.path(), &["--rules", rules.to_str().unwrap()]);
    assert_eq!(code, Some(78));
    assert!(
        reason.contains("4 problems in rule file") && reason.contains("line 1: this rule has no `metric`"),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_history_is_set_aside_and_refilled_from_the_journal() {
    let dir = private_dir().unwrap();
    killed_with_frames(dir.path()).await;
    for file in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        if file.file_name().to_string_lossy().starts_with("history.db") {
            fs::write(file.path(), "this is no database, and never was one\n".repeat(1_000)).unwrap();
        }
    }
    let mut hub = Program::hub(dir.path());
    assert_eq!(hub.errors().len(), 1, "{:#?}", hub.errors());
    assert!(hub.errors()[0]["message"].as_str().unwrap().contains("set aside"));
    hub.eventually(HISTORY, has_all_frames);
    assert_eq!(hub.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_journal_tail_is_cut_and_what_was_acknowledged_stays() {
    let dir = private_dir().unwrap();
    let mut machine = killed_with_frames(dir.path()).await;
    let segment = newest_segment(dir.path());
    let mut bytes = fs::read(&segment).unwrap();
    bytes.extend_from_slice(&[7; 133]);
    fs::write(&segment, bytes).unwrap();
    let mut hub = Program::hub(dir.path());
    assert_eq!(hub.events("journal_tail_was_torn").len(), 1);
    hub.eventually(HISTORY, has_all_frames);
    // And it goes on: the resend of a known frame is acknowledged, a new one is taken.
    machine.acknowledged = 99;
    machine.measure(now_ms(), &[0.5]);
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
    hub.eventually(HISTORY, |body| body["series"][0]["t"].as_array().is_some_and(|t| t.len() == 101));
    assert_eq!(hub.terminate().code(), Some(0));
    assert_eq!(hub.errors(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_damaged_after_a_clean_end_costs_nothing_that_the_history_has() {
    let dir = private_dir().unwrap();
    let (mut hub, mut machine) = with_frames(dir.path()).await;
    assert_eq!(hub.terminate().code(), Some(0));
    let segment = newest_segment(dir.path());
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&segment, bytes).unwrap();
    let mut hub = Program::hub(dir.path());
    let said = hub.events("journal_tail_was_torn").len() + hub.errors().len();
    assert!(0 < said, "the damage is said");
    hub.eventually(HISTORY, has_all_frames);
    machine.measure(now_ms(), &[0.5]);
    // What the hub no longer knows to have is sent again, and changes nothing.
    machine.acknowledged = 0;
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
    hub.eventually(HISTORY, |body| body["series"][0]["t"].as_array().is_some_and(|t| t.len() == 101));
    assert_eq!(hub.terminate().code(), Some(0));
}
