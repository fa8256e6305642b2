//! SIGKILL and SIGSTOP of one process of several under load: the others end by themselves, and after a start of all the tables are those of
//! one process that nobody killed; every process answers as a naive oracle does (J-1, S-2, P-1 to P-4).

#![cfg(feature = "integration")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::roaming::Roaming;
use common::simulated::{self, FRAMES, MACHINES, RULE, end_of_data, simulated};
use common::{Group, Machine, Program, kills, now_ms, tables};
use fastrand::Rng;
use serde_json::Value;
use tempfile::TempDir;
use testkit::postgres::Database;
use testkit::servers::private_dir;
use tokio::task::block_in_place;
use tokio::time::timeout;

/// Who is left has ended within this time.
const END_WITHIN: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
struct Plan {
    processes: usize,
    workers: &'static str,
    kills: u64,
    /// Every so many-th process is stopped instead of killed.
    stops_every: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_of_which_one_is_killed_give_the_tables_of_one() {
    check(Plan { processes: 2, workers: "1", kills: 5, stops_every: u64::MAX }, fastrand::u64(..)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_do_two_with_two_workers_of_which_one_is_stopped() {
    check(Plan { processes: 2, workers: "2", kills: 2, stops_every: 2 }, fastrand::u64(..)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_do_three_processes() {
    check(Plan { processes: 3, workers: "1", kills: 3, stops_every: u64::MAX }, fastrand::u64(..)).await;
}

/// CRASH_KILLS says how many, CRASH_SEED which.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "hundreds of kills: make test-long; CRASH_KILLS and CRASH_SEED choose how many and which"]
async fn so_do_three_of_which_one_is_killed_or_stopped_hundreds_of_times() {
    let (kills, seed) = kills::asked(100);
    check(Plan { processes: 3, workers: "1", kills, stops_every: 10 }, seed).await;
}

#[expect(clippy::print_stdout, reason = "the seed of a run that failed")]
async fn check(plan: Plan, seed: u64) {
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let (end_ms, drawn) = (end_of_data(now_ms()), rng.u64(..));
    let (dir, database) = (private_dir().unwrap(), Database::of_the_run().await.unwrap());
    let variables = [("TIMESCALE_URL", database.url()), ("HUB_PIPELINE_WORKERS", plan.workers)];
    let mut group = Group::new(dir.path(), plan.processes, &variables);
    write_rule(&group.folder(0));
    let machines = simulated(end_ms, &mut Rng::with_seed(drawn));
    let machines = rounds(&mut group, machines, plan, &mut rng).await;
    let expected = of_one_process(simulated(end_ms, &mut Rng::with_seed(drawn)), &mut rng).await;
    for machine in &machines {
        assert_eq!(machine.acknowledged, FRAMES as u64, "{}", machine.name);
        block_in_place(|| group.hubs.iter().for_each(|hub| simulated::check(hub, machine, end_ms)));
    }
    tables::repeat_nothing(&database).await;
    tables::are_equal(&database, &expected.database).await;
    block_in_place(|| group.terminate());
}

fn write_rule(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("rules.toml"), RULE).unwrap();
}

/// Kills until there were enough, and delivers the rest.
#[expect(clippy::print_stdout, reason = "what the last start has to do, beside the seed")]
async fn rounds(group: &mut Group, mut machines: Vec<Machine>, plan: Plan, rng: &mut Rng) -> Vec<Machine> {
    // Some of everything is left for each kill, and for the time after the last one.
    let share = (MACHINES * FRAMES) as u64 / (plan.kills + 1);
    let mut under_load = 0;
    for kill in 1..=plan.kills {
        under_load += u64::from(0 < left(&machines));
        block_in_place(|| group.start());
        let roaming = Roaming::start(machines, &group.doors(), share, rng);
        let enough = roaming.round.delivered(rng.u64(0..share));
        // Late in a run there may be less to deliver than that.
        drop(timeout(Duration::from_millis(rng.u64(5..500)), enough).await);
        roaming.round.over();
        let victim = rng.usize(..plan.processes);
        block_in_place(|| if kill % plan.stops_every == 0 { stop(group, victim) } else { kill_one(group, victim) });
        machines = roaming.end().await;
    }
    block_in_place(|| group.start());
    println!("of {} kills {under_load} under load, {} frames left for the end", plan.kills, left(&machines));
    Roaming::start(machines, &group.doors(), u64::MAX, rng).end().await
}

fn left(machines: &[Machine]) -> u64 {
    machines.iter().map(|machine| FRAMES as u64 - machine.acknowledged).sum()
}

fn kill_one(group: &mut Group, victim: usize) {
    let began = Instant::now();
    group.hubs[victim].kill();
    the_others_end(group, victim, began, "ended or was killed");
}

/// A stopped process ends as soon as it goes on.
fn stop(group: &mut Group, victim: usize) {
    let began = Instant::now();
    group.hubs[victim].signal("-STOP");
    the_others_end(group, victim, began, "has not");
    group.hubs[victim].signal("-CONT");
    assert_eq!(group.hubs[victim].wait().code(), Some(1), "{}", group.hubs[victim].last_line());
}

/// Each says whom it has lost; of several the later ones may have lost another one that ended because of the victim.
fn the_others_end(group: &mut Group, victim: usize, began: Instant, reason: &str) {
    let mut told = Vec::new();
    for (process, hub) in group.hubs.iter_mut().enumerate().filter(|(process, _)| *process != victim) {
        let status = hub.wait();
        let last = hub.last_line();
        assert!(began.elapsed() < END_WITHIN, "process {process} took {:?}: {last}", began.elapsed());
        assert_eq!(status.code(), Some(1), "process {process}: {last}");
        assert!(last["reason"].is_string(), "process {process}: {last}");
        told.push(last);
    }
    let names_it =
        |last: &Value| last["process"] == victim && last["reason"].as_str().is_some_and(|why| why.contains(reason));
    assert!(told.iter().any(names_it), "process {victim} is nobody's reason: {told:?}");
}

/// A hub of one process and what it made of the machines.
struct One {
    database: Database,
    _hub: Program,
    _dir: TempDir,
}

async fn of_one_process(machines: Vec<Machine>, rng: &mut Rng) -> One {
    let (dir, database) = (private_dir().unwrap(), Database::of_the_run().await.unwrap());
    write_rule(dir.path());
    let hub = block_in_place(|| Program::hub_with(dir.path(), &[("TIMESCALE_URL", database.url())]));
    Roaming::start(machines, std::slice::from_ref(&hub.grpc), u64::MAX, rng).end().await;
    One { database, _hub: hub, _dir: dir }
}
