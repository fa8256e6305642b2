//! Model to wire: what the collector sends and what the hub answers. The way back is `decode`.

use std::collections::BTreeMap;

use model::catalogue::seed_alias;
use model::command::CollectorCommand;
use model::query::MachineView;
use model::{Labels, MachineInfo, Process, Processes, SeriesKey, SessionId, Status, Timestamp};

use crate::pb;

pub fn hello(info: &MachineInfo, session: SessionId) -> pb::Hello {
    pb::Hello {
        machine_id: info.machine.as_str().to_owned(),
        session: session.0,
        tags: info.tags.clone(),
        interval_ms: info.interval_ms,
        inventory: Some(pb::Inventory {
            os: info.os.clone(),
            kernel: info.kernel.clone(),
            arch: info.arch.clone(),
            cpu_model: info.cpu_model.clone(),
            cores: info.cores,
            memory_bytes: info.memory_bytes,
            agent_version: info.agent_version.clone(),
            boot_time_ms: info.boot_time_ms,
        }),
    }
}

pub fn layout(id: u32, series: &[SeriesKey]) -> pb::Layout {
    pb::Layout { id, series: series.iter().map(self::series).collect() }
}

pub fn series(key: &SeriesKey) -> pb::Series {
    pb::Series { metric: key.metric.as_ref().to_owned(), labels: labels(&key.labels) }
}

/// A frame of the values that are present, in layout order. Sequence and age are the sender's to set.
pub fn frame(layout: u32, time: Timestamp, values: &[Option<f64>]) -> pb::Frame {
    let is_whole = values.iter().all(Option::is_some);
    let mut present = vec![0; if is_whole { 0 } else { values.len().div_ceil(8) }];
    for (index, byte) in present.iter_mut().enumerate() {
        let bits = values.iter().skip(index * 8).take(8).enumerate();
        *byte = bits.fold(0, |byte, (bit, value)| byte | (u8::from(value.is_some()) << bit));
    }
    pb::Frame {
        sequence: 0,
        layout,
        time_ms: time.millis(),
        age_ms: 0,
        values: values.iter().copied().flatten().collect(),
        present,
    }
}

pub fn processes(table: &Processes) -> pb::ProcessTable {
    let row =
        |process: &Process| pb::Process { name: process.name.clone(), cpu: process.cpu, memory_bytes: process.memory };
    pb::ProcessTable {
        time_ms: table.time.millis(),
        by_cpu: table.by_cpu.iter().map(row).collect(),
        by_memory: table.by_memory.iter().map(row).collect(),
    }
}

/// A machine's state, with the seeds' metrics in the seeds' units beside all series in base units.
pub fn machine_state(view: &MachineView) -> pb::MachineState {
    let mut state = pb::MachineState {
        machine_id: view.machine.as_str().to_owned(),
        last_seen: view.last_seen.millis(),
        current_metrics: Vec::new(),
        health: health(view).into(),
        series: Vec::new(),
        tags: tags(view),
        status: view.status.as_str().to_owned(),
    };
    let names = view.roster.iter().flat_map(|roster| roster.series.iter());
    let values = view.values.iter().zip(&view.times);
    for (key, (value, time)) in names.zip(values).filter(|(_, (_, time))| **time != Timestamp::MIN) {
        state.current_metrics.extend(seed_metric(view, key, *value, *time));
        state.series.push(pb::SeriesValue { series: Some(series(key)), time_ms: time.millis(), value: *value });
    }
    state
}

pub fn machine_summary(view: &MachineView) -> pb::MachineSummary {
    pb::MachineSummary {
        machine_id: view.machine.as_str().to_owned(),
        last_seen: view.last_seen.millis(),
        status: view.status.as_str().to_owned(),
        tags: tags(view),
    }
}

pub fn command(id: u64, command: CollectorCommand) -> pb::Command {
    let kind = match command {
        CollectorCommand::Pause => pb::CommandKind::Pause,
        CollectorCommand::Resume => pb::CommandKind::Resume,
        CollectorCommand::CollectNow => pb::CommandKind::CollectNow,
        CollectorCommand::ResendLayout => pb::CommandKind::ResendLayout,
        CollectorCommand::Focus => pb::CommandKind::Focus,
    };
    pb::Command { id, kind: kind.into() }
}

/// The series as the seeds' wire says it; none where that has no name for it.
fn seed_metric(view: &MachineView, key: &SeriesKey, value: f64, time: Timestamp) -> Option<pb::Metric> {
    let alias = seed_alias(&key.metric)?;
    Some(pb::Metric {
        machine_id: view.machine.as_str().to_owned(),
        timestamp: time.millis(),
        r#type: alias.number,
        value: value / alias.scale,
        labels: labels(&key.labels),
    })
}

/// Firing alerts decide; a machine that is not heard of is unknown rather than healthy.
fn health(view: &MachineView) -> pb::HealthStatus {
    let [_info, warning, critical] = view.alerts;
    match (view.status, warning, critical) {
        (_, _, 1..) => pb::HealthStatus::Critical,
        (_, 1.., 0) => pb::HealthStatus::Warning,
        (Status::Up, 0, 0) => pb::HealthStatus::Healthy,
        (Status::Stale | Status::Down, 0, 0) => pb::HealthStatus::Unknown,
    }
}

fn labels(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

fn tags(view: &MachineView) -> BTreeMap<String, String> {
    view.info.as_ref().map(|info| info.tags.clone()).unwrap_or_default()
}
