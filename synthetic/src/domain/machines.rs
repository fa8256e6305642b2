//! Machines: hosts with series of the catalogue. Values are multiples of 1/1024 or whole, so that sums are exact in any order.

use std::collections::BTreeMap;

use model::{InvalidName, Labels, SeriesKey};

use super::{Domain, Face, Moment, Values};
use crate::plan::NUMBERS_PER_TICK;
use crate::schedule::mix;
use crate::story::Story;

/// Tells the number of its frame.
pub const SEQUENCE: &str = "synthetic.sequence";
/// 1 while it breaches, 0 otherwise.
pub const LEVEL: &str = "synthetic.level";

/// A machine breaches for one in so many spans of so many ticks.
const BREACH_TICKS: u64 = 3;
const BREACH_EVERY: u64 = 5;

/// Metric, series of it per machine, label, what a 1024th of its range is.
const KINDS: [(&str, u32, &str, f64); 13] = [
    ("system.cpu.utilization", 1, "", STEP),
    ("system.memory.utilization", 1, "", STEP),
    ("system.cpu.load_average.1m", 1, "", 1.0 / 64.0),
    ("system.memory.used", 1, "", 67_108_864.0),
    ("system.memory.available", 1, "", 67_108_864.0),
    ("system.filesystem.utilization", 8, "mountpoint", STEP),
    ("system.filesystem.usage", 8, "mountpoint", 1_073_741_824.0),
    ("system.network.receive.bytes_rate", 10, "device", 131_072.0),
    ("system.network.transmit.bytes_rate", 10, "device", 131_072.0),
    ("system.cpu.load_average.5m", 1, "", 1.0 / 64.0),
    ("system.cpu.load_average.15m", 1, "", 1.0 / 64.0),
    ("system.cpu.core.utilization", 16, "cpu", STEP),
    ("system.uptime", 1, "", 1.0),
];
const STEP: f64 = 1.0 / 1_024.0;
const MOUNTS: [&str; 8] = ["/", "/var", "/home", "/srv", "/opt", "/data", "/backup", "/boot"];
const ROLES: [&str; 4] = ["web", "db", "cache", "batch"];

/// What a host would call its `number`th of these.
fn label_value(label: &str, number: u32) -> String {
    match label {
        "mountpoint" => MOUNTS.get(number as usize).map_or_else(|| format!("/mnt/{number}"), |&mount| mount.to_owned()),
        "device" => format!("eth{number}"),
        _ => number.to_string(),
    }
}

/// A fleet of hosts.
#[derive(Debug, Clone)]
pub struct Machines {
    seed: u64,
    prefix: String,
    series: Vec<SeriesKey>,
    steps: Vec<f64>,
    story: Option<Story>,
}

impl Machines {
    /// Hosts of `series` series each, at least the two that synthetic ones have; names begin with `prefix`.
    ///
    /// # Errors
    /// Never, as long as the names above are well-formed.
    pub fn new(prefix: &str, series: usize, seed: u64) -> Result<Self, InvalidName> {
        let mut keys = vec![SeriesKey::parse(SEQUENCE, Labels::none())?, SeriesKey::parse(LEVEL, Labels::none())?];
        let mut steps = vec![1.0, 1.0];
        let kinds =
            KINDS.iter().flat_map(|(metric, count, label, step)| (0..*count).map(move |n| (*metric, n, *label, *step)));
        let further = (0..).map(|n| ("synthetic.value", n, "number", STEP));
        for (metric, number, label, step) in kinds.chain(further).take(series.saturating_sub(2)) {
            let value = label_value(label, number);
            let labels = if label.is_empty() { Labels::none() } else { Labels::parse([(label, value.as_str())])? };
            keys.push(SeriesKey::parse(metric, labels)?);
            steps.push(step);
        }
        Ok(Self { seed, prefix: prefix.to_owned(), series: keys, steps, story: None })
    }

    /// Hosts of the story: with names by what they do, and calm values but for what the story says.
    #[must_use]
    pub fn telling(self, story: Story) -> Self {
        Self { story: Some(story), ..self }
    }

    /// Slow waves, so that a chart is worth looking at; another one for each machine and series.
    fn fill_story(&self, story: Story, machine: u32, at: Moment, values: &mut Vec<f64>) {
        let seconds = at.time_us as f64 / 1e6;
        let mut disk = story.disk_of_machine(machine, at.time_us);
        for (position, step) in self.steps.iter().enumerate().skip(2) {
            let own = mix(u64::from(machine) << 32 | position as u64);
            let (level, phase) = (150.0 + (own % 400) as f64, (own >> 32) as f64);
            let wave = (seconds / 40.0 + phase).sin() * 60.0 + (seconds / 7.0 + phase).sin() * 15.0;
            let is_disk = self.series[position].metric.as_ref() == "system.filesystem.utilization";
            let told = if is_disk { disk.take() } else { None };
            values.push(told.unwrap_or((level + wave).round() * step));
        }
    }
}

impl Domain for Machines {
    fn face(&self, machine: u32) -> Result<Face, InvalidName> {
        let role = ROLES[machine as usize % ROLES.len()];
        let name = match self.story {
            Some(_) => format!("{}{role}-{:02}", self.prefix, machine as usize / ROLES.len() + 1),
            None => format!("{}{machine:04}", self.prefix),
        };
        let tags =
            BTreeMap::from([("role".to_owned(), role.to_owned()), ("origin".to_owned(), "synthetic".to_owned())]);
        Ok(Face { name, tags, series: self.series.clone() })
    }

    fn fill(&self, machine: u32, number: u64, at: Moment, out: &mut Values) {
        out.clear();
        out.time_ms = at.wall_ms;
        let span = number / NUMBERS_PER_TICK / BREACH_TICKS + u64::from(machine);
        let is_breach = span % BREACH_EVERY == BREACH_EVERY - 1;
        out.values.push(number as f64);
        out.values.push(if is_breach { 1.0 } else { 0.0 });
        if let Some(story) = self.story {
            return self.fill_story(story, machine, at, &mut out.values);
        }
        let mut state = mix(self.seed ^ mix(u64::from(machine) << 40 ^ number)) | 1;
        out.values.extend(self.steps[2..].iter().map(|step| {
            // xorshift: two numbers of ten bits a sample must cost next to nothing.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (51 + (state >> 40) % 820) as f64 * step
        }));
    }

    fn samples_per_frame(&self) -> usize {
        self.series.len()
    }

    fn number_at(&self) -> Option<usize> {
        Some(0)
    }

    fn breach_at(&self) -> Option<usize> {
        Some(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Moment = Moment { wall_ms: 1_763_742_612_345, time_us: 0 };

    #[test]
    fn a_machine_has_as_many_series_as_asked_for_and_no_name_twice() {
        for count in [0, 2, 3, 60, 200] {
            let machines = Machines::new("synthetic-load-", count, 1).unwrap();
            let face = machines.face(7).unwrap();
            let mut keys = face.series.clone();
            keys.sort();
            keys.dedup();
            let mut values = Values::default();
            machines.fill(7, 3, AT, &mut values);
            assert_eq!((keys.len(), values.values.len()), (count.max(2), count.max(2)), "{count}");
        }
    }

    #[test]
    fn values_are_within_the_catalogue_and_add_up_exactly() {
        let machines = Machines::new("x-", 60, 9).unwrap();
        let face = machines.face(0).unwrap();
        let (mut forward, mut backward) = (vec![0.0; 60], vec![0.0; 60]);
        let mut values = Values::default();
        for number in 0..2_000 {
            machines.fill(0, number, AT, &mut values);
            for (position, value) in values.each() {
                let metric = model::Catalogue::standard().find(&face.series[position].metric);
                assert!(metric.is_none_or(|metric| (metric.min..=metric.max).contains(&value)), "{position}: {value}");
                forward[position] += value;
            }
        }
        for number in (0..2_000).rev() {
            machines.fill(0, number, AT, &mut values);
            values.each().for_each(|(position, value)| backward[position] += value);
        }
        assert!(forward.iter().zip(&backward).all(|(f, b)| f.to_bits() == b.to_bits()));
    }

    #[test]
    fn every_machine_breaches_and_calms_down_again() {
        let machines = Machines::new("x-", 2, 9).unwrap();
        let mut values = Values::default();
        for machine in 0..10 {
            let mut levels = (0..30).map(|tick| {
                machines.fill(machine, tick * NUMBERS_PER_TICK, AT, &mut values);
                values.values[1] > 0.5
            });
            let first = levels.next().unwrap();
            assert!(levels.any(|level| level != first));
        }
    }

    #[test]
    fn the_story_fills_one_disk_and_leaves_the_others_alone() {
        let machines = Machines::new("shop-", 24, 1).unwrap().telling(Story::demo());
        assert_eq!(machines.face(1).unwrap().name, "shop-db-01");
        let disk = |machine: u32, second: u64| {
            let mut values = Values::default();
            machines.fill(machine, 0, Moment { time_us: second * 1_000_000, ..AT }, &mut values);
            let series = machines.face(machine).unwrap().series;
            let disks = values.each().filter(|(at, _)| series[*at].metric.as_ref() == "system.filesystem.utilization");
            disks.map(|(_, value)| value).fold(0.0, f64::max)
        };
        assert!(disk(1, 10) < 0.85 && disk(1, 110) > 0.9 && disk(1, 270) < 0.85);
        assert!((0..300).step_by(10).all(|second| disk(2, second) < 0.85));
    }
}
