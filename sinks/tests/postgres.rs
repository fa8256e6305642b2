//! History on a live PostgreSQL, as its readers and its administrators see it. The tests of the tiers run on TimescaleDB too, when
//! `TIMESCALE_TEST_URL` names a server that has it.

#![cfg(feature = "integration")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "postgres/encrypted.rs"]
mod encrypted;
#[path = "../src/fixtures.rs"]
mod fixtures;
#[path = "postgres/mirror.rs"]
mod mirror;
#[path = "postgres/names.rs"]
mod names;
#[path = "postgres/queries.rs"]
mod queries;
#[path = "postgres/store.rs"]
mod store;
#[path = "postgres/upgrade.rs"]
mod upgrade;

use std::time::Duration;

use fixtures::{
    at, fleet_minute, flooded, frame, machine, presence, processes, rejected, repair, roster, rule, samples, standing,
    transition, window,
};
use model::machine::Status;
use model::query::{AlertQuery, FleetQuery, History, OfFleet, QueryError, Tier};
use model::{AlertState, Change, Output, RejectReason, Severity, Source, Standing, Tag, Timestamp, Width};
use sinks::error::SinkError;
use sinks::postgres::RowRefused;
use sinks::sink::Sink;
use std::sync::Arc;
use store::Store;

fn advice(error: &SinkError) -> String {
    assert!(matches!(error, SinkError::Broken { .. }), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn a_row_that_the_server_refuses_goes_to_its_dead_letters_and_the_rest_is_stored() {
    let mut store = Store::new().await;
    store
        .sql(
            "ALTER TABLE raw_frames ADD CHECK (values[1] IS DISTINCT FROM 666); \
             ALTER TABLE minute_aggregates ADD CHECK (max <> 666); \
             ALTER TABLE machines ADD CHECK (status <> 'down')",
        )
        .await;
    let (good, bad) = (roster("good", 2), roster("bad", 2));
    let frames = (0..40_u8).map(|n| frame(&good, at(99_000 + i64::from(n)), &[f64::from(n), 1.0]));
    let mut outputs: Vec<Output> = frames.map(Output::Samples).collect();
    outputs.insert(17, Output::Samples(frame(&bad, at(99_017), &[666.0, 2.0])));
    outputs.insert(30, Output::Samples(frame(&bad, at(99_030), &[3.0, 2.0])));
    outputs.push(Output::Minute(window(&good, Width::Minute, at(99_000), 1, 5.0)));
    outputs.push(Output::Minute(window(&bad, Width::Minute, at(99_000), 1, 666.0)));
    outputs.push(Output::Presence(presence("bad", Status::Down, at(99_000))));
    outputs.push(Output::Presence(presence("good", Status::Stale, at(99_000))));
    outputs.push(Output::Rejected(rejected("good", at(1))));
    assert_eq!(store.write(1, outputs).await.unwrap().rows, 1);
    assert_eq!(store.count("raw_frames").await, 41);
    assert_eq!(store.count("minute_aggregates").await, 2);
    assert_eq!(
        store.text("SELECT string_agg(machine || ' ' || status, ',' ORDER BY machine) FROM machines").await,
        "bad up,good stale"
    );
    let letters = store.letters().await;
    let refused: Vec<_> = letters
        .iter()
        .map(|letter| &letter.rejected)
        .filter(|letter| letter.reason == RejectReason::StoreRefused)
        .collect();
    // One frame of two samples, two rows of the window, one state.
    assert_eq!(refused.iter().map(|letter| letter.count).sum::<u32>(), 5, "{letters:?}");
    assert!(refused.iter().all(|letter| letter.machine == machine("bad") && letter.detail.contains("[23514]")));
    assert_eq!(letters.len(), 5, "the graph's own is there too");
    let payload = "SELECT payload FROM dead_letters WHERE payload LIKE '%m0=666%'";
    assert!(store.text(payload).await.contains("m1=2"));
    assert_eq!(store.write(2, vec![Output::Samples(frame(&bad, at(99_100), &[1.0, 1.0]))]).await.unwrap().rows, 2);
}

#[tokio::test]
async fn a_refused_row_is_written_again_as_it_was_once_the_server_takes_it() {
    let mut store = Store::new().await;
    let checks =
        [("raw_frames", "values[1] <> 666"), ("minute_aggregates", "max <> 666"), ("machines", "status <> 'down'")];
    for (table, check) in checks {
        store.sql(&format!("ALTER TABLE {table} ADD CONSTRAINT picky CHECK ({check})")).await;
    }
    let (bad, later) = (roster("a", 2), at(99_100));
    let outputs = vec![
        Output::Samples(frame(&bad, at(99_017), &[666.0, 2.0])),
        Output::Minute(window(&bad, Width::Minute, at(99_000), 1, 666.0)),
        Output::Presence(presence("a", Status::Down, at(99_000))),
        Output::Rejected(flooded("a", at(99_000))),
    ];
    store.write(1, outputs).await.unwrap();
    store.write(2, vec![Output::Samples(frame(&bad, later, &[1.0, 1.0]))]).await.unwrap();
    let waiting = store.letters().await;
    let rows: Vec<_> = waiting.iter().filter(|letter| letter.rejected.source == Source::Postgres).collect();
    assert_eq!((waiting.len(), rows.len()), (5, 4));
    for letter in &rows {
        assert!(letter.has_row && letter.row.is_some() && letter.obstacle().is_none(), "{letter:?}");
        assert!(
            matches!(store.history.resend(&letter.id).await, Err(RowRefused::Refused(words)) if words.contains("23514"))
        );
    }
    for (table, _) in checks {
        store.sql(&format!("ALTER TABLE {table} DROP CONSTRAINT picky")).await;
    }
    let mut samples = 0;
    for letter in &rows {
        samples += store.history.resend(&letter.id).await.unwrap();
        assert!(matches!(store.history.resend(&letter.id).await, Err(RowRefused::Gone)));
    }
    assert_eq!((samples, store.values(Tier::Raw).await), (5, vec![666.0, 1.0]));
    assert_eq!(store.values(Tier::Minute).await, [666.0]);
    assert_eq!(store.text("SELECT status FROM machines").await, "down");
    let left: Vec<_> = store.letters().await.into_iter().filter(|letter| letter.resent.is_none()).collect();
    assert_eq!((left.len(), left[0].rejected.kept.as_ref().map(|kept| kept.len())), (1, Some(2)));
    assert!(matches!(store.history.resend(&left[0].id).await, Err(RowRefused::Gone)), "it has samples, and no row");
}

#[tokio::test]
async fn windows_that_should_be_new_and_are_there_already_stand_by_their_revision() {
    for mut store in Store::of_both().await {
        let a = roster("a", 1);
        let minute = |start, revision, value| Output::Minute(window(&a, Width::Minute, at(start), revision, value));
        store.write(1, vec![minute(99_000, 1, 1.0)]).await.unwrap();
        // Ahead of all before it, in two revisions.
        store.write(2, vec![minute(99_060, 2, 2.0), minute(99_060, 3, 3.0)]).await.unwrap();
        // As only another program can have written them.
        for (start, revision) in [(99_120, 1), (99_180, 9)] {
            store
                .sql(&format!(
                    "INSERT INTO minute_aggregates SELECT series_id, true, to_timestamp({start}), 1, 7, 7, 7, 7, \
                     to_timestamp({start}), {revision} FROM minute_aggregates LIMIT 1"
                ))
                .await;
        }
        let starts = [99_120, 99_180, 99_240];
        store.write(5, starts.map(|start| minute(start, 5, 5.0)).to_vec()).await.unwrap();
        store.write(6, vec![minute(99_000, 6, 6.0), minute(99_300, 6, 6.0)]).await.unwrap();
        let stored = "SELECT string_agg(max::text, ' ' ORDER BY time) FROM minute_aggregates";
        assert_eq!(store.text(stored).await, "6 3 5 7 5 6");
        assert_eq!(store.count("dead_letters").await, 0, "that is no reason to refuse a row");
    }
}

#[tokio::test]
async fn what_may_pass_by_itself_is_tried_again_and_no_row_is_put_aside() {
    for code in ["53100", "40001", "57014", "55P03"] {
        let mut store = Store::new().await;
        store.sql(&format!(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'told to' USING ERRCODE = '{code}'; END $$; \
             CREATE TRIGGER fail BEFORE INSERT ON raw_frames FOR EACH ROW EXECUTE FUNCTION fail()"
        )).await;
        let outputs = vec![Output::Samples(frame(&roster("a", 1), at(99_000), &[1.0]))];
        let error = store.write(1, outputs.clone()).await.unwrap_err();
        assert!(error.is_retryable(), "{code}: {error:?}");
        store.sql("DROP TRIGGER fail ON raw_frames").await;
        assert_eq!(store.write(1, outputs).await.unwrap().rows, 1);
        assert_eq!((store.count("raw_frames").await, store.count("dead_letters").await), (1, 0), "{code}");
    }
}

#[tokio::test]
async fn what_a_person_must_mend_is_said_with_advice_and_heals_without_a_restart() {
    let mut store = Store::new().await;
    let letter = || vec![Output::Rejected(rejected("a", at(1)))];
    store.write(1, letter()).await.unwrap();
    store.sql("INSERT INTO schema_migrations (number, name) VALUES (99, 'later')").await;
    store.cut_connections().await;
    assert!(!store.write(2, letter()).await.unwrap_err().to_string().is_empty());
    assert!(advice(&store.write(2, letter()).await.unwrap_err()).contains("run the newer program"));
    store.sql("DELETE FROM schema_migrations WHERE number = 99").await;
    store.write(2, letter()).await.unwrap();
    let mut reader = store.again("-c%20default_transaction_read_only%3Don");
    assert!(advice(&reader.connect().await.unwrap_err()).contains("point TIMESCALE_URL at the primary"));
    store.sql("ALTER TABLE dead_letters RENAME TO mislaid").await;
    assert!(advice(&store.write(3, letter()).await.unwrap_err()).contains("not those of this program"));
    store.sql("ALTER TABLE mislaid RENAME TO dead_letters").await;
    assert_eq!(store.write(3, letter()).await.unwrap().rows, 3);
    assert_eq!(store.count("dead_letters").await, 3);
}

#[tokio::test]
async fn a_role_without_rights_is_told_which_it_lacks() {
    let store = Store::new().await;
    let role = store.text("SELECT current_schema()").await;
    store.sql(&format!("CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {role} TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA {role} TO {role}")).await;
    let url = store.url().replacen("postgres@", &format!("{role}@"), 1);
    let error = store.at(&url).connect().await.unwrap_err();
    assert!(advice(&error).contains("let the role of TIMESCALE_URL own the tables"));
}

#[tokio::test]
async fn a_cut_connection_costs_one_attempt_at_most_and_nothing_is_written_twice() {
    let mut store = Store::new().await;
    for t in 1..=6_u64 {
        let outputs = vec![Output::Rejected(rejected("a", at(1)))];
        if t.is_multiple_of(2) {
            store.cut_connections().await;
            // It may have noticed before the write, and then costs none.
            if let Err(error) = store.write(t, outputs.clone()).await {
                assert!(error.is_retryable(), "{error:?}");
            }
        }
        assert_eq!(store.write(t, outputs).await.unwrap().rows, t);
    }
    assert_eq!(store.count("dead_letters").await, 6);
}

#[tokio::test]
async fn a_second_hub_of_the_same_folder_is_noticed_by_the_first() {
    let mut store = Store::new().await;
    let letter = || vec![Output::Rejected(rejected("a", at(1)))];
    store.write(1, letter()).await.unwrap();
    let mut copy = store.again("");
    copy.connect().await.unwrap();
    assert!(advice(&store.write(2, letter()).await.unwrap_err()).contains("stop the other hub"));
}

#[tokio::test]
async fn a_minute_on_the_repair_list_is_made_again_from_frames_and_its_hour_from_minutes() {
    for mut store in Store::of_both().await {
        let roster = roster("a", 1);
        let sample = |secs, value| Output::Samples(frame(&roster, at(secs), &[value]));
        let minute =
            |start, revision, value| Output::Minute(window(&roster, Width::Minute, at(start), revision, value));
        let hour = Output::Hour(window(&roster, Width::Hour, at(97_200), 2, 1.0));
        let graph =
            vec![sample(97_201, 1.0), sample(97_261, 3.0), minute(97_200, 1, 1.0), minute(97_260, 1, 3.0), hour];
        store.write(1, graph).await.unwrap();
        // Too late for the graph: it only asks. And of a sample sent twice the first stands.
        store
            .write(5, vec![sample(97_202, 5.0), sample(97_202, 7.0), Output::Repair(repair("a", at(97_200)))])
            .await
            .unwrap();
        store.upkeep().await;
        assert_eq!(store.values(Tier::Minute).await, [3.0, 3.0]);
        assert_eq!(store.values(Tier::Hour).await, [1.0], "the graph may still correct the hour");
        store.clock.advance(Duration::from_secs(3_600));
        store.upkeep().await;
        assert_eq!(store.values(Tier::Hour).await, [3.0]);
        let again = store.range(Tier::Hour).await;
        assert_eq!((again.series[0].count[0], again.series[0].max[0], again.series[0].last[0]), (3, 5.0, 3.0));
        // W-5: what the graph says of it later holds less, and takes nothing away.
        store.write(9, vec![minute(97_200, 8, 1.0)]).await.unwrap();
        assert_eq!(store.values(Tier::Minute).await, [3.0, 3.0]);
    }
}

#[tokio::test]
async fn each_tier_keeps_what_its_retention_says() {
    let mut store = Store::new().await;
    let roster = roster("a", 1);
    let outputs = vec![
        Output::Samples(frame(&roster, at(99_000), &[1.0])),
        Output::Minute(window(&roster, Width::Minute, at(99_000), 1, 1.0)),
        Output::Hour(window(&roster, Width::Hour, at(97_200), 1, 1.0)),
        Output::Rejected(rejected("a", at(99_000))),
        Output::Processes(Arc::new(processes("a", at(99_000), &[("sshd", 1.0, 1)]))),
    ];
    store.write(1, outputs).await.unwrap();
    let mut left = Vec::new();
    for days in [0, 1, 7, 31, 90] {
        store.clock.advance(Duration::from_secs(days * 86_400));
        store.upkeep().await;
        let mut counts = Vec::new();
        for table in ["raw_frames", "process_minutes", "minute_aggregates", "hour_aggregates", "dead_letters"] {
            counts.push(store.count(table).await);
        }
        left.push(counts);
    }
    let expected = [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0]];
    assert_eq!(left, expected.map(Vec::from));
    assert_eq!(
        store.count("machines").await + store.count("series").await,
        0,
        "and what nothing is kept of is forgotten"
    );
}

/// The fleet's latest minute is asked for all day long, and is always newer than the statistics.
#[tokio::test]
async fn the_planner_knows_how_many_rows_the_newest_minute_has() {
    let mut store = Store::new().await;
    let fleet: Vec<_> = (0..100).map(|number| roster(&format!("web-{number}"), 20)).collect();
    let minute = |t: u64| -> Vec<Output> {
        let start = at(99_960 + 60 * i64::try_from(t).unwrap());
        fleet.iter().map(|roster| Output::Minute(window(roster, Width::Minute, start, t, 0.5))).collect()
    };
    for t in 1..=4 {
        store.write(t, minute(t)).await.unwrap();
    }
    let partitions = "FROM pg_attribute JOIN pg_inherits ON inhrelid = attrelid WHERE attname = 'time' \
                      AND inhparent IN ('minute_aggregates'::regclass, 'hour_aggregates'::regclass)";
    assert_eq!(store.number(&format!("SELECT count(*) {partitions} AND attstattarget <> 1")).await, 0);
    assert!(10 < store.number(&format!("SELECT count(*) {partitions}")).await);
    store.sql("ANALYZE machines; ANALYZE series; ANALYZE minute_aggregates").await;
    store.write(5, minute(5)).await.unwrap();
    let newest = "SELECT machine, avg, max FROM minute WHERE metric = 'm1' AND time = (to_timestamp(99960 + 300))";
    assert_eq!(store.number(&format!("SELECT count(*) FROM ({newest}) AS of_fleet")).await, 100);
    let plan = store.json(&format!("EXPLAIN (FORMAT json) {newest}")).await;
    let expected = plan[0]["Plan"]["Plan Rows"].as_u64().unwrap();
    assert!((30..=300).contains(&expected), "{plan:#}");
}

#[tokio::test]
async fn partitions_are_made_ahead_dropped_behind_and_take_over_what_came_before_them() {
    let mut store = Store::new().await;
    let partitions = async |store: &Store| {
        store.number("SELECT count(*) FROM pg_inherits WHERE inhparent = 'raw_frames'::regclass").await
    };
    let before = partitions(&store).await;
    let far = 100_000 + 10 * 86_400;
    store.write(1, vec![Output::Samples(frame(&roster("a", 1), at(far), &[1.0]))]).await.unwrap();
    assert_eq!(store.count("raw_frames_default").await, 1, "nobody has made a place for it");
    store.clock.advance(Duration::from_secs(10 * 86_400));
    store.upkeep().await;
    assert_eq!((store.count("raw_frames_default").await, store.count("raw_frames").await), (0, 1));
    assert_eq!(partitions(&store).await, before);
}

#[tokio::test]
async fn a_person_reads_names_units_and_each_sample_once() {
    for mut store in Store::of_both().await {
        let roster = roster("web-1", 2);
        let outputs = vec![
            Output::Samples(frame(&roster, at(99_000), &[0.5, 2.0])),
            Output::Samples(samples(&roster, &[(1, at(99_001), 3.0)])),
            Output::Minute(window(&roster, Width::Minute, at(99_000), 1, 0.5)),
            Output::Hour(window(&roster, Width::Hour, at(97_200), 1, 0.5)),
            Output::Fleet(Arc::new(fleet_minute(None, at(99_000), 1, &[("m0", 3)]))),
            Output::Processes(Arc::new(processes("web-1", at(99_010), &[("sshd", 0.25, 7), ("a\0b", 1.5, u64::MAX)]))),
        ];
        store.write(1, outputs).await.unwrap();
        // A resend that nobody recognized: the first one stands.
        store.write(2, vec![Output::Samples(frame(&roster, at(99_000), &[0.75, 2.0]))]).await.unwrap();
        let raw = "SELECT string_agg(concat_ws(' ', machine, metric, labels, unit, extract(epoch FROM time)::bigint, value), ',' \
                   ORDER BY metric, time) FROM raw_samples WHERE machine = 'web-1'";
        assert_eq!(store.text(raw).await, "web-1 m0 {} 1 99000 0.5,web-1 m1 {} 1 99000 2,web-1 m1 {} 1 99001 3");
        for (view, start) in [("minute", 99_000), ("hour", 97_200)] {
            let text = format!(
                "SELECT concat_ws(' ', machine, metric, extract(epoch FROM time)::bigint, count, avg, min, max, last, is_final) \
                 FROM {view} WHERE metric = 'm0'"
            );
            assert_eq!(store.text(&text).await, format!("web-1 m0 {start} 1 0.5 0.5 0.5 0.5 t"));
        }
        let fleet =
            "SELECT concat_ws(' ', coalesce(tag_name, '-'), metric, machines, round(avg::numeric, 3)) FROM fleet";
        assert_eq!(store.text(fleet).await, "- m0 3 0.100");
        let processes = "SELECT string_agg(concat_ws(' ', machine, extract(epoch FROM time)::bigint, \
                         extract(epoch FROM taken)::bigint, name, cpu, memory), ',' ORDER BY cpu DESC) FROM processes";
        let expected = "web-1 99000 99010 a\u{fffd}b 1.5 18446744073709551615,web-1 99000 99010 sshd 0.25 7";
        assert_eq!(store.text(processes).await, expected);
    }
}

#[tokio::test]
async fn a_wide_frame_and_a_gap_read_back_as_they_were() {
    let mut store = Store::new().await;
    let roster = roster("wide", 450);
    let values: Vec<f64> = (0..450).map(f64::from).collect();
    let gaps: Vec<(u16, Timestamp, f64)> = (0..450).step_by(7).map(|n| (n, at(99_001), f64::from(n))).collect();
    let outputs = vec![Output::Samples(frame(&roster, at(99_000), &values)), Output::Samples(samples(&roster, &gaps))];
    store.write(1, outputs).await.unwrap();
    assert_eq!(store.count("raw_frames").await, 6, "three rows each");
    let answer = store.range_of("wide", Tier::Raw).await;
    let found: usize = answer.series.iter().map(|points| points.t.len()).sum();
    assert_eq!((answer.series.len(), found), (450, 450 + gaps.len()));
    for points in &answer.series {
        let n: f64 = points.key.as_ref().unwrap().metric.trim_start_matches('m').parse().unwrap();
        assert!(points.v.iter().all(|value| value.to_bits() == n.to_bits()), "m{n}: {:?}", points.v);
    }
}

#[tokio::test]
async fn an_alert_opens_once_closes_once_and_keeps_how_it_stood() {
    let mut store = Store::new().await;
    let rule = rule("cpu", Severity::Critical);
    let change = |change, since, time| transition(&rule, "a", change, at(since), at(time));
    let fired = |since| Output::Transition(change(Change::Fired, since, since));
    let resolved = Output::Transition(change(Change::Resolved, 10, 20));
    let stands = Output::Standing(standing(&change(Change::Fired, 10, 10), Standing::Silenced("s-1".into())));
    store.write(1, vec![resolved.clone(), fired(10), fired(10), fired(12), stands]).await.unwrap();
    store.write(2, vec![resolved.clone(), resolved, fired(30)]).await.unwrap();
    let query =
        AlertQuery { from: at(0), to: at(100), machine: None, rule: Some("cpu".to_owned()), offset: 0, limit: 10 };
    let alerts = store.history.alerts(query.clone()).await.unwrap();
    let shown: Vec<_> = alerts.iter().map(|alert| (alert.state, alert.since, alert.resolved)).collect();
    assert_eq!(shown, [(AlertState::Firing, at(30), None), (AlertState::Resolved, at(10), Some(at(20)))]);
    assert_eq!((&alerts[1].standing, &alerts[1].rule), (&Some(Standing::Silenced("s-1".into())), &rule));
    let none = AlertQuery { machine: Some(machine("b")), ..query };
    assert!(store.history.alerts(none).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_revision_of_the_fleet_replaces_the_one_before_whole() {
    let mut store = Store::new().await;
    let db = Tag::new("role", "db");
    let minute =
        |revision, metrics: &[(&str, u32)]| Output::Fleet(Arc::new(fleet_minute(Some(&db), at(60), revision, metrics)));
    let shown = async |store: &Store, metric: &str| {
        let of = OfFleet::Name("role".to_owned());
        let query = FleetQuery { metric: metric.to_owned(), of, from: at(0), to: at(1_000), points_max: 100 };
        store
            .history
            .fleet(query)
            .await
            .unwrap()
            .series
            .iter()
            .map(|series| series.machines.clone())
            .collect::<Vec<_>>()
    };
    store.write(1, vec![minute(1, &[("cpu", 2), ("disk", 2)])]).await.unwrap();
    assert_eq!(shown(&store, "cpu").await, [[2]]);
    store.write(2, vec![minute(2, &[("disk", 3)]), minute(1, &[("cpu", 9)])]).await.unwrap();
    assert_eq!((shown(&store, "cpu").await.len(), shown(&store, "disk").await), (0, vec![vec![3]]), "F-2");
}

#[tokio::test]
async fn an_answer_is_bounded_and_a_query_ends_at_its_deadline_on_the_server_too() {
    let mut store = Store::new().await;
    let roster = roster("a", 3);
    let frames = (0..20_u8).map(|n| Output::Samples(frame(&roster, at(99_000 + i64::from(n)), &[1.0, 2.0, 3.0])));
    store.write(1, frames.collect()).await.unwrap();
    let answer = store.bounded("a", Tier::Raw, 7).await;
    assert!(answer.truncated && answer.series.iter().map(|series| series.t.len()).sum::<usize>() == 7);
    store.lock("BEGIN; LOCK TABLE raw_frames").await;
    let late = store.try_range("a", Tier::Raw).await.unwrap_err();
    assert!(matches!(late, QueryError::Timeout(_)), "{late}");
    let left = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND application_name = current_schema() AND pid <> pg_backend_pid()";
    testkit::eventually(Duration::from_secs(30), || store.number(left), |left| *left == 0).await.unwrap();
}
