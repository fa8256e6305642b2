//! Readings: what the sources of one tick found. A series without a value this time is named all the same, so that it has its
//! place in the layout from the first tick on.

use model::{Labels, SeriesKey};
use proto::pb;

/// More series than a layout takes; a source that produces more is cut off with a count.
const READINGS_MAX: usize = model::batch::LAYOUT_SERIES_MAX;

#[derive(Debug, Default)]
pub struct Readings {
    samples: Vec<(SeriesKey, Option<f64>)>,
    /// Series left out: a name that the wire does not allow (a mount point with control characters), or one too many.
    refused: u64,
    /// Only from the source of processes, and not on each tick.
    pub processes: Option<pb::ProcessTable>,
}

impl Readings {
    /// Notes a series' value; `None`, NaN and infinities are absent values.
    pub fn put(&mut self, metric: &'static str, labels: &[(&str, &str)], value: impl Into<Option<f64>>) {
        let key = Labels::parse(labels.iter().copied()).and_then(|labels| SeriesKey::parse(metric, labels));
        match key {
            Ok(key) if self.samples.len() < READINGS_MAX => {
                self.samples.push((key, value.into().filter(|value| value.is_finite())));
            }
            Ok(_) | Err(_) => self.refused += 1,
        }
    }

    /// Notes a value of a metric that has one series.
    pub fn plain(&mut self, metric: &'static str, value: impl Into<Option<f64>>) {
        self.put(metric, &[], value);
    }

    /// Adds another source's readings.
    pub fn append(&mut self, mut other: Self) {
        let room = READINGS_MAX.saturating_sub(self.samples.len());
        let over = other.samples.len().saturating_sub(room);
        other.samples.truncate(room);
        self.samples.append(&mut other.samples);
        self.refused += other.refused + over as u64;
        self.processes = other.processes.or(self.processes.take());
    }

    pub fn samples(&self) -> &[(SeriesKey, Option<f64>)] {
        &self.samples
    }

    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// One line per series, sorted: `--once`, and the tests of the sources.
    pub fn to_text(&self) -> String {
        let line = |(key, value): &(SeriesKey, Option<f64>)| match value {
            Some(value) => format!("{key} {value}\n"),
            None => format!("{key} -\n"),
        };
        let mut lines: Vec<String> = self.samples.iter().map(line).collect();
        lines.sort_unstable();
        lines.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_absent_and_what_has_no_lawful_name_is_counted() {
        let mut readings = Readings::default();
        readings.plain("system.uptime", f64::NAN);
        readings.put("system.disk.busy", &[("device", "sda")], 0.5);
        readings.put("system.disk.busy", &[("device", "bad\nname")], 0.5);
        assert_eq!(readings.to_text(), "system.disk.busy{device=\"sda\"} 0.5\nsystem.uptime -\n");
        assert_eq!(readings.refused(), 1);
    }

    #[test]
    fn one_tick_holds_no_more_series_than_a_layout() {
        let mut all = Readings::default();
        for _ in 0..3 {
            let mut part = Readings::default();
            for n in 0..2_000 {
                part.put("system.disk.busy", &[("device", &n.to_string())], 0.0);
            }
            all.append(part);
        }
        assert_eq!(all.samples().len(), READINGS_MAX);
        assert_eq!(all.refused(), 6_000 - READINGS_MAX as u64);
    }
}
