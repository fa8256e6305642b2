//! A crowd: many viewers at once are all told the same.

use super::common::{Edge, Socket, generous, now, snapshot, update};
use edge::relay::CrowdLimits;

async fn crowd(edge: &Edge, count: usize) -> Vec<Socket> {
    let mut viewers = Vec::with_capacity(count);
    for _ in 0..count {
        viewers.push(edge.viewer().await);
    }
    viewers
}

async fn all_hear(viewers: &mut [Socket], cpu: f64) {
    for viewer in viewers {
        while viewer.json_of("now").await["machines"][0]["values"][0] != cpu {}
    }
}

async fn everybody_is_told(count: usize) {
    let limits = CrowdLimits { viewers_max: count, viewers_per_address_max: count, ..generous() };
    let edge = Edge::with(limits, &[]).await;
    let mut publisher = edge.publisher().await;
    publisher.tell(snapshot(1, &["Front", "Back"])).await;
    let mut viewers = crowd(&edge, count).await;
    for (seq, cpu) in [(2, 0.5), (3, 0.625), (4, 0.75)] {
        publisher.tell(update(seq, vec![now(0, cpu)])).await;
        all_hear(&mut viewers, cpu).await;
    }
    assert_eq!(publisher.tell(update(5, Vec::new())).await, count);
    drop(viewers);
    edge.eventually_metric("edge_viewers", 0.0).await;
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_is_told_the_same() {
    everybody_is_told(200).await;
}
