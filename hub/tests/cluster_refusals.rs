//! What several hub processes do not begin with: each mistake ends the start of all with the sentence that says what to do.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Group, Machine, Program, now_ms};
use testkit::servers::private_dir;

/// Two processes without a history that do not wait long for each other.
fn pair(dir: &Path) -> Group {
    Group::new(dir, 2, &[("HUB_HISTORY_ENABLED", "false"), ("HUB_CLUSTER_JOIN_WITHIN", "3s")])
}

/// A frame of a machine, so that there is something to lose.
async fn push_to(hub: &Program) {
    let mut machine = Machine::new("m1", &["system.cpu.utilization"]);
    machine.measure(now_ms(), &[0.5]);
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
}

/// All end, and the last line of each has this.
fn all_say(hubs: Vec<Program>, sentence: &str) {
    for mut hub in hubs {
        let status = hub.wait();
        let last = hub.last_line();
        assert_eq!(status.code(), Some(1), "{last}");
        assert!(last["error"].as_str().is_some_and(|error| error.contains(sentence)), "{last}");
    }
}

#[test]
fn a_process_with_another_hosts_file_is_refused_by_both_sides() {
    let dir = private_dir().unwrap();
    let group = pair(dir.path());
    let mut hubs = vec![group.spawn(0)];
    assert!(hubs[0].listens());
    let lines = std::fs::read_to_string(group.hosts()).unwrap();
    std::fs::write(group.hosts(), format!("{lines}127.0.0.1:9\n")).unwrap();
    hubs.push(group.spawn(1));
    all_say(hubs, "has another hosts file: put the same one everywhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_that_were_exchanged_are_refused() {
    let dir = private_dir().unwrap();
    let mut group = pair(dir.path());
    group.start();
    push_to(&group.hubs[0]).await;
    group.terminate();
    let aside = dir.path().join("aside");
    for (from, to) in [(group.folder(0), aside.clone()), (group.folder(1), group.folder(0)), (aside, group.folder(1))] {
        std::fs::rename(from, to).unwrap();
    }
    all_say(vec![group.spawn(0), group.spawn(1)], "the data folder of process 0 is that of process 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_was_alone_is_refused_as_any_but_the_first() {
    let dir = private_dir().unwrap();
    let group = pair(dir.path());
    let mut alone = Program::hub_with(&group.folder(1), &[("HUB_HISTORY_ENABLED", "false")]);
    push_to(&alone).await;
    assert_eq!(alone.terminate().code(), Some(0));
    all_say(
        vec![group.spawn(0), group.spawn(1)],
        "process 1 is that of a hub that was alone, and has rules of its own",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_the_processes_must_be_those_that_were() {
    let dir = private_dir().unwrap();
    let mut group = pair(dir.path());
    group.start();
    // What is acknowledged and not in the stores yet is the other processes', when there are more of them. Held, so that it is not there.
    let sql = rusqlite::Connection::open(group.folder(0).join("history.db")).unwrap();
    sql.busy_timeout(common::SOON).unwrap();
    sql.execute_batch("BEGIN IMMEDIATE").unwrap();
    push_to(&group.hubs[0]).await;
    group.kill(0);
    drop(sql);
    group.write_hosts(3);
    let grown = (0..3).map(|process| group.spawn(process)).collect();
    all_say(grown, "there were 2 processes and are 3 now");
    group.write_hosts(2);
    group.start();
    group.terminate();
    group.write_hosts(3);
    group.start();
    group.terminate();
}

#[test]
fn a_history_in_several_data_folders_is_no_setting() {
    let dir = private_dir().unwrap();
    let group = pair(dir.path());
    let mut program = Command::new(env!("CARGO_BIN_EXE_sysmonstm"));
    program.arg("hub").arg("--data-dir").arg(group.folder(0)).env_clear();
    program.env("HUB_CLUSTER_HOSTS", group.hosts()).env("HUB_CLUSTER_PROCESS", "0");
    let output = program.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("name a database with TIMESCALE_URL, or set history.enabled to false"), "{told}");
}
