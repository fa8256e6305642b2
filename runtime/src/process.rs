//! Process: what a process takes from its machine: memory, files, threads, processor time. What a program tells of itself beside its own counters.
//!
//! Read from `/proc`, so only where the system has one. Bounds: two small files and one folder a look.

use std::path::Path;

use crate::metrics::Scrape;

/// What it takes at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    pub resident_bytes: u64,
    pub open_files: u64,
    pub threads: u64,
    /// User and system time of all threads since the start, to 10 ms.
    pub cpu_s: f64,
}

impl Usage {
    /// Of this process; none where the system does not tell.
    #[must_use]
    pub fn own() -> Option<Self> {
        Self::at(Path::new("/proc/self"))
    }

    /// Of another process of the same user.
    #[must_use]
    pub fn of(process: u32) -> Option<Self> {
        Self::at(Path::new(&format!("/proc/{process}")))
    }

    fn at(folder: &Path) -> Option<Self> {
        let status = std::fs::read_to_string(folder.join("status")).ok()?;
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        // Fields 14 and 15, counted behind the name, which may hold spaces; in ticks of 10 ms on Linux.
        let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
        let open_files = std::fs::read_dir(folder.join("fd")).ok()?.count();
        Some(Self {
            resident_bytes: number("VmRSS:")? * 1_024,
            open_files: u64::try_from(open_files).unwrap_or(u64::MAX),
            threads: number("Threads:")?,
            cpu_s: ticks as f64 / 100.0,
        })
    }

    /// Under the names that Prometheus' own libraries use.
    pub fn scrape(&self, scrape: &mut Scrape) {
        let resident = self.resident_bytes as f64;
        scrape.gauge("process_resident_memory_bytes", "Memory of this process that is in RAM.", &[], resident);
        scrape.gauge("process_open_fds", "File descriptors that this process has open.", &[], self.open_files as f64);
        scrape.gauge("process_threads", "Threads of this process.", &[], self.threads as f64);
        scrape.counter("process_cpu_seconds_total", "Processor time of all its threads.", &[], self.cpu_s);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_files_and_threads() {
        let before = Usage::own().unwrap();
        assert!(before.resident_bytes > 100_000 && before.threads >= 1, "{before:?}");
        let files: Vec<_> = (0..50).map(|_| std::fs::File::open("/proc/self/status").unwrap()).collect();
        // Other tests of this process open and close files meanwhile, but not fifty.
        assert!(Usage::own().unwrap().open_files >= 50 && files.len() == 50);
    }

    #[test]
    fn a_process_that_is_gone_has_none() {
        assert_eq!(Usage::of(0), None);
    }
}
