//! What leaves: whatever the hot state holds, messages are made of what was chosen alone, and an edge that follows them shows it all.

use std::sync::Arc;

use model::query::{Changes, MachineView, RangeAnswer, SeriesPoints};
use model::{Labels, MachineId, MachineInfo, Roster, SeriesKey, Status, Timestamp};
use proptest::prelude::*;

use super::choice::{Choice, ChoiceText};
use super::fleet::{Fleet, MINUTE_MS, Told};
use crate::protocol::{CHART_POINTS, FromHub, to_json};
use crate::relay::picture::Picture;

const CPU: &str = "system.cpu.utilization";
const DISK: &str = "system.filesystem.utilization";

/// A word that the outside must never see.
const SECRET: &str = "SECRET";

fn choice() -> Choice {
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
fn view(id: &str, is_open: bool, values: &[f64; 4], at_ms: i64) -> Arc<MachineView> {
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

/// What happens to the hot state.
#[derive(Debug, Clone)]
enum Event {
    Shown { machine: usize, is_open: bool, percent: u8 },
    Removed { machine: usize },
    Minutes(u8),
    Reconnected,
}

const IDS: [&str; 6] = ["pub-SECRET-0", "pub-SECRET-1", "pub-SECRET-2", "pub-SECRET-3", "SECRET-db", "SECRET-web"];

fn events() -> impl Strategy<Value = Vec<Event>> {
    let machine = 0..IDS.len();
    let shown = (machine.clone(), prop::bool::weighted(0.7), 0..100_u8);
    let one = prop_oneof![
        6 => shown.prop_map(|(machine, is_open, percent)| Event::Shown { machine, is_open, percent }),
        1 => machine.prop_map(|machine| Event::Removed { machine }),
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
            let chosen = (0..IDS.len()).filter(|at| open[*at] && IDS[*at].starts_with("pub-")).count();
            // Who was left out moves up with the next minute.
            prop_assert!(fleet.len() <= chosen.min(3));
            picture = Some(shown);
        }
    }
}
