//! A store under test with its own namespace, its clock, and a second connection for questions that only a test asks.

use std::path::Path;
use std::time::Duration;

use model::query::{DeadLetterQuery, History, QueryError, RangeAnswer, RangeQuery, Tier};
use model::{DeadLetter, LogicalTime, Output};
use runtime::clock::ManualClock;
use runtime::metrics::Registry;
use sinks::error::SinkError;
use sinks::postgres::{Imported, PostgresHistory, PostgresSettings, PostgresSink, PostgresUrl, open};
use sinks::sink::{Cursors, Group, Sink, WriteBatch};
use std::sync::Arc;
use testkit::postgres::Database;
use tokio_postgres::Client;

use crate::fixtures::{at, machine};

pub(crate) struct Store {
    database: Database,
    client: Client,
    pub(crate) clock: ManualClock,
    pub(crate) sink: PostgresSink,
    pub(crate) history: PostgresHistory,
}

impl Store {
    /// On the run's plain PostgreSQL, with the tables made.
    pub(crate) async fn new() -> Self {
        Self::on(Database::of_the_run().await.unwrap()).await
    }

    /// On plain PostgreSQL, and on TimescaleDB where there is one.
    pub(crate) async fn of_both() -> Vec<Self> {
        let mut both = vec![Self::new().await];
        if let Some(database) = Database::on_timescale().await.unwrap() {
            both.push(Self::on(database).await);
        }
        both
    }

    pub(crate) async fn on(database: Database) -> Self {
        let clock = ManualClock::at(at(100_000).micros());
        let url = PostgresUrl::parse(database.url()).unwrap();
        let (mut sink, history) = open(settings(url), clock.shared(), &Registry::new());
        sink.connect().await.unwrap();
        let client = database.client().await.unwrap();
        Self { database, client, clock, sink, history }
    }

    /// A second sink of the same hub, with a further option of the connection.
    pub(crate) fn again(&self, option: &str) -> PostgresSink {
        let separator = if option.is_empty() { "" } else { "%20" };
        self.at(&format!("{}{separator}{option}", self.url()))
    }

    pub(crate) fn at(&self, url: &str) -> PostgresSink {
        open(settings(PostgresUrl::parse(url).unwrap()), self.clock.shared(), &Registry::new()).0
    }

    /// Brings the embedded history of a folder.
    pub(crate) async fn import(&self, dir: &Path) -> Imported {
        let settings = settings(PostgresUrl::parse(self.url()).unwrap());
        sinks::postgres::import(dir, &settings, &self.clock.shared(), |_| {}).await.unwrap()
    }

    pub(crate) fn url(&self) -> &str {
        self.database.url()
    }

    pub(crate) async fn write(&mut self, t: LogicalTime, outputs: Vec<Output>) -> Result<Cursors, SinkError> {
        self.sink.write(Arc::new(WriteBatch { groups: vec![Group { t, outputs }], upto: t })).await
    }

    /// A whole round of it.
    pub(crate) async fn upkeep(&mut self) {
        while self.sink.maintain().await.unwrap() {}
    }

    pub(crate) async fn range(&self, tier: Tier) -> RangeAnswer {
        self.range_of("a", tier).await
    }

    pub(crate) async fn range_of(&self, name: &str, tier: Tier) -> RangeAnswer {
        self.try_range(name, tier).await.unwrap()
    }

    pub(crate) async fn try_range(&self, name: &str, tier: Tier) -> Result<RangeAnswer, QueryError> {
        self.history.range(query(name, tier, 100_000)).await
    }

    pub(crate) async fn bounded(&self, name: &str, tier: Tier, points_max: usize) -> RangeAnswer {
        self.history.range(query(name, tier, points_max)).await.unwrap()
    }

    /// The newest first.
    pub(crate) async fn letters(&self) -> Vec<DeadLetter> {
        self.history.dead_letters(DeadLetterQuery { limit: 100, ..DeadLetterQuery::default() }).await.unwrap()
    }

    /// Of the one series of machine `a`.
    pub(crate) async fn values(&self, tier: Tier) -> Vec<f64> {
        self.range(tier).await.series[0].v.clone()
    }

    pub(crate) async fn sql(&self, text: &str) {
        self.client.batch_execute(text).await.unwrap();
    }

    /// The same on a transaction that stays open as long as the store.
    pub(crate) async fn lock(&mut self, text: &str) {
        let holder = std::mem::replace(&mut self.client, self.database.client().await.unwrap());
        holder.batch_execute(text).await.unwrap();
        // The client that holds it lives until the runtime ends.
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(holder);
        });
    }

    pub(crate) async fn text(&self, query: &str) -> String {
        self.client.query_one(query, &[]).await.unwrap().get(0)
    }

    /// What the server answers as JSON.
    pub(crate) async fn json(&self, query: &str) -> serde_json::Value {
        let answer = self.client.simple_query(query).await.unwrap();
        let text: String = answer
            .iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            })
            .collect();
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) async fn number(&self, query: &str) -> i64 {
        self.client.query_one(query, &[]).await.unwrap().get(0)
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM {table}")).await
    }

    /// Of this store, from the server's side; returns when they are gone.
    pub(crate) async fn cut_connections(&self) {
        let cut = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity \
                   WHERE application_name = current_schema() AND pid <> pg_backend_pid()";
        self.number(cut).await;
    }
}

fn settings(url: PostgresUrl) -> PostgresSettings {
    let day = Duration::from_secs(86_400);
    PostgresSettings {
        raw_kept: 7 * day,
        minute_kept: 30 * day,
        query_within: Duration::from_secs(1),
        ..PostgresSettings::new(url, "hub")
    }
}

fn query(name: &str, tier: Tier, points_max: usize) -> RangeQuery {
    RangeQuery { machine: machine(name), metrics: Vec::new(), from: at(90_000), to: at(200_000), tier, points_max }
}
