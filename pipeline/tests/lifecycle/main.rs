//! How alerts stand, through the whole graph: silences, machines that go down, restarts; against a naive oracle.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
mod crossing;
mod groups;
mod orphans;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{SECOND, batch, layout, machine, rule, rules, run, settings, stamped, t, time};
use model::silence::{Matchers, SilenceSet};
use model::{Alert, Change, LogicalTime, MachineInfo, Output, Record, Silence, Stamped, Standing, Timestamp};
use pipeline::Settings;
use proptest::prelude::*;

const HOT: &str = r#"{"name":"hot","metric":"m","operator":"gte","threshold":10,"severity":"warning"}"#;

fn frame(name: &str, second: f64, value: f64) -> Stamped {
    let frame = batch(&layout(name, 1), t(second), &[(0, time(second), value)]);
    stamped(t(second), Record::Batch(Arc::new(frame)))
}

fn silence(id: &str, matchers: &str, from: f64, to: f64) -> Silence {
    let matchers: Matchers = serde_json::from_str(matchers).unwrap();
    let (starts_at, ends_at, created) = (time(from), time(to), time(0.0));
    Silence { id: id.into(), matchers, starts_at, ends_at, author: "ana".into(), comment: String::new(), created }
}

/// From and to a tenth, exactly.
fn spanning(silence: Silence, from: u32, to: u32) -> Silence {
    let (starts_at, ends_at) = (Timestamp::from_logical(tick(from)), Timestamp::from_logical(tick(to)));
    Silence { starts_at, ends_at, ..silence }
}

fn silences(second: f64, list: &[Silence]) -> Stamped {
    let set = SilenceSet { version: 1, silences: list.iter().cloned().map(Arc::new).collect() };
    stamped(t(second), Record::Silences(Arc::new(set)))
}

fn tagged(name: &str, second: f64, role: &str) -> Stamped {
    let mut info = MachineInfo::unknown(machine(name), time(second));
    info.tags = BTreeMap::from([("role".to_owned(), role.to_owned())]);
    stamped(t(second), Record::Machine(Arc::new(info)))
}

/// `second machine/rule since how` of each standing that left, in order.
fn told(outputs: &[(LogicalTime, Output)]) -> Vec<String> {
    let mut changes: Vec<_> = outputs
        .iter()
        .filter_map(|(t, output)| match output {
            Output::Standing(change) => Some((*t, change)),
            _ => None,
        })
        .collect();
    changes.sort_by(|a, b| (a.0, &a.1.machine, &a.1.rule).cmp(&(b.0, &b.1.machine, &b.1.rule)));
    let second = |at: LogicalTime| f64::from(u32::try_from((at - t(0.0)) / 1_000).unwrap()) / 1_000.0;
    changes
        .iter()
        .map(|(at, change)| {
            let how = change.standing.silence().unwrap_or(change.standing.as_str());
            format!("{} {}/{} {how}", second(*at), change.machine, change.rule)
        })
        .collect()
}

/// What a history would hold after these outputs: firing alerts with how they stand.
fn kept(before: &[Alert], outputs: &[(LogicalTime, Output)]) -> Vec<Alert> {
    let mut alerts: BTreeMap<String, Alert> = before.iter().map(|a| (a.id.clone(), a.clone())).collect();
    let mut ordered: Vec<_> = outputs.iter().collect();
    ordered.sort_by_key(|(t, output)| (*t, matches!(output, Output::Standing(_))));
    for (_, output) in ordered {
        match output {
            Output::Transition(transition) if transition.change == Change::Fired => {
                let alert = Alert::after(transition);
                alerts.entry(alert.id.clone()).or_insert(alert);
            }
            Output::Transition(transition) => drop(alerts.remove(&Alert::after(transition).id)),
            Output::Standing(change) => {
                if let Some(alert) = alerts.get_mut(&change.id()) {
                    alert.standing = Some(change.standing.clone());
                }
            }
            _ => {}
        }
    }
    alerts.into_values().collect()
}

fn live(workers: usize) -> Settings {
    Settings { live_from: t(0.0), ..settings(workers) }
}

#[test]
fn a_silence_in_mid_alert_hides_it_and_its_end_shows_it_again() {
    for workers in [1, 2] {
        let records = [
            stamped(t(0.5), rules(1, vec![rule(HOT)])),
            silences(1.0, &[silence("s", r#"{"rules":["h*"],"machines":["a"]}"#, 20.0, 30.0)]),
            frame("a", 10.0, 50.0),
            frame("b", 10.0, 50.0),
            frame("a", 40.0, 51.0),
        ];
        let outputs = run(&live(workers), &records, |_| true, t(45.0));
        assert_eq!(told(&outputs), ["10.1 a/hot active", "10.1 b/hot active", "20 a/hot s", "30 a/hot active"]);
    }
}

#[test]
fn a_silence_that_is_ended_early_or_lies_in_the_future_counts_only_while_it_is_in_force() {
    let later = silence("later", r#"{"machines":["*"]}"#, 100.0, 200.0);
    let now = silence("now", r#"{"machines":["*"]}"#, 5.0, 90.0);
    let records = [
        stamped(t(0.5), rules(1, vec![rule(HOT)])),
        silences(6.0, &[later.clone(), now]),
        frame("a", 10.0, 50.0),
        silences(20.0, &[later]),
        frame("a", 50.0, 1.0),
        frame("a", 110.0, 50.0),
    ];
    let outputs = run(&live(1), &records, |_| true, t(150.0));
    // Machine-down of the silent machine is silenced too, and that of a machine which is heard of again is over.
    let hot: Vec<String> = told(&outputs).into_iter().filter(|line| line.contains("/hot")).collect();
    assert_eq!(hot, ["10.1 a/hot now", "20.1 a/hot active", "110.1 a/hot later"]);
}

#[test]
fn a_silence_by_tag_follows_the_machines_tags() {
    let records = [
        stamped(t(0.5), rules(1, vec![rule(HOT)])),
        silences(1.0, &[silence("s", r#"{"tags":{"role":"db*"}}"#, 0.0, 99.0)]),
        tagged("a", 2.0, "web"),
        tagged("b", 2.0, "db-main"),
        frame("a", 10.0, 50.0),
        frame("b", 10.0, 50.0),
        frame("c", 10.0, 50.0),
        tagged("a", 20.0, "db"),
        tagged("b", 20.0, "web"),
    ];
    let outputs = run(&live(2), &records, |_| true, t(25.0));
    assert_eq!(
        told(&outputs),
        ["10.1 a/hot active", "10.1 b/hot s", "10.1 c/hot active", "20.1 a/hot s", "20.1 b/hot active"]
    );
}

#[test]
fn a_machine_that_is_down_hides_its_other_alerts_until_it_is_back() {
    let records = [
        stamped(t(0.5), rules(1, vec![rule(HOT)])),
        frame("a", 10.0, 50.0),
        frame("b", 10.0, 50.0),
        frame("b", 75.0, 50.0),
        frame("a", 100.0, 50.0),
        frame("b", 100.0, 50.0),
    ];
    let outputs = run(&live(2), &records, |_| true, t(105.0));
    assert_eq!(
        told(&outputs),
        [
            "10.1 a/hot active",
            "10.1 b/hot active",
            "70.1 a/hot inhibited",
            "70.1 a/machine-down active",
            "70.1 b/hot inhibited",
            "70.1 b/machine-down active",
            "75.1 b/hot active",
            "100.1 a/hot active",
        ]
    );
}

#[test]
fn a_clean_restart_owes_nothing_and_what_changed_meanwhile_is_owed_once() {
    let before = [
        stamped(t(0.5), rules(1, vec![rule(HOT)])),
        silences(1.0, &[silence("s", r#"{"machines":["b"]}"#, 0.0, 60.0)]),
        frame("a", 10.0, 50.0),
        frame("b", 10.0, 50.0),
    ];
    let first = run(&live(2), &before, |_| true, t(20.0));
    assert_eq!(told(&first), ["10.1 a/hot active", "10.1 b/hot s"]);
    let firing = kept(&[], &first);
    let again = |firing: Vec<Alert>, live_from: f64, workers| {
        let settings = Settings { live_from: t(live_from), firing, ..settings(workers) };
        told(&run(&settings, &before, |n| n == 2, t(live_from + 5.0)))
    };
    for workers in [1, 2, 3] {
        assert_eq!(again(firing.clone(), 25.0, workers), Vec::<String>::new(), "A-5: a clean restart says nothing");
        assert_eq!(
            again(firing.clone(), 61.0, workers),
            ["61.1 b/hot active"],
            "the silence ended while the hub was down"
        );
        let mut unsaid = firing.clone();
        unsaid[0].standing = None;
        assert_eq!(again(unsaid, 25.0, workers).len(), 1, "what was not stored is owed");
    }
}

/// One thing that happens at a tenth of a second of its own.
#[derive(Debug, Clone)]
enum Event {
    Value(usize, bool),
    /// Replaces the silences: each of a machine (or of all), beginning and ending some tenths later.
    Silences(Vec<(Option<usize>, u16, u16)>),
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn event() -> impl Strategy<Value = Event> {
    let one = (prop::option::of(0..NAMES.len()), 0_u16..60, 1_u16..200);
    prop_oneof![
        4 => (0..NAMES.len(), any::<bool>()).prop_map(|(n, hot)| Event::Value(n, hot)),
        1 => prop::collection::vec(one, 0..3).prop_map(Event::Silences),
    ]
}

/// The tenth at which event `n` happens: far enough apart that each has a boundary of its own.
fn tenth(n: usize, pause: u32) -> u32 {
    100 + u32::try_from(n).unwrap() * pause
}

/// The boundary of a tenth.
fn tick(tenth: u32) -> LogicalTime {
    t(0.0) + u64::from(tenth) * SECOND / 10
}

fn at(tenth: u32) -> f64 {
    // Inside the boundary, never on it.
    f64::from(tenth) / 10.0 + 0.05
}

fn history(events: &[Event], pause: u32) -> (Vec<Stamped>, Vec<(u32, Vec<Silence>)>) {
    let mut records = vec![stamped(t(0.5), rules(1, vec![rule(HOT)]))];
    let mut sets = Vec::new();
    for (n, event) in events.iter().enumerate() {
        let now = tenth(n, pause);
        match event {
            Event::Value(machine, hot) => records.push(frame(NAMES[*machine], at(now), if *hot { 50.0 } else { 1.0 })),
            Event::Silences(list) => {
                let set: Vec<Silence> = list
                    .iter()
                    .enumerate()
                    .map(|(i, (of, from, length))| {
                        let matchers = of
                            .map_or(r#"{"rules":["*"]}"#.to_owned(), |m| format!(r#"{{"machines":["{}"]}}"#, NAMES[m]));
                        let (from, to) = (now + u32::from(*from), now + u32::from(*from) + u32::from(*length));
                        spanning(silence(&format!("s{n}-{i}"), &matchers, 0.0, 1.0), from, to)
                    })
                    .collect();
                records.push(silences(at(now), &set));
                sets.push((now, set));
            }
        }
    }
    (records, sets)
}

/// How the alerts of this moment stand, said naively from the transitions and the silences.
fn oracle(firing: &[Alert], sets: &[(u32, Vec<Silence>)], now: u32) -> BTreeMap<String, Standing> {
    let empty = Vec::new();
    let set = sets.iter().rev().find(|(told, _)| *told < now).map_or(&empty, |(_, set)| set);
    let is_down = |alert: &Alert| {
        firing.iter().any(|other| other.machine == alert.machine && other.rule.name == pipeline::MACHINE_DOWN)
    };
    let stands = |alert: &Alert| {
        let fits = set.iter().filter(|silence| {
            let in_force = silence.starts_at <= Timestamp::from_logical(tick(now))
                && Timestamp::from_logical(tick(now)) < silence.ends_at;
            in_force
                && silence.matchers.match_alert(
                    &alert.rule.name,
                    &alert.machine,
                    &BTreeMap::new(),
                    &alert.series.labels,
                )
        });
        match fits.max_by(|a, b| (a.ends_at, &b.id).cmp(&(b.ends_at, &a.id))) {
            Some(silence) => Standing::Silenced(silence.id.as_str().into()),
            None if alert.rule.name != pipeline::MACHINE_DOWN && is_down(alert) => Standing::Inhibited,
            None => Standing::Active,
        }
    };
    firing.iter().map(|alert| (alert.id.clone(), stands(alert))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn standings_equal_the_oracles_and_each_change_leaves_once(
        events in prop::collection::vec(event(), 1..25),
        pause in 7_u32..120,
        stop in 0_usize..25,
        workers in 1_usize..4,
        seals in any::<u32>(),
    ) {
        let (records, sets) = history(&events, pause);
        let sealed = |n: usize| seals >> (n % 32) & 1 == 1;
        let cut = 1 + stop % events.len();
        let cut_at = tenth(cut - 1, pause) + 3;
        let end = tenth(events.len(), pause) + 700;
        // A run that stops, and another that replays what the first had, and goes on. Records come in one to one.
        let first = run(&live(workers), &records[..=cut], sealed, tick(cut_at));
        let firing = kept(&[], &first.iter().filter(|(at, _)| *at < tick(cut_at)).cloned().collect::<Vec<_>>());
        let settings = Settings { live_from: tick(cut_at), firing: firing.clone(), ..settings(workers) };
        let second = run(&settings, &records, sealed, tick(end));
        let news: Vec<_> = second.iter().filter(|(at, _)| tick(cut_at) <= *at).cloned().collect();
        prop_assert!(second.iter().all(|(at, output)| !matches!(output, Output::Standing(_)) || tick(cut_at) <= *at));
        // At every boundary in between, what is kept equals what the oracle says.
        let mut at = cut_at + 2;
        let mut known: BTreeMap<String, Standing> = firing.iter().filter_map(|a| Some((a.id.clone(), a.standing.clone()?))).collect();
        while at < end - 10 {
            let until = tick(at);
            let upto: Vec<_> = news.iter().filter(|(when, output)| match output {
                // What a transition does counts from the boundary after it.
                Output::Transition(_) => *when < until,
                _ => *when <= until,
            }).cloned().collect();
            let now = kept(&firing, &upto);
            let expected = oracle(&now, &sets, at);
            let stored: BTreeMap<String, Standing> = now.iter().filter_map(|a| Some((a.id.clone(), a.standing.clone()?))).collect();
            prop_assert_eq!(&stored, &expected, "at tenth {}", at);
            at += 1;
        }
        let mut newest: BTreeMap<String, LogicalTime> = BTreeMap::new();
        for (when, output) in &news {
            if let Output::Standing(change) = output {
                prop_assert!(newest.insert(change.id(), *when).is_none_or(|last| last < *when), "in order of time");
                let before = known.insert(change.id(), change.standing.clone());
                prop_assert_ne!(before.as_ref(), Some(&change.standing), "A-5: said twice");
            }
        }
    }
}
