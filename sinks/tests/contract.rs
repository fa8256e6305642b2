//! The contract of a lossless sink, as one suite that runs against each of them, alone and behind the driver.
//!
//! A store's contents are compared, printed in full, with what a store has that was written once, in order, without any trouble.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "contract/alerts.rs"]
mod alerts;
#[cfg(feature = "integration")]
#[path = "contract/failures.rs"]
mod failures;
#[path = "contract/faulty.rs"]
mod faulty;
#[path = "../src/fixtures.rs"]
mod fixtures;
#[path = "contract/processes.rs"]
mod processes;
#[path = "contract/spilled.rs"]
mod spilled;
#[path = "contract/subject.rs"]
mod subject;

use std::sync::Arc;
use std::time::Duration;

use model::{Egress, LogicalTime};
use runtime::breaker::BreakerSettings;
use runtime::clock::SystemClock;
use runtime::metrics::Registry;
use runtime::queue::{Sender, WhenFull, bounded};
use sinks::driver::{Driver, DriverContext, DriverSettings, Patience};
use sinks::sink::{Group, Lane, Sink, WriteBatch};
use sinks::spill::{Spill, SpillSettings};
use sinks::status::{DriverHandle, DriverStatus};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use faulty::{Controls, Faulty, Mode};
use subject::{Sqlite, Subject, TIMES, workload};

/// Far above what any of this takes; only a hang meets it.
const DEADLINE: Duration = Duration::from_secs(30);

fn batch(groups: &[Group], upto: LogicalTime) -> Arc<WriteBatch> {
    let groups = groups.to_vec();
    Arc::new(WriteBatch { groups, upto })
}

/// What a store holds after the workload was written once, in one go.
async fn wanted<S: Subject>() -> String {
    let subject = S::new().await;
    let mut store = subject.open().await;
    S::sink(&mut store).write(batch(&workload(), TIMES)).await.unwrap();
    S::sink(&mut store).flush().await.unwrap();
    S::contents(&store).await
}

async fn writing_twice_equals_writing_once<S: Subject>() {
    let subject = S::new().await;
    let mut store = subject.open().await;
    let groups = workload();
    for _ in 0..2 {
        for group in &groups {
            S::sink(&mut store).write(batch(std::slice::from_ref(group), group.t)).await.unwrap();
        }
        S::sink(&mut store).write(batch(&groups, TIMES)).await.unwrap();
    }
    S::sink(&mut store).flush().await.unwrap();
    assert_eq!(S::contents(&store).await, wanted::<S>().await);
}

/// S-2: after a crash at any point, offering again what the cursors do not cover gives the whole.
async fn a_crash_anywhere_loses_and_repeats_nothing<S: Subject>() {
    let (groups, wanted) = (workload(), wanted::<S>().await);
    for crash_after in 0..groups.len() {
        let subject = S::new().await;
        let mut store = subject.open().await;
        for group in &groups[..crash_after] {
            S::sink(&mut store).write(batch(std::slice::from_ref(group), group.t)).await.unwrap();
        }
        drop(store);
        let mut store = subject.open().await;
        let cursors = S::sink(&mut store).connect().await.unwrap();
        let offered = groups.get(..crash_after).map_or(0, |written| written.last().map_or(0, |group| group.t));
        assert!(cursors.rows <= offered && cursors.raw <= offered, "{cursors:?} after {offered}");
        let rest: Vec<Group> = groups.iter().filter(|group| cursors.oldest() < group.t).cloned().collect();
        S::sink(&mut store).write(batch(&rest, TIMES)).await.unwrap();
        S::sink(&mut store).flush().await.unwrap();
        assert_eq!(S::contents(&store).await, wanted, "crash after {crash_after} writes");
    }
}

/// A driver with little memory and little patience, on a store that can be told to fail.
struct Rig {
    queue: Sender<Egress>,
    handle: DriverHandle,
    task: JoinHandle<()>,
    controls: Controls,
}

impl Rig {
    fn start<S: Sink>(sink: S, spill: &TempDir, mode: Mode) -> Self {
        Self::with_memory(sink, spill, mode, 12_000)
    }

    fn with_memory<S: Sink>(sink: S, spill: &TempDir, mode: Mode, memory_bytes_max: usize) -> Self {
        let (queue, receiver) = bounded("history", 64, WhenFull::Overshoot);
        let spill = Spill::open(&SpillSettings { dir: spill.path().to_owned(), quota_bytes: 64 << 20 });
        let (faulty, controls) = Faulty::new(sink, mode);
        let context = DriverContext {
            settings: DriverSettings {
                batch_bytes_max: 3_000,
                commit_after: Duration::from_millis(1),
                idle_commit_after: Duration::from_millis(5),
                memory_bytes_max,
                flush_within: Duration::from_secs(5),
                patience: Patience {
                    retry_base: Duration::from_millis(1),
                    retry_cap: Duration::from_millis(5),
                    breaker: BreakerSettings { failures_max: 2, open_for: Duration::from_millis(5) },
                },
                ..DriverSettings::default()
            },
            clock: SystemClock::shared(),
            registry: &Registry::new(),
        };
        let (driver, handle) = Driver::new(faulty, receiver, spill.unwrap(), context);
        let task = tokio::spawn(async move { driver.run().await.unwrap() });
        Self { queue, handle, task, controls }
    }

    /// As two workers and the seal would: in two parts, progress after some of them.
    fn push(&self, groups: &[Group]) {
        for group in groups {
            let (first, second) = group.outputs.split_at(group.outputs.len() / 2);
            for outputs in [first.to_vec(), second.to_vec()] {
                self.queue.push(Egress::Data { t: group.t, outputs }).unwrap();
            }
            if group.t.is_multiple_of(3) {
                self.queue.push(Egress::Progress(group.t)).unwrap();
            }
        }
        let end = groups.last().map_or(0, |group| group.t);
        self.queue.push(Egress::Progress(end + 1)).unwrap();
    }

    async fn wait_for(&self, what: &str, is_so: impl FnMut(&DriverStatus) -> bool) -> DriverStatus {
        let found = timeout(DEADLINE, self.handle.wait_for(is_so)).await;
        let Ok(Some(status)) = found else { panic!("{what}: {:?}", self.handle.status()) };
        status
    }

    async fn complete(self) -> DriverStatus {
        self.queue.push(Egress::Complete).unwrap();
        timeout(DEADLINE, self.task).await.unwrap().unwrap();
        self.handle.status()
    }

    /// As a crash: nothing is flushed. Answers with what the journal had to keep.
    async fn kill(self) -> LogicalTime {
        self.task.abort();
        drop(timeout(DEADLINE, self.task).await.unwrap());
        timeout(DEADLINE, self.controls.gone()).await.unwrap();
        self.handle.status().keep_from
    }
}

/// The store refuses, or takes and forgets to say so, or hangs; the queue is drained all the while.
async fn a_failing_store_loses_and_repeats_nothing<S: Subject>(mode: Mode) {
    let (subject, spill) = (S::new().await, tempfile::tempdir().unwrap());
    let store = subject.open().await;
    let (sink, store) = S::split(store);
    let groups = workload();
    let (before, meanwhile, after) = (&groups[..10], &groups[10..30], &groups[30..]);
    let rig = Rig::start(sink, &spill, Mode::Works);
    rig.push(before);
    rig.wait_for("the beginning is stored", |status| status.cursors.is_some_and(|c| before[9].t <= c.rows)).await;
    rig.controls.mode.send_replace(mode);
    rig.push(meanwhile);
    let status = rig.wait_for("the queue is drained into the spill", |status| 0 < status.backlog_bytes).await;
    let status =
        if mode == Mode::Hangs { status } else { rig.wait_for("it is told", |status| !status.health.is_up).await };
    assert!(status.keep_from <= meanwhile[19].t + 1);
    rig.controls.mode.send_replace(Mode::Works);
    rig.push(after);
    rig.wait_for("it caught up", |status| status.cursors.is_some_and(|c| TIMES <= c.rows)).await;
    let status = rig.complete().await;
    assert!(status.health.is_up && status.lost == 0, "{status:?}");
    assert_eq!(status.cursors.map(|cursors| cursors.oldest()), Some(TIMES));
    assert_eq!(S::contents_of(&store).await, wanted::<S>().await);
}

/// The process dies while the store is away; the next one has the spill, and of the journal what `keep_from` asked for.
async fn a_restart_during_an_outage_loses_and_repeats_nothing<S: Subject>() {
    let (subject, spill) = (S::new().await, tempfile::tempdir().unwrap());
    let groups = workload();
    let rig = Rig::start(subject.open_sink().await, &spill, Mode::Works);
    rig.push(&groups[..8]);
    rig.wait_for("the beginning is stored", |status| status.cursors.is_some_and(|c| groups[7].t <= c.rows)).await;
    rig.controls.mode.send_replace(Mode::Refuses);
    rig.push(&groups[8..28]);
    rig.wait_for("the outage is spilled", |status| 0 < status.backlog_bytes).await;
    let keep_from = rig.kill().await;
    let (sink, store) = S::split(subject.open().await);
    let rig = Rig::start(sink, &spill, Mode::Refuses);
    // A replay begins earlier than it must: at the open hour.
    let replay_from = keep_from.saturating_sub(5);
    let replayed: Vec<Group> = groups.iter().filter(|group| replay_from <= group.t).cloned().collect();
    rig.push(&replayed);
    rig.wait_for("all is taken in", |status| TIMES <= status.sealed).await;
    rig.controls.mode.send_replace(Mode::Works);
    rig.wait_for("it caught up", |status| status.cursors.is_some_and(|c| TIMES <= c.rows)).await;
    let status = rig.complete().await;
    assert_eq!((status.lost, status.cursors.map(|cursors| cursors.oldest())), (0, Some(TIMES)));
    assert_eq!(S::contents_of(&store).await, wanted::<S>().await);
}

/// Memory may overshoot its bound while the spill's disk takes nothing either; beyond that the oldest goes, with a count.
async fn a_spill_that_takes_nothing_costs_only_what_memory_cannot_hold<S: Subject>() {
    for (memory_bytes_max, may_lose) in [(20_000, false), (2_000, true)] {
        let (subject, spill) = (S::new().await, tempfile::tempdir().unwrap());
        let (sink, store) = S::split(subject.open().await);
        let groups = workload();
        let rig = Rig::with_memory(sink, &spill, Mode::Refuses, memory_bytes_max);
        // No file can be made in a folder that is gone.
        spill.close().unwrap();
        for groups in [&groups[..10], &groups[10..30]] {
            rig.push(groups);
            let end = groups[groups.len() - 1].t;
            rig.wait_for("all is taken in", |status| end <= status.sealed).await;
        }
        rig.wait_for("memory is full", |status| 0 < status.lost || !may_lose).await;
        rig.controls.mode.send_replace(Mode::Works);
        rig.push(&groups[30..]);
        // The end would wait for less time than a machine under load may take.
        rig.wait_for("it caught up", |status| status.cursors.is_some_and(|c| TIMES <= c.rows)).await;
        let status = rig.complete().await;
        assert_eq!(status.cursors.map(|cursors| cursors.oldest()), Some(TIMES));
        assert_eq!(0 < status.lost, may_lose, "{status:?}");
        assert_eq!(S::contents_of(&store).await == wanted::<S>().await, !may_lose);
    }
}

/// S-1, S-2: any course of faults and crashes, drawn from a seed.
async fn any_course_of_faults_loses_and_repeats_nothing<S: Subject>() {
    let (groups, wanted) = (workload(), wanted::<S>().await);
    for seed in 0..24 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (subject, spill) = (S::new().await, tempfile::tempdir().unwrap());
        let modes = [Mode::Works, Mode::Works, Mode::Refuses, Mode::StoresAndFails, Mode::Hangs];
        let mut rig = Rig::start(subject.open_sink().await, &spill, Mode::Works);
        let mut pushed = 0;
        while pushed < groups.len() {
            rig.controls.mode.send_replace(*rng.choice(&modes).unwrap());
            let end = groups.len().min(pushed + rng.usize(1..12));
            rig.push(&groups[pushed..end]);
            pushed = end;
            if rng.bool() {
                let upto = groups[end - 1].t;
                rig.wait_for("all is taken in", |status| upto <= status.sealed).await;
            }
            if rng.u8(0..4) == 0 {
                let keep_from = rig.kill().await;
                let replay_from = keep_from.saturating_sub(rng.u64(0..30));
                rig = Rig::start(subject.open_sink().await, &spill, *rng.choice(&modes).unwrap());
                // The journal brings again what was asked of it, up to where it had come.
                let from = groups.partition_point(|group| group.t < replay_from).min(pushed);
                rig.push(&groups[from..pushed]);
            }
        }
        rig.controls.mode.send_replace(Mode::Works);
        rig.wait_for("it caught up", |status| status.cursors.is_some_and(|c| TIMES <= c.rows)).await;
        let status = rig.complete().await;
        let reached = status.cursors.map(|cursors| cursors.oldest());
        assert_eq!((reached, status.lost), (Some(TIMES), 0), "seed {seed}");
        assert_eq!(S::contents(&subject.open().await).await, wanted, "seed {seed}");
    }
}

/// S-2: what is not sealed is not stored, also not at the end.
async fn nothing_undurable_is_stored<S: Subject>() {
    let (subject, spill) = (S::new().await, tempfile::tempdir().unwrap());
    let (sink, store) = S::split(subject.open().await);
    let groups = workload();
    let rig = Rig::start(sink, &spill, Mode::Works);
    for group in &groups {
        let (t, outputs) = (group.t, group.outputs.clone());
        rig.queue.push(Egress::Data { t, outputs }).unwrap();
    }
    rig.queue.push(Egress::Progress(groups[4].t)).unwrap();
    let status = rig.complete().await;
    let cursors = status.cursors.unwrap();
    assert_eq!(cursors.of(Lane::Rows), groups[4].t - 1);
    let subject = S::new().await;
    let mut wanted = subject.open().await;
    S::sink(&mut wanted).write(batch(&groups[..4], groups[4].t - 1)).await.unwrap();
    assert_eq!(S::contents_of(&store).await, S::contents(&wanted).await);
}

/// The suite, once per lossless sink.
macro_rules! suite {
    ($name:ident, $subject:ty) => {
        mod $name {
            use super::*;

            #[tokio::test]
            async fn writing_twice_equals_writing_once() {
                super::writing_twice_equals_writing_once::<$subject>().await;
            }

            #[tokio::test]
            async fn the_table_of_an_instant_is_its_minutes_busiest_or_the_nearest_within_reach() {
                super::processes::the_table_of_an_instant_is_its_minutes_busiest_or_the_nearest_within_reach::<$subject>()
                    .await;
            }

            #[tokio::test]
            async fn the_end_of_an_alert_told_again_leaves_the_next_one_alone() {
                super::alerts::the_end_of_an_alert_told_again_leaves_the_next_one_alone::<$subject>().await;
            }

            #[tokio::test]
            async fn a_crash_anywhere_loses_and_repeats_nothing() {
                super::a_crash_anywhere_loses_and_repeats_nothing::<$subject>().await;
            }

            #[tokio::test]
            async fn a_store_that_refuses_for_a_while_loses_and_repeats_nothing() {
                super::a_failing_store_loses_and_repeats_nothing::<$subject>(Mode::Refuses).await;
            }

            #[tokio::test]
            async fn a_store_that_stores_and_then_fails_loses_and_repeats_nothing() {
                super::a_failing_store_loses_and_repeats_nothing::<$subject>(Mode::StoresAndFails).await;
            }

            #[tokio::test]
            async fn a_store_that_hangs_for_a_while_loses_and_repeats_nothing() {
                super::a_failing_store_loses_and_repeats_nothing::<$subject>(Mode::Hangs).await;
            }

            #[tokio::test]
            async fn a_restart_during_an_outage_loses_and_repeats_nothing() {
                super::a_restart_during_an_outage_loses_and_repeats_nothing::<$subject>().await;
            }

            #[tokio::test]
            async fn a_spilled_write_that_succeeds_after_all_is_not_spilled_again() {
                super::spilled::a_spilled_write_that_succeeds_after_all_is_not_spilled_again::<$subject>().await;
            }

            #[tokio::test]
            async fn a_spill_that_takes_nothing_costs_only_what_memory_cannot_hold() {
                super::a_spill_that_takes_nothing_costs_only_what_memory_cannot_hold::<$subject>().await;
            }

            #[tokio::test]
            async fn any_course_of_faults_loses_and_repeats_nothing() {
                super::any_course_of_faults_loses_and_repeats_nothing::<$subject>().await;
            }

            #[tokio::test]
            async fn what_the_end_cannot_store_waits_in_the_spill() {
                super::spilled::what_the_end_cannot_store_waits_in_the_spill::<$subject>().await;
            }

            #[tokio::test]
            async fn nothing_undurable_is_stored() {
                super::nothing_undurable_is_stored::<$subject>().await;
            }
        }
    };
}

suite!(sqlite, Sqlite);
#[cfg(feature = "integration")]
suite!(postgres, subject::Postgres);

/// Both histories say the same of the same outputs.
#[cfg(feature = "integration")]
#[tokio::test]
async fn postgres_holds_what_sqlite_holds() {
    assert_eq!(wanted::<subject::Postgres>().await, wanted::<Sqlite>().await);
}

/// The server dies in the middle of a write, stays away, and comes back with what it had made durable.
#[cfg(feature = "integration")]
#[tokio::test]
async fn a_server_that_is_killed_under_load_has_the_whole_when_it_is_back() {
    use testkit::postgres_server::{PrivateServer, Stop};

    let (server, spill) = (PrivateServer::start().unwrap(), tempfile::tempdir().unwrap());
    let subject = subject::Postgres::at(&server.url()).await;
    let groups = workload();
    let rig = Rig::start(subject.open_sink().await, &spill, Mode::Works);
    for (round, groups) in groups.chunks(10).enumerate() {
        rig.push(&groups[..5]);
        // A restart keeps what waits, a crash does not even end its connections properly.
        server.stop(if round.is_multiple_of(2) { Stop::Immediate } else { Stop::Fast }).unwrap();
        rig.push(&groups[5..]);
        rig.wait_for("it is told", |status| !status.health.is_up).await;
        server.restart().unwrap();
        rig.wait_for("it is back", |status| status.health.is_up).await;
    }
    let status = rig.complete().await;
    assert_eq!((status.lost, status.cursors.map(|cursors| cursors.oldest())), (0, Some(TIMES)));
    assert_eq!(subject::Postgres::contents(&subject.open().await).await, wanted::<Sqlite>().await);
}

/// Events of one moment have no order of their own.
#[cfg(feature = "integration")]
fn unordered(contents: &str) -> String {
    let sorted = |line: &str| {
        let mut words: Vec<&str> = line.split([' ', ',', '[', ']']).collect();
        words.sort_unstable();
        words.join(" ")
    };
    let lines = contents.lines().map(|line| if line.starts_with("p Raw") { sorted(line) } else { line.to_owned() });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whatever the import meets that the journal brought before it, each sample and row ends up once.
#[cfg(feature = "integration")]
#[tokio::test]
async fn an_imported_history_is_the_one_it_was_made_from() {
    let (from, to) = (Sqlite::new().await, subject::Postgres::new().await);
    let groups = workload();
    let mut embedded = from.open().await;
    Sqlite::sink(&mut embedded).write(batch(&groups, TIMES)).await.unwrap();
    Sqlite::sink(&mut embedded).flush().await.unwrap();
    let too_early = to.import(from.dir(), |_| {}).await.unwrap_err().to_string();
    assert!(too_early.contains("start it once with TIMESCALE_URL"), "{too_early}");
    let mut server = to.open().await;
    // What a replay brings: the newest third.
    subject::Postgres::sink(&mut server).write(batch(&groups[30..], TIMES)).await.unwrap();
    let imported = to.import(from.dir(), |_| {}).await.unwrap();
    assert!(imported.machines == 3 && 0 < imported.samples && 0 < imported.windows, "{imported:?}");
    let wanted = unordered(&Sqlite::contents(&embedded).await);
    assert_eq!(unordered(&subject::Postgres::contents(&server).await), wanted);
    let again = to.import(from.dir(), |_| {}).await.unwrap();
    assert_eq!((again.machines_before, again.samples, again.alerts, again.dead_letters), (3, 0, 0, 0));
    assert_eq!(unordered(&subject::Postgres::contents(&server).await), wanted);
}

/// An import that is cut off in the middle of a machine, at each of them, goes on where it was; what waits for repair waits there, too.
#[cfg(feature = "integration")]
#[tokio::test]
async fn an_import_that_is_cut_off_goes_on_and_brings_the_repair_list() {
    use model::Output;

    let (from, to) = (Sqlite::new().await, subject::Postgres::new().await);
    let (late, request) = (fixtures::at(97_800), Output::Repair(fixtures::repair("a", fixtures::at(97_800))));
    let mut groups = workload();
    let samples =
        fixtures::samples(&fixtures::roster("a", 3), &[(0, late, 2.0), (0, late + Duration::from_secs(1), 4.0)]);
    groups[5].outputs.extend([Output::Samples(samples), request]);
    let mut embedded = from.open().await;
    Sqlite::sink(&mut embedded).write(batch(&groups, TIMES)).await.unwrap();
    Sqlite::sink(&mut embedded).flush().await.unwrap();
    let mut server = to.open().await;
    // The hub has followed the graph, which is now farther than any of this.
    subject::Postgres::sink(&mut server).write(batch(&[], TIMES)).await.unwrap();
    let mut runs = 0;
    loop {
        let cut = tokio::sync::Notify::new();
        tokio::select! {
            biased;
            // The next machine has begun by then, for the import goes on until it has to wait.
            () = cut.notified() => runs += 1,
            imported = to.import(from.dir(), |_| cut.notify_one()) => {
                assert_eq!(imported.unwrap().machines_before, 3);
                break;
            }
        }
    }
    assert_eq!(runs, 3, "one for each machine");
    let wanted = unordered(&Sqlite::contents(&embedded).await);
    assert_eq!(unordered(&subject::Postgres::contents(&server).await), wanted);
    while subject::Postgres::sink(&mut server).maintain().await.unwrap() {}
    while Sqlite::sink(&mut embedded).maintain().await.unwrap() {}
    let repaired = unordered(&Sqlite::contents(&embedded).await);
    assert!(repaired != wanted && repaired.contains("a Minute m0: [97800"), "{repaired}");
    assert_eq!(unordered(&subject::Postgres::contents(&server).await), repaired);
}
