//! The contract: keys, their time to live, the sorted set, the channels.

use std::time::Duration;

use futures_util::StreamExt;
use model::{Change, Output, Severity, Status, Width};
use serde_json::Value;
use sinks::bus::redis::RedisBus;
use sinks::bus::{Bus, Pattern, Received, Topic};
use sinks::relay::RelaySettings;
use testkit::redis::RedisServer;
use tokio::time::timeout;

use crate::fixtures::{at, presence, roster, rule, transition, window};
use crate::rig::{HASTY, Rig, SOON, id, settings};

#[tokio::test(flavor = "multi_thread")]
async fn each_machine_is_a_document_with_a_time_to_live_and_a_member_and_messages_follow() {
    let redis = RedisServer::start(&[]).unwrap();
    let bus = RedisBus::new("test", settings(&redis.url()).into());
    let mut events = bus.subscribe(&Pattern::parse("*").unwrap(), None).await.unwrap();
    let rig = Rig::start(&redis.url());
    rig.tick(3, 1_000, 0.5);
    rig.settled(&redis).await;
    let document: Value = serde_json::from_str(&redis.cli(&["GET", "machine:m-0001"])).unwrap();
    assert_eq!(
        (&document["machine"], &document["status"], &document["series"]["m0"]),
        (&"m-0001".into(), &"up".into(), &0.5.into())
    );
    let left: u64 = redis.cli(&["TTL", "machine:m-0001"]).parse().unwrap();
    assert!((200..=300).contains(&left), "{left}");
    assert_eq!(redis.cli(&["ZSCORE", "machines", "m-0001"]), "1000000");

    rig.tell(vec![
        Output::Minute(window(&roster("m-0001", 2), Width::Minute, at(960), 1, 0.5)),
        Output::Hour(window(&roster("m-0001", 2), Width::Hour, at(0), 1, 0.5)),
        Output::Presence(presence("m-0002", Status::Stale, at(1_001))),
    ]);
    let mut topics: Vec<(Topic, String)> = Vec::new();
    while topics.len() < 7 {
        let received = timeout(SOON, events.next()).await.unwrap().unwrap().unwrap();
        let Received::Event { topic, payload, .. } = received else { panic!("{received:?}") };
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        topics.push((topic, payload["machine"].as_str().unwrap().to_owned()));
    }
    topics.sort();
    let raw = |machine: &str| (Topic::MetricsRaw, machine.to_owned());
    let others = [(Topic::MetricsMinute, "m-0001"), (Topic::MetricsHour, "m-0001"), (Topic::Presence, "m-0002")];
    let mut wanted = vec![raw("m-0000"), raw("m-0001"), raw("m-0002"), raw("m-0002")];
    wanted.extend(others.map(|(topic, machine)| (topic, machine.to_owned())));
    wanted.sort();
    assert_eq!(topics, wanted);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_in_its_machine_s_document_until_it_is_resolved() {
    let redis = RedisServer::start(&[]).unwrap();
    let rig = Rig::start(&redis.url());
    rig.tick(2, 1_000, 0.5);
    let busy = rule("busy", Severity::Critical);
    rig.tell(vec![Output::Transition(transition(&busy, "m-0001", Change::Fired, at(1_000), at(1_000)))]);
    rig.settled(&redis).await;
    let alerts = |redis: &RedisServer| {
        let document: Value = serde_json::from_str(&redis.cli(&["GET", "machine:m-0001"])).unwrap();
        document["alerts"].as_array().unwrap().len()
    };
    assert_eq!(alerts(&redis), 1);
    rig.tell(vec![Output::Transition(transition(&busy, "m-0001", Change::Resolved, at(1_000), at(1_005)))]);
    rig.settled(&redis).await;
    assert_eq!(alerts(&redis), 0);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_forgotten_goes_and_strangers_of_an_earlier_run_go() {
    let redis = RedisServer::start(&[]).unwrap();
    redis.cli(&["ZADD", "machines", "1", "long-gone"]);
    redis.cli(&["SET", "machine:long-gone", "{}"]);
    let rig = Rig::start(&redis.url());
    rig.tick(2, 1_000, 0.5);
    rig.settled(&redis).await;
    rig.tell(vec![Output::Presence(presence("m-0001", Status::Down, at(1_000)))]);
    rig.clock.advance(Duration::from_secs(25 * 3_600));
    rig.hot.sweep();
    assert!(model::query::HotState::machine(rig.hot.as_ref(), &id(1)).is_none());
    rig.settled(&redis).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_deleted_comes_back_with_the_next_renewal() {
    let redis = RedisServer::start(&[]).unwrap();
    let renewing =
        RelaySettings { renew_every: Duration::from_millis(50), patience: HASTY, ..RelaySettings::default() };
    let rig = Rig::with(settings(&redis.url()), renewing);
    rig.tick(3, 1_000, 0.5);
    rig.settled(&redis).await;
    redis.cli(&["FLUSHALL"]);
    rig.settled(&redis).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_share_a_redis_under_prefixes() {
    let redis = RedisServer::start(&[]).unwrap();
    let keys = sinks::redis::parse_prefix("eu:").unwrap();
    let prefixed = sinks::redis::RedisSettings { keys, ..settings(&redis.url()) };
    let (eu, us) = (Rig::with(prefixed, RelaySettings::default()), Rig::start(&redis.url()));
    eu.tick(1, 1_000, 0.25);
    us.tick(2, 1_000, 0.5);
    us.settled(&redis).await;
    let seen = testkit::eventually(SOON, async || redis.cli(&["ZCARD", "eu:machines"]), |count| count == "1").await;
    seen.unwrap();
    assert_ne!(redis.cli(&["GET", "eu:machine:m-0000"]), redis.cli(&["GET", "machine:m-0000"]));
    eu.stop().await;
    us.stop().await;
}
