//! A fleet to look at: machines, rules, alerts, points.

use std::sync::Arc;

use model::query::{FleetPoints, MachineView, SeriesPoints};
use model::{
    Alert, AlertGroup, AlertState, DeadLetter, GroupBy, GroupKey, GroupMember, Kept, Labels, MachineId, MachineInfo,
    Process, Processes, RejectReason, Rejected, Roster, Rule, SeriesKey, Source, Standing, Status, Timestamp,
};

use super::NOW_S;

pub(crate) fn series(metric: &str, labels: &[(&str, &str)]) -> Arc<SeriesKey> {
    Arc::new(SeriesKey::parse(metric, Labels::parse(labels.iter().copied()).unwrap()).unwrap())
}

/// A machine that sends every 5 s, with this CPU utilization and a few more series.
pub(crate) fn machine(id: &str, cpu: f64) -> MachineView {
    let machine = MachineId::parse(id).unwrap();
    let rows = [
        (series("system.cpu.utilization", &[]), cpu),
        (series("system.filesystem.utilization", &[("mountpoint", "/")]), 0.5),
        (series("system.filesystem.utilization", &[("mountpoint", "/var")]), 0.81),
        (series("system.network.receive.bytes_rate", &[("device", "eth0")]), 1_000.0),
        (series("system.network.receive.bytes_rate", &[("device", "eth1")]), 500.0),
        (series("system.network.receive.bytes_rate", &[("device", "lo")]), 9_000.0),
        (series("system.temperature", &[]), f64::NAN),
    ];
    let now = Timestamp::from_secs(NOW_S);
    let info = MachineInfo {
        interval_ms: 5_000,
        os: "Debian 12".to_owned(),
        cores: 8,
        tags: [("role".to_owned(), "db".to_owned())].into(),
        ..MachineInfo::unknown(machine.clone(), now)
    };
    let process = Process { name: "postgres".to_owned(), cpu: 0.31, memory: 123_456_789 };
    MachineView {
        status: Status::Up,
        last_seen: now,
        info: Some(Arc::new(info)),
        values: rows.iter().map(|(_, value)| *value).collect(),
        times: rows.iter().map(|_| now).collect(),
        roster: Some(Arc::new(Roster {
            machine: machine.clone(),
            index: 0,
            series: rows.into_iter().map(|(key, _)| key).collect(),
        })),
        processes: Some(Arc::new(Processes {
            machine: machine.clone(),
            time: now,
            by_cpu: vec![process],
            by_memory: Vec::new(),
        })),
        alerts: [0, 0, 1],
        machine,
    }
}

/// A machine of which nothing but its name is known.
pub(crate) fn stranger(id: &str) -> MachineView {
    MachineView {
        machine: MachineId::parse(id).unwrap(),
        status: Status::Stale,
        last_seen: Timestamp::from_secs(NOW_S),
        info: None,
        roster: None,
        values: Box::default(),
        times: Box::default(),
        processes: None,
        alerts: [0; 3],
    }
}

pub(crate) fn rule(name: &str) -> Arc<Rule> {
    let text = format!(
        r#"{{"name":"{name}","metric":"system.filesystem.utilization","operator":"gte","threshold":0.95,
            "severity":"critical","summary":"almost <full>"}}"#
    );
    Arc::new(serde_json::from_str(&text).unwrap())
}

pub(crate) fn alert(id: &str, machine: &str, state: AlertState) -> Alert {
    let since = Timestamp::from_secs(NOW_S - 600);
    Alert {
        id: id.to_owned(),
        rule: rule("disk-full"),
        machine: MachineId::parse(machine).unwrap(),
        series: series("system.filesystem.utilization", &[("mountpoint", "/<b>")]),
        state,
        cause: model::Cause::Threshold,
        value: 0.97,
        since,
        resolved: (state == AlertState::Resolved).then(|| Timestamp::from_secs(NOW_S)),
        resolution: (state == AlertState::Resolved).then_some(model::Resolution::Value),
        standing: Some(Standing::Silenced("s1".into())),
        t: 1,
    }
}

/// A group of one alert.
pub(crate) fn group() -> (GroupKey, AlertGroup) {
    let Alert { machine, series, since, .. } = alert("a1", "db-1", AlertState::Firing);
    let by = [GroupBy::Rule, GroupBy::Label("mountpoint".into())];
    let key = GroupKey::of(&by, ("disk-full", &machine, &series), &std::collections::BTreeMap::new());
    let (rule, severity, standing) = ("disk-full".into(), model::Severity::Critical, Standing::Active);
    let member = Arc::new(GroupMember { rule, machine, series, severity, since, standing });
    (key, AlertGroup::of([&member]).unwrap())
}

/// Raw samples of one series: `(seconds from now, value)`.
pub(crate) fn raw(metric: &str, samples: &[(i64, f64)]) -> SeriesPoints {
    SeriesPoints {
        key: Some(series(metric, &[])),
        t: samples.iter().map(|(at, _)| Timestamp::from_secs(NOW_S + at)).collect(),
        v: samples.iter().map(|(_, value)| *value).collect(),
        ..SeriesPoints::default()
    }
}

/// One minute or hour of `value`, from two samples 0.1 apart, at each of these seconds from now.
/// Minutes of the whole fleet in seconds before now, of so many machines.
pub(crate) fn minutes(starts: &[i64], machines: u32) -> FleetPoints {
    let same = |value: f64| vec![value; starts.len()];
    FleetPoints {
        tag: None,
        t: starts.iter().map(|at| Timestamp::from_secs(NOW_S + at)).collect(),
        machines: vec![machines; starts.len()],
        count: vec![12 * u64::from(machines); starts.len()],
        sum: same(6.0 * f64::from(machines)),
        min: same(0.25),
        max: same(1.0),
    }
}

pub(crate) fn windows(metric: &str, starts: &[i64], value: f64) -> SeriesPoints {
    let same = |value: f64| vec![value; starts.len()];
    SeriesPoints {
        key: Some(series(metric, &[])),
        t: starts.iter().map(|at| Timestamp::from_secs(NOW_S + at)).collect(),
        v: same(value),
        min: same(value - 0.05),
        max: same(value + 0.05),
        count: vec![2; starts.len()],
        sum: same(value * 2.0),
        last: same(value + 0.05),
        is_final: vec![true; starts.len()],
    }
}

/// Three samples that were refused, of which two were kept.
pub(crate) fn letter(id: &str, reason: RejectReason) -> DeadLetter {
    let mut kept = Kept::default();
    for (core, value) in [("0", 0.5), ("1", f64::NAN)] {
        let labels = Labels::parse([("core", core)]).unwrap();
        kept.add(&SeriesKey::parse("system.cpu.utilization", labels).unwrap(), Timestamp::from_secs(NOW_S), value);
    }
    let rejected = Rejected {
        machine: MachineId::parse("db-1").unwrap(),
        reason,
        count: 3,
        arrival: Timestamp::from_secs(NOW_S),
        detail: "fast".to_owned(),
        source: Source::GrpcPush,
        kept: Some(Arc::new(kept)),
    };
    DeadLetter { id: id.to_owned(), rejected, row: None, has_row: false, resent: None }
}
