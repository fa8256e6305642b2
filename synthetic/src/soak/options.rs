//! Options of a soak.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use runtime::config::parse_duration;

/// Looks kept for the verdict; a month at one in half a minute.
const LOOKS_MAX: u128 = 100_000;
/// Fewer have no slope worth a word.
const JUDGED_MIN: u128 = 6;
/// The correction horizon of ten minutes fills, and what is written in turns has had its first.
const WARM_UP: Duration = Duration::from_secs(12 * 60);
/// A machine sends at most one frame a millisecond.
const FRAMES_PER_S_MAX: f64 = 1_000.0;

#[derive(Debug, Clone, Args)]
pub struct SoakOptions {
    /// How long
    #[arg(long, value_name = "TIME", default_value = "20m", value_parser = parse_duration)]
    pub duration: Duration,
    /// Samples a second of all machines together
    #[arg(long, value_name = "N", default_value_t = 50_000.0)]
    pub rate: f64,
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub machines: u32,
    /// Series of each machine
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..=4_096))]
    pub series: u32,
    /// Between two looks at the hub
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub every: Duration,
    /// The same seed sends the same
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Each look as a line of JSON, the verdict last; the hub's warnings go beside it, to .hub.log
    #[arg(long, value_name = "FILE", default_value = "soak.jsonl")]
    pub log: PathBuf,
    /// The program whose hub is soaked [default: this one]
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
}

impl SoakOptions {
    /// A third is not judged; where there is time, as much as the hub needs to fill what it keeps.
    pub(crate) fn warm_up(&self) -> Duration {
        (self.duration / 3).max(WARM_UP.min(self.duration * 3 / 5))
    }

    /// # Errors
    /// Everything that does not fit together.
    pub(crate) fn check(&self) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        let every = self.every.as_millis();
        if every < 100 {
            problems.push("--every is too short; write 100ms or more".to_owned());
        } else if LOOKS_MAX < self.duration.as_millis() / every {
            problems.push(format!("--every {:?} makes too many looks of {:?}; write more", self.every, self.duration));
        } else if (self.duration.saturating_sub(self.warm_up())).as_millis() / every < JUDGED_MIN {
            problems.push("--duration is too short to judge anything; write at least twenty times --every".to_owned());
        }
        let most = f64::from(self.machines) * f64::from(self.series) * FRAMES_PER_S_MAX;
        if !(1.0..=most).contains(&self.rate) {
            problems.push(format!("--rate is {}; write 1 to {most} for so many machines and series", self.rate));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: SoakOptions,
    }

    fn of(args: &[&str]) -> SoakOptions {
        Line::try_parse_from(std::iter::once(&"soak").chain(args)).unwrap().options
    }

    #[test]
    fn what_fills_at_first_is_not_judged_where_there_is_time() {
        let minutes = |args: &[&str]| of(args).warm_up().as_secs() / 60;
        assert_eq!((minutes(&[]), minutes(&["--duration", "60m"]), minutes(&["--duration", "3d"])), (12, 20, 1_440));
        assert_eq!(minutes(&["--duration", "5m"]), 3);
    }

    #[test]
    fn options_that_make_no_sense_are_all_told() {
        assert_eq!(of(&[]).check(), Ok(()));
        let told = |args: &[&str]| of(args).check().unwrap_err().join("\n");
        let both = told(&["--duration", "10s", "--rate", "0"]);
        assert!(both.contains("--duration is too short") && both.contains("--rate is 0"), "{both}");
        assert!(told(&["--duration", "30d", "--every", "1s"]).contains("too many looks"));
        assert!(told(&["--every", "1ms"]).contains("too short"));
    }
}
