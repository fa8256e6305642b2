//! Machine: what the API and the live protocol say of one machine, in short (`summary`) or with every series (`full`).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use model::query::MachineView;
use model::{MachineInfo, Process, Processes, Status};

use super::summary::Summary;
use super::{SeriesShape, machine_id, millis};

#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = Machine)]
pub(crate) struct MachineShape<'a> {
    #[schema(schema_with = machine_id)]
    id: &'a str,
    status: Status,
    #[schema(required)]
    last_seen: Option<i64>,
    #[schema(required)]
    interval_ms: Option<u32>,
    tags: &'a BTreeMap<String, String>,
    #[schema(required)]
    host: Option<HostShape<'a>>,
    summary: Summary<'a>,
    alerts: AlertCounts,
}

/// A machine with every series.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = MachineFull)]
pub(crate) struct FullMachineShape<'a> {
    #[serde(flatten)]
    machine: MachineShape<'a>,
    #[serde(flatten)]
    detail: DetailShape<'a>,
}

#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = Host)]
struct HostShape<'a> {
    #[schema(required)]
    os: Option<&'a str>,
    #[schema(required)]
    kernel: Option<&'a str>,
    #[schema(required)]
    arch: Option<&'a str>,
    #[schema(required)]
    cpu_model: Option<&'a str>,
    #[schema(required)]
    cores: Option<u32>,
    #[schema(required)]
    memory_bytes: Option<u64>,
    #[schema(required)]
    agent_version: Option<&'a str>,
    #[schema(required)]
    boot_time: Option<i64>,
}

#[derive(serde::Serialize, utoipa::ToSchema)]
struct AlertCounts {
    warning: u32,
    critical: u32,
}

#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = MachineDetail)]
struct DetailShape<'a> {
    series: Vec<SeriesShape<'a>>,
    #[schema(value_type = Vec<Option<f64>>)]
    values: Cow<'a, [f64]>,
    /// When each value was measured, in milliseconds; the history has it under the same time.
    times: Vec<Option<i64>>,
    #[schema(required)]
    processes: Option<ProcessesShape<'a>>,
}

#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = Processes)]
struct ProcessesShape<'a> {
    time: i64,
    by_cpu: &'a [Process],
    by_memory: &'a [Process],
}

static NO_TAGS: BTreeMap<String, String> = BTreeMap::new();

impl<'a> MachineShape<'a> {
    pub(crate) fn summary(view: &'a MachineView) -> Self {
        let info = view.info.as_deref();
        let [_info, warning, critical] = view.alerts;
        Self {
            id: view.machine.as_str(),
            status: view.status,
            last_seen: millis(view.last_seen),
            interval_ms: info.map(|info| info.interval_ms).filter(|ms| *ms != 0),
            tags: info.map_or(&NO_TAGS, |info| &info.tags),
            host: info.and_then(HostShape::of),
            summary: Summary::of(view),
            alerts: AlertCounts { warning, critical },
        }
    }
}

impl<'a> FullMachineShape<'a> {
    pub(crate) fn of(view: &'a MachineView) -> Self {
        let keys = view.roster.iter().flat_map(|roster| roster.series.iter());
        let series: Vec<_> = keys.map(|key| SeriesShape::of(key)).take(view.values.len()).collect();
        let detail = DetailShape {
            values: Cow::Borrowed(&view.values[..series.len()]),
            times: view.times.iter().take(series.len()).map(|time| millis(*time)).collect(),
            series,
            processes: view.processes.as_deref().map(ProcessesShape::of),
        };
        Self { machine: MachineShape::summary(view), detail }
    }

    /// With the series of these metrics, and without processes.
    pub(crate) fn only(view: &'a MachineView, metrics: &BTreeSet<String>) -> Self {
        let keys = view.roster.iter().flat_map(|roster| roster.series.iter());
        let known = keys.zip(&view.values).zip(&view.times).filter(|((key, _), _)| metrics.contains(&*key.metric));
        let mut detail = DetailShape { series: Vec::new(), values: Cow::default(), times: Vec::new(), processes: None };
        for ((key, value), time) in known {
            detail.series.push(SeriesShape::of(key));
            detail.values.to_mut().push(*value);
            detail.times.push(millis(*time));
        }
        Self { machine: MachineShape::summary(view), detail }
    }
}

impl<'a> HostShape<'a> {
    /// `None` for a machine that never introduced itself.
    fn of(info: &'a MachineInfo) -> Option<Self> {
        let text = |text: &'a String| (!text.is_empty()).then_some(text.as_str());
        let host = Self {
            os: text(&info.os),
            kernel: text(&info.kernel),
            arch: text(&info.arch),
            cpu_model: text(&info.cpu_model),
            cores: (info.cores != 0).then_some(info.cores),
            memory_bytes: (info.memory_bytes != 0).then_some(info.memory_bytes),
            agent_version: text(&info.agent_version),
            boot_time: (info.boot_time_ms != 0).then_some(info.boot_time_ms),
        };
        let is_known = host.os.is_some() || host.cores.is_some() || host.agent_version.is_some();
        is_known.then_some(host)
    }
}

impl<'a> ProcessesShape<'a> {
    fn of(processes: &'a Processes) -> Self {
        Self { time: processes.time.millis(), by_cpu: &processes.by_cpu, by_memory: &processes.by_memory }
    }
}
