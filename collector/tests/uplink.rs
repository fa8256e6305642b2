//! The uplink's promises, against a hub on a real socket: acknowledged or kept, oldest first, never more than credit allows.

mod support;

use std::time::Duration;

use support::{Hub, Running, State, settings};
use testkit::eventually::eventually;

const LONG: Duration = Duration::from_secs(20);

/// Waits until the hub's state is as the test needs it.
async fn until(hub: &Hub, what: &str, is_so: impl Fn(&State) -> bool) {
    let seen = eventually(LONG, async || is_so(&hub.state()), |is_so| *is_so).await;
    assert!(seen.is_ok(), "{what}: {:?}", hub.state());
}

fn is_gapless(sequences: &[u64]) -> bool {
    sequences.windows(2).all(|pair| pair[0] + 1 == pair[1])
}

#[tokio::test]
async fn frames_come_in_order_after_a_hello_and_their_layout() {
    let hub = Hub::new();
    let collector = Running::start(settings(hub.serve().await));
    until(&hub, "ten frames", |state| state.streams.first().is_some_and(|seen| seen.sequences.len() >= 10)).await;
    collector.end().await;
    let state = hub.state();
    let seen = &state.streams[0];
    assert_eq!(
        (state.streams.len(), seen.hello.machine_id.as_str(), seen.hello.tags["role"].as_str()),
        (1, "m-1", "test")
    );
    assert!(seen.hello.session != 0 && !seen.hello.inventory.as_ref().unwrap().arch.is_empty());
    assert_eq!((seen.sequences[0], is_gapless(&seen.sequences)), (1, true));
    assert_eq!((seen.layouts, seen.breaches.as_slice()), (2, &[][..]), "a layout goes out once");
}

#[tokio::test]
async fn no_more_frames_are_under_way_than_credit_allows() {
    let hub = Hub::new();
    hub.state().acknowledges = false;
    hub.state().credit = 3;
    let collector = Running::start(settings(hub.serve().await));
    let waiting = async || collector.metrics.gauge("collector_waiting_frames", "", &[]).value();
    eventually(LONG, waiting, |frames| *frames > 10.0).await.unwrap();
    assert_eq!(hub.arrived(), [1, 2, 3]);
    collector.end().await;
}

#[tokio::test]
async fn a_broken_stream_loses_and_reorders_nothing() {
    let hub = Hub::new();
    hub.state().acknowledges = false;
    let collector = Running::start(settings(hub.serve().await));
    for cuts in 1..=2 {
        let has_frames = |state: &State| state.streams.len() == cuts && !state.streams[cuts - 1].sequences.is_empty();
        until(&hub, "frames before the cut", has_frames).await;
        hub.cut();
    }
    hub.state().acknowledges = true;
    until(&hub, "a third stream", |state| state.streams.len() == 3 && state.streams[2].sequences.len() > 30).await;
    collector.end().await;
    let state = hub.state();
    for seen in &state.streams {
        assert!(seen.sequences[0] == 1 && is_gapless(&seen.sequences), "{seen:?}");
        assert!(seen.breaches.is_empty() && seen.hello.session == state.streams[0].hello.session);
    }
    let third = &state.streams[2];
    assert!((third.messages as usize) < third.sequences.len(), "old frames travel together");
}

#[tokio::test]
async fn a_hub_that_comes_late_gets_everything() {
    let hub = Hub::new();
    let closed = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    let collector = Running::start(settings(closed));
    let waiting = async || collector.metrics.gauge("collector_waiting_frames", "", &[]).value();
    eventually(LONG, waiting, |frames| *frames > 5.0).await.unwrap();
    hub.serve_on(closed).await;
    until(&hub, "frames", |state| state.streams.first().is_some_and(|seen| seen.sequences.len() > 10)).await;
    collector.end().await;
    let arrived = hub.arrived();
    assert!(arrived[0] == 1 && is_gapless(&arrived));
}

#[tokio::test]
async fn a_restart_keeps_session_and_frames_and_numbers_go_on() {
    let (hub, folder) = (Hub::new(), tempfile::tempdir().unwrap());
    let mut settings = settings(hub.serve().await);
    settings.spool_dir = Some(folder.path().to_owned());
    hub.state().acknowledges = false;
    let first = Running::start(settings.clone());
    let waiting = async || first.metrics.gauge("collector_waiting_frames", "", &[]).value();
    // More than memory holds, so that both what was spilled and what the end spilled come back.
    eventually(LONG, waiting, |frames| *frames > 80.0).await.unwrap();
    // A hub that stays silent holds a drain up; one that is gone does not.
    hub.state().refuses = Some(tonic::Code::Unavailable);
    hub.cut();
    first.end().await;
    hub.state().refuses = None;
    hub.state().acknowledges = true;
    let streams_before = hub.state().streams.len();
    let second = Running::start(settings);
    let has_all = |state: &State| state.streams.get(streams_before).is_some_and(|seen| seen.sequences.len() > 90);
    until(&hub, "what was spooled and more", has_all).await;
    second.end().await;
    let state = hub.state();
    let (old, new) = (&state.streams[0], &state.streams[streams_before]);
    assert_eq!(old.hello.session, new.hello.session);
    assert_eq!(old.sequences[0], new.sequences[0], "the oldest unacknowledged frame comes first");
    assert!(new.sequences.windows(2).all(|pair| pair[0] < pair[1]) && new.breaches.is_empty(), "{new:?}");
    assert!(is_gapless(&new.sequences[..80]), "nothing of the first life is missing");
}

#[tokio::test]
async fn a_hub_that_forgot_a_layout_gets_it_again_with_the_frames() {
    let hub = Hub::new();
    hub.state().forgets_layout = true;
    let collector = Running::start(settings(hub.serve().await));
    until(&hub, "frames", |state| state.streams.first().is_some_and(|seen| seen.sequences.len() > 5)).await;
    collector.end().await;
    let state = hub.state();
    let seen = &state.streams[0];
    assert!(seen.sequences[0] == 1 && is_gapless(&seen.sequences), "{seen:?}");
    assert!(seen.layout_messages > seen.layouts && seen.breaches.is_empty(), "under its old number: {seen:?}");
}

#[tokio::test]
async fn a_hub_that_is_ahead_of_the_session_is_met_under_a_new_one() {
    let hub = Hub::new();
    hub.state().acknowledges = false;
    let collector = Running::start(settings(hub.serve().await));
    until(&hub, "a frame", |state| state.streams.first().is_some_and(|seen| !seen.sequences.is_empty())).await;
    let session = hub.state().streams[0].hello.session;
    hub.state().marks.insert(session, 1_000_000);
    hub.state().acknowledges = true;
    hub.cut();
    until(&hub, "another session", |state| {
        state.streams.iter().any(|seen| seen.hello.session != session && seen.sequences.len() > 3)
    })
    .await;
    collector.end().await;
    assert_eq!(hub.state().streams.last().unwrap().sequences[0], 1);
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket").port()
}
