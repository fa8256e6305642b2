//! Kafka keeps the contract of an event bus, and what only Kafka does: against a cluster inside this process, and a real one where
//! `KAFKA_TEST_URL` names it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "bus/suite.rs"]
mod suite;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use runtime::metrics::Registry;
use sinks::bus::kafka::{KafkaAddress, KafkaBus, KafkaSettings};
use sinks::bus::{Bus, Event, Pattern, Received, Topic};
use suite::{contract, event, subscribe, take};
use testkit::kafka::KafkaCluster;
use tokio::time::timeout;

fn settings(url: &str) -> KafkaSettings {
    KafkaSettings::new(KafkaAddress::parse(url).unwrap())
}

fn bus(settings: KafkaSettings) -> KafkaBus {
    KafkaBus::new("kafka", Arc::new(settings), &Registry::new())
}

fn numbers(texts: impl Iterator<Item = String>) -> Vec<usize> {
    texts.map(|text| text.rsplit(':').next().unwrap().trim_end_matches('}').parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_keeps_the_contract() {
    let cluster = KafkaCluster::start();
    contract(&bus(settings(&cluster.url()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_with_several_partitions_and_a_prefix() {
    let cluster = KafkaCluster::start();
    Topic::ALL.into_iter().for_each(|topic| cluster.make_topic(&format!("eu.{topic}")));
    contract(&bus(KafkaSettings { prefix: "eu.".to_owned(), ..settings(&cluster.url()) })).await;
}

#[expect(clippy::disallowed_methods, reason = "a test's own setting, read once")]
#[tokio::test(flavor = "multi_thread")]
async fn a_real_cluster_keeps_the_contract() {
    let Ok(url) = std::env::var("KAFKA_TEST_URL") else {
        println!("skipped: KAFKA_TEST_URL names no cluster");
        return;
    };
    // Of each run its own topics: what others left there is not its business.
    let prefix = format!("sysmonstm-test-{:016x}.", fastrand::u64(..));
    contract(&bus(KafkaSettings { prefix, ..settings(&url) })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_went_away_is_an_error_and_order_holds_when_all_is_published_again() {
    let cluster = KafkaCluster::start();
    let bus = bus(KafkaSettings { answer_within: Duration::from_secs(5), ..settings(&cluster.url()) });
    let mut events = subscribe(&bus, "alerts.fired").await;
    let all: Vec<Event> = (0..20).map(|n| event(Topic::AlertsFired, "a", n)).collect();
    bus.publish(&all[..10]).await.unwrap();
    take(&mut events, 10).await;
    cluster.go_away();
    let failed = bus.publish(&all[10..]).await.unwrap_err();
    assert!(failed.is_retryable(), "{failed}");
    assert!(bus.subscribe(&Pattern::parse("presence").unwrap(), None).await.is_err());
    cluster.come_back();
    // As the outbox does: everything that is not confirmed, from the first on.
    while bus.publish(&all[10..]).await.is_err() {}
    bus.publish(&[event(Topic::AlertsFired, "a", 99)]).await.unwrap();
    let mut seen = Vec::new();
    while seen.last() != Some(&99) {
        let got = take(&mut events, 1).await;
        seen.extend(numbers(got.into_iter().map(|(_, text, _)| text)));
    }
    // Some may have come twice; the last time that each came is in order.
    let last: Vec<usize> = (10..20).map(|n| seen.iter().rposition(|seen| *seen == n).unwrap()).collect();
    assert!(last.is_sorted(), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_of_another_bus_is_refused_with_advice_and_what_is_too_large_is_left_out_and_counted() {
    let (cluster, registry) = (KafkaCluster::start(), Registry::new());
    let bus = KafkaBus::new("kafka", Arc::new(settings(&cluster.url())), &registry);
    let pattern = Pattern::parse("presence").unwrap();
    let refused = bus.subscribe(&pattern, Some(&sinks::bus::Position("17".to_owned()))).await.err().unwrap();
    assert!(refused.to_string().contains("as an event of this bus had it"), "{refused}");
    let mut events = subscribe(&bus, "presence").await;
    let large = Event { payload: vec![b'x'; 2_000_000].into(), ..event(Topic::Presence, "a", 1) };
    bus.publish(&[large, event(Topic::Presence, "a", 2)]).await.unwrap();
    assert_eq!(numbers(take(&mut events, 1).await.into_iter().map(|(_, text, _)| text)), [2]);
    assert!(registry.render().contains("sinks_bus_too_large_total{sink=\"kafka\"} 1"), "{}", registry.render());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_over_all_topics_resumes_each_partition_where_it_was() {
    let cluster = KafkaCluster::start();
    Topic::ALL.into_iter().for_each(|topic| cluster.make_topic(topic.as_str()));
    let bus = bus(settings(&cluster.url()));
    let pattern = Pattern::parse("*").unwrap();
    let mut events = subscribe(&bus, "*").await;
    let of = |machine: usize, n: usize| event(Topic::ALL[n % Topic::ALL.len()], &format!("m-{machine}"), n);
    let first: Vec<Event> = (0..60).map(|n| of(n % 7, n)).collect();
    bus.publish(&first).await.unwrap();
    let mut seen: Vec<(Topic, String)> = Vec::new();
    let mut taken = take(&mut events, 23).await;
    let position = taken.last().unwrap().2.clone().unwrap();
    seen.extend(taken.drain(..).map(|(topic, text, _)| (topic, text)));
    drop(events);
    let second: Vec<Event> = (60..90).map(|n| of(n % 7, n)).collect();
    bus.publish(&second).await.unwrap();
    // As a program that was started again: all it has is the text of its position.
    let mut events = bus.subscribe(&pattern, Some(&position)).await.unwrap();
    seen.extend(take(&mut events, 67).await.into_iter().map(|(topic, text, _)| (topic, text)));
    let mut got = numbers(seen.into_iter().map(|(_, text)| text));
    got.sort_unstable();
    assert_eq!(got, (0..90).collect::<Vec<_>>(), "each once");
    let more = timeout(Duration::from_millis(1), events.next()).await;
    assert!(!matches!(more, Ok(Some(Ok(Received::Event { .. })))), "nothing is left");
}
