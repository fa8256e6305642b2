//! What leaves: whatever the hot state holds, messages are made of what was chosen alone, and an edge that follows them shows it all.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::query::{Changes, MachineView, RangeAnswer, SeriesPoints};
use model::rule::{Input, MACHINE_DOWN, Operator};
use model::{
    Alert, Cause, Change, Labels, MachineId, MachineInfo, Roster, Rule, SeriesKey, Severity, Status, Timestamp,
    Transition,
};
use proptest::prelude::*;

use super::choice::{Choice, ChoiceText};
use super::fleet::{Fleet, MINUTE_MS};
use super::past::HOUR_MS;
use super::told::Told;
use crate::protocol::{CHART_POINTS, DAY_MS, Days, DaysOf, FromHub, Incident, Incidents, to_json};
use crate::relay::picture::Picture;

const CPU: &str = "system.cpu.utilization";
const DISK: &str = "system.filesystem.utilization";

/// A word that the outside must never see.
const SECRET: &str = "SECRET";

pub(super) fn choice() -> Choice {
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let text = ChoiceText {
        machines: list(&["pub-*"]),
        tags: list(&["open=yes"]),
        metrics: list(&[CPU, DISK]),
        names: list(&["pub-SECRET-0=Front"]),
        default_name: String::from("Machine"),
        machines_max: 3,
    };
    Choice::parse(&text).unwrap()
}

/// Everything about it is secret but two of its metrics.
pub(super) fn view(id: &str, is_open: bool, values: &[f64; 4], at_ms: i64) -> Arc<MachineView> {
    let machine = MachineId::parse(id).unwrap();
    let at = Timestamp::from_millis(at_ms);
    let open = if is_open { "yes" } else { "SECRET-no" };
    let tags = [("open", open), ("SECRET-tag", "SECRET-value")];
    let mut info = MachineInfo::unknown(machine.clone(), at);
    info.tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    info.os = String::from("SECRET-os");
    let key = |metric: &str, label: &str| {
        let labels = if label.is_empty() { Labels::none() } else { Labels::parse([("mountpoint", label)]).unwrap() };
        Arc::new(SeriesKey::parse(metric, labels).unwrap())
    };
    let series = vec![key(CPU, ""), key(DISK, "/SECRET-a"), key(DISK, "/SECRET-b"), key("app.SECRET", "SECRET")];
    let roster = Roster { machine: machine.clone(), index: 0, series: series.into() };
    Arc::new(MachineView {
        machine,
        status: Status::Up,
        last_seen: at,
        info: Some(Arc::new(info)),
        roster: Some(Arc::new(roster)),
        values: values.as_slice().into(),
        times: vec![at; values.len()].into(),
        processes: None,
        alerts: [0, 1, 2],
    })
}

/// An alert that fired at the first time and resolved at the other.
pub(super) fn alert(machine: &str, rule: &str, (from_ms, to_ms): (i64, Option<i64>)) -> Alert {
    let rule = Rule {
        name: rule.to_owned(),
        metric: String::from("sysmonstm.machine.up"),
        input: Input::Sample,
        operator: Operator::Lt,
        threshold: 1.0,
        clear: None,
        for_s: 0,
        no_data_s: None,
        severity: Severity::Critical,
        enabled: true,
        machines: Vec::new(),
        tags: BTreeMap::new(),
        labels: BTreeMap::new(),
        group_by: Vec::new(),
        summary: String::from("SECRET-summary"),
    };
    let since = Timestamp::from_millis(from_ms);
    Alert::after(&Transition {
        rule: Arc::new(rule),
        machine: MachineId::parse(machine).unwrap(),
        series: Arc::new(SeriesKey::parse("sysmonstm.machine.up", Labels::none()).unwrap()),
        change: if to_ms.is_some() { Change::Resolved } else { Change::Fired },
        cause: Cause::Threshold,
        value: 0.0,
        at: to_ms.map_or(since, Timestamp::from_millis),
        since,
        t: 1,
    })
}

const START_MS: i64 = 1_000 * MINUTE_MS;

fn changed(machines: Vec<Arc<MachineView>>) -> Changes {
    Changes { version: 1, machines, ..Changes::default() }
}

fn fleet() -> Fleet {
    Fleet::new(Arc::new(choice()), START_MS)
}

fn next(told: &mut Told, fleet: &Fleet) -> FromHub {
    told.next(fleet, ("Status", 1_000), START_MS)
}

fn names(message: &FromHub) -> Vec<String> {
    match message {
        FromHub::Snapshot(snapshot) => snapshot.machines.iter().map(|machine| machine.name.clone()).collect(),
        FromHub::Update(update) => panic!("an update: {update:?}"),
    }
}

#[test]
fn machines_have_outside_names_in_the_order_of_the_namings() {
    let mut fleet = fleet();
    let show = |id: &str| view(id, true, &[0.25, 0.5, 0.75, 7.0], START_MS);
    fleet.take(&changed(["pub-b", "pub-a", "pub-SECRET-0", "other"].map(show).to_vec()));
    let message = next(&mut Told::default(), &fleet);
    assert_eq!(names(&message), ["Front", "Machine 1", "Machine 2"]);
    let FromHub::Snapshot(snapshot) = message else { panic!() };
    assert_eq!(snapshot.machines[0].now.values, [Some(0.25), Some(0.75)], "the fullest disk stands for all");
}

#[test]
fn what_is_beyond_the_limit_is_counted_and_moves_up_when_there_is_room() {
    let mut fleet = fleet();
    let views = ["pub-1", "pub-2", "pub-3", "pub-4"].map(|id| view(id, true, &[0.5; 4], START_MS));
    fleet.take(&changed(views.to_vec()));
    assert_eq!((fleet.len(), fleet.left_out()), (3, 1));
    fleet.reconcile(&views[1..]);
    assert_eq!((fleet.len(), fleet.left_out()), (3, 0));
}

#[test]
fn an_edge_is_told_what_changed_and_of_a_new_minute() {
    let (mut fleet, mut told) = (fleet(), Told::default());
    let show = |id: &str, cpu: f64, at_ms: i64| view(id, true, &[cpu, 0.5, 0.5, 7.0], at_ms);
    fleet.take(&changed(vec![show("pub-1", 0.25, START_MS), show("pub-2", 0.25, START_MS)]));
    let FromHub::Snapshot(snapshot) = next(&mut told, &fleet) else { panic!("the first message is a snapshot") };
    let mut picture = Picture::new(snapshot).unwrap();
    fleet.take(&changed(vec![show("pub-1", 0.75, START_MS + 1), show("pub-2", 0.25, START_MS + 1)]));
    let FromHub::Update(update) = next(&mut told, &fleet) else { panic!("nothing came or went") };
    assert_eq!((update.machines.len(), update.step.is_none()), (1, true));
    assert!(!picture.update(update).unwrap());
    assert!(!fleet.advance(START_MS + 1));
    assert!(fleet.advance(START_MS + MINUTE_MS));
    let FromHub::Update(update) = next(&mut told, &fleet) else { panic!("a minute later is a step") };
    assert!(picture.update(update).unwrap());
    assert_eq!(picture.charts[0][0].last(), Some(&Some(0.5)), "the mean of what was seen");
    assert!(fleet.advance(START_MS + 3 * MINUTE_MS));
    assert!(matches!(next(&mut told, &fleet), FromHub::Snapshot(_)), "two minutes are no step");
}

#[test]
fn history_fills_what_the_charts_do_not_have() {
    let mut fleet = fleet();
    fleet.take(&changed(vec![view("pub-1", true, &[0.5; 4], START_MS)]));
    let [id] = &fleet.unseeded()[..] else { panic!("one machine is new") };
    let (from, to) = fleet.hour();
    assert_eq!((to.millis(), to.millis() - from.millis()), (START_MS, 60 * MINUTE_MS));
    let points = |metric: &str, label: &str, values: [f64; 2]| SeriesPoints {
        key: Some(Arc::new(SeriesKey::parse(metric, Labels::parse([("mountpoint", label)]).unwrap()).unwrap())),
        t: vec![from, Timestamp::from_millis(to.millis() - MINUTE_MS)],
        v: values.to_vec(),
        ..SeriesPoints::default()
    };
    let answer = RangeAnswer {
        series: vec![
            points(DISK, "/a", [0.25, 0.5]),
            points(DISK, "/b", [0.125, 0.75]),
            points("app.x", "/", [9.0; 2]),
        ],
        ..RangeAnswer::default()
    };
    fleet.seed(id, &answer);
    assert!(fleet.unseeded().is_empty());
    let FromHub::Snapshot(snapshot) = next(&mut Told::default(), &fleet) else { panic!() };
    let [cpu, disk] = &snapshot.machines[0].charts[..] else { panic!("two metrics are chosen") };
    assert_eq!((disk[0], disk[1], disk[CHART_POINTS - 1]), (Some(0.25), None, Some(0.75)));
    assert!(cpu.iter().all(Option::is_none));
}

#[test]
fn an_edge_is_told_of_the_past_once_history_or_an_alert_has_told_it() {
    let (mut fleet, mut told) = (fleet(), Told::default());
    let views = ["pub-1", "pub-2"].map(|id| view(id, true, &[0.5; 4], START_MS));
    fleet.take(&changed(views.to_vec()));
    let FromHub::Snapshot(whole) = next(&mut told, &fleet) else { panic!("the first message is a snapshot") };
    assert!(whole.machines.iter().all(|machine| machine.days.is_none()) && !whole.incidents.is_complete);
    let question = fleet.next_question(START_MS).unwrap();
    let days = Days { shares: vec![Some(990)], ..question.no_days() };
    fleet.remember_days(&question, days.clone());
    let FromHub::Update(update) = next(&mut told, &fleet) else { panic!("nothing came or went") };
    assert_eq!((&update.days[..], &update.incidents), (&[DaysOf { key: 1, days: Some(days.clone()) }][..], &None));
    fleet.remember_days(&question, days);
    fleet.take(&Changes { alerts: vec![Arc::new(alert("pub-1", "cpu-busy", (1, None)))], ..Changes::default() });
    let FromHub::Update(update) = next(&mut told, &fleet) else { panic!("nothing came or went") };
    assert!(update.days.is_empty() && update.incidents.is_none(), "nothing is news");
    fleet.take(&Changes { alerts: vec![Arc::new(alert("pub-2", MACHINE_DOWN, (5, None)))], ..Changes::default() });
    assert!(fleet.remember_outages(&question.machine, &[alert("pub-1", MACHINE_DOWN, (1, Some(2)))]));
    let FromHub::Update(update) = next(&mut told, &fleet) else { panic!("nothing came or went") };
    let outage = |key, from, to| Incident { key, from, to };
    let newest = vec![outage(2, 5, None), outage(1, 1, Some(2))];
    assert_eq!(update.incidents, Some(Incidents { is_complete: false, newest: newest.clone() }));
    assert!(fleet.remember_outages(&views[1].machine, &[]));
    assert_eq!(fleet.incidents(), Incidents { is_complete: true, newest });
}

#[test]
fn history_is_asked_once_for_each_machine_and_then_once_an_hour() {
    let mut fleet = fleet();
    fleet.take(&changed(["pub-1", "pub-2"].map(|id| view(id, true, &[0.5; 4], START_MS)).to_vec()));
    let asked = |fleet: &mut Fleet, now_ms: i64| {
        let question = fleet.next_question(now_ms)?;
        fleet.remember_days(&question, question.no_days());
        Some(question.machine.to_string())
    };
    let start_ms = 16 * HOUR_MS;
    let first = [start_ms; 3].map(|now_ms| asked(&mut fleet, now_ms).unwrap_or_default());
    assert_eq!(first, ["pub-1", "pub-2", ""]);
    let later = [59 * MINUTE_MS, HOUR_MS + MINUTE_MS, HOUR_MS + 2 * MINUTE_MS, HOUR_MS + 2 * MINUTE_MS, 2 * HOUR_MS];
    let later = later.map(|after_ms| asked(&mut fleet, start_ms + after_ms).unwrap_or_default());
    assert_eq!(later, ["", "", "pub-1", "pub-2", ""]);
    // Where history does not answer, the next machine has its turn.
    let turns = [(); 3].map(|()| fleet.next_question(start_ms + 3 * HOUR_MS).unwrap().machine.to_string());
    assert_eq!(turns, ["pub-1", "pub-2", "pub-1"]);
}

#[test]
fn days_that_history_cannot_bring_up_to_date_are_not_known_any_more() {
    let mut fleet = fleet();
    fleet.take(&changed(vec![view("pub-1", true, &[0.5; 4], START_MS)]));
    let question = fleet.next_question(START_MS).unwrap();
    fleet.remember_days(&question, question.no_days());
    fleet.remember_outages(&question.machine, &[alert("pub-1", MACHINE_DOWN, (1, Some(2)))]);
    let days = |fleet: &Fleet| {
        let FromHub::Snapshot(whole) = next(&mut Told::default(), fleet) else { panic!("the first is a snapshot") };
        whole.machines[0].days.clone()
    };
    fleet.advance(START_MS + DAY_MS);
    assert!(days(&fleet).is_some(), "yesterday's are shown");
    fleet.advance(START_MS + 2 * DAY_MS);
    assert_eq!(days(&fleet), None);
    assert_eq!(fleet.incidents().newest.len(), 1);
    fleet.advance(START_MS + 91 * DAY_MS);
    assert_eq!(fleet.incidents(), Incidents { is_complete: true, newest: Vec::new() });
}

/// What happens to the hot state.
#[derive(Debug, Clone)]
enum Event {
    Shown { machine: usize, is_open: bool, percent: u8 },
    Removed { machine: usize },
    Down { machine: usize, is_over: bool },
    Recalled { share: u16 },
    Minutes(u8),
    Reconnected,
}

const IDS: [&str; 6] = ["pub-SECRET-0", "pub-SECRET-1", "pub-SECRET-2", "pub-SECRET-3", "SECRET-db", "SECRET-web"];

fn events() -> impl Strategy<Value = Vec<Event>> {
    let machine = 0..IDS.len();
    let shown = (machine.clone(), prop::bool::weighted(0.7), 0..100_u8);
    let one = prop_oneof![
        6 => shown.prop_map(|(machine, is_open, percent)| Event::Shown { machine, is_open, percent }),
        1 => machine.clone().prop_map(|machine| Event::Removed { machine }),
        2 => (machine, any::<bool>()).prop_map(|(machine, is_over)| Event::Down { machine, is_over }),
        2 => (0..=1_000_u16).prop_map(|share| Event::Recalled { share }),
        2 => (0..4_u8).prop_map(Event::Minutes),
        1 => Just(Event::Reconnected),
    ];
    prop::collection::vec(one, 1..60)
}

proptest! {
    /// E-1 and E-2: no byte tells of what was not chosen, and the edge's picture is the hub's after every message.
    #[test]
    fn nothing_but_what_was_chosen_leaves_and_the_edge_has_all_of_it(events in events()) {
        let (mut fleet, mut told, mut picture) = (fleet(), Told::default(), None::<Picture>);
        let (mut now_ms, mut open) = (START_MS, [false; IDS.len()]);
        for (step, event) in events.into_iter().enumerate() {
            match event {
                Event::Shown { machine, is_open, percent } => {
                    open[machine] = is_open;
                    let is_chosen = is_open && IDS[machine].starts_with("pub-");
                    let value = if is_chosen { f64::from(percent) / 100.0 } else { 0.678_9 };
                    let at_ms = now_ms + i64::try_from(step).unwrap();
                    fleet.take(&changed(vec![view(IDS[machine], is_open, &[value, value, value, 98_765.0], at_ms)]));
                }
                Event::Removed { machine } => {
                    open[machine] = false;
                    let removed = vec![MachineId::parse(IDS[machine]).unwrap()];
                    fleet.take(&Changes { removed, ..Changes::default() });
                }
                Event::Down { machine, is_over } => {
                    let over = is_over.then_some(now_ms + 1);
                    let alerts = vec![Arc::new(alert(IDS[machine], MACHINE_DOWN, (now_ms, over)))];
                    fleet.take(&Changes { alerts, ..Changes::default() });
                }
                Event::Recalled { share } => {
                    if let Some(question) = fleet.next_question(now_ms) {
                        fleet.remember_days(&question, Days { shares: vec![Some(share)], ..question.no_days() });
                        fleet.remember_outages(&question.machine, &[]);
                    }
                }
                Event::Minutes(minutes) => {
                    now_ms += i64::from(minutes) * MINUTE_MS;
                    fleet.advance(now_ms);
                }
                Event::Reconnected => (told, picture) = (Told::default(), None),
            }
            let message = next(&mut told, &fleet);
            let text = to_json(&message);
            for secret in [SECRET, "0.6789", "98765", "98770", "98760", "app."] {
                prop_assert!(!text.contains(secret), "{secret} in {text}");
            }
            let shown = match serde_json::from_str(&text).unwrap() {
                FromHub::Snapshot(snapshot) => Picture::new(snapshot).unwrap(),
                FromHub::Update(update) => {
                    let mut shown = picture.take().expect("an update follows a snapshot");
                    shown.update(update).unwrap();
                    shown
                }
            };
            let FromHub::Snapshot(whole) = next(&mut Told::default(), &fleet) else { panic!("the first is a snapshot") };
            let whole = Picture::new(whole).unwrap();
            prop_assert_eq!(&shown.head.names, &whole.head.names);
            prop_assert_eq!(&shown.now, &whole.now);
            prop_assert_eq!(&shown.charts, &whole.charts);
            prop_assert_eq!(&shown.past, &whole.past);
            let chosen = (0..IDS.len()).filter(|at| open[*at] && IDS[*at].starts_with("pub-")).count();
            // Who was left out moves up with the next minute.
            prop_assert!(fleet.len() <= chosen.min(3));
            picture = Some(shown);
        }
    }
}
