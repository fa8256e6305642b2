//! Synthetic load against the real hub: nothing is lost whatever goes wrong on the way, a loss is found, and a hub that stands still shows.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "common/dropping.rs"]
mod dropping;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use common::{Program, SOON, hold_history_for};
use dropping::Dropping;
use serde_json::Value;
use synthetic::http::Hub;
use synthetic::truth::Truth;
use testkit::servers::private_dir;

/// Runs `sysmonstm synth` against a hub.
fn synth(hub: &Program, args: &[&str]) -> Output {
    synth_by(hub.grpc.trim_start_matches("http://"), hub, args)
}

/// The same with another way in.
fn synth_by(grpc: &str, hub: &Program, args: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_sysmonstm"));
    program.arg("synth").args(args).env_clear();
    if args[0] == "run" {
        program.args(["--grpc", grpc]);
    }
    program.args(["--hub", hub.http()]).output().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

const EVERY_FAULT: [&str; 20] = [
    "--jitter",
    "0.3",
    "--late",
    "0.1",
    "--late-by",
    "1s",
    "--duplicates",
    "0.2",
    "--shuffle",
    "0.1",
    "--disconnects",
    "0.05",
    "--replays",
    "0.05",
    "--replay-frames",
    "5",
    "--bursts",
    "0.05",
    "--burst-frames",
    "5",
];

#[test]
fn all_that_is_sent_is_in_the_history_whatever_goes_wrong_on_the_way() {
    let dir = private_dir().unwrap();
    let mut hub = Program::hub(dir.path());
    let (report, page) = (dir.path().join("report.json"), dir.path().join("report.html"));
    let files = ["--json", report.to_str().unwrap(), "--html", page.to_str().unwrap()];
    let load = [
        "run",
        "--machines",
        "5",
        "--series",
        "8",
        "--interval",
        "100ms",
        "--duration",
        "4s",
        "--seed",
        "7",
        "--verify",
    ];
    let output = synth(&hub, &[&load[..], &EVERY_FAULT, &files].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report = json(&report);
    let counts = &report["counts"];
    for fault in ["late", "shuffled", "duplicates", "replayed", "burst", "disconnects"] {
        assert!(counts[fault].as_u64() > Some(0), "{fault}: {counts}");
    }
    assert_eq!(report["verification"]["is_equal"], true);
    assert!(report["verification"]["transitions"].as_u64() > Some(0), "{}", report["verification"]);
    // Every frame that is not a duplicate is 8 samples, and duplicates leave none.
    let frames = counts["frames_acknowledged"].as_u64().unwrap();
    let samples = report["verification"]["samples"].as_u64().unwrap();
    assert!(samples <= frames * 8 && frames * 8 < samples * 2, "{samples} of {frames} frames");
    assert!(std::fs::read_to_string(&page).unwrap().contains("<svg"));
    assert_eq!(
        hub.json("/api/v1/rules")["rules"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|r| r["metric"] == "synthetic.level")
            .count(),
        0
    );
    assert_eq!(hub.terminate().code(), Some(0));
    assert_eq!(hub.errors(), Vec::<Value>::new());
}

#[test]
fn a_minute_that_is_gone_from_the_store_is_found() {
    let dir = private_dir().unwrap();
    let mut hub = Program::hub(dir.path());
    let expected = dir.path().join("expected.json");
    let load = [
        "run",
        "--machines",
        "3",
        "--series",
        "4",
        "--interval",
        "200ms",
        "--duration",
        "2s",
        "--expect",
        expected.to_str().unwrap(),
    ];
    let output = synth(&hub, &load);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let truth: Arc<Truth> = Arc::new(serde_json::from_value(json(&expected)).unwrap());
    let asked = Hub::at(hub.http());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let verify = |within| runtime.block_on(synthetic::verify::verify(Arc::clone(&truth), &asked, within)).unwrap();
    let verdict = verify(SOON);
    assert!(verdict.is_equal, "{:?}", verdict.told);

    let sql = rusqlite::Connection::open(dir.path().join("history.db")).unwrap();
    sql.busy_timeout(SOON).unwrap();
    let gone = "DELETE FROM minute_aggregates WHERE series_id = (SELECT MIN(series_id) FROM minute_aggregates)";
    let gone = sql.execute(gone, []).unwrap();
    assert!(gone > 0);
    let verdict = verify(std::time::Duration::ZERO);
    assert_eq!(verdict.differences, gone as u64, "{:?}", verdict.told);
    assert_eq!(verdict.told[0].found, "nothing");
    let output = synth(&hub, &["verify", expected.to_str().unwrap(), "--within", "0s"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("NOT VERIFIED"), "{}", text(&output));
    assert_eq!(hub.terminate().code(), Some(0));
}

#[test]
fn a_frame_that_is_lost_on_the_way_is_found_though_all_was_acknowledged() {
    let dir = private_dir().unwrap();
    let mut hub = Program::hub(dir.path());
    let way = Dropping::start(&hub.grpc, 5);
    let report = dir.path().join("report.json");
    let load = ["run", "--machines", "2", "--series", "4", "--interval", "200ms", "--duration", "3s", "--verify"];
    let files = ["--verify-within", "15s", "--json", report.to_str().unwrap()];
    let output = synth_by(&way.address.to_string(), &hub, &[&load[..], &files].concat());
    assert_eq!(way.stop(), 2);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("NOT VERIFIED"), "{}", text(&output));
    let report = json(&report);
    assert_eq!(report["unacknowledged"], 0);
    // A minute of each series of both machines has one sample less than was sent, the lost frame's.
    let verdict = &report["verification"];
    assert_eq!(verdict["is_equal"], false, "{verdict}");
    assert!(verdict["differences"].as_u64() >= Some(8), "{verdict}");
    assert_eq!(hub.terminate().code(), Some(0));
}

#[test]
fn a_hub_that_stood_still_for_seconds_shows_in_the_corrected_latency() {
    let dir = private_dir().unwrap();
    let hub = Program::hub(dir.path());
    let report = dir.path().join("report.json");
    let load = [
        "run",
        "--machines",
        "10",
        "--series",
        "4",
        "--interval",
        "50ms",
        "--duration",
        "6s",
        "--json",
        report.to_str().unwrap(),
    ];
    let output = std::thread::scope(|scope| {
        let running = scope.spawn(|| synth(&hub, &load));
        // Frames are under way.
        hub.eventually("/api/v1/pipeline", |body| body["frames_per_s"].as_f64() > Some(20.0));
        hub.pause_for(std::time::Duration::from_secs(3));
        running.join().unwrap()
    });
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report = json(&report);
    let stage =
        |name: &str| report["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == name).unwrap().clone();
    // Half of the run was the pause: nine tenths of these waited longer than what an honest p50 may hide.
    let (corrected, service) = (stage("acknowledged"), stage("service"));
    assert!(corrected["p99_us"].as_u64() > Some(2_500_000), "{corrected}");
    assert!(corrected["max_us"].as_u64() > Some(2_900_000), "{corrected}");
    assert!(corrected["p50_us"].as_u64() >= service["p50_us"].as_u64());
    assert_eq!(report["unacknowledged"], 0);
    let slow =
        report["timeline"].as_array().unwrap().iter().filter(|second| second["samples_acknowledged"] == 0).count();
    assert!(slow >= 2, "{}", report["timeline"]);
}

#[test]
fn every_payment_counts_once_whatever_goes_wrong_on_the_way() {
    let dir = private_dir().unwrap();
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../synthetic/rules/demo.toml");
    let mut hub = Program::start("hub", dir.path(), &["--rules", rules]);
    let report = dir.path().join("report.json");
    let load =
        ["run", "--domain", "payments", "--machines", "3", "--interval", "100ms", "--duration", "4s", "--verify"];
    let files = ["--json", report.to_str().unwrap(), "--visible", "--name", "eu"];
    let output = synth(&hub, &[&load[..], &EVERY_FAULT, &files].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report = json(&report);
    // Three samples a payment; what was sent twice is one payment all the same.
    let payments = report["counts"]["frames_acknowledged"].as_u64().unwrap();
    assert_eq!(report["verification"]["samples"].as_u64(), Some(payments * 3), "{}", report["verification"]);
    assert!(report["counts"]["duplicates"].as_u64() > Some(0));
    let machines = hub.json("/api/v1/machines?q=kind:card");
    assert_eq!(machines["machines"][0]["id"], "eu-card-network");
    assert_eq!(hub.terminate().code(), Some(0));
    assert_eq!(hub.errors(), Vec::<Value>::new());
}

#[test]
fn one_sample_a_message_comes_through_whole() {
    let dir = private_dir().unwrap();
    let mut hub = Program::hub(dir.path());
    let report = dir.path().join("report.json");
    let load = ["run", "--one-sample", "--machines", "5", "--series", "60", "--interval", "50ms", "--duration", "3s"];
    let output = synth(&hub, &[&load[..], &["--json", report.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report = json(&report);
    let counts = &report["counts"];
    // 5 machines x 60 frames x 60 series, no more and no less.
    assert_eq!(counts["samples_sent"].as_u64(), Some(18_000), "{counts}");
    assert_eq!(counts["samples_acknowledged"].as_u64(), Some(18_000), "{counts}");
    assert_eq!((&counts["refused"], &report["unacknowledged"]), (&serde_json::json!({}), &0.into()), "{counts}");
    let machine = hub.json("/api/v1/machines/synthetic-load-0000");
    assert_eq!(machine["series"].as_array().map(Vec::len), Some(60), "{machine}");
    assert_eq!(hub.terminate().code(), Some(0));
    assert_eq!(hub.errors(), Vec::<Value>::new());
}

#[test]
fn a_slowed_store_shows_in_the_report_at_its_own_exit_and_loses_nothing() {
    let dir = private_dir().unwrap();
    let quick = [("HUB_SYNTHETIC_ENABLED", "true"), ("HUB_SYNTHETIC_EVERY", "100ms")];
    let mut hub = Program::hub_with(dir.path(), &quick);
    let report = dir.path().join("report.json");
    let load = ["run", "--machines", "5", "--series", "4", "--interval", "100ms", "--duration", "6s", "--verify"];
    let load = [&load[..], &["--json", report.to_str().unwrap()]].concat();
    let output = std::thread::scope(|scope| {
        let running = scope.spawn(|| synth(&hub, &load));
        hub.eventually("/api/v1/pipeline", |body| body["frames_per_s"].as_f64() > Some(20.0));
        hold_history_for(dir.path(), std::time::Duration::from_secs(3));
        running.join().unwrap()
    });
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("the hub's own transactions"), "{}", text(&output));
    let report = json(&report);
    let exit =
        |name: &str| report["exits"].as_array().unwrap().iter().find(|exit| exit["name"] == name).unwrap().clone();
    let slow = exit("history")["max_ms"].as_f64().unwrap();
    assert!(slow > 2_000.0, "{report}");
    for other in ["acknowledged", "hot", "live"] {
        assert!(exit(other)["p50_ms"].as_f64().unwrap() * 4.0 < slow, "{other}: {report}");
    }
    assert_eq!(report["verification"]["is_equal"], true);
    assert_eq!(hub.terminate().code(), Some(0));
}
