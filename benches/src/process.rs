//! Process: what Linux says of a process: CPU time, memory, context switches of its threads.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

/// Lets a child stand still: its timers would take the core from another one that is measured. `resume` ends it.
///
/// # Errors
/// When it is gone.
pub fn pause(child: &Child) -> io::Result<()> {
    Ok(kill_process(Pid::from_child(child), Signal::STOP)?)
}

/// # Errors
/// When it is gone.
pub fn resume(child: &Child) -> io::Result<()> {
    Ok(kill_process(Pid::from_child(child), Signal::CONT)?)
}

/// A process by its id, or this one.
#[derive(Debug, Clone)]
pub struct Process(PathBuf);

/// Of one thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Switches {
    /// The thread went to sleep by itself: each is one wake-up.
    pub voluntary: u64,
    pub involuntary: u64,
}

impl Process {
    #[must_use]
    pub fn own() -> Self {
        Self(PathBuf::from("/proc/self"))
    }

    #[must_use]
    pub fn of(pid: u32) -> Self {
        Self(PathBuf::from(format!("/proc/{pid}")))
    }

    /// User and system time, to 10 ms.
    #[must_use]
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(self.0.join("stat")).unwrap_or_default();
        // Fields 14 and 15, counted behind the name, which may hold spaces; in ticks of 10 ms on Linux.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        (ticks(11) + ticks(12)) / 100.0
    }

    /// CPU time of all threads in seconds, to the nanosecond: what an idle process needs, of which ticks see nothing.
    #[must_use]
    pub fn run_seconds(&self) -> f64 {
        self.run_seconds_of("")
    }

    /// The same of the threads whose name begins so.
    #[must_use]
    pub fn run_seconds_of(&self, prefix: &str) -> f64 {
        let threads = self.threads().into_iter().filter(|(_, name)| name.starts_with(prefix));
        let nanos = threads.filter_map(|(thread, _)| {
            let text = std::fs::read_to_string(thread.join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<f64>().ok()
        });
        nanos.sum::<f64>() / 1e9
    }

    #[must_use]
    pub fn rss_mb(&self) -> f64 {
        self.status_kib("VmRSS:") / 1_024.0
    }

    #[must_use]
    pub fn peak_rss_mb(&self) -> f64 {
        self.status_kib("VmHWM:") / 1_024.0
    }

    /// By thread name, those of one name added up.
    #[must_use]
    pub fn switches(&self) -> BTreeMap<String, Switches> {
        let mut by_name: BTreeMap<String, Switches> = BTreeMap::new();
        for (thread, name) in self.threads() {
            let status = std::fs::read_to_string(thread.join("status")).unwrap_or_default();
            let count = |key: &str| {
                let value = status.lines().find_map(|line| line.strip_prefix(key));
                value.and_then(|value| value.trim().parse::<u64>().ok()).unwrap_or(0)
            };
            let all = by_name.entry(name).or_default();
            all.voluntary += count("voluntary_ctxt_switches:");
            all.involuntary += count("nonvoluntary_ctxt_switches:");
        }
        by_name
    }

    fn status_kib(&self, key: &str) -> f64 {
        let status = std::fs::read_to_string(self.0.join("status")).unwrap_or_default();
        let value = status.lines().find_map(|line| line.strip_prefix(key));
        value.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0)
    }

    /// Folder and name of each thread.
    fn threads(&self) -> Vec<(PathBuf, String)> {
        let Ok(tasks) = std::fs::read_dir(self.0.join("task")) else { return Vec::new() };
        let folders = tasks.filter_map(|task| Some(task.ok()?.path()));
        let named = folders.filter_map(|folder| {
            let name = std::fs::read_to_string(folder.join("comm")).ok()?;
            Some((folder, name.trim().to_owned()))
        });
        named.collect()
    }
}

/// CPU time of the calling thread, exact at any moment.
#[must_use]
pub fn own_thread_seconds() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "seconds of a thread are far below 2^53")]
    let (seconds, nanos) = (now.tv_sec as f64, now.tv_nsec as f64);
    seconds + nanos / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_threads_and_cpu_time() {
        let own = Process::own();
        let busy = (0..20_000_000_u64).fold(1_u64, |sum, i| sum.wrapping_mul(31).wrapping_add(i));
        assert_ne!(busy, 0);
        assert!(own.rss_mb() > 0.5 && own.peak_rss_mb() >= own.rss_mb() / 2.0);
        assert!(own.run_seconds() > 0.0);
        assert!(!own.switches().is_empty());
    }
}
