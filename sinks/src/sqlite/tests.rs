//! History on SQLite, as its readers see it.

use std::sync::Arc;
use std::time::Duration;

use model::query::{AlertQuery, DeadLetterQuery, History, QueryError, RangeAnswer, RangeQuery, Tier};
use model::{
    AlertState, Change, DeadLetter, LogicalTime, MachineInfo, Output, RejectReason, Rejected, Severity, Standing,
    Status, Timestamp, Width,
};
use runtime::clock::ManualClock;
use runtime::metrics::Registry;
use tempfile::TempDir;

use super::{SqliteHistory, SqliteSettings, SqliteSink, open};
use crate::fixtures::{
    at, flooded, frame, machine, presence, rejected, repair, resent, roster, rule, samples, standing, transition,
    window,
};
use crate::sink::{Cursors, Group, Sink, WriteBatch};

struct Store {
    dir: TempDir,
    clock: ManualClock,
    sink: SqliteSink,
    history: SqliteHistory,
}

fn settings(dir: &TempDir) -> SqliteSettings {
    SqliteSettings { gather_batches: 4, ..SqliteSettings::new(dir.path()) }
}

impl Store {
    fn new() -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), ManualClock::at(at(100_000).micros()));
        let (sink, history) = open(settings(&dir), clock.shared(), &Registry::new()).unwrap();
        Self { dir, clock, sink, history }
    }

    /// As after a crash: what is gathered in memory is gone.
    fn restart(self) -> Self {
        let Self { dir, clock, sink, history } = self;
        drop((sink, history));
        let (sink, history) = open(settings(&dir), clock.shared(), &Registry::new()).unwrap();
        Self { dir, clock, sink, history }
    }

    async fn write(&mut self, t: LogicalTime, outputs: Vec<Output>) -> Cursors {
        let batch = WriteBatch { groups: vec![Group { t, outputs }], upto: t };
        self.sink.write(Arc::new(batch)).await.unwrap()
    }

    async fn range(&self, tier: Tier) -> RangeAnswer {
        self.history.range(query(tier)).await.unwrap()
    }

    async fn letters(&self, offset: usize) -> Vec<Rejected> {
        let query = DeadLetterQuery { offset, limit: 10, ..DeadLetterQuery::default() };
        let letters = self.history.dead_letters(query).await.unwrap();
        letters.into_iter().map(|letter| letter.rejected).collect()
    }

    /// Seconds and values of the first series.
    async fn raw(&self) -> Vec<(i64, f64)> {
        let answer = self.range(Tier::Raw).await;
        let Some(points) = answer.series.first() else {
            return Vec::new();
        };
        points.t.iter().map(|t| t.secs()).zip(points.v.iter().copied()).collect()
    }
}

fn query(tier: Tier) -> RangeQuery {
    RangeQuery {
        machine: machine("a"),
        metrics: vec!["m0".to_owned()],
        from: at(99_000),
        to: at(100_000),
        tier,
        points_max: 10_000,
    }
}

fn alert_query() -> AlertQuery {
    AlertQuery { from: Timestamp::EPOCH, to: at(200_000), machine: None, rule: None, offset: 0, limit: 10 }
}

#[tokio::test]
async fn raw_samples_are_read_from_chunks_and_from_memory_each_once() {
    let mut store = Store::new();
    let roster = roster("a", 2);
    for n in 1..=6_u64 {
        let time = at(99_000 + i64::try_from(n).unwrap() * 5);
        let value = n as f64 / 10.0;
        let cursors = store.write(n, vec![Output::Samples(frame(&roster, time, &[value, 1.0]))]).await;
        // Four make a chunk; the raw cursor waits for it, the rows' does not.
        let raw = if n < 4 { 0 } else { 4 };
        assert_eq!(cursors, Cursors { rows: n, raw });
    }
    let wanted = [(99_005, 0.1), (99_010, 0.2), (99_015, 0.3), (99_020, 0.4), (99_025, 0.5), (99_030, 0.6)];
    assert_eq!(store.raw().await, wanted);
    // Late, and one that was there: the first stands.
    let late = samples(&roster, &[(0, at(99_001), 9.0), (0, at(99_010), 7.0)]);
    store.write(7, vec![Output::Samples(late)]).await;
    assert_eq!(store.raw().await.len(), 7);
    assert_eq!(store.raw().await[..3], [(99_001, 9.0), (99_005, 0.1), (99_010, 0.2)]);
    assert_eq!(store.sink.flush().await.unwrap(), Cursors { rows: 7, raw: 7 });
    assert_eq!(store.raw().await.len(), 7);
    assert_eq!(store.restart().raw().await.len(), 7);
}

#[tokio::test]
async fn a_restart_takes_again_what_was_gathered_and_nothing_twice() {
    let mut store = Store::new();
    let (a, b) = (roster("a", 1), roster("b", 1));
    let time = |n: u64| at(99_000 + i64::try_from(n).unwrap());
    let outputs = |n: u64| {
        let mut outputs = vec![Output::Samples(frame(&a, time(n), &[1.0]))];
        if n == 2 {
            outputs.push(Output::Samples(frame(&b, time(n), &[1.0])));
        }
        outputs
    };
    for n in 1..=5 {
        store.write(n, outputs(n)).await;
    }
    // Machine a has a chunk up to 4, but b waits since 2.
    assert_eq!(store.sink.cursors(), Cursors { rows: 5, raw: 1 });
    let mut store = store.restart();
    assert_eq!(store.raw().await.len(), 4);
    for n in 2..=6 {
        store.write(n, outputs(n)).await;
    }
    assert_eq!(store.raw().await.len(), 6);
    store.sink.flush().await.unwrap();
    assert_eq!(store.raw().await.len(), 6);
    assert_eq!(store.sink.cursors(), Cursors { rows: 6, raw: 6 });
}

#[tokio::test]
async fn a_window_keeps_its_highest_revision() {
    let mut store = Store::new();
    let roster = roster("a", 2);
    let minute = |revision, value| Output::Minute(window(&roster, Width::Minute, at(99_000), revision, value));
    store.write(1, vec![minute(5, 1.0), Output::Hour(window(&roster, Width::Hour, at(97_200), 5, 3.0))]).await;
    store.write(2, vec![minute(7, 2.0)]).await;
    store.write(3, vec![minute(6, 9.0), minute(7, 8.0)]).await;
    let answer = store.range(Tier::Minute).await;
    let points = &answer.series[0];
    assert_eq!(
        (points.t.as_slice(), points.v.as_slice(), points.is_final[0]),
        ([at(99_000)].as_slice(), [2.0].as_slice(), true)
    );
    assert_eq!((points.count[0], points.min[0], points.max[0], points.last[0]), (1, 2.0, 2.0, 2.0));
    // The hour that the range begins in is part of it.
    assert_eq!(store.range(Tier::Hour).await.series[0].v, [3.0]);
}

#[tokio::test]
async fn a_minute_on_the_repair_list_is_made_again_from_raw_samples_and_its_hour_from_minutes() {
    let mut store = Store::new();
    let roster = roster("a", 1);
    let sample = |secs, value| Output::Samples(frame(&roster, at(secs), &[value]));
    let minute = |start, revision, value| Output::Minute(window(&roster, Width::Minute, at(start), revision, value));
    let hour = Output::Hour(window(&roster, Width::Hour, at(97_200), 2, 1.0));
    let graph = vec![sample(97_201, 1.0), sample(97_261, 3.0), minute(97_200, 1, 1.0), minute(97_260, 1, 3.0), hour];
    store.write(1, graph).await;
    // Too late for the graph: it only asks.
    store.write(5, vec![sample(97_202, 5.0), Output::Repair(repair("a", at(97_200)))]).await;
    while store.sink.maintain().await.unwrap() {}
    let range = |tier| RangeQuery { from: at(97_200), ..query(tier) };
    let values = async |store: &Store, tier| store.history.range(range(tier)).await.unwrap().series[0].v.clone();
    assert_eq!(values(&store, Tier::Minute).await, [1.0, 3.0], "the sample is not in a chunk yet");
    store.sink.flush().await.unwrap();
    while store.sink.maintain().await.unwrap() {}
    assert_eq!(values(&store, Tier::Minute).await, [3.0, 3.0]);
    assert_eq!(values(&store, Tier::Hour).await, [1.0], "the graph may still correct the hour");
    store.clock.advance(Duration::from_secs(3_600));
    while store.sink.maintain().await.unwrap() {}
    assert_eq!(values(&store, Tier::Hour).await, [3.0]);
    let again = store.history.range(range(Tier::Hour)).await.unwrap();
    assert_eq!((again.series[0].count[0], again.series[0].max[0], again.series[0].last[0]), (3, 5.0, 3.0));
}

#[tokio::test]
async fn what_the_rows_cursor_has_passed_is_dropped() {
    let mut store = Store::new();
    let letter = || vec![Output::Rejected(rejected("a", at(99_000)))];
    store.write(3, letter()).await;
    store.write(3, letter()).await;
    let mut store = store.restart();
    store.write(2, letter()).await;
    assert_eq!(store.letters(0).await, [rejected("a", at(99_000)).as_ref().clone()]);
    store.write(4, letter()).await;
    assert_eq!(store.letters(0).await.len(), 2);
    assert_eq!(store.letters(1).await.len(), 1);
}

#[tokio::test]
async fn a_dead_letter_has_its_id_its_samples_and_when_it_was_sent_again() {
    let mut store = Store::new();
    let (flood, other) = (flooded("a", at(99_000)), rejected("a", at(99_000)));
    let id = DeadLetter::id_of(1, &flood);
    store.write(1, vec![Output::Rejected(Arc::clone(&flood)), Output::Rejected(other)]).await;
    store.write(2, vec![Output::Resent(resent("a", &id, at(99_100))), Output::Resent(resent("a", "0", at(1)))]).await;
    store.write(3, vec![Output::Resent(resent("a", &id, at(99_200)))]).await;
    let ask = async |query: DeadLetterQuery| store.history.dead_letters(query).await.unwrap();
    let all = ask(DeadLetterQuery { limit: 10, ..DeadLetterQuery::default() }).await;
    let found = ask(DeadLetterQuery { id: Some(id.clone()), ..DeadLetterQuery::default() }).await;
    assert_eq!((all.len(), &found[..]), (2, &all[1..]));
    assert_eq!((&found[0].id, &found[0].rejected, found[0].resent), (&id, flood.as_ref(), Some(at(99_100))));
    let waiting = ask(DeadLetterQuery { is_waiting: true, limit: 10, ..DeadLetterQuery::default() }).await;
    assert_eq!(waiting, all[..1]);
    let limited = DeadLetterQuery { reason: Some(RejectReason::RateLimited), limit: 10, ..DeadLetterQuery::default() };
    assert_eq!(ask(limited).await, found);
}

#[tokio::test]
async fn how_an_alert_stands_is_there_after_a_restart_and_a_resolved_one_keeps_its_last() {
    let mut store = Store::new();
    let fired = |since| transition(&rule("cpu", Severity::Critical), "a", Change::Fired, at(since), at(since));
    let stands = |since, how: &Standing| Output::Standing(standing(&fired(since), how.clone()));
    let silenced = Standing::Silenced("s-1".into());
    let kept = async |store: &Store| store.history.known().await.unwrap().alerts[0].standing.clone();
    store.write(1, vec![Output::Transition(fired(10))]).await;
    assert_eq!(kept(&store).await, None);
    store.write(2, vec![stands(10, &silenced), stands(11, &Standing::Inhibited)]).await;
    let mut store = store.restart();
    assert_eq!(kept(&store).await, Some(silenced.clone()), "that of another firing is not taken");
    let resolved = transition(&rule("cpu", Severity::Critical), "a", Change::Resolved, at(10), at(20));
    store.write(3, vec![Output::Transition(resolved), stands(10, &Standing::Active)]).await;
    let alerts = store.history.alerts(alert_query()).await.unwrap();
    assert_eq!((alerts[0].state, &alerts[0].standing), (AlertState::Resolved, &Some(silenced)));
    assert_eq!(alerts[0].resolution, Some(model::Resolution::Value));
}

#[tokio::test]
async fn an_alert_opens_once_and_closes_once() {
    let mut store = Store::new();
    let rule = rule("cpu", Severity::Critical);
    let fired = |since| Output::Transition(transition(&rule, "a", Change::Fired, at(since), at(since)));
    let resolved = Output::Transition(transition(&rule, "a", Change::Resolved, at(10), at(20)));
    store.write(1, vec![resolved.clone(), fired(10), fired(10), fired(12)]).await;
    let alerts = store.history.alerts(alert_query()).await.unwrap();
    assert_eq!(alerts.len(), 1);
    assert_eq!((alerts[0].state, alerts[0].since, &alerts[0].rule), (AlertState::Firing, at(10), &rule));
    let mut store = store.restart();
    assert_eq!(store.history.known().await.unwrap().alerts, alerts);
    store.write(2, vec![resolved.clone(), resolved, fired(30)]).await;
    let alerts = store.history.alerts(alert_query()).await.unwrap();
    let shown: Vec<_> = alerts.iter().map(|alert| (alert.state, alert.since, alert.resolved)).collect();
    assert_eq!(shown, [(AlertState::Firing, at(30), None), (AlertState::Resolved, at(10), Some(at(20)))]);
    let none = AlertQuery { machine: Some(machine("b")), ..alert_query() };
    assert!(store.history.alerts(none).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_restart_knows_the_machines_it_had() {
    let mut store = Store::new();
    let info = MachineInfo::unknown(machine("a"), at(5));
    let outputs = vec![Output::Machine(Arc::new(info.clone())), Output::Presence(presence("b", Status::Down, at(7)))];
    store.write(1, outputs).await;
    let known = store.restart().history.known().await.unwrap().machines;
    let shown: Vec<_> = known.iter().map(|m| (m.machine.as_str(), m.info.as_deref(), m.last_seen)).collect();
    assert_eq!(shown, [("b", None, at(7)), ("a", Some(&info), at(5))]);
}

#[tokio::test]
async fn each_tier_keeps_what_its_retention_says_and_no_more() {
    let mut store = Store::new();
    let roster = roster("a", 1);
    let outputs = vec![
        Output::Samples(frame(&roster, at(99_000), &[1.0])),
        Output::Minute(window(&roster, Width::Minute, at(99_000), 1, 1.0)),
        Output::Hour(window(&roster, Width::Hour, at(97_200), 1, 1.0)),
        Output::Rejected(rejected("a", at(99_000))),
    ];
    store.write(1, outputs).await;
    store.sink.flush().await.unwrap();
    let mut left = Vec::new();
    for days in [0, 1, 6, 30, 90] {
        store.clock.advance(Duration::from_secs(days * 86_400));
        while store.sink.maintain().await.unwrap() {}
        let mut counts = Vec::new();
        for tier in [Tier::Raw, Tier::Minute, Tier::Hour] {
            counts.push(store.range(tier).await.series.len());
        }
        counts.push(store.letters(0).await.len());
        left.push(counts);
    }
    assert_eq!(left, [[1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0]]);
    assert!(store.range(Tier::Hour).await.partial);
    assert!(store.history.known().await.unwrap().machines.is_empty());
}

#[tokio::test]
async fn an_answer_is_bounded_and_says_so() {
    let mut store = Store::new();
    let roster = roster("a", 3);
    for n in 1..=6 {
        store
            .write(n, vec![Output::Samples(frame(&roster, at(99_000 + i64::try_from(n).unwrap()), &[1.0, 2.0, 3.0]))])
            .await;
    }
    let all = RangeQuery { metrics: Vec::new(), points_max: 8, ..query(Tier::Raw) };
    let answer = store.history.range(all).await.unwrap();
    assert!(answer.truncated && !answer.partial);
    assert_eq!(answer.series.iter().map(|points| points.t.len()).sum::<usize>(), 8);
}

#[tokio::test]
async fn a_query_ends_at_its_deadline() {
    let store = Store::new();
    let pool = super::pool::Pool::new(store.dir.path().join("history.db"), 1, Duration::from_millis(20));
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n";
    let run = || pool.query(move |sql| Ok(sql.query_row(endless, [], |row| row.get::<_, i64>(0))?));
    assert!(matches!(run().await, Err(QueryError::Timeout(20))));
    let again = pool.query(|sql| Ok(sql.query_row("SELECT 1", [], |row| row.get::<_, i64>(0))?));
    assert_eq!(again.await.unwrap(), 1, "the reader is free again");
}

#[test]
fn a_damaged_file_is_set_aside_and_a_new_one_begins() {
    let store = Store::new();
    let (dir, clock) = (store.dir, store.clock);
    drop((store.sink, store.history));
    std::fs::write(dir.path().join("history.db"), [7; 5_000]).unwrap();
    let (sink, _history) = open(settings(&dir), clock.shared(), &Registry::new()).unwrap();
    assert_eq!(sink.cursors(), Cursors::default());
    let aside = std::fs::read(dir.path().join("history.db.corrupt-100000")).unwrap();
    assert_eq!(aside, [7; 5_000]);
}

#[tokio::test]
async fn damage_that_is_found_while_in_use_is_dealt_with_at_the_next_start() {
    let mut store = Store::new();
    let letters = || (0..2_000).map(|_| Output::Rejected(rejected("a", at(99_000)))).collect();
    store.write(1, letters()).await;
    let Store { dir, clock, sink, history } = store;
    drop((sink, history));
    let path = dir.path().join("history.db");
    let mut bytes = std::fs::read(&path).unwrap();
    // Past the first pages, which the opening looks at: the tables' insides.
    let from = bytes.len() / 4 * 3;
    bytes[from..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    let (mut sink, history) = open(settings(&dir), clock.shared(), &Registry::new()).unwrap();
    assert_eq!(sink.cursors().rows, 1, "it looks whole");
    let group = Group { t: 2, outputs: letters() };
    let batch = Arc::new(WriteBatch { groups: vec![group], upto: 2 });
    let error = sink.write(Arc::clone(&batch)).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("restart the hub"), "{error}");
    drop((sink, history));
    let (mut sink, history) = open(settings(&dir), clock.shared(), &Registry::new()).unwrap();
    assert_eq!(sink.cursors(), Cursors::default(), "a new file begins");
    sink.write(batch).await.unwrap();
    assert_eq!(
        history.dead_letters(DeadLetterQuery { limit: 9_000, ..DeadLetterQuery::default() }).await.unwrap().len(),
        2_000
    );
    drop((sink, history));
    let (sink, _history) = open(settings(&dir), clock.shared(), &Registry::new()).unwrap();
    assert_eq!(sink.cursors().rows, 2, "and stays");
}

#[test]
fn a_second_process_and_a_newer_schema_are_refused_with_advice() {
    let store = Store::new();
    let refused = |dir: &TempDir| match open(settings(dir), store.clock.shared(), &Registry::new()) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it was opened"),
    };
    assert!(refused(&store.dir).contains("another process"), "{}", refused(&store.dir));
    let dir = tempfile::tempdir().unwrap();
    let sql = rusqlite::Connection::open(dir.path().join("history.db")).unwrap();
    sql.pragma_update(None, "user_version", 99).unwrap();
    assert!(refused(&dir).contains("newer program"), "{}", refused(&dir));
}
