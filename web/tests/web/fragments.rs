//! The alerts tables' rows.

use std::sync::Arc;

use http::StatusCode;
use model::rule::{MACHINE_DOWN, Rule};
use model::{Alert, AlertState, Resolution, Severity, Timestamp};

use crate::common::{Answer, Hub, NOW_S, fleet};

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

fn named(rule: &str, severity: Severity, alert: Alert) -> Alert {
    let rule = Rule { name: rule.to_owned(), severity, ..alert.rule.as_ref().clone() };
    Alert { rule: Arc::new(rule), ..alert }
}

/// The machines of the rows, in their order.
fn machines(answer: &Answer) -> Vec<&str> {
    answer.text.split("<a href=\"/machines/").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test]
async fn active_alerts_are_sifted_by_words_and_severity_before_they_are_cut() {
    let hub = Hub::new();
    for index in 0..150 {
        let name = format!("db-{index:03}");
        hub.hot.alert(named("cpu-busy", Severity::Critical, fleet::alert(&name, &name, AlertState::Firing)));
    }
    hub.hot.alert(named("Disk-Full", Severity::Warning, fleet::alert("web", "web-1", AlertState::Firing)));
    let mut lines = String::new();
    for query in [
        "",
        "limit=500",
        "limit=3",
        "q=WEB-1",
        "q=disk%20web",
        "q=disk-full+db-001",
        "q=db-001",
        "q=FULL%3E",
        "q=mountpoint+filesystem",
        "q=%20",
        "severity=warning",
        "severity=critical&limit=1",
        "severity=info",
        "q=db-1&severity=critical&limit=2",
    ] {
        let answer = hub.get(&format!("/fragments/alerts?{query}")).await;
        let (shown, total) = (machines(&answer).len(), answer.header("x-total-count"));
        lines.push_str(&format!("{query:<33} {shown} of {total}\n"));
    }
    expect_test::expect![[r#"
                                          100 of 151
        limit=500                         151 of 151
        limit=3                           3 of 151
        q=WEB-1                           1 of 1
        q=disk%20web                      1 of 1
        q=disk-full+db-001                0 of 0
        q=db-001                          1 of 1
        q=FULL%3E                         100 of 151
        q=mountpoint+filesystem           100 of 151
        q=%20                             100 of 151
        severity=warning                  1 of 1
        severity=critical&limit=1         1 of 150
        severity=info                     0 of 0
        q=db-1&severity=critical&limit=2  2 of 50
    "#]]
    .assert_eq(&lines);
}

#[tokio::test]
async fn a_text_longer_than_any_name_is_refused() {
    let answer = Hub::new().get(&format!("/fragments/alerts?q={}", "x".repeat(201))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.problem().contains("use at most 200 characters"), "{}", answer.text);
}

/// The history's newest first: `count` alerts, `alike` of them each second, of which every tenth is over and of machine `old-N`.
fn past(count: usize, alike: usize) -> Vec<Alert> {
    let alerts = (0..count).map(|index| {
        let is_over = index % 10 == 9;
        let state = if is_over { AlertState::Resolved } else { AlertState::Firing };
        let id = format!("old-{index}");
        let since = Timestamp::from_secs(NOW_S - 60 - i64::try_from(index / alike).unwrap());
        Alert { since, ..fleet::alert(&id, &id, state) }
    });
    alerts.collect()
}

/// Follows the pages of resolved alerts to their end: the machines of each.
async fn pages(hub: &Hub, query: &str) -> Vec<Vec<String>> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = hub.get(&format!("/fragments/alerts?state=resolved&{query}&cursor={cursor}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        pages.push(machines(&answer).into_iter().map(str::to_owned).collect());
        cursor = answer.header("x-next-cursor").to_owned();
        if cursor.is_empty() {
            return pages;
        }
    }
}

#[tokio::test]
async fn every_resolved_alert_is_on_one_page_however_many_fired_at_one_time() {
    for alike in [1, 7, 10, 5_000] {
        let hub = Hub::new();
        *hub.history.alerts.lock().unwrap() = past(5_000, alike);
        let expected: Vec<_> = (0..5_000).filter(|index| index % 10 == 9).map(|index| format!("old-{index}")).collect();
        let pages = pages(&hub, "limit=100").await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [100; 5], "{alike} alike");
        assert_eq!(pages.concat(), expected, "{alike} alike");
    }
}

#[tokio::test]
async fn an_alert_that_fires_between_two_pages_moves_nothing() {
    let hub = Hub::new();
    *hub.history.alerts.lock().unwrap() = past(100, 3);
    let first = hub.get("/fragments/alerts?state=resolved&limit=4").await;
    let newest = Alert { since: Timestamp::from_secs(NOW_S - 1), ..fleet::alert("new", "new", AlertState::Resolved) };
    hub.history.alerts.lock().unwrap().insert(0, newest);
    let cursor = first.header("x-next-cursor");
    let second = hub.get(&format!("/fragments/alerts?state=resolved&limit=4&cursor={cursor}")).await;
    assert_eq!(machines(&first), ["old-9", "old-19", "old-29", "old-39"]);
    assert_eq!(machines(&second), ["old-49", "old-59", "old-69", "old-79"]);
}

#[tokio::test]
async fn a_filter_looks_through_the_past_with_bounded_work_per_request() {
    let hub = Hub::new();
    let mut alerts = past(12_000, 50);
    let last = alerts.pop().unwrap();
    alerts.push(named("rare", Severity::Info, last));
    *hub.history.alerts.lock().unwrap() = alerts;
    for query in ["limit=100&q=rare", "limit=100&severity=info"] {
        let pages = pages(&hub, query).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1], "{query}");
        let asked = std::mem::take(&mut *hub.history.asked_alerts.lock().unwrap());
        assert!(asked.len() <= 20 && asked.iter().all(|query| query.limit <= 1_000), "{}", asked.len());
    }
}

#[tokio::test]
async fn the_newest_page_reads_little_where_all_is_over() {
    let hub = Hub::new();
    let over = |index: usize| fleet::alert(&format!("a{index}"), "db-1", AlertState::Resolved);
    *hub.history.alerts.lock().unwrap() = (0..500).map(over).collect();
    assert_ne!(hub.get("/fragments/alerts?state=resolved").await.header("x-next-cursor"), "");
    let asked = hub.history.asked_alerts.lock().unwrap();
    assert_eq!(asked.iter().map(|query| query.limit).collect::<Vec<_>>(), [101]);
}
