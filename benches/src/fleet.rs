//! Fleet: machines of 60 series with names of the catalogue, and frames of them at any time, cheap enough to feed a hub at full speed.
//!
//! Unlike `workload` it keeps nothing: a million series are a few bytes until their frame is asked for.

use std::sync::Arc;

use model::{
    Batch, InvalidName, Labels, Layout, MachineId, Positions, Record, Rule, RuleSet, SeriesKey, SessionId, SharedKeys,
    Times, Timestamp,
};

/// Metric, series of it per machine, label, scale of its values.
const KINDS: [(&str, u32, &str, f64); 13] = [
    ("system.cpu.utilization", 1, "", 1.0),
    ("system.cpu.core.utilization", 16, "cpu", 1.0),
    ("system.memory.utilization", 1, "", 1.0),
    ("system.memory.used", 1, "", 64e9),
    ("system.memory.available", 1, "", 64e9),
    ("system.memory.cached", 1, "", 64e9),
    ("system.filesystem.utilization", 8, "mountpoint", 1.0),
    ("system.filesystem.usage", 8, "mountpoint", 2e12),
    ("system.network.receive.bytes_rate", 10, "device", 1e8),
    ("system.network.transmit.bytes_rate", 10, "device", 1e8),
    ("system.cpu.load_average.1m", 1, "", 32.0),
    ("system.cpu.load_average.5m", 1, "", 32.0),
    ("system.cpu.load_average.15m", 1, "", 32.0),
];

/// Series of one machine.
pub const WIDTH: usize = 60;

/// The series of each machine, in the order of its frames.
///
/// # Errors
/// Never, as long as the names above are well-formed.
pub fn series() -> Result<Vec<SeriesKey>, InvalidName> {
    let mut series = Vec::with_capacity(WIDTH);
    for (metric, count, label, _) in KINDS {
        for number in 0..count {
            let number = number.to_string();
            let labels = if label.is_empty() { Labels::none() } else { Labels::parse([(label, number.as_str())])? };
            series.push(SeriesKey::parse(metric, labels)?);
        }
    }
    Ok(series)
}

#[must_use]
pub fn machine_name(machine: u32) -> String {
    format!("node-{machine:06}")
}

/// # Errors
/// As `series`.
pub fn layout(machine: u32) -> Result<Arc<Layout>, InvalidName> {
    layout_with(machine, &mut SharedKeys::default())
}

/// Of many machines, which share the text of their keys as the hub's do.
///
/// # Errors
/// As `series`.
pub fn layouts(machines: u32) -> Result<Vec<Arc<Layout>>, InvalidName> {
    let mut keys = SharedKeys::default();
    (0..machines).map(|machine| layout_with(machine, &mut keys)).collect()
}

fn layout_with(machine: u32, keys: &mut SharedKeys) -> Result<Arc<Layout>, InvalidName> {
    let series = series()?.into_iter().map(|key| keys.share(key)).collect();
    Ok(Arc::new(Layout::new(MachineId::parse(&machine_name(machine))?, series)))
}

/// Values of a frame: spread over 0.05 to 0.85 of each metric's scale, other ones for each machine and number.
#[must_use]
pub fn values(machine: u32, number: u64) -> Vec<f64> {
    let mut state = (u64::from(machine) << 32 | number & 0xffff_ffff).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        // xorshift: enough to keep values apart, cheap enough to be no part of what is measured.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f64::from(u32::try_from(state >> 33).unwrap_or(0)) / f64::from(1_u32 << 31)
    };
    let scales = KINDS.iter().flat_map(|(_, count, _, scale)| std::iter::repeat_n(*scale, *count as usize));
    scales.map(|scale| (0.05 + 0.8 * next()) * scale).collect()
}

/// A whole frame of a machine. `number` is its sequence.
#[must_use]
pub fn frame(layout: &Arc<Layout>, machine: u32, number: u64, at: Timestamp) -> Record {
    Record::Batch(Arc::new(Batch {
        layout: Arc::clone(layout),
        session: SessionId(1),
        sequence: number,
        arrival: at,
        age_ms: 0,
        positions: Positions::All,
        times: Times::One(at),
        values: values(machine, number).into(),
    }))
}

/// Which series the rules are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    None,
    /// Three rules with a few series of each machine: CPU, memory, disks.
    Usual,
    /// Three rules on every series of each machine.
    Every,
}

/// Rules whose thresholds are never crossed: what they cost is memory and looking.
#[must_use]
pub fn rules(which: Rules) -> Record {
    let metrics: Vec<(String, &str)> = match which {
        Rules::None => Vec::new(),
        Rules::Usual => vec![
            ("cpu".into(), "system.cpu.utilization"),
            ("memory".into(), "system.memory.utilization"),
            ("disk".into(), "system.filesystem.utilization"),
        ],
        Rules::Every => {
            let all = (1..=3).flat_map(|number| KINDS.iter().map(move |(metric, ..)| (number, metric)));
            all.map(|(number, metric)| (format!("{metric} {number}").replace([' ', '.', '_'], "-"), *metric)).collect()
        }
    };
    let rules = metrics.into_iter().filter_map(|(name, metric)| {
        let text = serde_json::json!({
            "name": name, "metric": metric, "operator": "gt", "threshold": 1e18, "severity": "warning",
        });
        serde_json::from_value::<Rule>(text).ok()
    });
    Record::Rules(Arc::new(RuleSet::new(1, rules.collect()).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_fills_its_layout_and_no_two_are_alike() {
        let layout = layout(7).unwrap();
        assert_eq!((layout.series.len(), values(7, 1).len()), (WIDTH, WIDTH));
        assert_ne!(values(7, 1), values(7, 2));
        assert_ne!(values(7, 1), values(8, 1));
        assert!(values(7, 1)[0] < 1.0);
    }

    #[test]
    fn every_rule_is_made() {
        let count = |which| match rules(which) {
            Record::Rules(set) => set.rules.len(),
            _ => 0,
        };
        assert_eq!([Rules::None, Rules::Usual, Rules::Every].map(count), [0, 3, 39]);
    }
}
