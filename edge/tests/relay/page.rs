//! The page as a browser without a script gets it, and what else the edge answers.

use super::common::{Edge, now, past, snapshot, update};
use edge::protocol::Now;
use model::Status;

#[tokio::test]
async fn the_page_says_everything_without_a_script() {
    let edge = Edge::start().await;
    let (status, _, empty) = edge.get("/").await;
    assert!(status == 503 && empty.contains("nothing to show yet") && empty.contains("http-equiv=\"refresh\""));
    let mut publisher = edge.publisher().await;
    publisher.tell(snapshot(1, &["Front <b>", "Back"])).await;
    let down = Now { status: Status::Down, last_seen: Some(1_763_699_700_000), ..now(1, 0.95) };
    publisher.tell(update(2, vec![down])).await;
    let outages = [(1, 1_763_699_645_000, None), (0, 1_763_600_000_000, Some(1_763_600_720_000))];
    publisher.tell(past(3, &[(1, None)], Some(&outages))).await;
    let (status, head, page) = edge.get("/").await;
    assert_eq!(status, 200);
    let head = head.to_lowercase();
    assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self';"), "{head}");
    assert!(head.contains("cache-control: no-store") && head.contains("x-frame-options: deny"), "{head}");
    for said in [
        "<title>Our machines: 1 of 2 up, 1 down</title>",
        "<h1>Our machines</h1>",
        "<h2>Front &lt;b&gt;</h2>",
        "<span class=\"word\">down</span> <span class=\"silence\">no data for 5 min</span>",
        "<p class=\"value\">95 %</p>",
        "data-level=\"high\"",
        "<h3>Traffic</h3>\n<p class=\"value\">1000 B/s</p>",
        "aria-label=\"CPU in the last hour: 25 % to 50 %\"",
        "<h3>Last 90 days</h3>\n<p class=\"value\">98.6 %</p>",
        "aria-label=\"Heard from 98.6 % of the time, 20 Nov to 21 Nov\"><path class=\"good\" d=\"M354 24v-24\"/>",
        "<p class=\"range\">20 Nov to 21 Nov; less on 21 Nov (97.2 %)</p>",
        "aria-label=\"The last 90 days are not known\"",
        "<strong>Back</strong> was down from <time datetime=\"2025-11-21T04:34:05Z\">21 Nov 04:34 UTC</time> <span>and still is</span>",
        "<strong>Front &lt;b&gt;</strong> was down from <time datetime=\"2025-11-20T00:53:20Z\">20 Nov 00:53 UTC</time> <span>for 12 min</span>",
        "<time datetime=\"2",
        "<noscript><meta http-equiv=\"refresh\" content=\"30\"></noscript>",
    ] {
        assert!(page.contains(said), "{said}\n{page}");
    }
    assert!(!page.contains("<b>") && !page.contains(" style=") && !page.contains("onload"), "{page}");
    edge.stop().await;
}

#[tokio::test]
async fn what_the_page_needs_is_here_and_may_be_kept() {
    let edge = Edge::start().await;
    let (_, _, page) = edge.get("/").await;
    let paths: Vec<&str> = page.split('"').filter(|text| text.starts_with("/assets/")).collect();
    assert_eq!(paths.len(), 3, "{paths:?}");
    for path in paths {
        let (status, head, body) = edge.get(path).await;
        assert!(status == 200 && head.contains("immutable") && !body.is_empty(), "{path}: {head}");
    }
    edge.stop().await;
}

#[tokio::test]
async fn the_snapshot_is_there_for_programs() {
    let edge = Edge::start().await;
    assert_eq!(edge.get("/api/v1/snapshot").await.0, 503);
    let mut publisher = edge.publisher().await;
    publisher.tell(snapshot(1, &["Front"])).await;
    publisher.tell(update(2, vec![now(0, 0.875)])).await;
    let (status, _, body) = edge.get("/api/v1/snapshot").await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["machines"][0]["values"][0]), (200, &0.875.into()));
    edge.stop().await;
}

#[tokio::test]
async fn there_is_nothing_else() {
    let edge = Edge::start().await;
    assert_eq!(edge.get("/health").await.0, 200);
    for path in ["/api/v1/machines", "/admin", "/assets/", "/assets/../Cargo.toml"] {
        assert_eq!(edge.get(path).await.0, 404, "{path}");
    }
    let long = format!("/{}", "x".repeat(4_096));
    assert_eq!(edge.get(&long).await.0, 414);
    edge.stop().await;
}
