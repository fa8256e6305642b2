//! The hot store's promises, as a reader of `HotState` sees them.

use std::sync::Arc;
use std::time::Duration;

use model::query::HotState;
use model::{Alert, AlertState, Change, Egress, Output, Severity, Standing, Status};
use runtime::clock::ManualClock;
use runtime::queue::{WhenFull, bounded};

use super::{HotSettings, HotStore, KnownMachine, run};
use crate::fixtures::{at, frame, machine, presence, roster, rule, samples, standing, transition};

fn store() -> (Arc<HotStore>, ManualClock) {
    let clock = ManualClock::at(at(10_000).micros());
    let settings = HotSettings { machines_max: 3, alerts_max: 2, ..HotSettings::default() };
    (Arc::new(HotStore::new(settings, clock.shared())), clock)
}

fn apply(store: &HotStore, outputs: Vec<Output>) {
    store.apply(&[Egress::Data { t: 1, outputs }]);
}

#[test]
fn the_newest_event_time_wins_per_series() {
    let (store, _) = store();
    let roster = roster("a", 2);
    apply(&store, vec![Output::Samples(frame(&roster, at(10), &[1.0, 2.0]))]);
    let late = samples(&roster, &[(0, at(9), 7.0), (1, at(11), 8.0), (1, at(10), 9.0)]);
    apply(&store, vec![Output::Samples(late), Output::Samples(frame(&roster, at(10), &[5.0, 5.0]))]);
    let view = store.machine(&machine("a")).unwrap();
    assert_eq!(view.values.as_ref(), [1.0, 8.0]);
    assert_eq!(view.times.as_ref(), [at(10), at(11)]);
    assert_eq!((view.last_seen, view.status), (at(11), Status::Up));
}

#[test]
fn a_view_is_shared_until_its_machine_changes() {
    let (store, _) = store();
    let (a, b) = (roster("a", 1), roster("b", 1));
    apply(&store, vec![Output::Samples(frame(&a, at(1), &[1.0])), Output::Samples(frame(&b, at(1), &[1.0]))]);
    let before = store.machines();
    apply(&store, vec![Output::Samples(frame(&b, at(2), &[2.0]))]);
    let after = store.machines();
    assert!(Arc::ptr_eq(&before[0], &after[0]));
    assert!(!Arc::ptr_eq(&before[1], &after[1]));
}

#[test]
fn changes_list_what_happened_after_a_version_and_nothing_else() {
    let (store, _) = store();
    let (a, b) = (roster("a", 1), roster("b", 1));
    apply(&store, vec![Output::Samples(frame(&a, at(1), &[1.0]))]);
    let first = store.changes(0);
    assert_eq!(first.machines.len(), 1);
    assert!(store.changes(first.version).machines.is_empty());
    apply(&store, vec![Output::Samples(frame(&b, at(1), &[1.0]))]);
    let second = store.changes(first.version);
    assert_eq!(second.machines.iter().map(|m| m.machine.as_str()).collect::<Vec<_>>(), ["b"]);
    assert!(first.version < second.version);
    // An output that says nothing new does not wake anybody.
    apply(&store, vec![Output::Samples(frame(&b, at(1), &[1.0]))]);
    assert_eq!(store.version(), second.version);
}

#[test]
fn a_longer_roster_extends_the_values_and_another_one_replaces_them() {
    let (store, _) = store();
    let (short, long) = (roster("a", 1), roster("a", 2));
    apply(&store, vec![Output::Samples(frame(&long, at(1), &[1.0, 2.0]))]);
    apply(&store, vec![Output::Samples(frame(&short, at(2), &[3.0]))]);
    assert_eq!(store.machine(&machine("a")).unwrap().values.as_ref(), [3.0, 2.0]);
    let mut reversed = roster("a", 2);
    Arc::get_mut(&mut reversed).unwrap().series.reverse();
    apply(&store, vec![Output::Samples(frame(&reversed, at(1), &[8.0, 9.0]))]);
    assert_eq!(store.machine(&machine("a")).unwrap().values.as_ref(), [8.0, 9.0]);
}

#[test]
fn an_alert_fires_once_and_resolves_once() {
    let (store, _) = store();
    apply(&store, vec![Output::Samples(frame(&roster("a", 1), at(1), &[2.0]))]);
    let rule = rule("cpu", Severity::Critical);
    let fired = transition(&rule, "a", Change::Fired, at(1), at(1));
    apply(&store, vec![Output::Transition(Arc::clone(&fired)), Output::Transition(fired)]);
    assert_eq!(store.alerts().len(), 1);
    assert_eq!(store.machine(&machine("a")).unwrap().alerts, [0, 0, 1]);
    let version = store.version();
    let resolved = transition(&rule, "a", Change::Resolved, at(1), at(5));
    apply(&store, vec![Output::Transition(Arc::clone(&resolved)), Output::Transition(resolved)]);
    assert!(store.alerts().is_empty());
    assert_eq!(store.machine(&machine("a")).unwrap().alerts, [0, 0, 0]);
    let changes = store.changes(version);
    assert_eq!(changes.alerts.len(), 1);
    assert_eq!((changes.alerts[0].state, changes.alerts[0].resolved), (AlertState::Resolved, Some(at(5))));
}

#[test]
fn a_hidden_alert_is_listed_but_does_not_count() {
    let (store, _) = store();
    apply(&store, vec![Output::Samples(frame(&roster("a", 1), at(1), &[1.0]))]);
    let counts = || store.machine(&machine("a")).unwrap().alerts;
    let fired = transition(&rule("cpu", Severity::Critical), "a", Change::Fired, at(3), at(3));
    let stands = |how: Standing| apply(&store, vec![Output::Standing(standing(&fired, how))]);
    apply(&store, vec![Output::Transition(Arc::clone(&fired))]);
    assert_eq!(counts(), [0, 0, 1]);
    let version = store.version();
    stands(Standing::Silenced("s-1".into()));
    assert_eq!((counts(), store.alerts().len()), ([0, 0, 0], 1));
    assert_eq!(store.changes(version).alerts[0].standing, Some(Standing::Silenced("s-1".into())));
    let version = store.version();
    stands(Standing::Silenced("s-1".into()));
    assert_eq!(store.version(), version, "said twice, it is no change");
    stands(Standing::Inhibited);
    assert_eq!(counts(), [0, 0, 0]);
    stands(Standing::Active);
    assert_eq!(counts(), [0, 0, 1]);
    stands(Standing::Inhibited);
    let resolved = transition(&rule("cpu", Severity::Critical), "a", Change::Resolved, at(3), at(5));
    apply(&store, vec![Output::Transition(resolved)]);
    assert_eq!((counts(), store.alerts().len()), ([0, 0, 0], 0));
}

#[test]
fn alerts_are_listed_worst_first_then_newest() {
    let (store, _) = store();
    for (name, severity, since) in
        [("w", Severity::Warning, 9), ("c", Severity::Critical, 1), ("d", Severity::Critical, 2)]
    {
        let fired = transition(&rule(name, severity), "a", Change::Fired, at(since), at(since));
        apply(&store, vec![Output::Transition(fired)]);
    }
    // The bound is two: the third is left to history.
    let names: Vec<String> = store.alerts().iter().map(|alert| alert.rule.name.clone()).collect();
    assert_eq!(names, ["c", "w"]);
}

#[test]
fn a_restart_shows_known_machines_as_stale_or_down_until_they_are_heard_of() {
    let (store, clock) = store();
    let known = |name, last_seen| KnownMachine { machine: machine(name), info: None, last_seen: at(last_seen) };
    let fired = transition(&rule("cpu", Severity::Warning), "a", Change::Fired, at(1), at(1));
    let alerts = vec![Alert::after(&fired)];
    store.seed(vec![known("a", 9_970), known("b", 9_000), known("old", -80_000)], alerts);
    let statuses = |store: &HotStore| store.machines().iter().map(|m| m.status).collect::<Vec<_>>();
    assert_eq!(statuses(&store), [Status::Stale, Status::Down]);
    assert_eq!(store.machine(&machine("a")).unwrap().alerts, [0, 1, 0]);
    apply(&store, vec![Output::Transition(fired)]);
    assert_eq!(store.alerts().len(), 1, "a restart repeats no alert");
    clock.advance(Duration::from_secs(60));
    store.sweep();
    assert_eq!(statuses(&store), [Status::Down, Status::Down]);
    apply(&store, vec![Output::Presence(presence("a", Status::Up, at(10_060)))]);
    assert_eq!(statuses(&store), [Status::Up, Status::Down]);
}

#[test]
fn a_machine_that_is_down_for_a_day_is_removed_and_may_come_back() {
    let (store, clock) = store();
    let roster = roster("a", 1);
    apply(&store, vec![Output::Samples(frame(&roster, at(10_000), &[1.0]))]);
    apply(&store, vec![Output::Presence(presence("a", Status::Down, at(10_000)))]);
    let version = store.version();
    clock.advance(Duration::from_secs(86_399));
    store.sweep();
    assert_eq!(store.machines().len(), 1);
    clock.advance(Duration::from_secs(1));
    store.sweep();
    assert!(store.machines().is_empty());
    assert_eq!(store.changes(version).removed, [machine("a")]);
    apply(&store, vec![Output::Samples(frame(&roster, at(96_401), &[1.0]))]);
    let changes = store.changes(version);
    assert_eq!((changes.machines.len(), changes.removed.len()), (1, 0));
}

#[test]
fn the_number_of_machines_is_bounded() {
    let (store, _) = store();
    for name in ["a", "b", "c", "d"] {
        apply(&store, vec![Output::Samples(frame(&roster(name, 1), at(1), &[1.0]))]);
    }
    assert_eq!(store.machines().len(), 3);
}

#[tokio::test]
async fn the_driver_applies_at_once_and_wakes_readers() {
    let (store, _) = store();
    let mut wake = store.subscribe();
    let (sender, receiver) = bounded("live", 8, WhenFull::Overshoot);
    let driver = tokio::spawn(run(Arc::clone(&store), receiver));
    let outputs = vec![Output::Samples(frame(&roster("a", 1), at(1), &[1.0]))];
    sender.push(Egress::Data { t: 1, outputs }).unwrap();
    let deadline = Duration::from_secs(10);
    tokio::time::timeout(deadline, wake.wait_for(|version| 0 < *version)).await.unwrap().unwrap();
    assert!(store.machine(&machine("a")).is_some());
    sender.push(Egress::Complete).unwrap();
    tokio::time::timeout(deadline, driver).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn who_waits_for_a_time_is_woken_when_all_of_it_is_shown_and_not_before() {
    let (store, _) = store();
    let (to_hot, hot) = bounded("hot", 8, WhenFull::Overshoot);
    let running = tokio::spawn(run(Arc::clone(&store), hot));
    let waiter = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            store.caught_up(7).await;
            store.machines().len()
        }
    });
    to_hot.push(Egress::Progress(7)).unwrap();
    let outputs = vec![Output::Samples(frame(&roster("a", 1), at(10), &[1.0]))];
    to_hot.push(Egress::Data { t: 7, outputs }).unwrap();
    to_hot.push(Egress::Progress(8)).unwrap();
    assert_eq!(waiter.await.unwrap(), 1, "a progress to 7 is about what is below");
    drop(to_hot);
    running.await.unwrap().unwrap();
}
