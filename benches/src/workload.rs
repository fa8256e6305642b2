//! The workload `sysmon-1`: a file of records in arrival order, read and grouped into the batches that ingest would hand on.
//!
//! File, little-endian: 32-byte header (magic, machines, series per machine, minutes, interval in ms, records), then 16-byte records:
//! series, event time in ms since the base, value.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use model::{
    Batch, Labels, Layout, MachineId, Positions, Record, Rule, RuleSet, SeriesKey, SessionId, Severity, Stamped, Times,
    Timestamp,
};

/// Event times count from here, a full hour.
pub const BASE_MS: i64 = 1_699_999_200_000;
pub const SERIES_PER_MACHINE: u32 = 60;
const MAGIC: &[u8; 8] = b"SYSMON1\0";
const MACHINES_MAX: u32 = 1_000_000;

/// Metric types in slot order: name, series of it per machine, label, threshold.
const KINDS: [(&str, u32, &str, Option<f64>); 10] = [
    ("CPU_PERCENT", 1, "", Some(80.0)),
    ("CPU_PERCENT_PER_CORE", 16, "core", None),
    ("MEMORY_PERCENT", 1, "", Some(90.0)),
    ("MEMORY_USED_GB", 2, "kind", None),
    ("MEMORY_AVAILABLE_GB", 1, "", None),
    ("DISK_PERCENT", 8, "mount", Some(90.0)),
    ("DISK_USED_GB", 8, "mount", None),
    ("NETWORK_SENT_MBPS", 10, "iface", None),
    ("NETWORK_RECV_MBPS", 10, "iface", None),
    ("LOAD_AVG", 3, "window", None),
];

#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    #[error("read {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("{path} is not a sysmon-1 file: {what}; make one with the workload generator")]
    Format { path: String, what: &'static str },
    #[error("build the workload's names: {0}")]
    Name(#[from] model::InvalidName),
}

/// A workload in memory, ready to be pushed.
pub struct Workload {
    /// In arrival order, with rising logical times; the rules come first.
    pub records: Vec<Stamped>,
    pub samples: u64,
    pub machines: u32,
}

/// Reads a file and groups neighbouring samples of one machine and time into batches.
///
/// # Errors
/// When the file cannot be read or is not of this format.
pub fn load(path: &Path) -> Result<Workload, WorkloadError> {
    let name = || path.display().to_string();
    let failed = |source| WorkloadError::Read { path: name(), source };
    let malformed = |what| WorkloadError::Format { path: name(), what };
    let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed)?);
    let mut header = [0_u8; 32];
    file.read_exact(&mut header).map_err(failed)?;
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let machines = number(8);
    if header[..8] != *MAGIC || number(12) != SERIES_PER_MACHINE || machines > MACHINES_MAX {
        return Err(malformed("its header does not fit"));
    }
    let layouts = layouts(machines)?;
    let mut grouping = Grouping::new(layouts);
    let mut chunk = [0_u8; 16];
    loop {
        match file.read_exact(&mut chunk) {
            Ok(()) => {}
            Err(end) if end.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(source) => return Err(failed(source)),
        }
        let [s0, s1, s2, s3, t0, t1, t2, t3, value @ ..] = chunk;
        let (series, ms) = (u32::from_le_bytes([s0, s1, s2, s3]), u32::from_le_bytes([t0, t1, t2, t3]));
        if series / SERIES_PER_MACHINE >= machines {
            return Err(malformed("a series lies beyond its machines"));
        }
        grouping.add(series, ms, f64::from_le_bytes(value));
    }
    grouping.flush();
    Ok(Workload { records: grouping.records, samples: grouping.samples, machines })
}

/// Makes a workload of the same shape in memory: a random walk per series, 1 % of the samples late, 0.1 % twice. The same seed gives the same samples.
///
/// # Errors
/// Never, as long as the names are well-formed.
pub fn generate(machines: u32, minutes: u32, seed: u64) -> Result<Workload, WorkloadError> {
    const TICK_MS: u32 = 5_000;
    let layouts = layouts(machines)?;
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut phases: Vec<(u32, u32)> = (0..machines).map(|machine| (rng.u32(0..TICK_MS), machine)).collect();
    phases.sort_unstable();
    let mut levels = vec![50.0_f64; (machines * SERIES_PER_MACHINE) as usize];
    let mut late: BinaryHeap<Reverse<(u32, u32, u32, u64)>> = BinaryHeap::new();
    let mut grouping = Grouping::new(layouts);
    for tick in 0..minutes * 60_000 / TICK_MS {
        for (phase, machine) in &phases {
            let ms = tick * TICK_MS + phase;
            while let Some(Reverse((_, series, at, bits))) =
                late.peek().copied().filter(|Reverse((due, ..))| *due <= ms)
            {
                late.pop();
                grouping.add(series, at, f64::from_bits(bits));
            }
            for slot in 0..SERIES_PER_MACHINE {
                let series = machine * SERIES_PER_MACHINE + slot;
                let level = &mut levels[series as usize];
                *level = (*level + (rng.f64() - 0.5) * 8.0).clamp(0.0, 100.0);
                // Multiples of 1/64: sums are exact in any order.
                let value = (*level * 64.0).floor() / 64.0;
                let chance = rng.u32(0..1_000);
                if chance == 0 || chance >= 990 {
                    late.push(Reverse((ms + rng.u32(1..30_000), series, ms, value.to_bits())));
                }
                if chance < 990 {
                    grouping.add(series, ms, value);
                }
            }
        }
    }
    grouping.flush();
    Ok(Workload { records: grouping.records, samples: grouping.samples, machines })
}

/// Alert threshold of a slot.
pub(crate) fn threshold(slot: u32) -> Option<f64> {
    let mut first = 0;
    KINDS.iter().find_map(|(_, count, _, threshold)| {
        first += count;
        (slot < first).then_some(*threshold)
    })?
}

/// Of machines `m0`, `m1` and so on.
pub(crate) fn layouts(machines: u32) -> Result<Vec<Arc<Layout>>, WorkloadError> {
    (0..machines).map(layout).collect()
}

fn layout(machine: u32) -> Result<Arc<Layout>, WorkloadError> {
    let mut series = Vec::new();
    for (metric, count, label, _) in KINDS {
        for number in 0..count {
            let number = number.to_string();
            let labels = if label.is_empty() { Labels::none() } else { Labels::parse([(label, number.as_str())])? };
            series.push(SeriesKey::parse(metric, labels)?);
        }
    }
    Ok(Arc::new(Layout::new(MachineId::parse(&format!("m{machine}"))?, series)))
}

/// The workload's thresholds as rules.
pub(crate) fn rules() -> RuleSet {
    let rules = KINDS.iter().filter_map(|(metric, _, _, threshold)| {
        let text = serde_json::json!({
            "name": metric.to_lowercase().replace('_', "-"), "metric": metric, "operator": "gt",
            "threshold": (*threshold)?, "severity": Severity::Warning,
        });
        serde_json::from_value::<Rule>(text).ok()
    });
    RuleSet::new(1, rules.collect()).unwrap_or_default()
}

/// Samples of one machine and time that came one after the other.
struct Grouping {
    layouts: Vec<Arc<Layout>>,
    records: Vec<Stamped>,
    samples: u64,
    machine: u32,
    ms: u32,
    positions: Vec<u16>,
    values: Vec<f64>,
    /// Greatest event time so far: the logical time.
    newest_ms: u32,
}

impl Grouping {
    fn new(layouts: Vec<Arc<Layout>>) -> Self {
        let first = Stamped { t: micros(0), record: Record::Rules(Arc::new(rules())) };
        Self {
            layouts,
            records: vec![first],
            samples: 0,
            machine: 0,
            ms: 0,
            positions: Vec::new(),
            values: Vec::new(),
            newest_ms: 0,
        }
    }

    fn add(&mut self, series: u32, ms: u32, value: f64) {
        let machine = series / SERIES_PER_MACHINE;
        if (machine, ms) != (self.machine, self.ms) {
            self.flush();
            (self.machine, self.ms) = (machine, ms);
        }
        // Below SERIES_PER_MACHINE.
        self.positions.push(u16::try_from(series % SERIES_PER_MACHINE).unwrap_or(u16::MAX));
        self.values.push(value);
    }

    fn flush(&mut self) {
        if self.values.is_empty() {
            return;
        }
        self.samples += self.values.len() as u64;
        self.newest_ms = self.newest_ms.max(self.ms);
        let is_all = self.positions.len() == SERIES_PER_MACHINE as usize
            && self.positions.iter().zip(0..).all(|(position, index)| *position == index);
        let positions = std::mem::take(&mut self.positions);
        let t = micros(self.newest_ms);
        let batch = Batch {
            layout: Arc::clone(&self.layouts[self.machine as usize]),
            session: SessionId(1),
            sequence: self.records.len() as u64,
            arrival: Timestamp::from_logical(t),
            age_ms: 0,
            positions: if is_all { Positions::All } else { Positions::List(positions.into()) },
            times: Times::One(Timestamp::from_logical(micros(self.ms))),
            values: std::mem::take(&mut self.values).into(),
        };
        self.records.push(Stamped { t, record: Record::Batch(Arc::new(batch)) });
    }
}

/// Logical time of a workload time.
fn micros(ms: u32) -> u64 {
    (BASE_MS.unsigned_abs() + u64::from(ms)) * 1_000
}
