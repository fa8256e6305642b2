//! CPU: use of the whole machine, by mode and by core, from the tick counters of /proc/stat.

use std::collections::BTreeMap;

use super::root::Root;
use super::{Source, SourceError};
use crate::rate::{Last, share};
use crate::readings::Readings;

/// In the order of the kernel's columns. The two after them (guest, guest_nice) are parts of user and nice.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const IDLE: usize = 3;
const IOWAIT: usize = 4;

pub(super) struct Cpu {
    root: Root,
    last: Last<Times>,
}

type Ticks = [u64; MODES.len()];

#[derive(Debug, Default, PartialEq)]
struct Times {
    all: Ticks,
    cores: BTreeMap<u32, Ticks>,
}

impl Cpu {
    pub(super) fn new(root: Root) -> Self {
        Self { root, last: Last::default() }
    }
}

impl Source for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn read(&mut self, at_us: u64, out: &mut Readings) -> Result<(), SourceError> {
        let now = parse(&self.root.read("proc/stat")?)
            .ok_or(SourceError::Format { file: "/proc/stat", what: "line for all cpus" })?;
        let ids: Vec<u32> = now.cores.keys().copied().collect();
        let before = self.last.replace(at_us, now).map(|earlier| earlier.reading);
        let (Some(before), Some(now)) = (before, self.last.get()) else {
            put(out, &[None; MODES.len()], None);
            ids.iter().for_each(|id| put_core(out, *id, None));
            return Ok(());
        };
        put(out, &shares(&before.all, &now.all), busy(&before.all, &now.all));
        for (id, ticks) in &now.cores {
            put_core(out, *id, before.cores.get(id).and_then(|earlier| busy(earlier, ticks)));
        }
        Ok(())
    }
}

fn put(out: &mut Readings, modes: &[Option<f64>; MODES.len()], busy: Option<f64>) {
    out.plain("system.cpu.utilization", busy);
    for (mode, value) in MODES.iter().zip(modes) {
        out.put("system.cpu.mode.utilization", &[("cpu.mode", mode)], *value);
    }
}

fn put_core(out: &mut Readings, id: u32, busy: Option<f64>) {
    out.put("system.cpu.core.utilization", &[("cpu", &id.to_string())], busy);
}

/// Ticks spent in each mode in between. The kernel says that iowait may go back: that is no tick spent, not a reset.
fn spent(before: &Ticks, now: &Ticks) -> Option<Ticks> {
    let mut spent = [0; MODES.len()];
    for (mode, ticks) in spent.iter_mut().enumerate() {
        *ticks = match now[mode].checked_sub(before[mode]) {
            Some(grown) => grown,
            None if mode == IOWAIT => 0,
            None => return None,
        };
    }
    Some(spent)
}

fn shares(before: &Ticks, now: &Ticks) -> [Option<f64>; MODES.len()] {
    let Some(spent) = spent(before, now) else {
        return [None; MODES.len()];
    };
    spent.map(|ticks| share(ticks, total(&spent)))
}

fn busy(before: &Ticks, now: &Ticks) -> Option<f64> {
    let spent = spent(before, now)?;
    let total = total(&spent);
    share(total.saturating_sub(spent[IDLE].saturating_add(spent[IOWAIT])), total)
}

fn total(ticks: &Ticks) -> u64 {
    ticks.iter().fold(0, |sum, ticks| sum.saturating_add(*ticks))
}

/// `None` without the line for all cpus. Lines that are not as expected are passed over.
fn parse(stat: &str) -> Option<Times> {
    let mut all = None;
    let mut cores = BTreeMap::new();
    // The counters of all interrupts follow the cpus in one very long line; nothing after it is ours.
    for line in stat.lines().take_while(|line| !line.starts_with("intr")) {
        let mut words = line.split_ascii_whitespace();
        let Some(id) = words.next().and_then(|word| word.strip_prefix("cpu")) else {
            continue;
        };
        let Some(ticks) = parse_ticks(words) else { continue };
        if id.is_empty() {
            all = Some(ticks);
        } else if let Ok(id) = id.parse() {
            cores.insert(id, ticks);
        }
    }
    all.map(|all| Times { all, cores })
}

/// Old kernels have fewer columns; the four of the first kernels must be there.
fn parse_ticks<'a>(words: impl Iterator<Item = &'a str>) -> Option<Ticks> {
    let mut ticks = [0; MODES.len()];
    let mut columns = 0;
    for (slot, word) in ticks.iter_mut().zip(words) {
        *slot = word.parse().ok()?;
        columns += 1;
    }
    (IDLE < columns).then_some(ticks)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::sources::testing::{Machine, read};

    const STAT: &str =
        "cpu  100 10 50 800 20 5 5 10 0 0\ncpu0 60 5 30 380 10 5 5 5 0 0\ncpu1 40 5 20 420 10 0 0 5 0 0\nintr 9\n";

    #[test]
    fn use_is_the_share_of_ticks_that_were_not_idle() {
        let machine = Machine::with(&[("proc/stat", STAT)]);
        let mut source = Cpu::new(machine.root());
        assert!(read(&mut source, 0).lines().all(|line| line.ends_with(" -")));
        machine.write(
            "proc/stat",
            "cpu  150 10 75 900 40 5 5 15 0 0\ncpu0 110 5 55 380 30 5 5 10 0 0\ncpu1 40 5 20 520 5 0 0 5 0 0\n",
        );
        expect![[r#"
            system.cpu.core.utilization{cpu="0"} 0.8
            system.cpu.core.utilization{cpu="1"} 0
            system.cpu.mode.utilization{cpu.mode="idle"} 0.5
            system.cpu.mode.utilization{cpu.mode="iowait"} 0.1
            system.cpu.mode.utilization{cpu.mode="irq"} 0
            system.cpu.mode.utilization{cpu.mode="nice"} 0
            system.cpu.mode.utilization{cpu.mode="softirq"} 0
            system.cpu.mode.utilization{cpu.mode="steal"} 0.025
            system.cpu.mode.utilization{cpu.mode="system"} 0.125
            system.cpu.mode.utilization{cpu.mode="user"} 0.25
            system.cpu.utilization 0.4
        "#]]
        .assert_eq(&read(&mut source, 5_000_000));
    }

    #[test]
    fn counters_that_went_back_and_a_core_that_came_have_no_value() {
        let machine = Machine::with(&[("proc/stat", STAT)]);
        let mut source = Cpu::new(machine.root());
        read(&mut source, 0);
        machine.write("proc/stat", "cpu  1 1 1 1 1 1 1 1\ncpu7 1 1 1 1 1 1 1 1\n");
        assert!(read(&mut source, 5_000_000).lines().all(|line| line.ends_with(" -")));
    }

    #[test]
    fn odd_text_is_passed_over() {
        for text in ["", "cpu", "cpu  1 2 3", "cpu  1 2 x 4 5", "intr 1\ncpu  1 2 3 4", "\u{fffd}"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        let short = parse("cpu  1 2 3 4\ncpu0 9\ncpux 1 2 3 4\ncpu1 1 2 3 99999999999999999999999\n").unwrap();
        assert_eq!(short.all, [1, 2, 3, 4, 0, 0, 0, 0]);
        assert!(short.cores.is_empty());
    }
}
