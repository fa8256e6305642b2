//! Rules made at run time: by the real program, what they raise and that they stay; by the watcher alone, who wins and what is durable.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use common::{Machine, Program, SOON, now_ms};
use hub::audit::Audit;
use hub::rules::{Location, OwnRules, Rules, Watcher};
use model::audit::{Action, Actor, AuditError, AuditLog, Deed, Door, Entry, Recorded};
use model::command::{RuleChange, RuleError, RuleSource, RuleStore};
use model::rule::Rule;
use model::{Labels, RuleSet, SeriesKey};
use proto::pb;
use proto::pb::config_service_client::ConfigServiceClient;
use runtime::BoxError;
use runtime::clock::ManualClock;
use runtime::drain::Drain;
use runtime::metrics::Registry;
use serde_json::Value;
use testkit::eventually;
use testkit::servers::private_dir;
use tokio::task::JoinHandle;
use tonic::Code;

const CPU: &str = "system.cpu.utilization";
const FROM_FILE: &str =
    "[[rule]]\nname='swap'\nmetric='system.swap.utilization'\noperator='gt'\nthreshold=0.5\nseverity='info'\n";

fn rule(name: &str) -> pb::Rule {
    pb::Rule {
        name: name.into(),
        metric: CPU.into(),
        operator: "gt".into(),
        threshold: 0.9,
        clear: Some(0.8),
        severity: "critical".into(),
        ..pb::Rule::default()
    }
}

fn has_alerts(count: usize) -> impl Fn(&Value) -> bool {
    move |body| body["alerts"].as_array().is_some_and(|alerts| alerts.len() == count)
}

async fn push(hub: &Program, machine: &mut Machine, value: f64) {
    machine.measure(now_ms(), &[value]);
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_made_at_run_time_fires_once_survives_a_restart_and_resolves_when_deleted() {
    let dir = private_dir().unwrap();
    let path = common::rule_file(dir.path(), FROM_FILE);
    let start = || Program::start("hub", dir.path(), &["--rules", path.to_str().unwrap()]);
    let mut hub = start();
    let mut client = ConfigServiceClient::connect(hub.grpc.clone()).await.unwrap();
    let create = |name| pb::CreateRuleRequest { rule: Some(rule(name)) };
    let refused = client.create_rule(create("swap")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{}", refused.message());
    let delete = |name: &str| pb::DeleteRuleRequest { name: name.into() };
    let refused = client.delete_rule(delete("swap")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{}", refused.message());
    client.create_rule(create("hot")).await.unwrap();
    assert_eq!(client.create_rule(create("hot")).await.unwrap_err().code(), Code::AlreadyExists);

    let mut machine = Machine::new("db-1", &[CPU]);
    push(&hub, &mut machine, 0.95).await;
    let active = hub.eventually("/api/v1/alerts", has_alerts(1));
    assert_eq!(active["alerts"][0]["rule"], "hot");
    hub.eventually("/api/v1/alerts/history", has_alerts(1));
    drop(client);
    assert_eq!(hub.terminate().code(), Some(0), "{:#?}", hub.errors());

    let mut hub = start();
    let rules = hub.json("/api/v1/rules");
    assert_eq!((&rules["rules"][0]["name"], &rules["rules"][0]["source"]), (&"hot".into(), &"own".into()));
    assert_eq!((&rules["rules"][1]["name"], &rules["rules"][1]["source"]), (&"swap".into(), &"file".into()));
    push(&hub, &mut machine, 0.97).await;
    let again = hub.json("/api/v1/alerts");
    assert_eq!(again["alerts"][0]["id"], active["alerts"][0]["id"], "{again}");

    let mut client = ConfigServiceClient::connect(hub.grpc.clone()).await.unwrap();
    client.delete_rule(delete("hot")).await.unwrap();
    assert_eq!(client.delete_rule(delete("hot")).await.unwrap_err().code(), Code::NotFound);
    hub.eventually("/api/v1/alerts", has_alerts(0));
    push(&hub, &mut machine, 0.99).await;
    let past = hub.eventually("/api/v1/alerts/history", |body| body["alerts"][0]["state"] == "resolved");
    assert_eq!(past["alerts"].as_array().unwrap().len(), 1, "{past}");
    assert_eq!(past["alerts"][0]["id"], active["alerts"][0]["id"]);
    assert_eq!(hub.json("/api/v1/alerts")["alerts"], Value::Array(Vec::new()));
    drop(client);
    assert_eq!(hub.terminate().code(), Some(0), "{:#?}", hub.errors());
    assert_eq!(hub.errors(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_the_hub_has_no_room_for_says_on_how_many_series_it_is_not_in_force() {
    let dir = private_dir().unwrap();
    let path = common::rule_file(dir.path(), FROM_FILE);
    let limits = [
        ("HUB_PIPELINE_BINDINGS_MAX", "1000"),
        ("HUB_PIPELINE_WORKERS", "1"),
        ("HUB_RULES", path.to_str().unwrap()),
        ("HUB_LOG_FORMAT", "json"),
    ];
    let mut hub = Program::hub_with(dir.path(), &limits);
    let mut cores = Machine::new("cores", &[]);
    cores.series = (0..600).map(|n| SeriesKey::parse(CPU, label(n)).unwrap()).collect();
    let mut push = cores.connect(&hub.grpc).await.unwrap();
    let mut client = ConfigServiceClient::connect(hub.grpc.clone()).await.unwrap();
    let create = |name| pb::CreateRuleRequest { rule: Some(rule(name)) };
    client.create_rule(create("first")).await.unwrap();
    cores.measure(now_ms(), &[0.95; 600]);
    cores.deliver(&mut push).await.unwrap();
    hub.eventually("/api/v1/alerts?limit=1000", has_alerts(600));
    client.create_rule(create("second")).await.unwrap();
    let unjudged = |series: u64| move |rule: &Value| rule["unjudged_series"] == series;
    hub.eventually("/api/v1/rules/second", unjudged(600));
    assert!(unjudged(0)(&hub.json("/api/v1/rules/first")));
    client.delete_rule(pb::DeleteRuleRequest { name: "first".into() }).await.unwrap();
    hub.eventually("/api/v1/rules/second", unjudged(0));
    // It takes effect two seconds of the graph's time later, for the samples from then on.
    let is_of_second = |body: &Value| has_alerts(600)(body) && body["alerts"][0]["rule"] == "second";
    let until = Instant::now() + SOON;
    while !is_of_second(&hub.json("/api/v1/alerts?limit=1000")) {
        assert!(Instant::now() < until, "{}", hub.json("/api/v1/alerts"));
        cores.measure(now_ms(), &[0.95; 600]);
        cores.deliver(&mut push).await.unwrap();
    }
    assert_eq!(hub.terminate().code(), Some(0), "{:#?}", hub.errors());
}

fn label(n: usize) -> Labels {
    Labels::parse([("core", n.to_string().as_str())]).unwrap()
}

#[test]
fn damaged_rules_stop_the_start_and_are_left_as_they_are() {
    let dir = private_dir().unwrap();
    let path = dir.path().join("rules.json");
    std::fs::write(&path, "[{").unwrap();
    let mut hub = Program::spawn("hub", dir.path(), &[]);
    assert_eq!(hub.wait().code(), Some(78));
    assert_eq!(std::fs::read_to_string(path).unwrap(), "[{");
}

/// A watcher at work without a hub.
struct Watched {
    rules: Arc<Rules>,
    published: Arc<Mutex<Vec<Arc<RuleSet>>>>,
    drain: Drain,
    task: JoinHandle<Result<(), BoxError>>,
}

fn watch(folder: &Path, can_publish: bool) -> Watched {
    watch_with(folder, can_publish, audit_in(folder))
}

fn watch_with(folder: &Path, can_publish: bool, audit: Arc<dyn AuditLog>) -> Watched {
    let location = Location { path: folder.join("rules.toml"), is_required: false };
    let own = OwnRules::open(folder.join("rules.json")).unwrap();
    let clock = ManualClock::at(7).shared();
    let watcher = Watcher::start(location, own, (clock, audit), &Registry::new()).unwrap();
    let (rules, published, drain) = (watcher.rules(), Arc::<Mutex<Vec<_>>>::default(), Drain::new());
    let sink = Arc::clone(&published);
    let publish = move |set| {
        sink.lock().unwrap().push(set);
        let closed = || BoxError::from("the journal is closed");
        std::future::ready(can_publish.then_some(()).ok_or_else(closed))
    };
    let task = tokio::spawn(watcher.run(publish, drain.token()));
    Watched { rules, published, drain, task }
}

fn audit_in(folder: &Path) -> Arc<dyn AuditLog> {
    Arc::new(Audit::open(&folder.join("audit.jsonl"), ManualClock::at(7).shared()).unwrap())
}

fn actor() -> Actor {
    Actor::new(Door::Grpc, "ana", None)
}

fn own(name: &str) -> Rule {
    proto::rule::decode(rule(name)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_change_is_answered_when_it_is_published_and_the_file_wins_by_name() {
    let folder = private_dir().unwrap();
    std::fs::write(folder.path().join("rules.toml"), FROM_FILE).unwrap();
    let watched = watch(folder.path(), true);
    let rules = &watched.rules;
    let set = rules.change(RuleChange::Create(own("hot")), actor()).await.unwrap();
    assert_eq!(watched.published.lock().unwrap().as_slice(), [Arc::clone(&set)]);
    assert_eq!(rules.rules(), set);
    assert_eq!(rules.listing().source("hot"), RuleSource::Own);
    assert_eq!(rules.listing().source("swap"), RuleSource::File);

    // A call that is dropped after it was handed over is made all the same, whole.
    let mut dropped = rules.change(RuleChange::Create(own("other")), actor());
    tokio::select! {
        biased;
        _ = &mut dropped => panic!("nobody had the time to answer"),
        () = std::future::ready(()) => {}
    }
    drop(dropped);
    eventually(SOON, async || rules.rules().rules.len(), |count| *count == 3).await.unwrap();

    std::fs::write(folder.path().join("rules.toml"), FROM_FILE.replace("swap", "hot")).unwrap();
    let source = async || rules.listing().source("hot");
    eventually(SOON, source, |source| *source == RuleSource::File).await.unwrap();
    let refused = rules.change(RuleChange::Update(own("hot")), actor()).await;
    assert_eq!(refused, Err(RuleError::FromFile("hot".into())));
    std::fs::write(folder.path().join("rules.toml"), FROM_FILE).unwrap();
    eventually(SOON, source, |source| *source == RuleSource::Own).await.unwrap();

    watched.drain.begin();
    watched.task.await.unwrap().unwrap();
    assert_eq!(rules.change(RuleChange::Delete("hot".into()), actor()).await, Err(RuleError::Stopping));
    let versions: Vec<u64> = watched.published.lock().unwrap().iter().map(|set| set.version).collect();
    assert!(versions.is_sorted_by(|one, next| one < next), "{versions:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_on_record_with_who_made_it_before_it_is_made_and_a_refused_one_is_not() {
    let folder = private_dir().unwrap();
    let watched = watch(folder.path(), true);
    watched.rules.change(RuleChange::Create(own("very-hot")), actor()).await.unwrap();
    watched.rules.change(RuleChange::Update(Rule { threshold: 0.85, ..own("very-hot") }), actor()).await.unwrap();
    watched.rules.change(RuleChange::Create(own("very-hot")), actor()).await.unwrap_err();
    let entries = audit_in(folder.path()).entries(None, 10);
    let told: Vec<_> = entries.iter().map(|entry| (entry.deed.action, entry.deed.detail.as_str())).collect();
    assert_eq!(told[0], (Action::RuleUpdated, "threshold: 0.9 -> 0.85"));
    assert_eq!((told.len(), told[1].0, &entries[1].deed.actor), (2, Action::RuleCreated, &actor()));
}

#[tokio::test(start_paused = true)]
async fn without_its_record_nothing_is_changed() {
    struct Full;
    impl AuditLog for Full {
        fn record(&self, _deed: Deed) -> Recorded<'_> {
            Box::pin(std::future::ready(Err(AuditError("no space is left".into()))))
        }
        fn entries(&self, _before: Option<u64>, _limit: usize) -> Vec<Arc<Entry>> {
            Vec::new()
        }
    }
    let folder = private_dir().unwrap();
    let watched = watch_with(folder.path(), true, Arc::new(Full));
    let refused = watched.rules.change(RuleChange::Create(own("very-hot")), actor()).await.unwrap_err();
    assert!(refused.to_string().contains("no space is left"), "{refused}");
    assert!(!folder.path().join("rules.json").exists() && watched.published.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_change_that_cannot_be_published_is_not_confirmed_and_ends_the_hub() {
    let folder = private_dir().unwrap();
    let watched = watch(folder.path(), false);
    let answer = watched.rules.change(RuleChange::Create(own("very-hot")), actor()).await;
    assert_eq!(answer, Err(RuleError::Stopping));
    assert!(watched.task.await.unwrap().is_err());
    // It is on disk: the next start publishes it.
    let watched = watch(folder.path(), true);
    assert_eq!(watched.rules.listing().source("very-hot"), RuleSource::Own);
}
