//! Mirrors: the hub's rules and silences as tables, as they are now, beside those of another hub.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use model::audit::Actor;
use model::command::{
    Changed, RuleChange, RuleError, RuleListing, RuleStore, SilenceChange, SilenceChanged, SilenceError, SilenceStore,
};
use model::silence::Matchers;
use model::{RuleSet, Severity, Silence};
use sinks::postgres::Mirrors;
use sinks::sink::Sink;

use crate::fixtures::{at, rule};
use crate::store::Store;

/// What the hub has just now.
#[derive(Default)]
struct Kept {
    rules: Mutex<RuleListing>,
    silences: Mutex<Arc<Vec<Arc<Silence>>>>,
}

impl RuleStore for Kept {
    fn listing(&self) -> RuleListing {
        self.rules.lock().unwrap().clone()
    }

    fn change(&self, _: RuleChange, _: Actor) -> Changed<'_> {
        Box::pin(async { Err(RuleError::Stopping) })
    }
}

impl SilenceStore for Kept {
    fn silences(&self) -> Arc<Vec<Arc<Silence>>> {
        Arc::clone(&self.silences.lock().unwrap())
    }

    fn change(&self, _: SilenceChange, _: Actor) -> SilenceChanged<'_> {
        Box::pin(async { Err(SilenceError::Stopping) })
    }
}

fn silence(id: &str, comment: &str) -> Arc<Silence> {
    let matchers = Matchers { machines: vec!["db-*".into()], ..Matchers::default() };
    let (starts_at, ends_at, created) = (at(10), at(20), at(5));
    let (author, comment) = ("ana".to_owned(), comment.to_owned());
    Arc::new(Silence { id: id.to_owned(), matchers, starts_at, ends_at, author, comment, created })
}

impl Kept {
    fn keep(&self, rules: &[&str], own: &str, silences: Vec<Arc<Silence>>) {
        let rules = rules.iter().map(|name| rule(name, Severity::Warning)).collect();
        let set = Arc::new(RuleSet { version: 1, rules });
        *self.rules.lock().unwrap() = RuleListing { set, own: Arc::new(BTreeSet::from([own.to_owned()])) };
        *self.silences.lock().unwrap() = Arc::new(silences);
    }
}

#[tokio::test]
async fn rules_and_silences_are_in_the_tables_as_the_hub_has_them_now() {
    let (mut store, kept) = (Store::new().await, Arc::new(Kept::default()));
    let rules = "SELECT coalesce(string_agg(concat_ws(' ', name, severity, source, rule->>'name'), ', ' ORDER BY name), '') \
                 FROM rules WHERE hub = 'hub'";
    let silences = "SELECT coalesce(string_agg(concat_ws(' ', id, author, comment, matchers->'machines'->>0, \
                    extract(epoch FROM ends_at - starts_at)::int), ', ' ORDER BY id), '') FROM silences WHERE hub = 'hub'";
    store
        .sql(
            "INSERT INTO rules VALUES ('other', 'cpu', 'm', 'gt', 1, 'info', true, 'file', '{}'); \
             INSERT INTO rules VALUES ('hub', 'of an earlier run', 'm', 'gt', 1, 'info', true, 'file', '{}'); \
             INSERT INTO silences VALUES ('other', 's', now(), now(), '', '', '{}')",
        )
        .await;
    kept.keep(&["cpu", "disk"], "disk", vec![silence("s1", "it's \"planned\"\0")]);
    store.sink.mirror(Mirrors { rules: Arc::clone(&kept) as _, silences: Arc::clone(&kept) as _ });
    store.upkeep().await;
    assert_eq!(store.text(rules).await, "cpu warning file cpu, disk warning own disk");
    assert!(store.text(silences).await.starts_with("s1 ana it's \"planned\""), "{}", store.text(silences).await);
    kept.keep(&["disk"], "", vec![silence("s1", "x"), silence("s2", "y")]);
    store.upkeep().await;
    assert_eq!(store.text(rules).await, "disk warning file disk");
    assert_eq!(store.text(silences).await, "s1 ana x db-* 10, s2 ana y db-* 10");
    kept.keep(&[], "", Vec::new());
    // A connection that is lost in between costs a round, and nothing else.
    store.cut_connections().await;
    drop(store.sink.maintain().await);
    store.upkeep().await;
    assert_eq!((store.text(rules).await, store.text(silences).await), (String::new(), String::new()));
    assert_eq!((store.count("rules").await, store.count("silences").await), (1, 1), "another hub's are left alone");
}
