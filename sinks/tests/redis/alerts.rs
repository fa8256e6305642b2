//! Alerts through the outbox: each at least once, after the seal, in order, whatever happens to Redis or to the hub.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use model::{Change, Egress, LogicalTime, Output, Severity};
use runtime::clock::SystemClock;
use runtime::metrics::Registry;
use runtime::queue::{Sender, WhenFull, bounded};
use serde_json::Value;
use sinks::bus::redis::RedisBus;
use sinks::bus::{Bus, Pattern, Received, Subscription};
use sinks::driver::{Driver, DriverContext, DriverSettings};
use sinks::outbox::Outbox;
use sinks::spill::{Spill, SpillSettings};
use sinks::status::DriverHandle;
use testkit::eventually_blocking;
use testkit::redis::RedisServer;
use testkit::servers::private_dir;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::fixtures::{at, rule, transition};
use crate::rig::{HASTY, SOON, settings};

/// An outbox in a folder, as a hub opens it.
struct Running {
    queue: Sender<Egress>,
    handle: DriverHandle,
    task: JoinHandle<()>,
}

fn open(dir: &Path, url: &str) -> Running {
    let bus = RedisBus::new("redis_alerts", settings(url).into());
    let outbox = Outbox::open(bus, dir.join("cursor"), 0).unwrap();
    // What was under way when the one before was cut off may hold it for a moment.
    let opening = || Spill::open(&SpillSettings { dir: dir.join("spill"), quota_bytes: 1 << 20 });
    let spill = eventually_blocking(SOON, opening, Result::is_ok).unwrap().unwrap();
    let patient = Outbox::<RedisBus>::settings(Duration::from_secs(1));
    let settings = DriverSettings { patience: HASTY, spill_after: Some(Duration::from_millis(10)), ..patient };
    let (queue, receiver) = bounded("redis_alerts", 64, WhenFull::Overshoot);
    let context = DriverContext { settings, clock: SystemClock::shared(), registry: &Registry::new() };
    let (driver, handle) = Driver::new(outbox, receiver, spill, context);
    Running { queue, handle, task: tokio::spawn(async move { driver.run().await.unwrap() }) }
}

impl Running {
    /// The n-th change of an alert: fired, resolved, fired again.
    fn change(&self, n: LogicalTime) {
        let since = i64::try_from(n.div_ceil(2) * 2).unwrap();
        let change = if n % 2 == 1 { Change::Fired } else { Change::Resolved };
        let transition = transition(&rule("busy", Severity::Critical), "a", change, at(since), at(since + 1));
        let transition = Output::Transition(transition);
        self.queue.try_send(Egress::Data { t: n, outputs: vec![transition] }).unwrap();
    }

    fn seal(&self, before: LogicalTime) {
        self.queue.try_send(Egress::Progress(before)).unwrap();
    }

    async fn told(&self, upto: LogicalTime) {
        let is_told = |status: &sinks::status::DriverStatus| status.cursors.is_some_and(|c| upto <= c.rows);
        timeout(SOON, self.handle.wait_for(is_told)).await.unwrap().unwrap();
    }

    async fn drain(self) {
        self.queue.try_send(Egress::Complete).unwrap();
        timeout(SOON, self.task).await.unwrap().unwrap();
    }
}

async fn listen(url: &str) -> Subscription {
    let bus = RedisBus::new("test", settings(url).into());
    bus.subscribe(&Pattern::parse("alerts.*").unwrap(), None).await.unwrap()
}

/// Keys of the next distinct events.
async fn keys(events: &mut Subscription, count: usize) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    while keys.len() < count {
        let received = timeout(SOON, events.next()).await.unwrap().unwrap().unwrap();
        let Received::Event { topic, payload, .. } = received else { panic!("{received:?}") };
        let event: Value = serde_json::from_slice(&payload).unwrap();
        let key = event["key"].as_str().unwrap().to_owned();
        assert!(topic.as_str().ends_with(key.rsplit(':').next().unwrap()), "{topic} {key}");
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_goes_out_with_its_seal_and_not_before() {
    let (redis, dir) = (RedisServer::start(&[]).unwrap(), private_dir().unwrap());
    let mut events = listen(&redis.url()).await;
    let outbox = open(dir.path(), &redis.url());
    outbox.change(1);
    outbox.change(2);
    outbox.seal(2);
    outbox.told(1).await;
    let first = keys(&mut events, 1).await;
    assert!(first[0].ends_with(":fired"));
    outbox.seal(3);
    assert!(keys(&mut events, 1).await[0].ends_with(":resolved"));
    outbox.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_of_an_outage_and_of_a_hub_that_ended_meanwhile_come_when_redis_is_back() {
    let (mut redis, dir) = (RedisServer::start(&[]).unwrap(), private_dir().unwrap());
    let outbox = open(dir.path(), &redis.url());
    outbox.change(1);
    outbox.seal(2);
    outbox.told(1).await;
    redis.kill();
    outbox.change(2);
    outbox.seal(3);
    let is_kept = |status: &sinks::status::DriverStatus| 3 <= status.keep_from && !status.health.is_up;
    timeout(SOON, outbox.handle.wait_for(is_kept)).await.unwrap().unwrap();
    // The hub ends; the next one replays what is not covered, and more.
    outbox.task.abort();
    drop(outbox.task.await);
    let outbox = open(dir.path(), &redis.url());
    (1..=4).for_each(|n| outbox.change(n));
    outbox.seal(5);
    let reads = |status: &sinks::status::DriverStatus| !status.health.is_up;
    timeout(SOON, outbox.handle.wait_for(reads)).await.unwrap().unwrap();
    let mut events = listen_when_back(&mut redis).await;
    let keys = keys(&mut events, 3).await;
    let changes: Vec<&str> = keys.iter().map(|key| key.rsplit(':').next().unwrap()).collect();
    assert_eq!(changes, ["resolved", "fired", "resolved"], "the first was told before");
    outbox.told(4).await;
    outbox.drain().await;
}

/// Listens before the outbox can know that the server is back: its door is locked for a moment.
async fn listen_when_back(redis: &mut RedisServer) -> Subscription {
    redis.start_again_with(&["--requirepass", "door"]).unwrap();
    let events = listen(&redis.url().replace("//", "//:door@")).await;
    redis.cli(&["-a", "door", "CONFIG", "SET", "requirepass", ""]);
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_outbox_tells_only_what_happens_from_then_on() {
    let dir = private_dir().unwrap();
    let bus = RedisBus::new("redis_alerts", settings("redis://127.0.0.1:1").into());
    let outbox = Outbox::open(bus.clone(), dir.path().join("cursor"), 7).unwrap();
    assert_eq!(outbox.cursor(), 7);
    drop(outbox);
    // A start of the hub before anything was told must not begin anew.
    assert_eq!(Outbox::open(bus.clone(), dir.path().join("cursor"), 9).unwrap().cursor(), 7);
    std::fs::write(dir.path().join("cursor"), "damaged").unwrap();
    assert_eq!(Outbox::open(bus, dir.path().join("cursor"), 9).unwrap().cursor(), 0, "rather twice than not at all");
}
