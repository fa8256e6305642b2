//! What an edge is told of the past: the days of each machine, and when machines were down.

use std::sync::Arc;

use model::query::Changes;
use model::rule::MACHINE_DOWN;

use super::{START_MS, alert, changed, fleet, next, view};
use crate::protocol::{DAY_MS, Days, DaysOf, FromHub, Incident, Incidents};
use crate::publish::fleet::{Fleet, MINUTE_MS};
use crate::publish::past::HOUR_MS;
use crate::publish::told::Told;

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
