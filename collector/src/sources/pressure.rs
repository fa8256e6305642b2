//! Pressure stall information: the share of the interval in which some (or all) tasks waited for a resource.
//!
//! From the `total=` counters of /proc/pressure, in microseconds: the kernel's own averages span fixed times of theirs.
//! Kernels without it, or with it switched off, give no series.

use std::collections::BTreeMap;

use super::root::Root;
use super::{Source, SourceError};
use crate::rate::{Last, share};
use crate::readings::Readings;

/// (file, line, metric). What stalls all tasks on a cpu is defined only within a control group, so there is no cpu.full.
const LINES: [(&str, &str, &str); 5] = [
    ("proc/pressure/cpu", "some", "system.pressure.cpu.some"),
    ("proc/pressure/memory", "some", "system.pressure.memory.some"),
    ("proc/pressure/memory", "full", "system.pressure.memory.full"),
    ("proc/pressure/io", "some", "system.pressure.io.some"),
    ("proc/pressure/io", "full", "system.pressure.io.full"),
];

pub(super) struct Pressure {
    root: Root,
    last: Last<BTreeMap<&'static str, u64>>,
}

impl Pressure {
    pub(super) fn new(root: Root) -> Self {
        Self { root, last: Last::default() }
    }
}

impl Source for Pressure {
    fn name(&self) -> &'static str {
        "pressure"
    }

    fn read(&mut self, at_us: u64, out: &mut Readings) -> Result<(), SourceError> {
        let mut now = BTreeMap::new();
        for (file, line, metric) in LINES {
            if let Some(stalled_us) = self.root.read_optional(file).and_then(|text| stalled_us(&text, line)) {
                now.insert(metric, stalled_us);
            }
        }
        let earlier = self.last.replace(at_us, now.clone());
        for (metric, stalled_us) in now {
            let value = earlier.as_ref().and_then(|earlier| {
                let waited_us = stalled_us.checked_sub(*earlier.reading.get(metric)?)?;
                share(waited_us, earlier.elapsed_us)
            });
            out.plain(metric, value);
        }
        Ok(())
    }
}

fn stalled_us(text: &str, line: &str) -> Option<u64> {
    let words = text.lines().find_map(|candidate| candidate.strip_prefix(line)?.strip_prefix(' '))?;
    words.split(' ').find_map(|word| word.strip_prefix("total="))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::testing::{Machine, read};

    #[test]
    fn pressure_is_the_stalled_share_of_the_interval() {
        let file =
            |some: u64| format!("some avg10=9.00 avg60=9.00 avg300=9.00 total={some}\nfull avg10=0.00 total=7\n");
        let machine = Machine::with(&[("proc/pressure/io", &file(1_000_000))]);
        let mut source = Pressure::new(machine.root());
        assert_eq!(read(&mut source, 0), "system.pressure.io.full -\nsystem.pressure.io.some -\n");
        machine.write("proc/pressure/io", &file(2_000_000));
        assert_eq!(read(&mut source, 5_000_000), "system.pressure.io.full 0\nsystem.pressure.io.some 0.2\n");
        machine.write("proc/pressure/io", &file(0));
        assert_eq!(read(&mut source, 10_000_000), "system.pressure.io.full 0\nsystem.pressure.io.some -\n");
    }

    #[test]
    fn odd_text_has_no_total() {
        for text in ["", "some", "some avg10=1", "some total=", "some total=-1", "sometotal=5", "full total=5"] {
            assert_eq!(stalled_us(text, "some"), None, "{text:?}");
        }
    }
}
