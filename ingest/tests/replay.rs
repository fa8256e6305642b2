//! The journal gives back what was acknowledged (J-1), each record at the T it had (J-2), over crashes, rotations and damage.

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{Front, Push, Remembering, START_MS, crash_copy, folder, frame, layout, open_journal};
use ingest::{Foundations, Ingest, Replayed, Settings};
use journal::{Journal, Options};
use model::{
    Batch, Dataflow, Labels, Layout, MachineId, Positions, Record, Rule, RuleSet, SeriesKey, SessionId, Times,
    Timestamp, codec,
};
use runtime::clock::ManualClock;
use runtime::metrics::Registry;

fn replay(dir: &Path, from_t: u64) -> (Replayed, Remembering) {
    let graph = Remembering::default();
    let found = ingest::replay(&open_journal(dir), from_t, &graph, &mut |_| {}).expect("a readable journal");
    (found, graph)
}

/// Rules are journalled by an owner that is no collector.
fn rules(version: u64) -> Record {
    let rule = r#"{"name":"cpu","metric":"a","operator":"gt","threshold":1.0,"severity":"warning"}"#;
    let rule: Rule = serde_json::from_str(rule).expect("a valid rule");
    Record::Rules(Arc::new(RuleSet::new(version, vec![rule]).expect("valid rules")))
}

fn start(dir: &Path, options: Options, clock: &ManualClock, keep_from: &Arc<AtomicU64>) -> (Ingest, Arc<Remembering>) {
    let graph = Arc::new(Remembering::default());
    let (journal, _) = Journal::open(Options { dir: dir.to_owned(), ..options }).expect("a journal");
    let replayed = ingest::replay(&journal, 0, graph.as_ref(), &mut |_| {}).expect("a readable journal");
    let foundations = Foundations {
        journal,
        replayed,
        dataflow: Arc::<Remembering>::clone(&graph),
        t_floor: 0,
        keep_from: Arc::clone(keep_from),
        clock: clock.shared(),
        registry: Registry::new(),
        settings: Settings::default(),
        peers: None,
    };
    (Ingest::start(foundations).expect("threads"), graph)
}

fn batch(sequence: u64) -> Record {
    let machine = MachineId::parse("db-1").expect("a valid id");
    let series = (0..50).map(|n| SeriesKey::parse(&format!("m{n}"), Labels::none()).expect("a valid name")).collect();
    Record::Batch(Arc::new(Batch {
        layout: Arc::new(Layout::new(machine, series)),
        session: SessionId(7),
        sequence,
        arrival: Timestamp::from_millis(START_MS),
        age_ms: 0,
        positions: Positions::All,
        times: Times::One(Timestamp::from_millis(START_MS)),
        values: vec![sequence as f64; 50].into(),
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_moment_gives_back_what_was_acknowledged_at_its_own_times() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let (mut push, _) = Push::hello(&front, "db-1", 7).await;
    push.send(layout(1, &["a", "b"])).await;
    for sequence in 1..=20 {
        push.send(frame(sequence, 1, i64::try_from(sequence).unwrap(), &[1.0, 2.0])).await;
    }
    push.acknowledged(20).await;
    let copy = crash_copy(dir.path());
    // A record that the crash cut short.
    let segment = std::fs::read_dir(copy.path()).unwrap().map(|e| e.unwrap().path());
    let segment = segment.filter(|path| path.extension().is_some_and(|e| e == "journal")).max().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes.extend_from_slice(&[7; 33]);
    std::fs::write(&segment, bytes).unwrap();

    let (found, graph) = replay(copy.path(), 0);
    assert_eq!((found.batches, found.samples, found.undecodable), (20, 40, 0));
    // Record for record what went into the graph the first time, at the same T.
    assert_eq!(format!("{:?}", graph.records()), format!("{:?}", front.graph.records()));
    assert_eq!(graph.sealed(), found.newest_t.unwrap() + 1);
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_from_later_on_brings_the_state_of_before() {
    let dir = folder();
    let clock = ManualClock::at(START_MS * 1_000);
    let (ingest, graph) = start(dir.path(), Options::new(""), &clock, &Arc::default());
    for record in [rules(3), batch(1)] {
        ingest.intake().record(record).await.unwrap();
    }
    clock.advance(Duration::from_secs(60));
    let later = u64::try_from(START_MS).unwrap() * 1_000 + 60_000_000;
    ingest.intake().record(batch(2)).await.unwrap();
    assert!(ingest.stop(common::SOON).await);
    assert_eq!(graph.sequences(), [1, 2]);

    let (found, graph) = replay(dir.path(), later);
    assert_eq!((graph.sequences(), found.batches), (vec![2], 1));
    let kinds: Vec<&str> = graph
        .records()
        .iter()
        .map(|stamped| match &stamped.record {
            Record::Rules(_) => "rules",
            Record::Layout(_) => "layout",
            Record::Batch(_) => "batch",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["rules", "layout", "batch"]);
    assert!(graph.records().iter().all(|stamped| stamped.t >= later));
    assert_eq!(found.state.rules().unwrap().version, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_segments_leave_layouts_marks_and_rules_behind() {
    let dir = folder();
    let options = || Options { segment_bytes: 16 << 10, ..Options::new("") };
    let (clock, keep_from) = (ManualClock::at(START_MS * 1_000), Arc::<AtomicU64>::default());
    let (ingest, _) = start(dir.path(), options(), &clock, &keep_from);
    ingest.intake().record(rules(3)).await.unwrap();
    for sequence in 1..=400 {
        clock.advance(Duration::from_secs(1));
        if sequence == 390 {
            keep_from.store(u64::try_from(START_MS).unwrap() * 1_000 + 380_000_000, Ordering::Release);
        }
        ingest.intake().record(batch(sequence)).await.unwrap();
    }
    assert!(ingest.stop(common::SOON).await);

    let (found, graph) = replay(dir.path(), 0);
    let sequences = graph.sequences();
    assert!(sequences.len() < 300 && sequences.ends_with(&[398, 399, 400]), "{sequences:?}");
    assert!(sequences.is_sorted() && found.undecodable == 0 && found.gaps.is_empty());
    assert_eq!(found.state.rules().unwrap().version, 3);
    // Each batch's layout came before it, and the rules once.
    let count = |wanted: fn(&Record) -> bool| graph.records().iter().filter(|s| wanted(&s.record)).count();
    assert_eq!(count(|record| matches!(record, Record::Layout(_))), 1);
    assert_eq!(count(|record| matches!(record, Record::Rules(_))), 1);
    assert_eq!(count(|record| matches!(record, Record::Mark(_))), 0);
    // And a resend from before the dropped part is still recognized.
    let front = Front::start(dir.path()).await;
    let (_push, first) = Push::hello(&front, "db-1", 7).await;
    assert_eq!(first.acknowledged, 400);
    assert!(front.stop().await);
}

#[test]
fn a_record_of_a_newer_version_is_counted_and_the_rest_is_replayed() {
    let dir = folder();
    {
        let mut journal = open_journal(dir.path());
        let mut bytes = Vec::new();
        let Record::Batch(first) = batch(1) else { panic!() };
        codec::encode(&Record::Layout(Arc::clone(&first.layout)), &mut bytes);
        journal.append(10, &bytes).unwrap();
        journal.append(10, &[250, 1, 2, 3]).unwrap();
        bytes.clear();
        codec::encode(&Record::Batch(first), &mut bytes);
        journal.append(11, &bytes).unwrap();
        journal.commit().unwrap();
    }
    let (found, graph) = replay(dir.path(), 0);
    assert_eq!((found.undecodable, found.batches, found.newest_t), (1, 1, Some(11)));
    assert_eq!((graph.sealed(), graph.records().len()), (12, 2));
    // Machines are routed alike before and after.
    assert!(graph.workers() == common::WORKERS);
}

#[test]
fn an_empty_journal_replays_to_nothing() {
    let dir = folder();
    let (found, graph) = replay(dir.path(), 0);
    assert_eq!((found.newest_t, found.records, graph.seals()), (None, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_between_two_runs_repeats_no_time() {
    let dir = folder();
    let clock = ManualClock::at(START_MS * 1_000);
    let seen = u64::try_from(START_MS).unwrap() * 1_000 + 5_000_000;
    let graph = Arc::new(Remembering::default());
    let foundations = Foundations {
        journal: open_journal(dir.path()),
        replayed: Replayed::default(),
        dataflow: Arc::<Remembering>::clone(&graph),
        // A sink saw a heartbeat of the earlier run.
        t_floor: seen,
        keep_from: Arc::default(),
        clock: clock.shared(),
        registry: Registry::new(),
        settings: Settings::default(),
        peers: None,
    };
    let ingest = Ingest::start(foundations).unwrap();
    ingest.intake().record(batch(1)).await.unwrap();
    assert!(ingest.stop(common::SOON).await);
    assert!(graph.records().iter().all(|stamped| seen < stamped.t));
}
