//! Report: what a run came to, as a value; `table` shows it on a terminal, `html` as a page that needs nothing else, and serde as JSON.

pub mod html;
mod plot;
pub mod table;

use serde::{Deserialize, Serialize};

use crate::latency::{Latencies, Summary};
use crate::measure::{Counts, Measured, Second};
use crate::verify::Verdict;

/// From here on this program's own lateness is part of what it reports, so it says so.
const OWN_P99_US_MAX: u64 = 20_000;
/// Less than this part of what was due is a shortfall.
const DELIVERED_MIN: f64 = 0.98;

/// One stage that is timed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    pub name: &'static str,
    /// What it is, for a person.
    pub what: &'static str,
    #[serde(flatten)]
    pub summary: Summary,
    /// Percentile in percent, latency in microseconds.
    pub curve: Vec<(f64, u64)>,
}

/// One exit of the hub, as its own synthetic transactions found it in the last five minutes. Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    pub name: String,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub max_ms: Option<f64>,
    pub late: u64,
    pub lost: u64,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    pub domain: String,
    pub machines: u32,
    pub series: usize,
    pub interval_ms: f64,
    pub duration_s: f64,
    pub seed: u64,
    pub names: String,
    pub encoding: &'static str,
    pub target_samples_per_s: f64,
}

/// Who sets the pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// All was sent when it was due.
    None,
    Hub,
    Generator,
}

/// One step of a search for the highest rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    pub target_samples_per_s: f64,
    pub samples_per_s: f64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
    pub limit: Limit,
    pub is_within: bool,
    pub why: String,
}

/// The outcome of a search.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Search {
    pub bound_us: u64,
    /// The highest rate whose step kept within the bound; none did where it is absent.
    pub samples_per_s: Option<f64>,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub version: &'static str,
    pub began: String,
    pub setting: Setting,
    pub took_s: f64,
    pub samples_per_s: f64,
    pub limit: Limit,
    pub limit_why: String,
    /// CPU of this program for each second of the run; absent where the system does not tell.
    pub generator_cores: Option<f64>,
    /// Frames that the hub did not acknowledge in time.
    pub unacknowledged: u64,
    pub counts: Counts,
    pub stages: Vec<Stage>,
    pub timeline: Vec<Second>,
    /// None where the hub sends no transactions of its own.
    pub exits: Vec<Exit>,
    pub search: Option<Search>,
    pub verification: Option<Verdict>,
}

/// What only the end of a run shows.
#[derive(Debug, Clone)]
pub struct Course {
    pub began: String,
    pub took_s: f64,
    pub cpu_s: Option<f64>,
    pub unacknowledged: u64,
}

impl Report {
    #[must_use]
    pub fn of(setting: Setting, course: Course, measured: &Measured) -> Self {
        let took_s = course.took_s.max(1e-3);
        let (limit, limit_why) = judge(&setting, took_s, measured);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            began: course.began,
            took_s,
            samples_per_s: measured.counts.samples_acknowledged as f64 / took_s,
            limit,
            limit_why,
            generator_cores: course.cpu_s.map(|cpu_s| cpu_s / took_s),
            unacknowledged: course.unacknowledged,
            counts: measured.counts.clone(),
            stages: stages(measured),
            timeline: measured.timeline.clone(),
            exits: Vec::new(),
            search: None,
            verification: None,
            setting,
        }
    }

    /// Whether everything that was sent is where it should be, as far as was asked.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.unacknowledged == 0
            && self.verification.as_ref().is_none_or(|verdict| verdict.is_equal)
            && self.search.as_ref().is_none_or(|search| search.samples_per_s.is_some())
    }

    #[must_use]
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == name)
    }
}

fn stages(measured: &Measured) -> Vec<Stage> {
    let stage = |name, what, latencies: &Latencies| Stage {
        name,
        what,
        summary: latencies.summary(),
        curve: latencies.curve(),
    };
    vec![
        stage("acknowledged", "from when it was due until it is on the hub's disk", &measured.acknowledged),
        stage("service", "the same, from when it was really sent", &measured.service),
        stage("seen", "from when it was due until a live connection shows it", &measured.seen),
        stage("generator", "how late this program itself sent", &measured.own),
    ]
}

/// Who kept the run from going as planned. The generator is asked first: while it is late itself, nothing else it says can be trusted.
fn judge(setting: &Setting, took_s: f64, measured: &Measured) -> (Limit, String) {
    let own = measured.own.summary();
    let expected = setting.target_samples_per_s * took_s.min(setting.duration_s);
    let sent = measured.counts.samples_sent as f64;
    let seconds = took_s.max(setting.duration_s);
    let is_short = sent < DELIVERED_MIN * expected || seconds > setting.duration_s * 1.05 + 2.0;
    if OWN_P99_US_MAX < own.p99_us {
        let ms = own.p99_us as f64 / 1e3;
        let why = format!(
            "this program sent frames late by itself, p99 {ms:.1} ms: its figures are upper bounds; give it more --threads, a core of its own, or --pre-encoded"
        );
        return (Limit::Generator, why);
    }
    let held_s = measured.counts.held_us as f64 / 1e6;
    let share = held_s / (f64::from(setting.machines) * seconds).max(1e-9);
    if is_short || share > 0.05 {
        let why = format!(
            "machines had frames that were due and might not send them for {:.1} % of the time: the hub's credit and its connections set the pace",
            share * 100.0
        );
        return (Limit::Hub, why);
    }
    (Limit::None, "everything was sent when it was due".to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn setting() -> Setting {
        Setting {
            domain: "machines".into(),
            machines: 10,
            series: 60,
            interval_ms: 1_000.0,
            duration_s: 10.0,
            seed: 1,
            names: "synthetic-load-".into(),
            encoding: "live",
            target_samples_per_s: 600.0,
        }
    }

    pub(crate) fn course() -> Course {
        Course { began: "2026-11-21T00:00:00Z".into(), took_s: 10.0, cpu_s: Some(0.5), unacknowledged: 0 }
    }

    fn measured(own_us: u64, held_s: u64) -> Measured {
        let mut measured = Measured::default();
        for n in 0..1_000 {
            measured.acknowledge((n * 100, n * 100, n * 100 + 1_500), 6);
            measured.own.record(own_us);
        }
        measured.counts.samples_sent = 6_000;
        measured.counts.held_us = held_s * 1_000_000;
        measured
    }

    #[test]
    fn the_report_says_who_is_the_limit() {
        let limit = |own_us, held_s| Report::of(setting(), course(), &measured(own_us, held_s)).limit;
        assert_eq!(limit(900, 0), Limit::None);
        assert_eq!(limit(900, 30), Limit::Hub);
        assert_eq!(limit(300_000, 30), Limit::Generator);
    }

    #[test]
    fn what_is_missing_makes_a_report_not_fine() {
        let report = Report::of(setting(), course(), &measured(1, 0));
        assert!(report.is_fine());
        assert!((report.samples_per_s - 600.0).abs() < 1e-9);
        assert!(!Report { unacknowledged: 1, ..report.clone() }.is_fine());
        assert!(!Report { verification: Some(Verdict::default()), ..report }.is_fine());
    }
}
