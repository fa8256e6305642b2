//! The program in docs/DASHBOARDS.md shows the fleet as it is, from Redis alone.

use std::process::Command;
use std::sync::Arc;

use model::bound::Roster;
use model::{Change, Labels, Output, SeriesKey, Severity, Status};
use testkit::redis::RedisServer;

use crate::fixtures::{at, frame, machine, presence, rule, transition};
use crate::rig::Rig;

/// The first Python program of the page.
fn program() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/DASHBOARDS.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("```python\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_program_rebuilds_the_fleet() {
    let redis = RedisServer::start(&[]).unwrap();
    let rig = Rig::start(&redis.url());
    let measured = |name: &str, metric: &str, value: f64| {
        let key = SeriesKey::parse(metric, Labels::none()).unwrap();
        let roster = Roster { machine: machine(name), index: 0, series: Box::new([Arc::new(key)]) };
        Output::Samples(frame(&Arc::new(roster), at(1_000), &[value]))
    };
    rig.tell(vec![
        measured("db-1", "system.cpu.utilization", 0.25),
        measured("web-1", "app.queue", 3.0),
        Output::Presence(presence("web-1", Status::Down, at(1_000))),
        Output::Transition(transition(&rule("busy", Severity::Critical), "db-1", Change::Fired, at(1_000), at(1_000))),
    ]);
    rig.settled(&redis).await;
    let output = Command::new("python3").arg("-c").arg(program()).arg(redis.port().to_string()).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines, ["db-1 up 25% ['busy']", "web-1 down - []"], "{said}");
    rig.stop().await;
}
