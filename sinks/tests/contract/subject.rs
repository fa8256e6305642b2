//! What the suite needs of a store under test, and the workload it writes.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use model::query::{AlertQuery, DeadLetterQuery, History, ProcessQuery, RangeQuery, Tier};
use model::{Change, DeadLetter, LogicalTime, Output, Severity, Timestamp, Width};
use runtime::clock::ManualClock;
use runtime::metrics::Registry;
#[cfg(feature = "integration")]
use sinks::error::SinkError;
#[cfg(feature = "integration")]
use sinks::postgres::{Imported, PostgresHistory, PostgresSettings, PostgresSink, PostgresUrl};
use sinks::sink::{Group, Sink};
use sinks::sqlite::{SqliteHistory, SqliteSettings, SqliteSink, open};
use tempfile::TempDir;

use crate::fixtures::{
    at, flooded, frame, machine, payments, processes, rejected, resent, roster, rule, samples, transition, window,
};

/// T of the last group.
pub(crate) const TIMES: LogicalTime = 80;

pub(crate) trait Subject: Sized {
    type Sink: Sink;
    /// What reads the contents.
    type Reader;

    /// An empty store.
    async fn new() -> Self;
    /// Opens it as after a crash.
    async fn open(&self) -> (Self::Sink, Self::Reader);
    /// Everything that is stored or gathered, printed.
    async fn contents_of(reader: &Self::Reader) -> String;

    fn sink(store: &mut (Self::Sink, Self::Reader)) -> &mut Self::Sink {
        &mut store.0
    }

    fn split(store: (Self::Sink, Self::Reader)) -> (Self::Sink, Self::Reader) {
        store
    }

    async fn open_sink(&self) -> Self::Sink {
        self.open().await.0
    }

    async fn contents(store: &(Self::Sink, Self::Reader)) -> String {
        Self::contents_of(&store.1).await
    }
}

pub(crate) struct Sqlite {
    dir: TempDir,
}

#[cfg(feature = "integration")]
impl Sqlite {
    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }
}

impl Subject for Sqlite {
    type Sink = SqliteSink;
    type Reader = SqliteHistory;

    async fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    async fn open(&self) -> (SqliteSink, SqliteHistory) {
        let settings = SqliteSettings { gather_batches: 5, ..SqliteSettings::new(self.dir.path()) };
        open(settings, ManualClock::at(at(100_000).micros()).shared(), &Registry::new()).unwrap()
    }

    async fn contents_of(history: &SqliteHistory) -> String {
        contents(history).await
    }
}

/// A database of its own on the run's server.
#[cfg(feature = "integration")]
pub(crate) struct Postgres {
    url: PostgresUrl,
}

#[cfg(feature = "integration")]
impl Postgres {
    /// On another server.
    pub(crate) async fn at(server: &str) -> Self {
        Self::of(&testkit::postgres::Database::on(server).await.unwrap())
    }

    pub(crate) fn of(database: &testkit::postgres::Database) -> Self {
        Self { url: PostgresUrl::parse(database.url()).unwrap() }
    }

    /// What a data folder holds.
    pub(crate) async fn import(
        &self,
        dir: &std::path::Path,
        told: impl FnMut(&Imported),
    ) -> Result<Imported, SinkError> {
        let clock = ManualClock::at(at(100_000).micros()).shared();
        sinks::postgres::import(dir, &self.settings(), &clock, told).await
    }

    fn settings(&self) -> PostgresSettings {
        let week = std::time::Duration::from_secs(7 * 86_400);
        PostgresSettings { raw_kept: week, hour_kept: week, ..PostgresSettings::new(self.url.clone(), "hub") }
    }
}

#[cfg(feature = "integration")]
impl Subject for Postgres {
    type Sink = PostgresSink;
    type Reader = PostgresHistory;

    async fn new() -> Self {
        Self::of(&testkit::postgres::Database::of_the_run().await.unwrap())
    }

    async fn open(&self) -> (PostgresSink, PostgresHistory) {
        let clock = ManualClock::at(at(100_000).micros()).shared();
        let (mut sink, history) = sinks::postgres::open(self.settings(), clock, &Registry::new());
        // Makes the tables, for those who read before anything is written.
        sink.connect().await.unwrap();
        (sink, history)
    }

    async fn contents_of(history: &PostgresHistory) -> String {
        contents(history).await
    }
}

async fn contents(history: &impl History) -> String {
    let mut text = String::new();
    for name in ["a", "b", "p"] {
        for tier in [Tier::Raw, Tier::Minute, Tier::Hour] {
            let query = RangeQuery {
                machine: machine(name),
                metrics: Vec::new(),
                from: at(90_000),
                to: at(200_000),
                tier,
                points_max: 100_000,
            };
            for points in history.range(query).await.unwrap().series {
                let key = points.key.unwrap();
                let times: Vec<i64> = points.t.iter().map(|t| t.secs()).collect();
                writeln!(text, "{name} {tier:?} {key}: {times:?} {:?} {:?}", points.v, points.count).unwrap();
            }
        }
    }
    for minute in (98_940..=99_420).step_by(60) {
        let reach = Duration::ZERO;
        let query = ProcessQuery { machine: machine("a"), at: at(minute), reach };
        writeln!(text, "{minute} {:?}", history.processes(query).await.unwrap()).unwrap();
    }
    let alerts =
        AlertQuery { from: Timestamp::EPOCH, to: at(200_000), machine: None, rule: None, offset: 0, limit: 1_000 };
    for alert in history.alerts(alerts).await.unwrap() {
        let (state, over) = (alert.state, (alert.resolved, alert.resolution));
        writeln!(text, "{} {state:?} {} {over:?} t={}", alert.machine, alert.since, alert.t).unwrap();
    }
    for letter in history.dead_letters(DeadLetterQuery { limit: 1_000, ..DeadLetterQuery::default() }).await.unwrap() {
        writeln!(text, "{letter:?}").unwrap();
    }
    text
}

/// Two machines, frames and single samples, a late one now and then, payments, windows with corrections, tables of processes, an alert
/// that comes and goes.
pub(crate) fn workload() -> Vec<Group> {
    let (a, b, p) = (roster("a", 3), roster("b", 2), payments("p"));
    let rule = rule("cpu", Severity::Warning);
    let group = |n: u64| {
        let seconds = 99_000 + i64::try_from(n).unwrap() * 5;
        let (time, value) = (at(seconds), n as f64 / 8.0);
        let mut outputs = vec![Output::Samples(frame(&a, time, &[value, 7.0, value.sqrt()]))];
        // Of these no repetition goes unseen: each one counts, whatever its time.
        outputs.push(Output::Samples(samples(&p, &[(0, at(99_500), value), (0, at(99_500), 1.0)])));
        if n.is_multiple_of(3) {
            let late = at(seconds - 2_000);
            outputs.push(Output::Samples(samples(&b, &[(1, time, value), (0, time, -value), (0, late, value)])));
        }
        if n.is_multiple_of(2) {
            // The busiest of its minute is now the first, now the last, and two of them are equal.
            let busy = (n / 2 * 5 % 7) as f64 / 4.0;
            let table = processes("a", time, &[("postgres", busy, 1 << 30), ("sshd", 0.125, 1 << 20)]);
            outputs.push(Output::Processes(Arc::new(table)));
        }
        if n.is_multiple_of(4) {
            let minute = at(seconds - seconds % 60);
            outputs.push(Output::Minute(window(&a, Width::Minute, minute, n, value)));
            outputs.push(Output::Hour(window(&a, Width::Hour, at(97_200), n, value)));
        }
        match n % 8 {
            2 => outputs.push(Output::Transition(transition(&rule, "a", Change::Fired, time, time))),
            6 => outputs.push(Output::Transition(transition(&rule, "a", Change::Resolved, at(seconds - 20), time))),
            7 => {
                let flood = flooded("b", time);
                let id = DeadLetter::id_of(n * 2, &flood);
                outputs.extend([Output::Rejected(rejected("b", time)), Output::Rejected(flood)]);
                if n.is_multiple_of(3) {
                    outputs.push(Output::Resent(resent("b", &id, at(seconds + 1))));
                }
            }
            _ => {}
        }
        Group { t: n * 2, outputs }
    };
    (1..=TIMES / 2).map(group).collect()
}
