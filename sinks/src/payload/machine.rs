//! Machine: the latest state of one machine: the document in Redis, and the payload of `metrics.raw`.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::query::MachineView;
use model::{Alert, MachineInfo, Process, Processes, SeriesKey, Status, Timestamp};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::alert::AlertShape;
use super::{millis, series, to_json};

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
    series: Values<'a>,
    /// Only of series whose newest value is older than `time`.
    #[serde(skip_serializing_if = "Times::is_empty")]
    times: Times<'a>,
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

struct Values<'a>(&'a MachineView);

struct Times<'a> {
    view: &'a MachineView,
    newest: Timestamp,
}

static NO_TAGS: BTreeMap<String, String> = BTreeMap::new();

/// The document of a machine, with its firing alerts.
pub fn machine(view: &MachineView, alerts: &[Arc<Alert>]) -> Vec<u8> {
    let info = view.info.as_deref();
    let newest = view.times.iter().copied().max().unwrap_or(Timestamp::MIN);
    to_json(&MachineShape {
        machine: view.machine.as_str(),
        status: view.status,
        last_seen: millis(view.last_seen),
        time: millis(newest),
        interval_ms: info.map(|info| info.interval_ms).filter(|ms| *ms != 0),
        tags: info.map_or(&NO_TAGS, |info| &info.tags),
        host: info.and_then(HostShape::of),
        alerts: alerts.iter().map(|alert| AlertShape::of(alert)).collect(),
        series: Values(view),
        times: Times { view, newest },
        processes: view.processes.as_deref().map(ProcessesShape::of),
    })
}

/// Slots that have a value, with their series.
fn slots(view: &MachineView) -> impl Iterator<Item = (&SeriesKey, f64, Timestamp)> {
    let keys = view.roster.iter().flat_map(|roster| roster.series.iter());
    let values = keys.zip(view.values.iter().zip(view.times.iter()));
    let all = values.map(|(key, (value, time))| (key.as_ref(), *value, *time));
    all.filter(|(_, _, time)| *time != Timestamp::MIN)
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (mut map, mut name) = (serializer.serialize_map(None)?, String::new());
        for (key, value, _) in slots(self.0) {
            series::entry(&mut map, key, &value, &mut name)?;
        }
        map.end()
    }
}

impl Times<'_> {
    fn is_empty(&self) -> bool {
        self.view.times.iter().all(|time| *time == self.newest || *time == Timestamp::MIN)
    }
}

impl Serialize for Times<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (mut map, mut name) = (serializer.serialize_map(None)?, String::new());
        for (key, _, time) in slots(self.view).filter(|(_, _, time)| *time != self.newest) {
            series::entry(&mut map, key, &time.millis(), &mut name)?;
        }
        map.end()
    }
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
