//! In-process and Redis Pub/Sub keep the contract of an event bus, and what is their own.

use std::sync::Arc;

use futures_util::StreamExt;
use sinks::bus::in_process::InProcessBus;
use sinks::bus::redis::RedisBus;
use sinks::bus::{Bus, Event, Received, Topic};
use testkit::redis::RedisServer;
use tokio::time::timeout;

use crate::rig::settings;
use crate::suite::{SOON, contract, event, subscribe, take};

#[tokio::test(flavor = "multi_thread")]
async fn in_process_keeps_the_contract() {
    contract(&InProcessBus::new(1_024)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_pub_sub_keeps_the_contract() {
    let redis = RedisServer::start(&[]).unwrap();
    contract(&RedisBus::new("redis", Arc::new(settings(&redis.url())))).await;
}

#[tokio::test]
async fn a_subscriber_that_is_too_slow_is_told_what_it_missed() {
    let bus = InProcessBus::new(4);
    let mut events = subscribe(&bus, "*").await;
    let many: Vec<Event> = (0..10).map(|n| event(Topic::Presence, "a", n)).collect();
    bus.publish(&many).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap(), Received::Missed(6));
    assert_eq!(take(&mut events, 4).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_server_is_an_error_for_publisher_and_subscriber_and_both_go_on_afterwards() {
    let mut redis = RedisServer::start(&[]).unwrap();
    let bus = RedisBus::new("redis", Arc::new(settings(&redis.url())));
    let mut events = subscribe(&bus, "presence").await;
    bus.publish(&[event(Topic::Presence, "a", 1)]).await.unwrap();
    take(&mut events, 1).await;
    redis.kill();
    assert!(timeout(SOON, events.next()).await.unwrap().unwrap().is_err());
    assert!(bus.publish(&[event(Topic::Presence, "a", 2)]).await.is_err());
    redis.start_again().unwrap();
    let mut events = subscribe(&bus, "presence").await;
    bus.publish(&[event(Topic::Presence, "a", 3)]).await.unwrap();
    assert_eq!(take(&mut events, 1).await.len(), 1);
}
