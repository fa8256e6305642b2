//! History: which tier answers, what its points look like, and what happens when the store cannot answer.

use model::query::{QueryError, RangeAnswer, Tier};
use model::{Timestamp, query::SeriesPoints};
use serde_json::json;

use crate::common::{Hub, NOW_MS, NOW_S, fleet};

const CPU: &str = "system.cpu.utilization";

fn hub() -> Hub {
    let hub = Hub::new();
    hub.hot.put(fleet::machine("db-1", 0.12));
    hub
}

fn answer(series: Vec<SeriesPoints>) -> RangeAnswer {
    RangeAnswer { series, ..RangeAnswer::default() }
}

#[tokio::test]
async fn a_short_range_has_raw_points_and_minute_rows() {
    let hub = hub();
    hub.history.set(Tier::Raw, answer(vec![fleet::raw(CPU, &[(-10, 0.1), (-5, 0.3), (0, 0.2)])]));
    hub.history.set(Tier::Minute, answer(vec![fleet::windows(CPU, &[-60], 0.25)]));
    let history = hub.json("/api/machines/db-1/history?metric=CPU_PERCENT&from=now-5m").await;
    assert_eq!(
        history,
        json!({
            "machine": "db-1", "from": NOW_MS - 300_000, "to": NOW_MS, "tier": "raw", "step_ms": 5000, "partial": false,
            "series": [{"metric": CPU, "labels": {}, "unit": "1", "step_ms": 5000, "t": [NOW_MS - 10_000, NOW_MS - 5_000, NOW_MS],
                        "v": [0.1, 0.3, 0.2], "min": null, "max": null}],
            "minute": [{"metric": CPU, "labels": {}, "unit": "1", "t": [NOW_MS - 60_000], "v": [0.25], "min": [0.2], "max": [0.3],
                        "count": [2], "sum": [0.5], "last": [0.3], "final": [true]}],
        })
    );
    let asked = hub.history.asked.lock().unwrap();
    assert_eq!(asked[0].metrics, [CPU]);
    assert_eq!((asked[0].from, asked[0].to), (Timestamp::from_secs(NOW_S - 300), Timestamp::from_secs(NOW_S)));
    assert_eq!(asked.iter().map(|query| query.tier).collect::<Vec<_>>(), [Tier::Raw, Tier::Minute]);
}

#[tokio::test]
async fn a_longer_range_has_windows_with_their_band_and_the_figure_asked_for() {
    let hub = hub();
    hub.history.set(Tier::Minute, answer(vec![fleet::windows(CPU, &[-120, -60], 0.25)]));
    for (agg, expected) in [("avg", 0.25), ("min", 0.2), ("max", 0.3), ("sum", 0.5), ("count", 2.0), ("last", 0.3)] {
        let history = hub.json(&format!("/api/v1/machines/db-1/history?from=now-6h&agg={agg}")).await;
        assert_eq!(
            (&history["tier"], &history["step_ms"], &history["minute"]),
            (&json!("minute"), &json!(60_000), &json!(null))
        );
        let series = &history["series"][0];
        assert_eq!(series["v"], json!([expected, expected]), "{agg}");
        assert_eq!((&series["min"], &series["max"]), (&json!([0.2, 0.2]), &json!([0.3, 0.3])));
    }
}

#[tokio::test]
async fn the_window_that_the_range_begins_in_belongs_to_it() {
    let hub = hub();
    let from = NOW_S - 20_000 + 17;
    hub.json(&format!("/api/v1/machines/db-1/history?from={from}&tier=hour")).await;
    let asked = hub.history.asked.lock().unwrap();
    assert_eq!(asked[0].from, Timestamp::from_secs(from - from % 3_600));
}

#[tokio::test]
async fn a_spike_survives_few_points() {
    let hub = hub();
    let mut samples: Vec<(i64, f64)> = (-719..=0).map(|n| (n * 5, 0.1)).collect();
    samples[333].1 = 1.0;
    hub.history.set(Tier::Raw, answer(vec![fleet::raw(CPU, &samples)]));
    let history = hub.json("/api/v1/machines/db-1/history?max_points=50").await;
    let values = history["series"][0]["v"].as_array().unwrap();
    assert!(values.len() <= 50 && values.contains(&json!(1.0)), "{values:?}");
    assert_eq!(history["series"][0]["step_ms"], json!(143_801));
}

#[tokio::test]
async fn too_many_points_come_from_a_coarser_tier_or_are_refused() {
    let hub = hub();
    let truncated = RangeAnswer { truncated: true, ..RangeAnswer::default() };
    hub.history.set(Tier::Raw, truncated);
    assert_eq!(hub.json("/api/v1/machines/db-1/history").await["tier"], "minute");
    let refused = hub.get("/api/v1/machines/db-1/history?tier=raw").await;
    assert!(refused.problem().starts_with("400 too_much"));
}

#[tokio::test]
async fn several_machines_come_in_one_answer_from_one_tier() {
    let hub = hub();
    hub.hot.put(fleet::machine("db-2", 0.5));
    hub.history.set(Tier::Raw, answer(vec![fleet::raw(CPU, &[(-5, 0.1), (0, 0.2)])]));
    let found = hub.json("/api/v1/history?machine=db-2&machine=db-1&machine=db-2&metric=CPU_PERCENT").await;
    assert_eq!((&found["metric"], &found["tier"], &found["step_ms"]), (&json!(CPU), &json!("raw"), &json!(5_000)));
    let machines: Vec<_> = found["machines"].as_array().unwrap().iter().map(|one| &one["machine"]).collect();
    assert_eq!(machines, ["db-2", "db-1"], "in the order asked for, each once");
    assert_eq!(found["machines"][0]["series"][0]["v"], json!([0.1, 0.2]));
    assert_eq!(hub.history.asked.lock().unwrap()[0].points_max, 125_000, "all machines together are bounded");
}

#[tokio::test]
async fn of_several_machines_those_that_nobody_knows_are_named() {
    let found = hub().json("/api/v1/history?machine=db-1&machine=db-9&metric=CPU_PERCENT").await;
    assert_eq!((&found["machines"][0]["series"], &found["unknown"]), (&json!([]), &json!(["db-9"])));
}

#[tokio::test]
async fn a_query_of_several_machines_names_one_metric_and_not_too_many_machines() {
    let hub = hub();
    let many: String = (0..25).map(|n| format!("machine=m{n}&")).collect();
    for (query, expected) in [
        ("metric=CPU_PERCENT".to_owned(), "400 bad_query: 0 machines are named; give `machine` 1 to 24 times"),
        (format!("{many}metric=CPU_PERCENT"), "400 bad_query: 25 machines are named"),
        ("machine=db-1".to_owned(), "400 bad_query: name one `metric`"),
        ("machine=db-1&metric=a&metric=b".to_owned(), "400 bad_query: name one `metric`"),
        ("machine=a/b&metric=a".to_owned(), "400 bad_query: `machine` is not a machine id"),
    ] {
        let said = hub.get(&format!("/api/v1/history?{query}")).await.problem();
        assert!(said.starts_with(expected), "{query}: {said}");
    }
    hub.history.set(Tier::Raw, RangeAnswer { truncated: true, ..RangeAnswer::default() });
    let coarser = hub.json("/api/v1/history?machine=db-1&machine=db-1&metric=CPU_PERCENT").await;
    assert_eq!(coarser["tier"], "minute");
}

#[tokio::test]
async fn what_is_no_longer_kept_is_said_to_be_partial() {
    let hub = hub();
    let partial = RangeAnswer { partial: true, ..RangeAnswer::default() };
    hub.history.set(Tier::Hour, partial);
    let history = hub.json("/api/v1/machines/db-1/history?from=now-52w").await;
    assert_eq!(
        (&history["tier"], &history["partial"], &history["step_ms"]),
        (&json!("hour"), &json!(true), &json!(3_600_000))
    );
}

#[tokio::test]
async fn a_machine_that_is_gone_still_has_its_past() {
    let hub = Hub::new();
    hub.history.set(Tier::Raw, answer(vec![fleet::raw(CPU, &[(-5, 0.1)])]));
    let history = hub.json("/api/v1/machines/gone/history").await;
    assert_eq!(history["series"][0]["v"], json!([0.1]));
}

#[tokio::test]
async fn a_store_that_cannot_answer_is_said_so_with_a_time_to_come_back() {
    let hub = hub();
    for (error, expected, retry_after) in [
        (
            QueryError::Unavailable("no connection".to_owned()),
            "503 history_unavailable: history is unavailable: no connection",
            "5",
        ),
        (QueryError::Timeout(5_000), "504 query_timeout: the query took longer than 5000 ms", ""),
        (QueryError::Failed("table secret".to_owned()), "500 history_failed: the stored data could not be read", ""),
    ] {
        hub.history.fail(error);
        for path in ["/api/v1/machines/db-1/history", "/api/v1/alerts/history", "/api/v1/dead-letters"] {
            let answer = hub.get(path).await;
            assert!(answer.problem().starts_with(expected), "{path}: {}", answer.text);
            assert_eq!(answer.header("retry-after"), retry_after);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_given_up() {
    let hub = hub();
    *hub.history.never_answers.lock().unwrap() = true;
    let answer = hub.get("/api/v1/machines/db-1/history").await;
    assert!(answer.problem().starts_with("504 request_timeout: no answer within 10 s"));
}
