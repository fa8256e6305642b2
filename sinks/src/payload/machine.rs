//! Machine: the latest state of one machine: the document in Redis, and the payload of `metrics.raw`.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::query::MachineView;
use model::{Alert, AlertShape, MachineInfo, Process, Processes, SeriesKey, Status, Timestamp};

use super::{millis, series, write_json};

/// All but the series, which follow.
#[derive(serde::Serialize)]
struct MachineShape<'a> {
    machine: &'a str,
    status: Status,
    last_seen: Option<i64>,
    /// Event time of the newest value.
    time: Option<i64>,
    interval_ms: Option<u32>,
    tags: &'a BTreeMap<String, String>,
    host: Option<HostShape<'a>>,
    alerts: Vec<AlertShape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<ProcessesShape<'a>>,
}

#[derive(serde::Serialize)]
struct HostShape<'a> {
    os: &'a str,
    kernel: &'a str,
    arch: &'a str,
    cpu_model: &'a str,
    cores: u32,
    memory_bytes: u64,
    agent_version: &'a str,
    boot_time: Option<i64>,
}

#[derive(serde::Serialize)]
struct ProcessesShape<'a> {
    time: i64,
    by_cpu: &'a [Process],
    by_memory: &'a [Process],
}

static NO_TAGS: BTreeMap<String, String> = BTreeMap::new();

/// The document of a machine, with its firing alerts.
pub fn machine(view: &MachineView, alerts: &[Arc<Alert>]) -> Vec<u8> {
    // Most of a document of 60 series, so that it seldom moves while it grows.
    let mut out = Vec::with_capacity(super::DOCUMENT_BYTES);
    write_machine(&mut out, view, alerts);
    out
}

/// The same, behind what `out` has.
pub(crate) fn write_machine(out: &mut Vec<u8>, view: &MachineView, alerts: &[Arc<Alert>]) {
    let info = view.info.as_deref();
    let newest = view.times.iter().copied().max().unwrap_or(Timestamp::MIN);
    let shape = MachineShape {
        machine: view.machine.as_str(),
        status: view.status,
        last_seen: millis(view.last_seen),
        time: millis(newest),
        interval_ms: info.map(|info| info.interval_ms).filter(|ms| *ms != 0),
        tags: info.map_or(&NO_TAGS, |info| &info.tags),
        host: info.and_then(HostShape::of),
        alerts: alerts.iter().map(|alert| AlertShape::of(alert)).collect(),
        processes: view.processes.as_deref().map(ProcessesShape::of),
    };
    write_json(out, &shape);
    series::append(out, "series", slots(view).map(|(key, value, _)| (key, value)));
    let is_older = |time: Timestamp| time != newest && time != Timestamp::MIN;
    // Only of series whose newest value is older than `time`.
    if view.times.iter().any(|time| is_older(*time)) {
        let older = slots(view).filter(|(_, _, time)| is_older(*time));
        series::append(out, "times", older.map(|(key, _, time)| (key, time.millis())));
    }
}

/// Slots that have a value, with their series.
fn slots(view: &MachineView) -> impl Iterator<Item = (&SeriesKey, f64, Timestamp)> {
    let keys = view.roster.iter().flat_map(|roster| roster.series.iter());
    let values = keys.zip(view.values.iter().zip(view.times.iter()));
    let all = values.map(|(key, (value, time))| (key.as_ref(), *value, *time));
    all.filter(|(_, _, time)| *time != Timestamp::MIN)
}

impl<'a> HostShape<'a> {
    /// None of a machine that never introduced itself.
    fn of(info: &'a MachineInfo) -> Option<Self> {
        let is_known = !info.os.is_empty() || info.cores != 0 || !info.agent_version.is_empty();
        is_known.then(|| Self {
            os: &info.os,
            kernel: &info.kernel,
            arch: &info.arch,
            cpu_model: &info.cpu_model,
            cores: info.cores,
            memory_bytes: info.memory_bytes,
            agent_version: &info.agent_version,
            boot_time: (info.boot_time_ms != 0).then_some(info.boot_time_ms),
        })
    }
}

impl<'a> ProcessesShape<'a> {
    fn of(processes: &'a Processes) -> Self {
        Self { time: processes.time.millis(), by_cpu: &processes.by_cpu, by_memory: &processes.by_memory }
    }
}
