//! What leaves: whatever the hot state holds, messages are made of what was chosen alone, and an edge that follows them shows it all.
//! Here is what the tests share: a choice, machines full of secrets, alerts, and the next message of a fleet.

mod leaves;
mod past;
mod shown;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::query::{Changes, MachineView};
use model::rule::{Input, Operator};
use model::{
    Alert, Cause, Change, Labels, MachineId, MachineInfo, Roster, Rule, SeriesKey, Severity, Status, Timestamp,
    Transition,
};

use super::choice::{Choice, ChoiceText};
use super::fleet::{Fleet, MINUTE_MS};
use super::told::Told;
use crate::protocol::FromHub;

const CPU: &str = "system.cpu.utilization";
const DISK: &str = "system.filesystem.utilization";

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
