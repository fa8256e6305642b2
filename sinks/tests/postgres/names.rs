//! Names that the server refuses: a series, a machine. What is written under them waits in the dead letters, and nothing else does.

use std::sync::Arc;

use model::machine::Status;
use model::query::Tier;
use model::{DeadLetter, Output, RejectReason, Source, Width};
use runtime::metrics::Registry;
use sinks::postgres::RowRefused;
use sinks::sink::{Group, Sink, WriteBatch};
use sinks::sqlite::SqliteSettings;

use crate::fixtures::{at, frame, machine, presence, repair, roster, samples, window};
use crate::store::Store;

/// Metrics and values, as stored.
async fn stored(store: &Store, name: &str, tier: Tier) -> Vec<(String, Vec<f64>)> {
    let series = store.range_of(name, tier).await.series.into_iter();
    let mut all: Vec<(String, Vec<f64>)> = series.map(|one| (one.key.unwrap().metric.to_string(), one.v)).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn of(metric: &str, values: &[f64]) -> (String, Vec<f64>) {
    (metric.to_owned(), values.to_vec())
}

/// Letters of refused rows that wait, each with what a resend needs.
async fn waiting(store: &Store) -> Vec<DeadLetter> {
    let mut letters = store.letters().await;
    letters.retain(|letter| letter.rejected.source == Source::Postgres && letter.resent.is_none());
    for letter in &letters {
        assert!(letter.has_row && letter.rejected.reason == RejectReason::StoreRefused, "{letter:?}");
        assert!(letter.rejected.machine == machine("bad") && letter.rejected.detail.contains("[23514]"), "{letter:?}");
    }
    letters
}

/// Sends all of them again; how many samples and rows they had.
async fn resend_all(store: &Store) -> usize {
    let mut count = 0;
    for letter in waiting(store).await {
        count += store.history.resend(&letter.id).await.unwrap();
        assert!(matches!(store.history.resend(&letter.id).await, Err(RowRefused::Gone)), "once");
    }
    assert_eq!(waiting(store).await.len(), 0);
    count
}

#[tokio::test]
async fn a_series_that_the_server_refuses_keeps_what_is_its_own_for_a_resend_and_the_rest_is_stored() {
    for mut store in Store::of_both().await {
        store.sql("ALTER TABLE series ADD CONSTRAINT picky CHECK (metric <> 'm1')").await;
        let (good, bad, time) = (roster("good", 1), roster("bad", 3), at(99_017));
        let mut outputs: Vec<Output> = (0..20).map(|n| Output::Samples(frame(&good, at(99_000 + n), &[0.5]))).collect();
        outputs.insert(7, Output::Samples(frame(&bad, time, &[1.0, 2.0, 3.0])));
        // Of one logical time and one moment with the frame before it.
        outputs.push(Output::Samples(samples(&bad, &[(1, time, 2.5), (1, at(99_018), 2.75)])));
        outputs.push(Output::Minute(window(&bad, Width::Minute, at(99_000), 1, 4.0)));
        outputs.push(Output::Presence(presence("bad", Status::Stale, at(99_000))));
        assert_eq!(store.write(1, outputs).await.unwrap().rows, 1);
        assert_eq!(stored(&store, "good", Tier::Raw).await, [of("m0", &[0.5; 20])]);
        assert_eq!(stored(&store, "bad", Tier::Raw).await, [of("m0", &[1.0]), of("m2", &[3.0])]);
        assert_eq!(stored(&store, "bad", Tier::Minute).await, [of("m0", &[4.0]), of("m2", &[4.0])]);
        assert_eq!(store.text("SELECT status FROM machines WHERE machine = 'bad'").await, "stale");
        let letters = waiting(&store).await;
        assert_eq!(letters.iter().map(|letter| letter.rejected.count).collect::<Vec<_>>(), [1, 2, 1], "{letters:?}");
        assert!(letters.iter().all(|letter| letter.row.as_ref().is_some_and(|row| row.contains("m1"))), "{letters:?}");

        let refused = store.history.resend(&letters[0].id).await;
        assert!(matches!(refused, Err(RowRefused::Refused(words)) if words.contains("23514")));
        store.write(2, vec![Output::Samples(frame(&bad, at(99_020), &[5.0, 6.0, 7.0]))]).await.unwrap();
        store.sql("ALTER TABLE series DROP CONSTRAINT picky").await;
        store.write(3, vec![Output::Samples(frame(&bad, at(99_030), &[8.0, 9.0, 10.0]))]).await.unwrap();
        assert_eq!(resend_all(&store).await, 5);
        // Both values of one moment are rows; the first one written of them is what a reader sees.
        let raw = stored(&store, "bad", Tier::Raw).await;
        assert_eq!((&raw[0], &raw[2]), (&of("m0", &[1.0, 5.0, 8.0]), &of("m2", &[3.0, 7.0, 10.0])));
        assert!([of("m1", &[2.0, 2.75, 6.0, 9.0]), of("m1", &[2.5, 2.75, 6.0, 9.0])].contains(&raw[1]), "{raw:?}");
        assert_eq!(
            store
                .number("SELECT count(*) FROM raw_frames JOIN machines ON id = machine_id WHERE machine = 'bad'")
                .await,
            7
        );
        let minutes = stored(&store, "bad", Tier::Minute).await;
        assert_eq!(minutes, [of("m0", &[4.0]), of("m1", &[4.0]), of("m2", &[4.0])]);
    }
}

#[tokio::test]
async fn a_machine_that_the_server_refuses_waits_whole_and_nobody_waits_for_it() {
    let mut store = Store::new().await;
    store.sql("ALTER TABLE machines ADD CONSTRAINT picky CHECK (machine <> 'bad')").await;
    let (good, bad) = (roster("good", 2), roster("bad", 2));
    let outputs = vec![
        Output::Samples(frame(&bad, at(99_001), &[1.0, 2.0])),
        Output::Samples(frame(&good, at(99_001), &[3.0, 4.0])),
        Output::Minute(window(&bad, Width::Minute, at(99_000), 1, 2.0)),
        Output::Presence(presence("bad", Status::Down, at(99_000))),
        Output::Presence(presence("good", Status::Stale, at(99_000))),
    ];
    store.write(1, outputs).await.unwrap();
    assert_eq!(stored(&store, "good", Tier::Raw).await, [of("m0", &[3.0]), of("m1", &[4.0])]);
    assert_eq!(store.text("SELECT string_agg(machine || ' ' || status, ',') FROM machines").await, "good stale");
    assert_eq!(waiting(&store).await.iter().map(|letter| letter.rejected.count).sum::<u32>(), 5);
    store.sql("ALTER TABLE machines DROP CONSTRAINT picky").await;
    assert_eq!((waiting(&store).await.len(), resend_all(&store).await), (3, 5));
    assert_eq!(stored(&store, "bad", Tier::Raw).await, [of("m0", &[1.0]), of("m1", &[2.0])]);
    assert_eq!(stored(&store, "bad", Tier::Minute).await, [of("m0", &[2.0]), of("m1", &[2.0])]);
    assert_eq!(store.text("SELECT status FROM machines WHERE machine = 'bad'").await, "down");
}

#[tokio::test]
async fn an_import_goes_on_behind_what_the_server_refuses() {
    let (mut store, dir) = (Store::new().await, tempfile::tempdir().unwrap());
    let settings = SqliteSettings::new(dir.path());
    let (mut embedded, _reader) = sinks::sqlite::open(settings, store.clock.shared(), &Registry::new()).unwrap();
    let outputs = vec![
        Output::Samples(frame(&roster("bad", 1), at(99_001), &[1.0])),
        Output::Repair(repair("bad", at(99_000))),
        Output::Samples(frame(&roster("good", 1), at(99_001), &[2.0])),
    ];
    let batch = WriteBatch { groups: vec![Group { t: 1, outputs }], upto: 1 };
    embedded.write(Arc::new(batch)).await.unwrap();
    embedded.flush().await.unwrap();
    store.write(2, Vec::new()).await.unwrap();
    store.sql("ALTER TABLE machines ADD CONSTRAINT picky CHECK (machine <> 'bad')").await;
    assert_eq!(store.import(dir.path()).await.machines, 2);
    assert_eq!(stored(&store, "good", Tier::Raw).await, [of("m0", &[2.0])]);
    store.sql("ALTER TABLE machines DROP CONSTRAINT picky").await;
    // A sample, and how the machine stands.
    assert_eq!(resend_all(&store).await, 2);
    assert_eq!(stored(&store, "bad", Tier::Raw).await, [of("m0", &[1.0])]);
}
