//! The live protocol over real sockets, as docs/LIVE_PROTOCOL.md tells it.

use std::time::Duration;

use futures_util::SinkExt;
use http::StatusCode;
use model::AlertState;
use runtime::metrics::Registry;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{self, client::IntoClientRequest};
use web::WebSettings;

use crate::common::socket::{Client, Served};
use crate::common::{Hub, LONG, NOW_MS, fleet};

const ALL: &str = r#"{"type":"subscribe","machines":["*"],"detail":"summary","rate_ms":0}"#;

fn hub_with(machines: &[&str]) -> Hub {
    let hub = Hub::new();
    for id in machines {
        hub.hot.put(fleet::machine(id, 0.12));
    }
    hub
}

fn ids(message: &Value) -> Vec<&str> {
    let machines = message["machines"].as_array().unwrap();
    machines.iter().map(|machine| machine["id"].as_str().unwrap()).collect()
}

/// Reads until a message about machines comes: the hub's own figures may change at any second.
async fn next_of_machines(client: &mut Client) -> Value {
    loop {
        let message = client.next().await;
        if message["machines"] != json!([]) || message["removed"] != json!([]) || message["alerts"] != json!([]) {
            return message;
        }
    }
}

/// A client that has its snapshot of a fleet that is known to the fan-out.
async fn subscribed(served: &Served, text: &str, machines: usize) -> (Client, Value) {
    let mut client = served.client().await;
    let deadline = Instant::now() + LONG;
    loop {
        client.say(text).await;
        let snapshot = loop {
            let message = client.next().await;
            if message["type"] == "snapshot" {
                break message;
            }
        };
        if ids(&snapshot).len() == machines {
            return (client, snapshot);
        }
        assert!(Instant::now() < deadline, "the snapshot never had {machines} machines");
    }
}

#[tokio::test]
async fn a_snapshot_then_deltas_numbered_without_a_gap() {
    let hub = hub_with(&["b", "a"]);
    hub.hot.alert(fleet::alert("a1", "a", AlertState::Firing));
    let served = hub.serve().await;
    let (mut client, snapshot) = subscribed(&served, ALL, 2).await;
    assert_eq!(ids(&snapshot), ["a", "b"]);
    assert_eq!((&snapshot["time"], &snapshot["removed"]), (&json!(NOW_MS), &json!([])));
    assert_eq!(snapshot["alerts"][0]["id"], "a1");
    assert!(snapshot["machines"][0].get("series").is_none());

    hub.hot.put(fleet::machine("a", 0.9));
    let mut seq = snapshot["seq"].as_u64().unwrap();
    let delta = loop {
        let message = client.next().await;
        seq += 1;
        assert_eq!(message["seq"], seq);
        if message["machines"] != json!([]) {
            break message;
        }
    };
    assert_eq!((&delta["type"], ids(&delta)), (&json!("delta"), vec!["a"]));
    assert_eq!(delta["machines"][0]["summary"]["cpu"], 0.9);

    hub.hot.remove("b");
    assert_eq!(next_of_machines(&mut client).await["removed"], json!(["b"]));
    hub.hot.alert(fleet::alert("a1", "a", AlertState::Resolved));
    assert_eq!(next_of_machines(&mut client).await["alerts"][0]["state"], "resolved");
}

#[tokio::test]
async fn what_is_wanted_may_stand_in_the_address_and_follows_the_hello() {
    let served = hub_with(&["a"]).serve().await;
    // As a browser writes it there.
    let wanted = ALL.replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
    let mut client = served.client_at(&format!("/ws?subscribe={wanted}")).await;
    let first =
        [client.next().await, client.next().await].map(|message| (message["type"].clone(), message["seq"].clone()));
    assert_eq!(first, [(json!("hello"), json!(0)), (json!("snapshot"), json!(1))]);

    let url = format!("ws://{}/ws?subscribe=everything", served.address);
    let Err(tungstenite::Error::Http(refusal)) = connect_async(url).await else {
        panic!("nobody knows what it wants");
    };
    assert_eq!(refusal.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_hub_figures_come_with_every_message() {
    let hub = hub_with(&["a"]);
    hub.hot.put(fleet::stranger("new"));
    let served = hub.serve().await;
    let (mut client, mut message) = subscribed(&served, ALL, 2).await;
    let expected = json!({"samples_per_s": 12.0, "machines": {"up": 1, "stale": 1, "down": 0}, "series": 7, "clients": 1,
                          "latency_ms": {"p50": null, "p99": null, "max": null}, "degraded": []});
    let deadline = Instant::now() + LONG;
    while message["hub"] != expected {
        assert!(Instant::now() < deadline, "last seen: {message}");
        message = client.next().await;
    }
}

#[tokio::test]
async fn full_detail_of_one_machine_says_nothing_of_the_others() {
    let hub = hub_with(&["a", "b"]);
    let served = hub.serve().await;
    let one = r#"{"type":"subscribe","machines":["b","nobody"],"detail":"full","rate_ms":0}"#;
    let (mut client, snapshot) = subscribed(&served, one, 1).await;
    let machine = &snapshot["machines"][0];
    assert_eq!((&machine["id"], &machine["values"][0]), (&json!("b"), &json!(0.12)));
    assert_eq!(machine["series"][0]["metric"], "system.cpu.utilization");
    assert_eq!(machine["processes"]["by_cpu"][0]["name"], "postgres");
    hub.hot.put(fleet::machine("a", 0.9));
    hub.hot.put(fleet::machine("b", 0.8));
    let delta = next_of_machines(&mut client).await;
    assert_eq!((ids(&delta), &delta["machines"][0]["values"][0]), (vec!["b"], &json!(0.8)));
}

#[tokio::test]
async fn of_named_metrics_come_their_series_alone() {
    let hub = hub_with(&["a", "b"]);
    let served = hub.serve().await;
    let some = |metric: &str| format!(r#"{{"type":"subscribe","metrics":["{metric}"],"rate_ms":0}}"#);
    let (mut client, snapshot) = subscribed(&served, &some("system.cpu.utilization"), 2).await;
    let machine = &snapshot["machines"][0];
    let series = machine["series"].as_array().unwrap();
    assert!(
        !series.is_empty() && series.iter().all(|series| series["metric"] == "system.cpu.utilization"),
        "{machine}"
    );
    assert_eq!((&machine["values"][0], &machine["processes"]), (&json!(0.12), &Value::Null));
    assert_eq!(machine["times"].as_array().unwrap().len(), series.len());
    assert_eq!(machine["summary"]["cpu"], json!(0.12));
    hub.hot.put(fleet::machine("b", 0.8));
    let delta = next_of_machines(&mut client).await;
    assert_eq!((ids(&delta), &delta["machines"][0]["values"]), (vec!["b"], &json!([0.8])));
    let (_, other) = subscribed(&served, &some("no.such.metric"), 2).await;
    assert_eq!((&other["machines"][0]["series"], &other["machines"][0]["values"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn changes_within_the_rate_are_coalesced_and_the_latest_wins() {
    let hub = hub_with(&["a"]);
    let served = hub.serve().await;
    let slow = r#"{"type":"subscribe","rate_ms":400}"#;
    let (mut client, _) = subscribed(&served, slow, 1).await;
    let started = Instant::now();
    for n in 1..=50 {
        hub.hot.put(fleet::machine("a", f64::from(n) / 100.0));
        tokio::task::yield_now().await;
    }
    let delta = next_of_machines(&mut client).await;
    assert_eq!(delta["machines"][0]["summary"]["cpu"], 0.5);
    assert!(Duration::from_millis(300) < started.elapsed());
}

#[tokio::test]
async fn without_a_subscription_the_older_shape_is_served() {
    let hub = hub_with(&["a"]);
    let served = hub.serve().await;
    let mut client = served.client().await;
    let message = client.next().await;
    assert_eq!(
        message,
        json!({"type": "metrics", "timestamp": "2025-11-21T04:40:00.000Z", "data": {
            "machine_id": "a", "hostname": "a", "timestamp": NOW_MS,
            "metrics": {
                "CPU_PERCENT": 12.0,
                "DISK_PERCENT{mountpoint=\"/\"}": 50.0,
                "DISK_PERCENT{mountpoint=\"/var\"}": 81.0,
                "NETWORK_RECV_MBPS{device=\"eth0\"}": 0.008,
                "NETWORK_RECV_MBPS{device=\"eth1\"}": 0.004,
                "NETWORK_RECV_MBPS{device=\"lo\"}": 0.072,
            },
        }})
    );
    hub.hot.put(fleet::machine("a", 0.5));
    assert_eq!(client.next().await["data"]["metrics"]["CPU_PERCENT"], 50.0);
}

#[tokio::test]
async fn a_bad_message_is_answered_and_forgiven() {
    let hub = hub_with(&["a"]);
    let served = hub.serve().await;
    let mut client = served.client().await;
    client.say("{").await;
    let error = client.next().await;
    assert_eq!((&error["type"], &error["seq"]), (&json!("error"), &json!(1)));
    assert!(error["detail"].as_str().unwrap().contains(r#"send {"type":"subscribe""#));
    client.say(ALL).await;
    let snapshot = client.next().await;
    assert_eq!((&snapshot["type"], &snapshot["seq"]), (&json!("snapshot"), &json!(2)));
    client.say(&format!(r#"{{"type":"{}"}}"#, "x".repeat(100_000))).await;
    assert_eq!(u16::from(client.closed().await.code), 1009);
}

#[tokio::test]
async fn a_client_that_reads_nothing_delays_nobody() {
    let hub = hub_with(&["a", "b", "c"]);
    let served = hub.serve().await;
    let full = r#"{"type":"subscribe","machines":["*"],"detail":"full","rate_ms":0}"#;
    let (_stuck, _) = subscribed(&served, full, 3).await;
    let (mut client, _) = subscribed(&served, ALL, 3).await;
    for n in 1..=2_000 {
        hub.hot.put(fleet::machine("b", f64::from(n)));
        tokio::task::yield_now().await;
    }
    let deadline = Instant::now() + LONG;
    while next_of_machines(&mut client).await["machines"][0]["summary"]["cpu"] != 2_000.0 {
        assert!(Instant::now() < deadline);
    }
}

#[tokio::test]
async fn a_client_that_never_answers_a_ping_is_closed() {
    let served = Hub::new().serve().await;
    let mut client = served.client().await;
    tokio::time::pause();
    // A little more than a ping's time each, so that the timer's granularity does not matter.
    for _ in 0..3 {
        tokio::time::advance(Duration::from_millis(15_100)).await;
        settle().await;
    }
    tokio::time::resume();
    assert_eq!(u16::from(client.closed().await.code), 1008);
}

#[tokio::test]
async fn a_client_whose_socket_takes_nothing_is_dropped() {
    let names: Vec<String> = (0..1_000).map(|n| format!("machine-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let hub = hub_with(&names);
    let served = hub.serve().await;
    let full = r#"{"type":"subscribe","machines":["*"],"detail":"full","rate_ms":0}"#;
    let mut stuck = served.client().await;
    stuck.say(full).await;
    let sent = |hub: &Hub| counter(&hub.state.metrics, "web_live_bytes_total");
    // Each round is another megabyte, until the sockets' buffers are full and nothing more goes out.
    let deadline = Instant::now() + LONG;
    let (mut before, mut quiet_rounds) = (0, 0);
    while before < 1_000_000 || quiet_rounds < 3 {
        assert!(Instant::now() < deadline, "after {before} bytes the socket still takes more");
        quiet_rounds = if sent(&hub) == before { quiet_rounds + 1 } else { 0 };
        before = sent(&hub);
        names.iter().for_each(|id| hub.hot.put(fleet::machine(id, 0.5)));
        settle().await;
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(21)).await;
    settle().await;
    assert!(metric(&hub.state.metrics, "web_clients_closed_total{reason=\"stuck\"} 1"));
    assert!(metric(&hub.state.metrics, "web_clients 0"));
}

#[tokio::test]
async fn a_removal_that_nobody_told_of_is_found() {
    let hub = hub_with(&["a", "b"]);
    let served = hub.serve().await;
    let (mut client, _) = subscribed(&served, ALL, 2).await;
    hub.hot.lose("b");
    tokio::time::pause();
    for _ in 0..12 {
        tokio::time::advance(Duration::from_secs(1)).await;
        settle().await;
    }
    tokio::time::resume();
    assert_eq!(next_of_machines(&mut client).await["removed"], json!(["b"]));
}

#[tokio::test]
async fn a_flood_of_messages_is_ended() {
    let served = hub_with(&["a"]).serve().await;
    let mut client = served.client().await;
    for _ in 0..200 {
        // The hub may close before the last one.
        if client.stream.send(tungstenite::Message::text(ALL)).await.is_err() {
            break;
        }
    }
    assert_eq!(u16::from(client.closed().await.code), 1008);
}

#[tokio::test]
async fn one_client_too_many_is_refused_with_a_reason_and_counted() {
    let hub = Hub::with(WebSettings { clients_max: 1, ..WebSettings::default() });
    let served = hub.serve().await;
    let first = served.client().await;
    let url = format!("ws://{}/ws", served.address);
    let Err(tungstenite::Error::Http(refusal)) = connect_async(&url).await else {
        panic!("the second client was let in");
    };
    assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refusal.headers()["retry-after"], "5");
    assert!(metric(&hub.state.metrics, "web_clients_refused_total 1"));
    drop(first);
    let deadline = Instant::now() + LONG;
    while connect_async(&url).await.is_err() {
        assert!(Instant::now() < deadline, "the place is not given free");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_gets_no_socket() {
    let served = Hub::new().serve().await;
    let url = format!("ws://{}/ws", served.address);
    let mut request = url.as_str().into_client_request().unwrap();
    request.headers_mut().insert("origin", "http://evil.example".parse().unwrap());
    let Err(tungstenite::Error::Http(refusal)) = connect_async(request).await else {
        panic!("a foreign page was let in");
    };
    assert_eq!(refusal.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn draining_says_good_bye_and_ends() {
    let hub = hub_with(&["a"]);
    let served = hub.serve().await;
    let (mut client, _) = subscribed(&served, ALL, 1).await;
    served.drain.begin();
    assert_eq!(u16::from(client.closed().await.code), 1001);
    timeout(LONG, served.task).await.expect("the server ends").unwrap();
    assert!(metric(&hub.state.metrics, "web_clients_closed_total{reason=\"draining\"} 1"));
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let served = Hub::new().serve().await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    // The server may close before all is written.
    let written = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let read = timeout(LONG, stream.read_to_end(&mut answer)).await.unwrap();
    let is_refused = answer.starts_with(b"HTTP/1.1 431");
    assert!(is_refused || written.is_err() || read.is_err(), "{}", String::from_utf8_lossy(&answer));
}

fn metric(metrics: &Registry, line: &str) -> bool {
    metrics.render().lines().any(|known| known == line)
}

fn counter(metrics: &Registry, name: &str) -> u64 {
    let text = metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    line.unwrap_or_else(|| panic!("no counter {name}"))
}

/// Lets every other task go as far as it can without time passing.
async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}
