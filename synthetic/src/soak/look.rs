//! Look: how a hub is seen at a moment: by the system, by its own `/metrics`, by its folder, and by those who send to it.

use std::path::Path;

use runtime::process::Usage;
use serde::Serialize;

use crate::measure::Second;

/// Files of one folder that are looked at; a hub keeps some hundreds at most.
const FILES_MAX: usize = 100_000;

/// One look; a line of the soak's log.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Look {
    /// Since the first frame.
    pub(crate) at_s: f64,
    pub(crate) resident_bytes: f64,
    pub(crate) open_files: f64,
    pub(crate) threads: f64,
    pub(crate) cpu_s: f64,
    /// In all queues of the hub, at this moment.
    pub(crate) queued: f64,
    /// Between what is durable and what has left the graph.
    pub(crate) lag_s: f64,
    pub(crate) journal_bytes: u64,
    pub(crate) history_bytes: u64,
    /// Since the look before.
    pub(crate) samples_acknowledged: u64,
    pub(crate) frames_under_way: u64,
    /// From when a frame was due to its acknowledgement, since the look before.
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
    /// Why the hub did not say how it is; then `queued` and `lag_s` are 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unanswered: Option<String>,
}

impl Look {
    pub(crate) fn read_usage(&mut self, usage: Usage) {
        self.resident_bytes = usage.resident_bytes as f64;
        self.open_files = usage.open_files as f64;
        self.threads = usage.threads as f64;
        self.cpu_s = usage.cpu_s;
    }

    /// What the hub says of itself.
    pub(crate) fn read_metrics(&mut self, text: &str) {
        self.queued = total(text, "queue_depth") + total(text, "pipeline_queue_depth");
        self.lag_s = total(text, "pipeline_frontier_lag_seconds");
    }

    pub(crate) fn read_second(&mut self, second: Second, frames_under_way: u64) {
        self.samples_acknowledged = second.samples_acknowledged;
        self.frames_under_way = frames_under_way;
        (self.p50_us, self.p99_us, self.max_us) = (second.p50_us, second.p99_us, second.max_us);
    }

    /// The files in the hub's folder.
    pub(crate) fn read_folder(&mut self, folder: &Path) {
        self.journal_bytes = bytes_in(&folder.join("journal"), |_| true);
        self.history_bytes = bytes_in(folder, |name| name.starts_with("history.db"));
    }
}

/// Sum of a family's figures over all labels; 0 where there is none.
fn total(text: &str, family: &str) -> f64 {
    let figure = |line: &str| {
        let rest = line.strip_prefix(family)?;
        let is_whole_name = rest.starts_with(['{', ' ']);
        is_whole_name.then(|| rest.rsplit(' ').next()?.parse::<f64>().ok()).flatten()
    };
    text.lines().filter_map(figure).sum()
}

/// What cannot be read is being written or gone: it counts at the next look.
fn bytes_in(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.take(FILES_MAX).filter_map(|entry| {
        let entry = entry.ok()?;
        let meta = entry.metadata().ok()?;
        (meta.is_file() && is_wanted(entry.file_name().to_str()?)).then_some(meta.len())
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_family_are_added_up_and_longer_names_are_others() {
        let text = "# HELP queue_depth Items.\nqueue_depth{queue=\"live\"} 3\nqueue_depth{queue=\"history\"} 4\n\
                    queue_depth_max{queue=\"live\"} 90\npipeline_queue_depth{worker=\"0\"} 2\n\
                    pipeline_frontier_lag_seconds 1.5e-3\n";
        let mut look = Look::default();
        look.read_metrics(text);
        assert_eq!((look.queued, look.lag_s), (9.0, 1.5e-3));
    }

    #[test]
    fn journal_and_history_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("journal")).unwrap();
        for (name, bytes) in [("journal/1.seg", 10), ("journal/2.seg", 20), ("history.db", 5), ("history.db-wal", 6)] {
            std::fs::write(folder.path().join(name), vec![0_u8; bytes]).unwrap();
        }
        std::fs::write(folder.path().join("control.db"), [0]).unwrap();
        let mut look = Look::default();
        look.read_folder(folder.path());
        assert_eq!((look.journal_bytes, look.history_bytes), (30, 11));
    }
}
