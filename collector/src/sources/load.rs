//! Load averages, from /proc/loadavg.

use super::root::Root;
use super::{Source, SourceError};
use crate::readings::Readings;

const METRICS: [&str; 3] = ["system.cpu.load_average.1m", "system.cpu.load_average.5m", "system.cpu.load_average.15m"];

pub(super) struct Load {
    root: Root,
}

impl Load {
    pub(super) fn new(root: Root) -> Self {
        Self { root }
    }
}

impl Source for Load {
    fn name(&self) -> &'static str {
        "load"
    }

    fn read(&mut self, _at_us: u64, out: &mut Readings) -> Result<(), SourceError> {
        let load = parse(&self.root.read("proc/loadavg")?)
            .ok_or(SourceError::Format { file: "/proc/loadavg", what: "three numbers" })?;
        for (metric, value) in METRICS.into_iter().zip(load) {
            out.plain(metric, value);
        }
        Ok(())
    }
}

fn parse(text: &str) -> Option<[f64; 3]> {
    let mut words = text.split_ascii_whitespace();
    let mut next = || words.next()?.parse::<f64>().ok().filter(|load| load.is_finite() && 0.0 <= *load);
    Some([next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_averages_come_first_in_the_line() {
        assert_eq!(parse("0.52 1.04 10.00 2/345 6789\n"), Some([0.52, 1.04, 10.0]));
        for text in ["", "0.5 0.6", "a b c", "-1 0 0", "nan 0 0"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
