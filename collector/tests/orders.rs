//! What a hub may ask of a collector, over a real socket: what the allow-list names, and an interval inside the bounds.

#[path = "support/mod.rs"]
#[expect(dead_code, reason = "the other half is for the tests of the uplink")]
mod support;
#[path = "support/orders.rs"]
mod support_orders;

use std::time::Duration;

use collector::AllowList;
use proto::pb::{CollectorConfig, Command, CommandKind, Outcome};
use support::{Running, settings};
use support_orders::Orders;
use testkit::eventually::eventually;

const LONG: Duration = Duration::from_secs(20);

fn commands(kinds: &[CommandKind]) -> Vec<Command> {
    let numbered = kinds.iter().zip(1..);
    numbered.map(|(kind, id)| Command { id, kind: (*kind).into() }).collect()
}

#[tokio::test]
async fn a_collector_obeys_its_allow_list_and_answers_each_command() {
    let kinds = [CommandKind::Pause, CommandKind::CollectNow, CommandKind::ResendLayout, CommandKind::None];
    let (orders, address) = Orders::serve(commands(&kinds), Vec::new()).await;
    let mut settings = settings(address);
    settings.allow = AllowList::parse("collect_now,resend_layout").unwrap();
    let collector = Running::start(settings);
    eventually(LONG, async || orders.heard().results.len(), |heard| *heard == 5).await.unwrap();
    collector.end().await;
    let heard = orders.heard();
    let outcomes: Vec<(u64, Outcome)> = heard.results.iter().map(|result| (result.id, result.outcome())).collect();
    let (done, refused) = (Outcome::Done, Outcome::Refused);
    assert_eq!(outcomes, [(0, done), (1, refused), (2, done), (3, done), (4, refused)]);
    assert!(heard.results.iter().all(|result| result.machine_id == "m-1"));
}

#[tokio::test]
async fn a_paused_collector_takes_no_more_frames() {
    let (orders, address) = Orders::serve(commands(&[CommandKind::Pause]), Vec::new()).await;
    let collector = Running::start(settings(address));
    eventually(LONG, async || orders.heard().results.len(), |heard| *heard == 2).await.unwrap();
    let sampled = collector.metrics.counter("collector_frames_total", "", &[("outcome", "sampled")]);
    // The order is taken before the next tick at the latest, and then nothing moves for many intervals.
    let ten_intervals = Duration::from_millis(200);
    let is_still = async || {
        let before = sampled.value();
        drop(tokio::time::timeout(ten_intervals, std::future::pending::<()>()).await);
        before == sampled.value()
    };
    eventually(LONG, is_still, |is_still| *is_still).await.unwrap();
    collector.end().await;
}

#[tokio::test]
async fn an_interval_of_the_hub_is_used_inside_the_bounds_only() {
    let config = |version, interval_ms| CollectorConfig { version, interval_ms };
    let (orders, address) = Orders::serve(Vec::new(), vec![config(7, 10), config(8, 3_600_000)]).await;
    let collector = Running::start(settings(address));
    eventually(LONG, async || orders.heard().reports.len(), |heard| *heard == 2).await.unwrap();
    collector.end().await;
    let heard = orders.heard();
    let reports: Vec<(u64, bool)> = heard.reports.iter().map(|report| (report.version, report.accepted)).collect();
    assert_eq!(reports, [(7, false), (8, true)]);
    assert!(heard.reports[0].detail.contains("10 ms"));
}
