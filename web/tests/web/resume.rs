//! A client that lost its connection goes on where it was, as docs/LIVE_PROTOCOL.md tells it, or starts anew.

use model::AlertState;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::common::socket::{Client, Served};
use crate::common::{Hub, LONG, fleet};

/// A `subscribe` that goes on from `at` of `instance`.
fn subscribe(machines: &[&str], resume: &Value) -> String {
    json!({"type": "subscribe", "machines": machines, "detail": "summary", "rate_ms": 0, "resume": resume}).to_string()
}

fn ids(message: &Value) -> Vec<&str> {
    message["machines"].as_array().unwrap().iter().map(|machine| machine["id"].as_str().unwrap()).collect()
}

/// Reads until a message satisfies.
async fn until(client: &mut Client, is_it: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + LONG;
    loop {
        let message = client.next().await;
        if is_it(&message) {
            return message;
        }
        assert!(Instant::now() < deadline, "last seen: {message}");
    }
}

/// A client that has seen these machines, and from where it could go on.
async fn seen(served: &Served, machines: &[&str], count: usize) -> (Client, Value) {
    let (mut client, hello) = served.client_and_hello().await;
    let mut known = std::collections::BTreeSet::new();
    client.say(&subscribe(machines, &Value::Null)).await;
    loop {
        let message = client.next().await;
        known.extend(ids(&message).into_iter().map(str::to_owned));
        if known.len() == count && message["at"] != 0 {
            return (client, json!({"instance": hello["instance"], "at": message["at"]}));
        }
    }
}

/// Asks until everybody who asks would be shown these machines and so many alerts.
async fn settled(served: &Served, machines: &[&str], alerts: usize) {
    let mut witness = served.client().await;
    let deadline = Instant::now() + LONG;
    loop {
        witness.say(&subscribe(&["*"], &Value::Null)).await;
        let snapshot = until(&mut witness, |message| message["type"] == "snapshot").await;
        if ids(&snapshot) == machines && snapshot["alerts"].as_array().unwrap().len() == alerts {
            return;
        }
        assert!(Instant::now() < deadline, "last seen: {snapshot}");
        // The hub's own figures move every second, if nothing else does.
        witness.next().await;
    }
}

fn is_of_machines(message: &Value) -> bool {
    message["type"] == "snapshot"
        || message["machines"] != json!([])
        || message["removed"] != json!([])
        || message["alerts"] != json!([])
}

#[tokio::test]
async fn who_comes_back_is_told_what_it_missed_once_and_nothing_else() {
    let hub = Hub::new();
    for id in ["a", "b", "c", "d"] {
        hub.hot.put(fleet::machine(id, 0.1));
    }
    hub.hot.alert(fleet::alert("a1", "a", AlertState::Firing));
    let served = hub.serve().await;
    let (client, resume) = seen(&served, &["*"], 4).await;
    drop(client);
    hub.hot.put(fleet::machine("b", 0.5));
    hub.hot.put(fleet::machine("b", 0.6));
    hub.hot.remove("c");
    hub.hot.alert(fleet::alert("a1", "a", AlertState::Resolved));
    settled(&served, &["a", "b", "d"], 0).await;

    let mut again = served.client().await;
    again.say(&subscribe(&["*"], &resume)).await;
    let missed = until(&mut again, is_of_machines).await;
    assert_eq!((&missed["type"], ids(&missed), &missed["removed"]), (&json!("delta"), vec!["b"], &json!(["c"])));
    assert_eq!(missed["machines"][0]["summary"]["cpu"], 0.6);
    assert_eq!(missed["alerts"][0]["state"], "resolved");
    assert!(resume["at"].as_u64() < missed["at"].as_u64());
    // And goes on as any other client.
    hub.hot.put(fleet::machine("d", 0.7));
    let next = until(&mut again, is_of_machines).await;
    assert_eq!((&next["type"], ids(&next)), (&json!("delta"), vec!["d"]));
}

#[tokio::test]
async fn a_chosen_machine_stays_the_only_one() {
    let hub = Hub::new();
    for id in ["a", "b"] {
        hub.hot.put(fleet::machine(id, 0.1));
    }
    let served = hub.serve().await;
    let (client, resume) = seen(&served, &["b"], 1).await;
    drop(client);
    hub.hot.put(fleet::machine("a", 0.5));
    hub.hot.put(fleet::machine("b", 0.6));
    hub.hot.put(fleet::machine("c", 0.6));
    settled(&served, &["a", "b", "c"], 0).await;
    let mut again = served.client().await;
    again.say(&subscribe(&["b"], &resume)).await;
    let missed = until(&mut again, is_of_machines).await;
    assert_eq!((&missed["type"], ids(&missed)), (&json!("delta"), vec!["b"]));
    assert_eq!(missed["machines"][0]["summary"]["cpu"], 0.6);
}

#[tokio::test]
async fn who_has_nothing_of_this_hub_starts_anew() {
    let hub = Hub::new();
    for id in ["a", "b"] {
        hub.hot.put(fleet::machine(id, 0.1));
    }
    let served = hub.serve().await;
    let (_client, resume) = seen(&served, &["*"], 2).await;
    let at = resume["at"].as_u64().unwrap();
    let instance = resume["instance"].clone();
    for (what, foreign) in [
        ("another run of the hub", json!({"instance": "0123", "at": at})),
        ("the middle of a snapshot", json!({"instance": instance, "at": 0})),
        ("a place that the hub has not come to", json!({"instance": instance, "at": at + 1_000_000})),
    ] {
        let mut again = served.client().await;
        again.say(&subscribe(&["*"], &foreign)).await;
        let message = again.next().await;
        assert_eq!((&message["type"], ids(&message)), (&json!("snapshot"), vec!["a", "b"]), "{what}");
    }
    let mut again = served.client().await;
    again.say(&subscribe(&["*"], &json!({"instance": instance, "at": "yesterday"}))).await;
    let refused = again.next().await;
    assert_eq!(refused["type"], "error", "{refused}");
}

#[tokio::test]
async fn who_missed_more_ends_than_are_remembered_starts_anew() {
    let hub = Hub::new();
    let gone: Vec<String> = (0..1_100).map(|n| format!("gone-{n}")).collect();
    gone.iter().for_each(|id| hub.hot.put(fleet::machine(id, 0.1)));
    hub.hot.put(fleet::machine("stays", 0.1));
    let served = hub.serve().await;
    let (client, resume) = seen(&served, &["*"], 1_101).await;
    drop(client);
    gone.iter().for_each(|id| hub.hot.remove(id));
    settled(&served, &["stays"], 0).await;
    let mut again = served.client().await;
    again.say(&subscribe(&["*"], &resume)).await;
    let message = again.next().await;
    assert_eq!((&message["type"], ids(&message)), (&json!("snapshot"), vec!["stays"]));
}
