//! Synthetic: the probe of this hub, put on its ports and exits, and what it tells the web.

use std::net::SocketAddr;
use std::sync::Arc;

use ::synthetic::probe::{self, AlertBus, Alerts, Book, Exits, Settings, Stage, Stored, rule};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, ready};
use model::LogicalTime;
use model::audit::Actor;
use model::command::{RuleChange, RuleStore};
use runtime::clock::SharedClock;
use runtime::drain::DrainToken;
use runtime::metrics::Registry;
use sinks::bus::redis::RedisBus;
use sinks::bus::{Bus, Pattern, Received};
use sinks::status::DriverHandle;
use tracing::warn;
use web::{SyntheticStage, SyntheticView};

use crate::config::Config;
use crate::health::own_address;

/// The history's driver, as the probe waits for it.
struct Commits(DriverHandle);

impl Stored for Commits {
    fn beyond(&self, after: LogicalTime) -> BoxFuture<'_, Option<LogicalTime>> {
        Box::pin(async move {
            let is_beyond = |rows: LogicalTime| after < rows;
            let status = self.0.wait_for(|status| status.cursors.is_some_and(|cursors| is_beyond(cursors.rows))).await;
            Some(status?.cursors?.rows)
        })
    }
}

/// A bus, as the probe listens to it.
struct Listening<B>(B);

impl<B: Bus> AlertBus for Listening<B> {
    fn listen(&self) -> BoxFuture<'_, Result<Alerts, runtime::BoxError>> {
        Box::pin(async move {
            let subscription = self.0.subscribe(&Pattern::parse("alerts.*")?, None).await?;
            let payloads = subscription.filter_map(|received| {
                ready(match received {
                    Ok(Received::Event { payload, .. }) => Some(Ok(payload)),
                    // The transactions that it was about are lost to this exit, and counted as such.
                    Ok(Received::Missed(_)) => None,
                    Err(error) => Some(Err(error.into())),
                })
            });
            Ok(payloads.boxed())
        })
    }
}

/// Whether transactions come by there in this hub.
pub(crate) fn has(config: &Config, stage: Stage) -> bool {
    match stage {
        Stage::Acknowledged | Stage::Hot | Stage::Alert | Stage::Live => true,
        Stage::History => config.history.is_on,
        Stage::Bus => config.redis.is_some() || config.kafka.is_some(),
    }
}

/// The first bus that is set, for the probe.
pub(crate) fn bus(
    config: &Config,
    #[cfg_attr(not(feature = "kafka"), expect(unused_variables, reason = "Kafka counts in it"))] registry: &Registry,
) -> Option<Arc<dyn AlertBus>> {
    let name = "synthetic";
    if let Some(redis) = &config.redis {
        return Some(Arc::new(Listening(RedisBus::new(name, Arc::clone(&redis.server)))));
    }
    #[cfg(feature = "kafka")]
    if let Some(kafka) = &config.kafka {
        use sinks::bus::kafka::KafkaBus;
        return Some(Arc::new(Listening(KafkaBus::new(name, Arc::clone(&kafka.cluster), registry))));
    }
    None
}

/// Where the history stands, for the probe.
pub(crate) fn stored(driver: DriverHandle) -> Arc<dyn Stored> {
    Arc::new(Commits(driver))
}

/// Runs the probe, with its rule in force; a hub that cannot take the rule is probed without it.
pub(crate) async fn run(
    settings: Settings,
    (book, exits): (Arc<Book>, Exits),
    rules: Arc<dyn RuleStore>,
    clock: SharedClock,
    drain: DrainToken,
) -> Result<(), runtime::BoxError> {
    keep_rule(rules.as_ref(), true).await;
    probe::run(settings, book, exits, clock, drain).await
}

/// The probe's rule is one of the hub's own: there while the probe runs, and gone when it is off.
pub(crate) async fn keep_rule(rules: &dyn RuleStore, is_wanted: bool) {
    let is_there = rules.listing().set.rules.iter().any(|rule| rule.name == probe::RULE);
    let change = match (is_wanted, is_there) {
        (true, false) => RuleChange::Create(rule()),
        (false, true) => RuleChange::Delete(probe::RULE.to_owned()),
        (true, true) | (false, false) => return,
    };
    if let Err(error) = rules.change(change, Actor::hub("synthetic transactions")).await {
        warn!(%error, "the rule of the synthetic transactions stays as it is");
    }
}

pub(crate) fn settings(every: std::time::Duration, grpc: SocketAddr, http: SocketAddr) -> Settings {
    Settings { every, grpc: own_address(grpc).to_string(), http: own_address(http).to_string() }
}

/// What a person sees first is the way to a browser: p50, p99 and max in milliseconds.
pub(crate) fn headline(book: &Book) -> Option<(f64, f64, f64)> {
    book.recent_ms(Stage::Live)
}

pub(crate) fn view(book: &Book) -> SyntheticView {
    let view = book.view();
    let stage = |stage: probe::StageView| SyntheticStage {
        name: stage.stage.to_owned(),
        count: stage.count,
        p50_ms: stage.p50_ms,
        p99_ms: stage.p99_ms,
        max_ms: stage.max_ms,
        late: stage.late,
        lost: stage.lost,
        curve: stage.curve,
    };
    SyntheticView {
        every_ms: view.every_ms,
        sent: view.sent,
        under_way: view.under_way,
        duplicates: view.duplicates,
        stages: view.stages.into_iter().map(stage).collect(),
    }
}
