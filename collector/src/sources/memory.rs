//! Memory and swap, from /proc/meminfo. Used is what is not available, so reclaimable caches do not count as used.

use super::root::Root;
use super::{Source, SourceError};
use crate::rate::{exact, share};
use crate::readings::Readings;

pub(super) struct Memory {
    root: Root,
}

/// In bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct MemInfo {
    pub(super) total: u64,
    available: u64,
    cached: u64,
    buffers: u64,
    swap_total: u64,
    swap_free: u64,
}

impl Memory {
    pub(super) fn new(root: Root) -> Self {
        Self { root }
    }
}

impl Source for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn read(&mut self, _at_us: u64, out: &mut Readings) -> Result<(), SourceError> {
        let info = parse(&self.root.read("proc/meminfo")?)
            .ok_or(SourceError::Format { file: "/proc/meminfo", what: "MemTotal" })?;
        let used = info.total.saturating_sub(info.available);
        out.plain("system.memory.limit", exact(info.total));
        out.plain("system.memory.used", exact(used));
        out.plain("system.memory.available", exact(info.available));
        out.plain("system.memory.cached", exact(info.cached));
        out.plain("system.memory.buffers", exact(info.buffers));
        out.plain("system.memory.utilization", share(used, info.total));
        let swapped = info.swap_total.saturating_sub(info.swap_free);
        out.plain("system.paging.limit", exact(info.swap_total));
        out.plain("system.paging.usage", exact(swapped));
        // Without swap there is nothing that could be full.
        out.plain("system.paging.utilization", share(swapped, info.swap_total).unwrap_or(0.0));
        Ok(())
    }
}

pub(super) fn parse(text: &str) -> Option<MemInfo> {
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
        kib.checked_mul(1024)
    };
    let or_zero = |name| bytes(name).unwrap_or(0);
    let total = bytes("MemTotal").filter(|total| *total > 0)?;
    // As `free` counts: reclaimable slab is cache.
    let cached = or_zero("Cached").saturating_add(or_zero("SReclaimable"));
    let buffers = or_zero("Buffers");
    // Kernels before 3.14 do not say what is available; what is free or cached is the nearest to it.
    let guess = || or_zero("MemFree").saturating_add(cached).saturating_add(buffers);
    Some(MemInfo {
        total,
        available: bytes("MemAvailable").unwrap_or_else(guess).min(total),
        cached,
        buffers,
        swap_total: or_zero("SwapTotal"),
        swap_free: or_zero("SwapFree"),
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::sources::testing::{Machine, read};

    #[test]
    fn used_is_total_minus_available() {
        let text = "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 600 kB\nBuffers: 50 kB\nCached: 400 kB\n\
                    SwapCached: 7 kB\nSwapTotal: 200 kB\nSwapFree: 150 kB\nSReclaimable: 24 kB\n";
        let machine = Machine::with(&[("proc/meminfo", text)]);
        expect![[r#"
            system.memory.available 614400
            system.memory.buffers 51200
            system.memory.cached 434176
            system.memory.limit 1024000
            system.memory.used 409600
            system.memory.utilization 0.4
            system.paging.limit 204800
            system.paging.usage 51200
            system.paging.utilization 0.25
        "#]]
        .assert_eq(&read(&mut Memory::new(machine.root()), 0));
    }

    #[test]
    fn an_old_kernel_and_a_machine_without_swap_have_values_too() {
        let info = parse("MemTotal: 100 kB\nMemFree: 10 kB\nCached: 20 kB\n").unwrap();
        assert_eq!((info.available, info.swap_total), (30 * 1024, 0));
    }

    #[test]
    fn without_a_total_there_is_nothing() {
        for text in ["", "MemTotal:", "MemTotal: x kB", "MemTotal: 0 kB", "MemTotal: 18446744073709551615 kB"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        let odd = parse("MemTotal: 10 kB\nMemAvailable: 99 kB\nSwapFree: 5 kB\n").unwrap();
        assert_eq!(odd.available, odd.total, "no more is available than there is");
    }
}
