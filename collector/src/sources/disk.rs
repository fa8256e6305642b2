//! Disks: bytes, operations and busy time per whole disk, from /proc/diskstats.
//!
//! Partitions are left out, because their disk counts the same work, and so are loop, ram and zram devices. Device mapper and
//! RAID devices stay: the file systems are on them.

use std::collections::{BTreeMap, BTreeSet};

use super::root::Root;
use super::{Source, SourceError};
use crate::rate::{Last, bytes_per_second, per_second, share};
use crate::readings::Readings;

/// The kernel counts in sectors of this size, whatever the disk's own are.
const SECTOR_BYTES: u64 = 512;
const EXCLUDED: [&str; 5] = ["loop", "ram", "zram", "sr", "fd"];

pub(super) struct Disk {
    root: Root,
    last: Last<BTreeMap<String, Counters>>,
}

type Rate = fn(u64, u64, u64) -> Option<f64>;

#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Counters {
    reads: u64,
    read_bytes: u64,
    writes: u64,
    written_bytes: u64,
    busy_ms: u64,
}

impl Disk {
    pub(super) fn new(root: Root) -> Self {
        Self { root, last: Last::default() }
    }
}

impl Source for Disk {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn read(&mut self, at_us: u64, out: &mut Readings) -> Result<(), SourceError> {
        // A kernel without block devices has no such file.
        let now = parse(&self.root.read_optional("proc/diskstats").unwrap_or_default());
        let earlier = self.last.replace(at_us, now.clone());
        for (device, now) in now {
            let rate = |per_second: Rate, count: fn(&Counters) -> u64| {
                let earlier = earlier.as_ref()?;
                per_second(count(earlier.reading.get(&device)?), count(&now), earlier.elapsed_us)
            };
            let busy = earlier.as_ref().and_then(|earlier| {
                let busy_ms = now.busy_ms.checked_sub(earlier.reading.get(&device)?.busy_ms)?;
                share(busy_ms.saturating_mul(1_000), earlier.elapsed_us)
            });
            let labels = [("device", device.as_str())];
            out.put("system.disk.read.bytes_rate", &labels, rate(bytes_per_second, |c| c.read_bytes));
            out.put("system.disk.write.bytes_rate", &labels, rate(bytes_per_second, |c| c.written_bytes));
            out.put("system.disk.read.operations_rate", &labels, rate(per_second, |c| c.reads));
            out.put("system.disk.write.operations_rate", &labels, rate(per_second, |c| c.writes));
            out.put("system.disk.busy", &labels, busy);
        }
        Ok(())
    }
}

fn parse(diskstats: &str) -> BTreeMap<String, Counters> {
    let all: BTreeMap<&str, Counters> = diskstats.lines().filter_map(parse_line).collect();
    let names: BTreeSet<&str> = all.keys().copied().collect();
    let is_wanted = |name: &str| !is_excluded(name) && !is_partition(name, &names);
    let wanted = all.into_iter().filter(|(name, _)| is_wanted(name));
    wanted.map(|(name, counters)| (name.to_owned(), counters)).collect()
}

/// major, minor, name, then the counters: reads, merged, sectors, ms, writes, merged, sectors, ms, in flight, busy ms, ...
fn parse_line(line: &str) -> Option<(&str, Counters)> {
    let mut words = line.split_ascii_whitespace().skip(2);
    let name = words.next()?;
    let mut numbers = [0_u64; 10];
    for number in &mut numbers {
        *number = words.next()?.parse().ok()?;
    }
    let counters = Counters {
        reads: numbers[0],
        read_bytes: numbers[2].saturating_mul(SECTOR_BYTES),
        writes: numbers[4],
        written_bytes: numbers[6].saturating_mul(SECTOR_BYTES),
        busy_ms: numbers[9],
    };
    Some((name, counters))
}

/// One of the kinds that are left out, with its number.
fn is_excluded(name: &str) -> bool {
    let rest_of = |kind: &&str| name.strip_prefix(*kind);
    EXCLUDED.iter().filter_map(rest_of).any(is_number)
}

/// A disk whose name ends in a digit puts a `p` before the partition's number (nvme0n1p2, md0p1), others do not (sda1).
fn is_partition(name: &str, names: &BTreeSet<&str>) -> bool {
    let disk = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if disk.len() == name.len() {
        return false;
    }
    match disk.strip_suffix('p') {
        Some(disk) if disk.ends_with(|c: char| c.is_ascii_digit()) => names.contains(disk),
        Some(_) | None => names.contains(disk),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::sources::testing::{Machine, read};

    #[test]
    fn rates_are_per_second_and_busy_is_a_share_of_the_time() {
        let machine = Machine::with(&[("proc/diskstats", "8 0 sda 100 0 800 0 50 0 400 0 0 1000 0\n")]);
        let mut source = Disk::new(machine.root());
        assert_eq!(read(&mut source, 0).lines().filter(|line| line.ends_with(" -")).count(), 5);
        machine.write("proc/diskstats", "8 0 sda 110 0 1000 0 75 0 500 0 0 2000 0 0 0 0 0 0 0\n");
        expect![[r#"
            system.disk.busy{device="sda"} 0.2
            system.disk.read.bytes_rate{device="sda"} 20480
            system.disk.read.operations_rate{device="sda"} 2
            system.disk.write.bytes_rate{device="sda"} 10240
            system.disk.write.operations_rate{device="sda"} 5
        "#]]
        .assert_eq(&read(&mut source, 5_000_000));
        machine.write("proc/diskstats", "8 0 sda 1 0 1 0 1 0 1 0 0 1 0\n");
        assert!(read(&mut source, 10_000_000).lines().all(|line| line.ends_with(" -")), "a replaced disk");
    }

    #[test]
    fn only_whole_disks_are_listed() {
        let names = [
            "sda",
            "sda1",
            "sdb",
            "nvme0n1",
            "nvme0n1p1",
            "mmcblk0",
            "mmcblk0p2",
            "dm-1",
            "dm-12",
            "md1",
            "md12",
            "md12p1",
            "xvda1",
            "loop0",
            "ram3",
            "zram0",
            "sr0",
            "vda",
            "vda15",
        ];
        let text: String = names.iter().map(|name| format!(" 8 0 {name} 1 1 1 1 1 1 1 1 1 1 1\n")).collect();
        let listed: Vec<String> = parse(&text).into_keys().collect();
        expect![["dm-1 dm-12 md1 md12 mmcblk0 nvme0n1 sda sdb vda xvda1"]].assert_eq(&listed.join(" "));
    }

    #[test]
    fn odd_lines_are_passed_over() {
        for line in
            ["", "8 0", "8 0 sda", "8 0 sda 1 2 3", "8 0 sda 1 2 3 4 5 6 7 8 9 x", "8 0 sda 1 -2 3 4 5 6 7 8 9 10"]
        {
            assert!(parse(line).is_empty(), "{line:?}");
        }
    }
}
