//! Options: the flags of `sysmonstm synth`, and what they come to once they were checked together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use runtime::config::parse_duration;

use crate::domain::Domain;
use crate::domain::machines::Machines;
use crate::domain::payments::Payments;
use crate::plan::{Faults, NUMBERS_PER_TICK, burst_gap_us};
use crate::run::{Encoding, Fleet, Load};
use crate::schedule::{Schedule, mix};
use crate::soak::options::SoakOptions;
use crate::story::Story;

/// Two samples of a machine within a millisecond would be one to the hub.
const INTERVAL_MIN_US: f64 = 1_000.0;

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Send a made-up fleet's load to a hub, time it, and say what came of it
    Run(Box<RunOptions>),
    /// Play a story of both domains, five minutes and an epilogue, with a narrator
    Demo {
        /// The hub's HTTP address
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
        hub: String,
        /// The hub's gRPC address
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
        grpc: String,
    },
    /// Keep a hub of its own under load for minutes or days, and say what drifts: memory, files, queues, latency
    Soak(SoakOptions),
    /// Compare a hub's history with what an earlier run wrote down by --expect
    Verify {
        /// The file
        file: PathBuf,
        /// The hub's HTTP address
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
        hub: String,
        /// How long the hub may take to have everything
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
        within: Duration,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DomainName {
    /// A fleet of hosts
    Machines,
    /// Payment processors: a card network, a wallet, a bank's API
    Payments,
}

#[derive(Debug, Clone, Args)]
pub struct RunOptions {
    /// The hub's HTTP address: history for --verify, live updates
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
    pub hub: String,
    /// The hub's gRPC address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    pub grpc: String,
    /// What the machines are
    #[arg(long, value_enum, default_value = "machines")]
    pub domain: DomainName,
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub machines: u32,
    /// Series of each machine
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(2..=4_096))]
    pub series: u32,
    /// Time between two frames of a machine
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub interval: Duration,
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    pub duration: Duration,
    /// The same seed sends the same
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Names are synthetic-NAME-0000 and so on [default: load; one of its own with --verify or --expect]
    #[arg(long)]
    pub name: Option<String>,
    /// Name the machines so that the dashboard shows them among the real ones
    #[arg(long)]
    pub visible: bool,
    #[command(flatten)]
    pub faults: FaultOptions,
    /// Make frames once and only stamp them: for rates that making them would not reach
    #[arg(long)]
    pub pre_encoded: bool,
    /// Send one sample a message, as the first collectors do, pre-encoded; that wire acknowledges a stream at its end only
    #[arg(long, conflicts_with_all = ["pre_encoded", "find_limit"])]
    pub one_sample: bool,
    /// Threads of this program
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    #[command(flatten)]
    pub search: SearchOptions,
    #[command(flatten)]
    pub check: CheckOptions,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as a page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// How long to wait for the last acknowledgements
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub settle: Duration,
}

#[derive(Debug, Clone, Args)]
pub struct SearchOptions {
    /// Search for the highest rate whose p99 keeps within --bound, in steps of --step
    #[arg(long, conflicts_with_all = ["verify", "expect"])]
    pub find_limit: bool,
    /// Highest p99 from when a frame was due to its acknowledgement
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = parse_duration)]
    pub bound: Duration,
    /// Samples a second that the search begins with
    #[arg(long, value_name = "N", default_value_t = 10_000.0)]
    pub start_rate: f64,
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub step: Duration,
}

#[derive(Debug, Clone, Args)]
pub struct CheckOptions {
    /// At the end, compare the hub's history with what was sent; exit code 1 and the differences when anything is missing
    #[arg(long)]
    pub verify: bool,
    /// How long the hub may take to have everything
    #[arg(long, value_name = "TIME", default_value = "90s", value_parser = parse_duration)]
    pub verify_within: Duration,
    /// Write down what the hub must have, for `synth verify`
    #[arg(long, value_name = "FILE")]
    pub expect: Option<PathBuf>,
}

/// Rates are parts of the frames, 0 to 1.
#[derive(Debug, Clone, Args)]
pub struct FaultOptions {
    /// Most that a frame is measured late, as a part of the interval
    #[arg(long, value_name = "PART", default_value_t = 0.0)]
    pub jitter: f64,
    /// Frames that are sent late
    #[arg(long, value_name = "PART", default_value_t = 0.0)]
    pub late: f64,
    /// How late, about
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub late_by: Duration,
    /// Frames that are sent twice
    #[arg(long, value_name = "PART", default_value_t = 0.0)]
    pub duplicates: f64,
    /// Frames that change places with the next one
    #[arg(long, value_name = "PART", default_value_t = 0.0)]
    pub shuffle: f64,
    /// Frames before which the stream breaks
    #[arg(long, value_name = "PART", default_value_t = 0.0)]
    pub disconnects: f64,
    /// Frames with which a machine is cut off for --replay-frames, to send them all at once
    #[arg(long, value_name = "PART", default_value_t = 0.0)]
    pub replays: f64,
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub replay_frames: u64,
    /// Frames that --burst-frames further ones follow at once
    #[arg(long, value_name = "PART", default_value_t = 0.0)]
    pub bursts: f64,
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub burst_frames: u64,
}

/// What is wrong with the options, every problem.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct BadOptions(pub Vec<String>);

impl FaultOptions {
    fn faults(&self) -> Faults {
        Faults {
            late: self.late,
            late_by_us: micros(self.late_by),
            duplicate: self.duplicates,
            repeats_only: false,
            shuffle: self.shuffle,
            disconnect: self.disconnects,
            replay: self.replays,
            replay_ticks: self.replay_frames,
            burst: self.bursts,
            burst_frames: self.burst_frames,
        }
    }

    fn check(&self, problems: &mut Vec<String>) {
        let rates = [
            ("jitter", self.jitter, 0.9),
            ("late", self.late, 1.0),
            ("duplicates", self.duplicates, 1.0),
            ("shuffle", self.shuffle, 1.0),
            ("disconnects", self.disconnects, 1.0),
            ("replays", self.replays, 1.0),
            ("bursts", self.bursts, 1.0),
        ];
        for (name, rate, most) in rates {
            if !(0.0..=most).contains(&rate) {
                problems.push(format!("--{name} is {rate}; write a part from 0 to {most}"));
            }
        }
        if 0.0 < self.bursts && !(1..NUMBERS_PER_TICK).contains(&self.burst_frames) {
            problems.push(format!("--burst-frames is {}; write 1 to {}", self.burst_frames, NUMBERS_PER_TICK - 1));
        }
        if 0.0 < self.replays && !(1..=10_000).contains(&self.replay_frames) {
            problems.push(format!("--replay-frames is {}; write 1 to 10000", self.replay_frames));
        }
    }

    fn has_any(&self) -> bool {
        [self.late, self.duplicates, self.shuffle, self.disconnects, self.replays, self.bursts]
            .iter()
            .any(|rate| 0.0 < *rate)
    }
}

impl RunOptions {
    /// Whether the run writes down what the hub must have.
    #[must_use]
    pub fn keeps_truth(&self) -> bool {
        self.check.verify || self.check.expect.is_some()
    }

    /// What machine names begin with. `now_us` sets those of a run apart that is compared later.
    #[must_use]
    pub fn prefix(&self, now_us: i64) -> String {
        let own = || format!("{:06x}", mix(now_us.cast_unsigned()) & 0xff_ffff);
        let name = self.name.clone().unwrap_or_else(|| if self.keeps_truth() { own() } else { "load".to_owned() });
        if self.visible { format!("{name}-") } else { format!("{}{name}-", model::synthetic::PREFIX) }
    }

    /// # Errors
    /// Everything that does not fit together.
    pub fn load(&self, prefix: &str) -> Result<Load, BadOptions> {
        let mut problems = Vec::new();
        self.faults.check(&mut problems);
        let schedule = self.schedule();
        if (schedule.interval_us as f64) * (1.0 - schedule.jitter) < INTERVAL_MIN_US {
            problems
                .push("--interval is too short: frames of a machine must be 1 ms apart, jitter included".to_owned());
        }
        if 0.0 < self.faults.bursts && burst_gap_us(&schedule) < 1_000 {
            problems.push("--bursts needs an --interval of at least 64 ms, more with --jitter".to_owned());
        }
        let encoding = self.encoding();
        let flag = if encoding == Encoding::OneSample { "--one-sample" } else { "--pre-encoded" };
        if encoding != Encoding::Live && (self.keeps_truth() || self.faults.has_any()) {
            problems
                .push(format!("{flag} frames all hold the same values: leave out --verify, --expect and the faults"));
        }
        if self.duration.is_zero() || Duration::from_secs(30 * 86_400) < self.duration {
            problems.push("--duration is out of range; write 1s to 30d".to_owned());
        }
        let domain: Option<Arc<dyn Domain>> = match self.domain {
            DomainName::Machines => match Machines::new(prefix, self.series as usize, self.seed) {
                Ok(machines) => Some(Arc::new(machines)),
                Err(error) => {
                    problems.push(error.to_string());
                    None
                }
            },
            DomainName::Payments => Some(Arc::new(Payments::new(prefix, self.seed, Story::calm()))),
        };
        if encoding != Encoding::Live && domain.as_ref().is_some_and(|domain| domain.number_at() != Some(0)) {
            problems.push(format!("{flag} is for --domain machines"));
        }
        if let Some(Err(error)) = domain.as_ref().map(|domain| domain.face(0).map(|face| face.name)) {
            problems.push(format!("--name: {error}"));
        }
        if let Err(error) = model::MachineId::parse(&format!("{prefix}0000")) {
            problems.push(format!("--name: {error}"));
        }
        match domain {
            Some(domain) if problems.is_empty() => Ok(Load {
                fleet: Fleet {
                    schedule,
                    faults: Faults { repeats_only: domain.has_events(), ..self.faults.faults() },
                    span_us: micros(self.duration),
                },
                domain,
                grpc: self.grpc.clone(),
                settle: self.settle,
                keeps_truth: self.keeps_truth(),
                encoding,
            }),
            Some(_) | None => Err(BadOptions(problems)),
        }
    }

    fn encoding(&self) -> Encoding {
        match (self.one_sample, self.pre_encoded) {
            (true, _) => Encoding::OneSample,
            (false, true) => Encoding::PreEncoded,
            (false, false) => Encoding::Live,
        }
    }

    fn schedule(&self) -> Schedule {
        let interval_us = micros(self.interval);
        Schedule { seed: self.seed, machines: self.machines, interval_us, jitter: self.faults.jitter.clamp(0.0, 0.9) }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: RunOptions,
    }

    fn problems(args: &[&str]) -> String {
        let line = Line::try_parse_from(std::iter::once(&"synth").chain(args)).unwrap();
        match line.options.load("synthetic-load-") {
            Ok(_) => String::new(),
            Err(problems) => problems.to_string(),
        }
    }

    #[test]
    fn options_that_make_no_sense_are_all_told() {
        assert_eq!(problems(&[]), "");
        let told = problems(&["--late", "2", "--jitter=-1", "--interval", "0s", "--pre-encoded", "--verify"]);
        for part in ["--late is 2", "--jitter is -1", "--interval is too short", "leave out --verify"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(problems(&["--bursts", "0.1", "--interval", "50ms"]).contains("at least 64 ms"));
    }

    #[test]
    fn names_are_hidden_unless_somebody_wants_to_see_them() {
        let prefix = |args: &[&str]| {
            Line::try_parse_from(std::iter::once(&"synth").chain(args)).unwrap().options.prefix(1_763_700_000_000_000)
        };
        assert_eq!(prefix(&[]), "synthetic-load-");
        assert_eq!(prefix(&["--name", "web", "--visible"]), "web-");
        assert_eq!(prefix(&["--verify"]).len(), "synthetic-000000-".len());
    }
}
