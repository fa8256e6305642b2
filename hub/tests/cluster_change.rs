//! Another number of hub processes: after a clean stop of all, the tables go on to be those of one process.

#![cfg(feature = "integration")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::Path;

use common::roaming::Roaming;
use common::simulated::{FRAMES, MACHINES, RULE, check, end_of_data, simulated};
use common::{Group, Machine, Program, now_ms, tables};
use fastrand::Rng;
use testkit::postgres::Database;
use testkit::servers::private_dir;
use tokio::task::block_in_place;

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_grows_in_mid_stream_gives_the_tables_of_one_process() {
    changes(2, 3, (MACHINES * FRAMES / 2) as u64).await;
}

/// What comes in the ten minutes after is another matter (docs/OPERATIONS.md), so all is delivered before.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_shrinks_keeps_the_tables_of_one_process() {
    changes(3, 2, u64::MAX).await;
}

#[expect(clippy::print_stdout, reason = "the seed of a run that failed")]
async fn changes(before: usize, after: usize, share: u64) {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let end_ms = end_of_data(now_ms());
    let (dir, database) = (private_dir().unwrap(), Database::of_the_run().await.unwrap());
    let mut group = Group::new(dir.path(), before, &[("TIMESCALE_URL", database.url())]);
    write_rule(&group.folder(0));
    let machines = push(&mut group, simulated(end_ms, &mut Rng::with_seed(seed)), share, &mut rng).await;
    block_in_place(|| group.terminate());
    group.write_hosts(after);
    let machines = push(&mut group, machines, u64::MAX, &mut rng).await;

    let (alone, expected) = (private_dir().unwrap(), Database::of_the_run().await.unwrap());
    write_rule(alone.path());
    let one = block_in_place(|| Program::hub_with(alone.path(), &[("TIMESCALE_URL", expected.url())]));
    let doors = [one.grpc.clone()];
    Roaming::start(simulated(end_ms, &mut Rng::with_seed(seed)), &doors, u64::MAX, &mut rng).end().await;
    for machine in &machines {
        block_in_place(|| group.hubs.iter().for_each(|hub| check(hub, machine, end_ms)));
    }
    tables::repeat_nothing(&database).await;
    tables::are_equal(&database, &expected).await;
    block_in_place(|| group.terminate());
}

fn write_rule(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("rules.toml"), RULE).unwrap();
}

/// Starts all and delivers this share of everything.
async fn push(group: &mut Group, machines: Vec<Machine>, share: u64, rng: &mut Rng) -> Vec<Machine> {
    block_in_place(|| group.start());
    let roaming = Roaming::start(machines, &group.doors(), share, rng);
    if share < u64::MAX {
        roaming.round.delivered(share).await;
        roaming.round.over();
    }
    roaming.end().await
}
