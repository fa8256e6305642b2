//! Fixtures of the tests in this crate: one machine's worth of outputs, made from small numbers.

#![allow(dead_code, reason = "shared by several test binaries, none of which uses all of it")]

use std::sync::Arc;

use model::batch::{Batch, Layout, Positions, Times};
use model::bound::{Bound, BoundLayout, Roster, Slots};
use model::machine::{PROCESSES_MAX, Presence};
use model::rule::{Input, Operator, Rule};
use model::series::{Labels, SeriesKey};
use model::{
    Aggregate, Aggregates, Cause, Change, FleetMinute, FleetRow, Kept, LogicalTime, MachineId, Process, Processes,
    RejectReason, Rejected, Repair, Resent, SessionId, Severity, Slot, Source, Standing, StandingChange, Status, Tag,
    Timestamp, Transition, Width, Window,
};

pub(crate) fn machine(name: &str) -> MachineId {
    MachineId::parse(name).unwrap()
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

/// Series `m0` to `m<series - 1>`.
pub(crate) fn roster(name: &str, series: usize) -> Arc<Roster> {
    let key = |n| Arc::new(SeriesKey::parse(&format!("m{n}"), Labels::none()).unwrap());
    Arc::new(Roster { machine: machine(name), index: 0, series: (0..series).map(key).collect() })
}

/// One series of payments, each of which counts.
pub(crate) fn payments(name: &str) -> Arc<Roster> {
    let key = SeriesKey::parse("payment.amount", Labels::none()).unwrap();
    Arc::new(Roster { machine: machine(name), index: 0, series: Box::new([Arc::new(key)]) })
}

pub(crate) fn layout_of(roster: &Arc<Roster>) -> (Arc<Layout>, Arc<BoundLayout>) {
    let keys = roster.series.iter().map(|key| key.as_ref().clone()).collect();
    let bound = BoundLayout::new(Arc::clone(roster), Slots::Identity);
    (Arc::new(Layout::new(roster.machine.clone(), keys)), Arc::new(bound))
}

/// A frame with a value for each series; it arrives when it was measured.
pub(crate) fn frame(roster: &Arc<Roster>, time: Timestamp, values: &[f64]) -> Bound {
    let (layout, bound) = layout_of(roster);
    let batch = Batch {
        layout,
        session: SessionId(1),
        sequence: 1,
        arrival: time,
        age_ms: 0,
        positions: Positions::All,
        times: Times::One(time),
        values: values.into(),
    };
    assert!(batch.is_consistent());
    Bound::new(Arc::new(batch), bound)
}

/// Single samples: series, time, value.
pub(crate) fn samples(roster: &Arc<Roster>, samples: &[(u16, Timestamp, f64)]) -> Bound {
    let (layout, bound) = layout_of(roster);
    let batch = Batch {
        layout,
        session: SessionId::NONE,
        sequence: 0,
        arrival: samples.iter().map(|s| s.1).max().unwrap_or(Timestamp::EPOCH),
        age_ms: 0,
        positions: Positions::List(samples.iter().map(|s| s.0).collect()),
        times: Times::Each(samples.iter().map(|s| s.1).collect()),
        values: samples.iter().map(|s| s.2).collect(),
    };
    assert!(batch.is_consistent());
    Bound::new(Arc::new(batch), bound)
}

/// The table that a collector makes of these: name, cores, resident bytes.
pub(crate) fn processes(name: &str, time: Timestamp, all: &[(&str, f64, u64)]) -> Processes {
    let process =
        |(name, cpu, memory): &(&str, f64, u64)| Process { name: (*name).to_owned(), cpu: *cpu, memory: *memory };
    let mut by_name: Vec<Process> = all.iter().map(process).collect();
    by_name.sort_by(|a, b| a.name.cmp(&b.name));
    let mut by_cpu: Vec<Process> = by_name.iter().filter(|process| 0.0 < process.cpu).cloned().collect();
    by_cpu.sort_by(|a, b| b.cpu.total_cmp(&a.cpu));
    by_cpu.truncate(PROCESSES_MAX);
    let mut by_memory: Vec<Process> = by_name.into_iter().filter(|process| 0 < process.memory).collect();
    by_memory.sort_by_key(|process| std::cmp::Reverse(process.memory));
    by_memory.truncate(PROCESSES_MAX);
    Processes { machine: machine(name), time, by_cpu, by_memory }
}

/// One row per series, all of value `value`.
pub(crate) fn window(
    roster: &Arc<Roster>,
    width: Width,
    start: Timestamp,
    revision: LogicalTime,
    value: f64,
) -> Arc<Aggregates> {
    let rows = (0..roster.series.len()).map(|slot| (Slot(u32::try_from(slot).unwrap()), Aggregate::of(value, start)));
    Arc::new(Aggregates {
        roster: Arc::clone(roster),
        window: Window { start, width },
        revision,
        is_final: true,
        rows: rows.collect(),
    })
}

pub(crate) fn rule(name: &str, severity: Severity) -> Arc<Rule> {
    Arc::new(Rule {
        name: name.to_owned(),
        metric: "m0".to_owned(),
        input: Input::Sample,
        operator: Operator::Gt,
        threshold: 1.0,
        clear: None,
        for_s: 0,
        no_data_s: None,
        severity,
        enabled: true,
        machines: Vec::new(),
        tags: Default::default(),
        labels: Default::default(),
        group_by: Vec::new(),
        summary: String::new(),
    })
}

pub(crate) fn transition(
    rule: &Arc<Rule>,
    name: &str,
    change: Change,
    since: Timestamp,
    time: Timestamp,
) -> Arc<Transition> {
    Arc::new(Transition {
        rule: Arc::clone(rule),
        machine: machine(name),
        series: Arc::new(SeriesKey::parse("m0", Labels::none()).unwrap()),
        change,
        cause: Cause::Threshold,
        value: 2.0,
        at: time,
        since,
        t: u64::try_from(time.micros()).unwrap(),
    })
}

/// How the alert of a transition stands.
pub(crate) fn standing(transition: &Transition, standing: Standing) -> Arc<StandingChange> {
    let Transition { rule, machine, series, since, .. } = transition;
    let (rule, machine, series) = (rule.name.as_str().into(), machine.clone(), Arc::clone(series));
    Arc::new(StandingChange { rule, machine, series, since: *since, standing })
}

pub(crate) fn presence(name: &str, status: Status, last_seen: Timestamp) -> Arc<Presence> {
    Arc::new(Presence { machine: machine(name), status, at: last_seen, last_seen })
}

pub(crate) fn rejected(name: &str, time: Timestamp) -> Arc<Rejected> {
    Arc::new(Rejected {
        machine: machine(name),
        reason: RejectReason::NotFinite,
        count: 1,
        arrival: time,
        detail: "m0 is NaN".to_owned(),
        source: Source::Graph,
        kept: None,
    })
}

/// A frame of two series that came too fast.
pub(crate) fn flooded(name: &str, time: Timestamp) -> Arc<Rejected> {
    let mut kept = Kept::default();
    for (position, key) in roster(name, 2).series.iter().enumerate() {
        kept.add(key, time, 0.1 + position as f64);
    }
    let (reason, kept) = (RejectReason::RateLimited, Some(Arc::new(kept)));
    let source = Source::GrpcPush;
    Arc::new(Rejected { reason, kept, source, count: 2, ..rejected(name, time).as_ref().clone() })
}

pub(crate) fn resent(name: &str, id: &str, at: Timestamp) -> Arc<Resent> {
    Arc::new(Resent { machine: machine(name), id: id.to_owned(), at })
}

pub(crate) fn repair(name: &str, minute: Timestamp) -> Arc<Repair> {
    Arc::new(Repair { machine: machine(name), minute })
}

/// Metrics with the number of their machines, each with one sample of 0.1.
pub(crate) fn fleet_minute(
    tag: Option<&Tag>,
    minute: Timestamp,
    revision: LogicalTime,
    metrics: &[(&str, u32)],
) -> FleetMinute {
    let row = |(metric, machines): &(&str, u32)| FleetRow {
        metric: (*metric).into(),
        machines: *machines,
        count: u64::from(*machines),
        sum: 0.1 * f64::from(*machines),
        min: 0.1,
        max: 0.1,
    };
    FleetMinute { tag: tag.cloned(), minute, revision, rows: metrics.iter().map(row).collect() }
}
