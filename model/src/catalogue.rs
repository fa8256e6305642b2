//! The catalogue of metrics: name, unit, kind, valid range, how it is shown, and the older names that mean the same.
//!
//! Names follow OpenTelemetry's semantic conventions. Everything inside the hub is in base units (ratio 0..1, bytes, seconds);
//! an alias carries the factor that brings its values there. A metric that is not listed is taken as a gauge of unknown unit.

use crate::series::{Labels, SeriesKey};

/// How values of a metric behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A level at a time. Two values of one series at one time are one sample sent twice.
    Gauge,
    /// Only ever rises, until a restart.
    Counter,
    /// Something that happened (a payment): several may share a time, each counts.
    Event,
}

/// One metric of the catalogue.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Metric {
    pub name: &'static str,
    /// UCUM: `1` is a ratio or a plain number, `By` bytes, `By/s`, `s`, `Cel`.
    pub unit: &'static str,
    pub kind: Kind,
    /// Valid range, both ends included; a value outside is a dead letter.
    pub min: f64,
    pub max: f64,
    /// Label of the dashboard.
    pub display: &'static str,
    /// A person compares machines by it: it is rolled up over the fleet.
    pub is_compared: bool,
}

/// An older name of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Alias {
    pub name: &'static str,
    pub metric: &'static str,
    /// Base-unit value = value of the alias x scale.
    pub scale: f64,
    /// The seeds' enum value on the one-sample-per-message wire.
    pub number: i32,
}

/// What `normalize` needs to know of a series that was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    pub key: SeriesKey,
    pub scale: f64,
    pub min: f64,
    pub max: f64,
    pub is_event: bool,
}

const ANY: f64 = f64::MAX;
const TIB_4096: f64 = 4_503_599_627_370_496.0;

const fn gauge(name: &'static str, unit: &'static str, max: f64, display: &'static str) -> Metric {
    Metric { name, unit, kind: Kind::Gauge, min: 0.0, max, display, is_compared: false }
}

const fn compared(metric: Metric) -> Metric {
    Metric { is_compared: true, ..metric }
}

/// A ratio may exceed 1 by rounding and clock jitter between two reads; the sampler clamps, other senders may not.
const RATIO: f64 = 1.001;

pub const METRICS: &[Metric] = &[
    compared(gauge("system.cpu.utilization", "1", RATIO, "CPU")),
    gauge("system.cpu.mode.utilization", "1", RATIO, "CPU by mode"),
    gauge("system.cpu.core.utilization", "1", RATIO, "CPU by core"),
    compared(gauge("system.cpu.load_average.1m", "1", 1e6, "Load 1 min")),
    gauge("system.cpu.load_average.5m", "1", 1e6, "Load 5 min"),
    gauge("system.cpu.load_average.15m", "1", 1e6, "Load 15 min"),
    gauge("system.memory.limit", "By", TIB_4096, "Memory size"),
    compared(gauge("system.memory.used", "By", TIB_4096, "Memory used")),
    gauge("system.memory.available", "By", TIB_4096, "Memory available"),
    gauge("system.memory.cached", "By", TIB_4096, "Memory cached"),
    gauge("system.memory.buffers", "By", TIB_4096, "Memory buffers"),
    compared(gauge("system.memory.utilization", "1", RATIO, "Memory")),
    gauge("system.paging.limit", "By", TIB_4096, "Swap size"),
    gauge("system.paging.usage", "By", TIB_4096, "Swap used"),
    compared(gauge("system.paging.utilization", "1", RATIO, "Swap")),
    gauge("system.filesystem.limit", "By", ANY, "Disk size"),
    gauge("system.filesystem.usage", "By", ANY, "Disk used"),
    compared(gauge("system.filesystem.utilization", "1", RATIO, "Disk")),
    compared(gauge("system.filesystem.inodes.utilization", "1", RATIO, "Inodes")),
    gauge("system.filesystem.readonly", "1", 1.0, "Read-only"),
    compared(gauge("system.disk.read.bytes_rate", "By/s", ANY, "Disk read")),
    compared(gauge("system.disk.write.bytes_rate", "By/s", ANY, "Disk written")),
    compared(gauge("system.disk.read.operations_rate", "1/s", ANY, "Disk reads")),
    compared(gauge("system.disk.write.operations_rate", "1/s", ANY, "Disk writes")),
    compared(gauge("system.disk.busy", "1", 1.05, "Disk busy")),
    compared(gauge("system.network.receive.bytes_rate", "By/s", ANY, "Network received")),
    compared(gauge("system.network.transmit.bytes_rate", "By/s", ANY, "Network sent")),
    gauge("system.network.receive.packets_rate", "1/s", ANY, "Packets received"),
    gauge("system.network.transmit.packets_rate", "1/s", ANY, "Packets sent"),
    compared(gauge("system.network.receive.errors_rate", "1/s", ANY, "Receive errors")),
    compared(gauge("system.network.transmit.errors_rate", "1/s", ANY, "Transmit errors")),
    compared(gauge("system.network.receive.dropped_rate", "1/s", ANY, "Received and dropped")),
    compared(gauge("system.network.transmit.dropped_rate", "1/s", ANY, "Transmit dropped")),
    compared(gauge("system.network.connection.count", "1", 1e9, "TCP connections")),
    compared(gauge("system.process.count", "1", 1e9, "Processes")),
    gauge("system.file_descriptor.count", "1", 1e12, "Open files"),
    compared(gauge("system.file_descriptor.utilization", "1", RATIO, "Open files, share of the limit")),
    compared(gauge("system.pressure.cpu.some", "1", 1.05, "CPU pressure")),
    compared(gauge("system.pressure.memory.some", "1", 1.05, "Memory pressure")),
    compared(gauge("system.pressure.memory.full", "1", 1.05, "Memory pressure, full")),
    compared(gauge("system.pressure.io.some", "1", 1.05, "I/O pressure")),
    compared(gauge("system.pressure.io.full", "1", 1.05, "I/O pressure, full")),
    Metric {
        name: "system.temperature",
        unit: "Cel",
        kind: Kind::Gauge,
        min: -273.15,
        max: 1000.0,
        display: "Temperature",
        is_compared: true,
    },
    gauge("system.uptime", "s", 1e11, "Uptime"),
    gauge("synthetic.latency.p99", "s", 1e6, "Synthetic latency, p99"),
    gauge("synthetic.lost", "1", 1e9, "Synthetic transactions lost"),
    Metric {
        name: "payment.amount",
        unit: "1",
        kind: Kind::Event,
        min: -1e15,
        max: 1e15,
        display: "Payment",
        is_compared: true,
    },
    Metric {
        name: "payment.latency",
        unit: "s",
        kind: Kind::Event,
        min: 0.0,
        max: 1e6,
        display: "Payment time",
        is_compared: true,
    },
    // 1 where it failed, 0 where it did not: its mean is the failure ratio, which a rule with the input `minute_mean` looks at.
    Metric {
        name: "payment.failed",
        unit: "1",
        kind: Kind::Event,
        min: 0.0,
        max: 1.0,
        display: "Failed payments",
        is_compared: true,
    },
];

const GIB: f64 = 1_073_741_824.0;
/// Megabits a second in bytes a second.
const MBPS: f64 = 125_000.0;

const fn alias(name: &'static str, number: i32, metric: &'static str, scale: f64) -> Alias {
    Alias { name, metric, scale, number }
}

/// The seeds' metric types, in the order of their numbers: 0 to 5 are fixed by them, the rest are ours.
pub const ALIASES: &[Alias] = &[
    alias("CPU_PERCENT", 0, "system.cpu.utilization", 0.01),
    alias("MEMORY_PERCENT", 1, "system.memory.utilization", 0.01),
    alias("MEMORY_USED_GB", 2, "system.memory.used", GIB),
    alias("DISK_PERCENT", 3, "system.filesystem.utilization", 0.01),
    alias("NETWORK_SENT_MBPS", 4, "system.network.transmit.bytes_rate", MBPS),
    alias("NETWORK_RECV_MBPS", 5, "system.network.receive.bytes_rate", MBPS),
    alias("CPU_PERCENT_PER_CORE", 6, "system.cpu.core.utilization", 0.01),
    alias("MEMORY_AVAILABLE_GB", 7, "system.memory.available", GIB),
    alias("DISK_USED_GB", 8, "system.filesystem.usage", GIB),
    alias("DISK_READ_MBPS", 9, "system.disk.read.bytes_rate", MBPS),
    alias("DISK_WRITE_MBPS", 10, "system.disk.write.bytes_rate", MBPS),
    alias("NETWORK_CONNECTIONS", 11, "system.network.connection.count", 1.0),
    alias("PROCESS_COUNT", 12, "system.process.count", 1.0),
    alias("LOAD_AVG_1M", 13, "system.cpu.load_average.1m", 1.0),
    alias("LOAD_AVG_5M", 14, "system.cpu.load_average.5m", 1.0),
    alias("LOAD_AVG_15M", 15, "system.cpu.load_average.15m", 1.0),
];

/// Older label names, only for series that came under an alias.
const LABEL_ALIASES: &[(&str, &str)] = &[
    ("core", "cpu"),
    ("mount", "mountpoint"),
    ("path", "mountpoint"),
    ("iface", "device"),
    ("interface", "device"),
    ("disk", "device"),
];

/// Which names the hub knows. The hub runs on `standard`; the benchmark's `identity` keeps names and values as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Catalogue {
    knows_names: bool,
}

impl Catalogue {
    pub const fn standard() -> Self {
        Self { knows_names: true }
    }

    pub const fn identity() -> Self {
        Self { knows_names: false }
    }

    /// A listed metric by name or by an older name.
    pub fn find(self, name: &str) -> Option<&'static Metric> {
        if !self.knows_names {
            return None;
        }
        let name = ALIASES.iter().find(|a| a.name == name).map_or(name, |a| a.metric);
        METRICS.iter().find(|m| m.name == name)
    }

    /// Where a series that was sent belongs, and the factor to base units.
    pub fn resolve(self, sent: &SeriesKey) -> Resolved {
        let as_sent = |min, max, is_event| Resolved { key: sent.clone(), scale: 1.0, min, max, is_event };
        let Some(metric) = self.find(&sent.metric) else {
            return as_sent(f64::MIN, f64::MAX, false);
        };
        let is_event = metric.kind == Kind::Event;
        let Some(alias) = ALIASES.iter().find(|a| a.name == sent.metric.as_ref()) else {
            return as_sent(metric.min, metric.max, is_event);
        };
        let rename = |name| LABEL_ALIASES.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| *new);
        let renamed = Labels::parse(sent.labels.iter().map(|(name, value)| (rename(name), value)));
        // Two labels may collide after renaming (`mount` and `path`): then the labels stay as they were sent.
        let labels = renamed.unwrap_or_else(|_| sent.labels.clone());
        Resolved {
            key: SeriesKey { metric: metric.name.into(), labels },
            scale: alias.scale,
            min: metric.min,
            max: metric.max,
            is_event,
        }
    }
}

/// Unit of a metric in base units; `1` where it is not listed.
pub fn unit_of(metric: &str) -> &'static str {
    Catalogue::standard().find(metric).map_or("1", |m| m.unit)
}

/// The alias that the seeds used for a metric, with the factor from alias to base units.
pub fn seed_alias(metric: &str) -> Option<&'static Alias> {
    ALIASES.iter().find(|a| a.metric == metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(metric: &str, labels: &[(&str, &str)]) -> SeriesKey {
        SeriesKey::parse(metric, Labels::parse(labels.iter().copied()).unwrap()).unwrap()
    }

    #[test]
    fn an_alias_maps_name_unit_and_labels() {
        let resolved = Catalogue::standard().resolve(&sent("CPU_PERCENT_PER_CORE", &[("core", "3")]));
        assert_eq!(resolved.key, sent("system.cpu.core.utilization", &[("cpu", "3")]));
        assert!((resolved.scale - 0.01).abs() < f64::EPSILON);
    }

    #[test]
    fn the_identity_catalogue_and_unknown_names_keep_what_was_sent() {
        let key = sent("CPU_PERCENT", &[("core", "3")]);
        assert_eq!(Catalogue::identity().resolve(&key).key, key);
        assert!(Catalogue::identity().find("CPU_PERCENT").is_none());
        let own = sent("queue.depth", &[("core", "3")]);
        assert_eq!(Catalogue::standard().resolve(&own).key, own);
    }

    #[test]
    fn every_row_is_listed_once_and_every_alias_leads_to_one() {
        for (index, metric) in METRICS.iter().enumerate() {
            assert!(METRICS[index + 1..].iter().all(|other| other.name != metric.name), "{}", metric.name);
            assert!(metric.min <= metric.max && sent(metric.name, &[]).labels.is_empty());
        }
        for (number, alias) in ALIASES.iter().enumerate() {
            assert_eq!(usize::try_from(alias.number).unwrap(), number, "{}", alias.name);
            assert!(METRICS.iter().any(|m| m.name == alias.metric), "{}", alias.name);
        }
    }
}
