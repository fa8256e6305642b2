//! Viewers: what they are told, that a slow one misses only what a later message replaces, and what they may not do.

use std::time::Duration;

use futures_util::SinkExt;
use http::HeaderName;
use testkit::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::common::{Edge, SOON, generous, now, past, refused, snapshot, step, update};
use edge::relay::CrowdLimits;

const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");

#[tokio::test]
async fn a_viewer_is_told_everything_first_and_then_what_holds_now() {
    let edge = Edge::start().await;
    let mut publisher = edge.publisher().await;
    let mut early = edge.viewer().await;
    publisher.tell(snapshot(1, &["Front", "Back"])).await;
    let mut late = edge.viewer().await;
    for viewer in [&mut early, &mut late] {
        let whole = viewer.json().await;
        assert_eq!((&whole["type"], &whole["title"]), (&"snapshot".into(), &"Our machines".into()));
        assert_eq!(whole["machines"][1]["charts"][0], serde_json::json!([null, 0.25, 0.5]));
        assert!(whole["machines"][0].get("key").is_none());
        assert_eq!(viewer.json().await["type"], "now");
    }
    publisher.tell(update(2, vec![now(1, 0.75)])).await;
    let told = late.json().await;
    assert_eq!((&told["type"], &told["machines"][1]["values"][0]), (&"now".into(), &0.75.into()));
    publisher.tell(step(3, 101, 2)).await;
    let told = late.json().await;
    assert_eq!((&told["type"], &told["minute"]), (&"step".into(), &101.into()));
    assert_eq!(told["points"], serde_json::json!([[0.75, null], [0.75, null]]));
    assert_eq!(late.json().await["type"], "now");
    edge.stop().await;
    assert_eq!(late.goodbye().await.code, CloseCode::Away);
}

#[tokio::test]
async fn a_viewer_is_told_of_the_past_when_it_changes_and_no_more_often() {
    let edge = Edge::start().await;
    let mut publisher = edge.publisher().await;
    publisher.tell(snapshot(1, &["Front", "Back"])).await;
    let mut viewer = edge.viewer().await;
    let whole = viewer.json().await;
    assert_eq!(whole["machines"][1]["days"], serde_json::json!({"last": 20_413, "shares": [null, 1000, 972]}));
    assert_eq!(whole["incidents"], serde_json::json!({"is_complete": true, "newest": []}));
    assert_eq!(viewer.json().await["type"], "now");
    publisher.tell(update(2, Vec::new())).await;
    assert_eq!(viewer.json().await["type"], "now", "nothing is new");
    publisher.tell(past(3, &[(1, Some(&[Some(500)])), (0, None)], Some(&[(1, 1_763_699_700_000, None)]))).await;
    let told = viewer.json().await;
    assert_eq!((&told["type"], &told["days"][0]), (&"past".into(), &serde_json::Value::Null));
    assert_eq!(told["days"][1]["shares"], serde_json::json!([500]));
    let outage = serde_json::json!({"machine": 1, "from": 1_763_699_700_000_i64, "to": null});
    assert_eq!(told["incidents"]["newest"], serde_json::json!([outage]));
    assert_eq!(viewer.json().await["type"], "now");
    // Who comes later has it from the first message.
    let whole = edge.viewer().await.json().await;
    assert_eq!((&whole["machines"][0]["days"], &whole["incidents"]["newest"][0]), (&serde_json::Value::Null, &outage));
    edge.stop().await;
}

#[tokio::test]
async fn a_viewer_that_says_something_is_closed_with_a_reason() {
    let edge = Edge::start().await;
    let mut viewer = edge.viewer().await;
    viewer.say(String::from(r#"{"type":"subscribe"}"#)).await;
    assert_eq!(viewer.goodbye().await.code, CloseCode::Unsupported);
    let mut viewer = edge.viewer().await;
    for _ in 0..30 {
        // It hangs up in the middle.
        if viewer.stream.send(Message::Ping(vec![1].into())).await.is_err() {
            break;
        }
    }
    assert_eq!(viewer.goodbye().await.code, CloseCode::Policy);
    edge.eventually_metric("edge_viewers_closed_total{reason=\"flooding\"}", 1.0).await;
    edge.eventually_metric("edge_viewers", 0.0).await;
    edge.stop().await;
}

#[tokio::test]
async fn a_ping_is_answered() {
    let edge = Edge::start().await;
    let mut viewer = edge.viewer().await;
    viewer.stream.send(Message::Ping(vec![1, 2, 3].into())).await.unwrap();
    assert_eq!(viewer.next().await.unwrap().unwrap(), Message::Pong(vec![1, 2, 3].into()));
    viewer.stream.close(None).await.unwrap();
    edge.eventually_metric("edge_viewers_closed_total{reason=\"left\"}", 1.0).await;
    edge.stop().await;
}

#[tokio::test]
async fn places_are_limited_per_address_and_in_all_and_proxies_tell_whose_they_are() {
    let limits = CrowdLimits { viewers_max: 3, viewers_per_address_max: 2, ..generous() };
    let edge = Edge::with(limits, &["127.0.0.1"]).await;
    let from =
        |address: &'static str| edge.open("/ws", std::slice::from_ref(Box::leak(Box::new((FORWARDED, address)))));
    let first = from("198.51.100.1").await.unwrap();
    let _second = from("198.51.100.1").await.unwrap();
    assert_eq!(refused(from("198.51.100.1").await), 429);
    let _third = from("198.51.100.2").await.unwrap();
    assert_eq!(refused(from("198.51.100.3").await), 503);
    edge.eventually_metric("edge_refused_total{reason=\"too_many_viewers_of_address\"}", 1.0).await;
    edge.eventually_metric("edge_refused_total{reason=\"too_many_viewers\"}", 1.0).await;
    drop(first);
    edge.eventually_metric("edge_viewers", 2.0).await;
    from("198.51.100.3").await.unwrap();
    edge.stop().await;
    let edge = Edge::with(limits, &[]).await;
    let _two = (edge.viewer().await, edge.viewer().await);
    let forged = [(FORWARDED, "198.51.100.9")];
    assert_eq!(refused(edge.open("/ws", &forged).await), 429, "nobody is believed who is no trusted proxy");
    edge.stop().await;
}

#[tokio::test]
async fn requests_are_limited_per_address() {
    let limits = CrowdLimits { requests_per_s: 1, requests_burst: 5, ..generous() };
    let edge = Edge::with(limits, &["127.0.0.1"]).await;
    let ask = async || edge.get_with("/health", "X-Forwarded-For: 198.51.100.1\r\n").await;
    let refused = eventually(SOON, ask, |(status, _, _)| *status == 429).await.unwrap();
    assert!(refused.1.to_lowercase().contains("retry-after: 5") && refused.2.contains("\"too_many_requests\""));
    assert_eq!(edge.get_with("/health", "X-Forwarded-For: 198.51.100.2\r\n").await.0, 200);
    edge.stop().await;
}

/// More than the two sockets' buffers hold, so that the slow one does stop the line.
const LARGE: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_viewer_misses_what_a_later_message_replaces_and_holds_up_nobody() {
    let edge = Edge::start().await;
    let mut publisher = edge.publisher().await;
    let names: Vec<String> = (0..LARGE).map(|number| format!("Machine {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let whole = |seq| snapshot(seq, &names);
    publisher.tell(whole(1)).await;
    let mut slow = edge.viewer().await;
    let mut quick = edge.viewer().await;
    quick.json_of("now").await;
    // Each snapshot is some 200 KB: the slow one's line is full long before the last.
    let rounds = 120;
    for round in 2..=rounds {
        publisher.tell(whole(round)).await;
        quick.json_of("now").await;
    }
    publisher.tell(update(rounds + 1, vec![now(3, 0.875)])).await;
    assert_eq!(quick.json_of("now").await["machines"][3]["values"][0], 0.875);
    let (mut snapshots, mut last) = (0, 0.0_f64);
    while last < 0.875 {
        let message = slow.json().await;
        snapshots += u64::from(message["type"] == "snapshot");
        last = message["machines"][3]["values"][0].as_f64().unwrap();
    }
    assert!((1..rounds).contains(&snapshots), "{snapshots} of {rounds} snapshots: nothing was conflated");
    edge.stop().await;
}

#[tokio::test]
async fn what_is_no_websocket_is_refused() {
    let edge = Edge::start().await;
    let (status, _, body) = edge.get("/ws").await;
    assert!(status == 426 && body.contains("upgrade_required"), "{body}");
    // An old version of the protocol.
    let old = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n";
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(format!("GET /ws HTTP/1.1\r\nHost: edge\r\n{old}\r\n").as_bytes()).await.unwrap();
    let mut start = [0; 12];
    tokio::time::timeout(Duration::from_secs(60), stream.read_exact(&mut start)).await.unwrap().unwrap();
    assert_eq!(&start, b"HTTP/1.1 426");
    edge.eventually_metric("edge_viewers", 0.0).await;
    edge.stop().await;
}
