//! Publishers: who may write, what they may say, and that the newest one counts.

use edge::protocol::{FromHub, MESSAGE_BYTES_MAX, to_json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::common::{Edge, generous, now, refused, snapshot, step, update};

#[tokio::test]
async fn without_the_token_nobody_publishes() {
    let edge = Edge::start().await;
    for wrong in [
        "",
        "Bearer",
        "Bearer wrong-token-of-16-chars",
        "Basic a-token-that-nobody-guesses",
        "a-token-that-nobody-guesses",
    ] {
        assert_eq!(refused(edge.publisher_with(wrong).await), 401, "{wrong:?}");
    }
    edge.eventually_metric("edge_publishers_total{outcome=\"unauthorized\"}", 5.0).await;
    let (status, head, body) = edge.get("/publish").await;
    assert!(status == 401 && head.to_lowercase().contains("www-authenticate: bearer"), "{head}");
    assert!(body.contains("\"unauthorized\"") && !body.contains("nobody-guesses"), "{body}");
    assert_eq!(edge.get("/").await.0, 503, "nothing is shown");
    edge.stop().await;
}

#[tokio::test]
async fn what_breaks_the_protocol_is_closed_with_a_reason_and_changes_nothing() {
    let edge = Edge::start().await;
    let mut first = edge.publisher().await;
    first.tell(snapshot(1, &["Front"])).await;
    let spoilt = to_json(&snapshot(1, &["Other"])).replace("\"minute\"", "\"hostname\":\"x\",\"minute\"");
    let cases: [(String, &str); 8] = [
        (String::from("{"), "not of the protocol"),
        (String::from("[]"), "not of the protocol"),
        (spoilt, "unknown field"),
        (to_json(&update(2, Vec::new())), "first message is not a snapshot"),
        (to_json(&snapshot(1, &["a\u{7}b"])), "machine's name"),
        (to_json(&snapshot(1, &["a"])).replace("972", "1001"), "1001 thousandths"),
        (
            to_json(&snapshot(1, &["a"])).replace("\"newest\":[", "\"newest\":[{\"key\":5,\"from\":1,\"to\":null}"),
            "machine key 5",
        ),
        (to_json(&snapshot(1, &["a"])).replace("\"protocol\":1", "\"protocol\":9"), "protocol 9"),
    ];
    for (text, reason) in &cases {
        let mut publisher = edge.publisher().await;
        publisher.say(text.clone()).await;
        let goodbye = publisher.goodbye().await;
        assert!(goodbye.code == CloseCode::Policy && goodbye.reason.contains(reason), "{goodbye:?}");
    }
    edge.eventually_metric("edge_publishers_closed_total{reason=\"malformed\"}", 8.0).await;
    let mut publisher = edge.publisher().await;
    publisher.tell(snapshot(1, &["Front"])).await;
    publisher.say(to_json(&update(2, vec![now(7, 0.5)]))).await;
    assert!(publisher.goodbye().await.reason.contains("machine key 7"));
    let (_, _, page) = edge.get("/").await;
    assert!(page.contains("<h2>Front</h2>") && !page.contains("Other"), "{page}");
    edge.stop().await;
}

#[tokio::test]
async fn a_message_that_is_too_large_is_closed_with_a_reason() {
    let edge = Edge::start().await;
    let mut publisher = edge.publisher().await;
    publisher.tell(snapshot(1, &["Front"])).await;
    publisher.say(" ".repeat(MESSAGE_BYTES_MAX + 1)).await;
    assert_eq!(publisher.goodbye().await.code, CloseCode::Size);
    edge.eventually_metric("edge_publishers_closed_total{reason=\"too_large\"}", 1.0).await;
    edge.stop().await;
}

#[tokio::test]
async fn the_newer_publisher_wins() {
    let edge = Edge::start().await;
    let mut older = edge.publisher().await;
    older.tell(snapshot(1, &["Older"])).await;
    let mut newer = edge.publisher().await;
    assert!(older.goodbye().await.reason.contains("another hub"));
    newer.tell(snapshot(1, &["Newer"])).await;
    assert!(edge.get("/").await.2.contains("<h2>Newer</h2>"));
    edge.eventually_metric("edge_publisher_connected", 1.0).await;
    edge.eventually_metric("edge_publishers_closed_total{reason=\"replaced\"}", 1.0).await;
    edge.stop().await;
}

#[tokio::test]
async fn a_hub_that_is_away_leaves_its_picture_and_comes_back_with_a_new_one() {
    let edge = Edge::start().await;
    assert_eq!(edge.get("/ready").await.0, 503);
    let mut publisher = edge.publisher().await;
    publisher.tell(snapshot(1, &["Front"])).await;
    let mut viewer = edge.viewer().await;
    assert_eq!(viewer.json_of("snapshot").await["machines"][0]["name"], "Front");
    let (status, _, ready) = edge.get("/ready").await;
    assert!(status == 200 && ready.contains("\"status\":\"ready\""), "{ready}");
    drop(publisher);
    edge.eventually_metric("edge_publisher_connected", 0.0).await;
    let (status, _, ready) = edge.get("/ready").await;
    assert!(status == 200 && ready.contains("\"status\":\"degraded\""), "{ready}");
    assert!(edge.get("/").await.2.contains("<h2>Front</h2>"), "what was known stays");
    let mut publisher = edge.publisher().await;
    publisher.tell(snapshot(1, &["Front", "Back"])).await;
    assert_eq!(viewer.json_of("snapshot").await["machines"][1]["name"], "Back");
    edge.stop().await;
}

#[tokio::test]
async fn an_edge_that_starts_again_is_told_everything_again() {
    let edge = Edge::start().await;
    let mut publisher = edge.publisher().await;
    publisher.tell(snapshot(1, &["Front"])).await;
    let address = edge.address;
    edge.stop().await;
    assert_eq!(publisher.goodbye().await.code, CloseCode::Away);
    let edge = Edge::on(TcpListener::bind(address).await.unwrap(), generous(), &[]);
    assert_eq!(edge.get("/").await.0, 503, "nothing is stored");
    let mut publisher = edge.publisher().await;
    assert_eq!(publisher.tell(snapshot(1, &["Front"])).await, 0);
    publisher.tell(step(2, 101, 1)).await;
    assert_eq!(edge.get("/").await.0, 200);
    edge.stop().await;
}

#[tokio::test]
async fn a_hub_hears_how_many_look() {
    let edge = Edge::start().await;
    let mut publisher = edge.publisher().await;
    assert_eq!(publisher.tell(snapshot(1, &["Front"])).await, 0);
    let _viewers = (edge.viewer().await, edge.viewer().await);
    assert_eq!(publisher.tell(update(2, Vec::new())).await, 2);
    edge.stop().await;
}

#[test]
fn messages_read_as_they_are_documented() {
    let text = to_json(&step(9, 101, 1));
    let expected =
        r#"{"type":"update","seq":9,"time":1763700060000,"machines":[],"step":{"minute":101,"points":[[0.75,null]]}}"#;
    assert_eq!(text, expected);
    serde_json::from_str::<FromHub>(expected).unwrap();
}
