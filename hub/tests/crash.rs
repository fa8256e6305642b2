//! SIGKILL under load: what was acknowledged is in the history once, aggregates equal a naive oracle's, alerts alternate.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::time::Duration;

use common::simulated::{self, FRAMES, RULE, end_of_data, simulated};
use common::{Machine, Program, now_ms};
use fastrand::Rng;
use serde_json::Value;
use testkit::servers::private_dir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Delivers until the hub dies or everything is acknowledged.
async fn push_all(mut machine: Machine, grpc: String) -> Machine {
    if let Ok(mut push) = machine.connect(&grpc).await {
        // The hub is killed in the middle of this.
        drop(machine.deliver(&mut push).await);
    }
    machine
}

/// Every machine pushes at once; `kill_after` ends the hub.
async fn push_under(hub: &mut Program, machines: Vec<Machine>, kill_after: Option<Duration>) -> Vec<Machine> {
    let mut pushing = JoinSet::new();
    for machine in machines {
        pushing.spawn(push_all(machine, hub.grpc.clone()));
    }
    if let Some(kill_after) = kill_after {
        sleep_until(Instant::now() + kill_after).await;
        hub.kill();
    }
    let mut machines = pushing.join_all().await;
    machines.sort_by(|a, b| a.name.cmp(&b.name));
    machines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_hub_loses_nothing_it_acknowledged_and_repeats_nothing() {
    check(&[("HUB_PIPELINE_WORKERS", "1")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_one_with_two_workers() {
    check(&[("HUB_PIPELINE_WORKERS", "2")]).await;
}

/// J-1, S-2 with the history on a server: rows there and state in the data folder end as if nothing had happened.
#[cfg(feature = "integration")]
#[tokio::test(flavor = "multi_thread")]
async fn nor_does_one_whose_history_is_on_postgresql() {
    let database = testkit::postgres::Database::of_the_run().await.unwrap();
    check(&[("TIMESCALE_URL", database.url())]).await;
}

/// The same at moments of all kinds: CRASH_KILLS says how many at the least, CRASH_SEED which.
#[cfg(feature = "integration")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "hundreds of kills: make test-long; CRASH_KILLS and CRASH_SEED choose how many and which"]
async fn nor_does_one_on_postgresql_killed_hundreds_of_times() {
    let (kills, seed) = common::kills::asked(100);
    // Ten to a run: later kills would find little left to send.
    for run in 0..kills.div_ceil(10) {
        let database = testkit::postgres::Database::of_the_run().await.unwrap();
        rounds(&[("TIMESCALE_URL", database.url())], seed.wrapping_add(run), 10.min(kills)).await;
    }
}

async fn check(variables: &[(&str, &str)]) {
    rounds(variables, fastrand::u64(..), 6).await;
}

#[expect(clippy::print_stdout, reason = "the seed of a run that failed")]
async fn rounds(variables: &[(&str, &str)], seed: u64, rounds: u64) {
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let dir = private_dir().unwrap();
    std::fs::write(dir.path().join("rules.toml"), RULE).unwrap();
    let end_ms = end_of_data(now_ms());
    let mut machines = simulated(end_ms, &mut rng);
    let mut kills = 0;
    // Killed at moments that nobody chose, until enough was delivered.
    while kills < rounds {
        let mut hub = Program::hub_with(dir.path(), variables);
        let after = Duration::from_millis(rng.u64(5..150));
        machines = push_under(&mut hub, machines, Some(after)).await;
        kills += 1;
    }
    let mut hub = Program::hub_with(dir.path(), variables);
    let before: Vec<u64> = machines.iter().map(|machine| machine.acknowledged).collect();
    println!("acknowledged before the last start: {before:?}");
    machines = push_under(&mut hub, machines, None).await;
    for machine in &machines {
        assert_eq!(machine.acknowledged, FRAMES as u64, "{}", machine.name);
        simulated::check(&hub, machine, end_ms);
    }
    assert_eq!(hub.errors(), Vec::<Value>::new());
    assert_eq!(hub.terminate().code(), Some(0));
}
