//! Which machines an edge is told of, under which names, with which values and charts.

use std::sync::Arc;

use model::query::{RangeAnswer, SeriesPoints};
use model::{Labels, SeriesKey, Timestamp};

use super::{DISK, START_MS, changed, fleet, next, view};
use crate::protocol::{CHART_POINTS, FromHub};
use crate::publish::fleet::MINUTE_MS;
use crate::publish::told::Told;
use crate::relay::picture::Picture;

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
