//! The contract of an event bus, as one suite that runs against each backend.

use std::time::Duration;

use futures_util::StreamExt;
use sinks::bus::{Bus, Event, Pattern, Position, Received, Subscription, Topic};
use tokio::time::timeout;

/// Long enough for a machine under load; nothing waits for it when all is well.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) fn event(topic: Topic, machine: &str, n: usize) -> Event {
    Event { topic, machine: machine.to_owned(), payload: format!("{{\"machine\":\"{machine}\",\"n\":{n}}}").into() }
}

pub(crate) async fn subscribe(bus: &impl Bus, pattern: &str) -> Subscription {
    bus.subscribe(&Pattern::parse(pattern).unwrap(), None).await.unwrap()
}

/// The next events: topic, payload, position.
pub(crate) async fn take(events: &mut Subscription, count: usize) -> Vec<(Topic, String, Option<Position>)> {
    let mut taken = Vec::with_capacity(count);
    while taken.len() < count {
        match timeout(SOON, events.next()).await.unwrap().unwrap().unwrap() {
            Received::Event { topic, payload, position } => {
                taken.push((topic, String::from_utf8(payload.to_vec()).unwrap(), position));
            }
            Received::Missed(count) => panic!("{count} events were missed"),
        }
    }
    taken
}

fn text(event: &Event) -> (Topic, String) {
    (event.topic, String::from_utf8(event.payload.to_vec()).unwrap())
}

async fn events_reach_who_asked_for_their_topic_and_nobody_else(bus: &impl Bus) {
    let (mut alerts, mut raw, mut all) =
        (subscribe(bus, "alerts.*").await, subscribe(bus, "metrics.raw").await, subscribe(bus, "*").await);
    let events: Vec<Event> = Topic::ALL.into_iter().map(|topic| event(topic, "a", 1)).collect();
    bus.publish(&events).await.unwrap();
    // Behind everything before it of its machine and topic: what came until then is all that came.
    let marks = [event(Topic::AlertsFired, "a", 2), event(Topic::MetricsRaw, "a", 2)];
    bus.publish(&marks).await.unwrap();
    let mut got: Vec<Topic> = take(&mut all, 8).await.into_iter().map(|(topic, ..)| topic).collect();
    got.sort();
    got.dedup();
    assert_eq!(got, Topic::ALL);
    let got: Vec<(Topic, String)> = take(&mut raw, 2).await.into_iter().map(|(topic, text, _)| (topic, text)).collect();
    assert_eq!(got, [text(&events[0]), text(&marks[1])]);
    let mut got: Vec<(Topic, String)> =
        take(&mut alerts, 3).await.into_iter().map(|(topic, text, _)| (topic, text)).collect();
    got.sort();
    let mut wanted = [text(&events[3]), text(&events[4]), text(&marks[0])];
    wanted.sort();
    assert_eq!(got, wanted);
}

async fn events_of_a_machine_keep_their_order(bus: &impl Bus) {
    let mut events = subscribe(bus, "presence").await;
    for call in 0..10 {
        let batch: Vec<Event> =
            (0..60).map(|n| event(Topic::Presence, ["a", "b", "c"][n % 3], call * 60 + n)).collect();
        bus.publish(&batch).await.unwrap();
    }
    let got = take(&mut events, 600).await;
    for machine in ["a", "b", "c"] {
        let of = format!("\"machine\":\"{machine}\"");
        let numbers: Vec<usize> = got
            .iter()
            .filter(|(_, text, _)| text.contains(&of))
            .map(|(_, text, _)| text.rsplit(':').next().unwrap().trim_end_matches('}').parse().unwrap())
            .collect();
        assert_eq!(numbers.len(), 200);
        assert!(numbers.is_sorted(), "{machine}: {numbers:?}");
    }
}

async fn a_subscription_resumes_where_the_backend_keeps_events_and_says_so_where_not(bus: &impl Bus) {
    let pattern = Pattern::parse("alerts.fired").unwrap();
    let mut events = subscribe(bus, "alerts.fired").await;
    bus.publish(&[event(Topic::AlertsFired, "a", 1), event(Topic::AlertsFired, "a", 2)]).await.unwrap();
    let first = take(&mut events, 1).await.remove(0);
    drop(events);
    bus.publish(&[event(Topic::AlertsFired, "a", 3)]).await.unwrap();
    if !bus.capabilities().can_resume {
        assert_eq!(first.2, None);
        let refused = bus.subscribe(&pattern, Some(&Position("1".to_owned()))).await;
        assert!(refused.err().unwrap().to_string().contains("without a position"));
        return;
    }
    let mut rest = bus.subscribe(&pattern, first.2.as_ref()).await.unwrap();
    let texts: Vec<String> = take(&mut rest, 2).await.into_iter().map(|(_, text, _)| text).collect();
    assert!(texts[0].ends_with("2}") && texts[1].ends_with("3}"), "{texts:?}");
}

async fn publishing_to_nobody_is_fine_and_a_large_event_arrives_whole(bus: &impl Bus) {
    bus.publish(&[]).await.unwrap();
    bus.publish(&[event(Topic::MetricsMinute, "a", 1)]).await.unwrap();
    let mut events = subscribe(bus, "metrics.1h").await;
    let large = Event { payload: format!("\"{}\"", "x".repeat(500_000)).into(), ..event(Topic::MetricsHour, "a", 1) };
    bus.publish(std::slice::from_ref(&large)).await.unwrap();
    assert_eq!(take(&mut events, 1).await[0].1, text(&large).1);
}

/// Everything that a backend must do.
pub(crate) async fn contract(bus: &impl Bus) {
    events_reach_who_asked_for_their_topic_and_nobody_else(bus).await;
    events_of_a_machine_keep_their_order(bus).await;
    publishing_to_nobody_is_fine_and_a_large_event_arrives_whole(bus).await;
    a_subscription_resumes_where_the_backend_keeps_events_and_says_so_where_not(bus).await;
}
