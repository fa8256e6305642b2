//! Processes: how many there are at each tick, and the busiest and largest by name every few ticks, from `/proc/<pid>/stat`.
//!
//! Names only, those of the kernel (15 characters): arguments may hold secrets. Processes of one name are added up.

use std::collections::{BTreeMap, HashMap};

use proto::pb;

use super::root::Root;
use super::{Source, SourceError};
use crate::rate::{Last, exact, round};
use crate::readings::Readings;

/// A table reads one file per process, the dearest thing the collector does, so it comes with each third tick only.
const TABLE_TICKS: u32 = 3;
const TOP: usize = 10;
/// At 10 us each this is a third of a second on a worker of its own; a machine with more shows the lowest ids.
const PROCESSES_MAX: usize = 32_768;

pub(super) struct Processes {
    root: Root,
    ticks: u32,
    tick_us: u64,
    page_bytes: u64,
    last: Last<HashMap<Identity, u64>>,
}

/// A process id comes round again; with the start time it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Identity {
    pid: u32,
    started: u64,
}

#[derive(Debug, PartialEq)]
struct Stat<'a> {
    name: &'a str,
    /// Clock ticks in user and system mode.
    busy: u64,
    started: u64,
    resident_pages: u64,
}

#[derive(Debug, Default)]
struct Sum {
    busy_us: u64,
    memory_bytes: u64,
}

impl Processes {
    pub(super) fn new(root: Root) -> Self {
        Self {
            root,
            ticks: 0,
            tick_us: 1_000_000 / rustix::param::clock_ticks_per_second().max(1),
            page_bytes: rustix::param::page_size() as u64,
            last: Last::default(),
        }
    }

    fn table(&mut self, pids: &[u32], at_us: u64) -> Option<pb::ProcessTable> {
        let (mut now, mut names) = (HashMap::with_capacity(pids.len()), Vec::with_capacity(pids.len()));
        for pid in pids.iter().take(PROCESSES_MAX) {
            // One that has ended since is no error.
            let Some(text) = self.root.read_optional(&format!("proc/{pid}/stat")) else {
                continue;
            };
            let Some(stat) = parse(&text) else { continue };
            let identity = Identity { pid: *pid, started: stat.started };
            now.insert(identity, stat.busy);
            names.push((stat.name.to_owned(), identity, stat.busy, stat.resident_pages));
        }
        // A process that came since has done all its work since.
        let earlier = self.last.replace(at_us, now)?;
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        for (name, identity, busy, pages) in names {
            let before = earlier.reading.get(&identity).copied().unwrap_or(0);
            let sum = sums.entry(name).or_default();
            sum.busy_us = sum.busy_us.saturating_add(busy.saturating_sub(before).saturating_mul(self.tick_us));
            sum.memory_bytes = sum.memory_bytes.saturating_add(pages.saturating_mul(self.page_bytes));
        }
        Some(top(sums, earlier.elapsed_us))
    }
}

impl Source for Processes {
    fn name(&self) -> &'static str {
        "process"
    }

    fn read(&mut self, at_us: u64, out: &mut Readings) -> Result<(), SourceError> {
        let mut pids: Vec<u32> = self.root.names("proc").iter().filter_map(|name| name.parse().ok()).collect();
        pids.sort_unstable();
        out.plain("system.process.count", exact(pids.len() as u64));
        if self.ticks.is_multiple_of(TABLE_TICKS) {
            out.processes = self.table(&pids, at_us);
        }
        self.ticks = self.ticks.wrapping_add(1);
        Ok(())
    }
}

/// Ties are in the order of names. What does nothing is not among the busiest.
fn top(sums: BTreeMap<String, Sum>, elapsed_us: u64) -> pb::ProcessTable {
    let cores = |busy_us: u64| round(exact(busy_us) / exact(elapsed_us.max(1)), 1e3);
    let all: Vec<pb::Process> = sums
        .into_iter()
        .map(|(name, sum)| pb::Process { name, cpu: cores(sum.busy_us), memory_bytes: sum.memory_bytes })
        .collect();
    let mut by_cpu: Vec<pb::Process> = all.iter().filter(|process| process.cpu > 0.0).cloned().collect();
    by_cpu.sort_by(|a, b| b.cpu.total_cmp(&a.cpu));
    by_cpu.truncate(TOP);
    let mut by_memory: Vec<pb::Process> = all.into_iter().filter(|process| process.memory_bytes > 0).collect();
    by_memory.sort_by_key(|process| std::cmp::Reverse(process.memory_bytes));
    by_memory.truncate(TOP);
    pb::ProcessTable {
        // The sampler knows the tick's time.
        time_ms: 0,
        by_cpu,
        by_memory,
    }
}

/// `pid (name) state ppid ...`. The name may hold blanks and parentheses, so the last parenthesis ends it.
fn parse(stat: &str) -> Option<Stat<'_>> {
    let (_, rest) = stat.split_once('(')?;
    let (name, rest) = rest.rsplit_once(')')?;
    // Counted from the state, which is the third field of the manual page: utime 14, stime 15, starttime 22, rss 24.
    let fields: Vec<&str> = rest.split_ascii_whitespace().take(22).collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        name,
        busy: number(14)?.saturating_add(number(15)?),
        started: number(22)?,
        resident_pages: number(24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::testing::Machine;

    fn stat(name: &str, busy: u64, started: u64, pages: u64) -> String {
        format!("1 ({name}) S 1 1 1 0 -1 4194560 9 9 9 9 {busy} 0 0 0 20 0 1 0 {started} 1000 {pages} 9 9 9")
    }

    fn table(source: &mut Processes, at_us: u64) -> String {
        let mut out = Readings::default();
        source.read(at_us, &mut out).unwrap();
        let list = |processes: &[pb::Process]| -> String {
            let item = |p: &pb::Process| format!("{}:{}:{} ", p.name, p.cpu, p.memory_bytes);
            processes.iter().map(item).collect()
        };
        out.processes.map_or("none".to_owned(), |t| format!("{}| {}", list(&t.by_cpu), list(&t.by_memory)))
    }

    fn source(machine: &Machine) -> Processes {
        Processes { tick_us: 10_000, page_bytes: 4096, ..Processes::new(machine.root()) }
    }

    #[test]
    fn names_are_summed_and_sorted_by_what_they_used_since_the_last_table() {
        let machine = Machine::with(&[
            ("proc/1/stat", &stat("init", 100, 1, 1)),
            ("proc/20/stat", &stat("web worker", 0, 5, 10)),
            ("proc/21/stat", &stat("web worker", 0, 6, 20)),
            ("proc/meminfo", ""),
        ]);
        let mut source = source(&machine);
        assert_eq!(table(&mut source, 0), "none");
        machine.write("proc/20/stat", &stat("web worker", 250, 5, 10));
        machine.write("proc/21/stat", &stat("web worker", 500, 6, 20));
        assert_eq!([table(&mut source, 5_000_000), table(&mut source, 10_000_000)], ["none", "none"]);
        assert_eq!(table(&mut source, 15_000_000), "web worker:0.5:122880 | web worker:0.5:122880 init:0:4096 ");
    }

    #[test]
    fn a_process_id_that_came_round_again_is_another_process() {
        let machine = Machine::with(&[("proc/7/stat", &stat("old", 1_000, 1, 1))]);
        let mut source = source(&machine);
        table(&mut source, 0);
        machine.write("proc/7/stat", &stat("new", 150, 2, 1));
        (1..3).for_each(|n| drop(table(&mut source, n * 5_000_000)));
        assert_eq!(table(&mut source, 15_000_000), "new:0.1:4096 | new:0.1:4096 ");
    }

    #[test]
    fn a_name_may_hold_anything() {
        assert_eq!(parse(&stat("a) R (b", 3, 4, 5)).unwrap().name, "a) R (b");
        for odd in [
            "",
            "1",
            "1 (x",
            "1 x)",
            "1 (x) S",
            "1 (x) S 1 2 3",
            ")(",
            "1 (x) S 1 1 1 0 -1 0 9 9 9 9 -1 0 0 0 20 0 1 0 1 1 1",
        ] {
            assert_eq!(parse(odd), None, "{odd:?}");
        }
    }
}
