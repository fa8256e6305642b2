//! The alerts tables' rows.

use std::sync::Arc;

use http::StatusCode;
use model::rule::{MACHINE_DOWN, Rule};
use model::{Alert, AlertState, Resolution};

use crate::common::{Hub, fleet};

#[tokio::test]
async fn a_row_is_escaped_and_reads_like_a_sentence() {
    let hub = Hub::new();
    hub.hot.alert(fleet::alert("a1", "db-1", AlertState::Firing));
    let answer = hub.get("/fragments/alerts").await;
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    expect_test::expect![[r##"
        <tr data-severity="critical"><td><span class="severity" data-severity="critical"><svg class="icon" aria-hidden="true"><use href="#i-critical"></use></svg>critical</span></td><td><a href="/machines/db-1">db-1</a></td><td>disk-full <span class="muted">almost &lt;full&gt;</span> <span class="muted" title="mountpoint">/&lt;b&gt;</span></td><td>97 % ≥ 95 %</td><td><time datetime="2025-11-21T04:30:00.000Z">2025-11-21 04:30:00 UTC</time></td><td data-standing="silenced" data-rule="disk-full" data-machine="db-1" data-labels="{&quot;mountpoint&quot;:&quot;/&lt;b&gt;&quot;}" data-silence="s1">silenced</td></tr>
    "##]]
    .assert_eq(&answer.text);
}

#[tokio::test]
async fn resolved_alerts_come_from_history_and_firing_ones_are_left_out() {
    let hub = Hub::new();
    let gone =
        Alert { resolution: Some(Resolution::RuleGone), ..fleet::alert("a2", "resolved-1", AlertState::Resolved) };
    *hub.history.alerts.lock().unwrap() = vec![
        fleet::alert("a1", "firing-1", AlertState::Firing),
        gone,
        fleet::alert("a3", "resolved-2", AlertState::Resolved),
    ];
    let answer = hub.get("/fragments/alerts?state=resolved&limit=1").await;
    assert_eq!(answer.text.matches("<tr").count(), 1);
    assert!(answer.text.contains("resolved-1") && answer.text.contains("2025-11-21 04:40:00 UTC"));
    assert!(answer.text.contains("rule gone") && !answer.text.contains("calm at"), "{}", answer.text);
}

#[tokio::test]
async fn a_silent_machine_has_no_value_to_read() {
    let hub = Hub::new();
    let down = |id: &str, state| {
        let alert = fleet::alert(id, "db-1", state);
        let rule = Arc::new(Rule { name: MACHINE_DOWN.to_owned(), ..alert.rule.as_ref().clone() });
        Alert { rule, ..alert }
    };
    hub.hot.alert(down("a1", AlertState::Firing));
    *hub.history.alerts.lock().unwrap() = vec![down("a2", AlertState::Resolved)];
    assert!(hub.get("/fragments/alerts").await.text.contains("<td>silent</td>"));
    assert!(hub.get("/fragments/alerts?state=resolved").await.text.contains("<td>heard again</td>"));
}

#[tokio::test]
async fn no_alert_is_no_row() {
    let answer = Hub::new().get("/fragments/alerts?state=active").await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, ""));
}
