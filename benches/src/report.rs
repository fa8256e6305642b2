//! Report: what every measuring program prints: one JSON line a figure, so that one table and one file can be made of all of them.

use serde::{Deserialize, Serialize};

/// One measured figure. Ratios count, so it carries the baseline of the same run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The program, then what it measured, such as `latency: graph alone, p50`.
    pub name: String,
    pub value: f64,
    pub unit: String,
    /// What it should be at most, or at least.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub goal: Option<Goal>,
    /// The same figure of the plain way, in the same run and unit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub baseline: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    #[must_use]
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => least <= value,
        }
    }
}

impl Figure {
    #[must_use]
    pub fn new(name: impl Into<String>, value: f64, unit: &str) -> Self {
        Self { name: name.into(), value, unit: unit.into(), goal: None, baseline: None }
    }

    #[must_use]
    pub fn at_most(self, most: f64) -> Self {
        Self { goal: Some(Goal::AtMost(most)), ..self }
    }

    #[must_use]
    pub fn at_least(self, least: f64) -> Self {
        Self { goal: Some(Goal::AtLeast(least)), ..self }
    }

    #[must_use]
    pub fn against(self, baseline: f64) -> Self {
        Self { baseline: Some(baseline), ..self }
    }

    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        self.baseline.filter(|baseline| *baseline > 0.0).map(|baseline| self.value / baseline)
    }

    /// Prints it as one JSON line.
    #[expect(clippy::print_stdout, reason = "what a measuring program is for")]
    pub fn print(&self) {
        println!("{}", serde_json::to_string(self).expect("a figure is plain data"));
    }

    /// A line of the table: name, value, goal, ratio.
    #[must_use]
    pub fn row(&self) -> String {
        let goal = match self.goal {
            Some(goal @ Goal::AtMost(most)) => format!("<= {} {}", short(most), mark(goal, self.value)),
            Some(goal @ Goal::AtLeast(least)) => format!(">= {} {}", short(least), mark(goal, self.value)),
            None => String::from("-"),
        };
        let baseline = self.baseline.map_or_else(|| String::from("-"), short);
        let ratio = self.ratio().map_or_else(|| String::from("-"), |ratio| format!("{ratio:.2}"));
        let Self { name, unit, .. } = self;
        format!("{name:<58} {:>10} {unit:<14} {goal:<16} {baseline:>10} {ratio:>7}", short(self.value))
    }
}

/// Above the rows.
#[must_use]
pub fn head() -> String {
    let (figure, value, unit, goal, baseline, ratio) = ("figure", "value", "unit", "goal", "baseline", "ratio");
    format!("{figure:<58} {value:>10} {unit:<14} {goal:<16} {baseline:>10} {ratio:>7}")
}

/// Three digits that count.
fn short(value: f64) -> String {
    let size = value.abs();
    let digits = if size >= 100.0 || size == 0.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else {
        4
    };
    format!("{value:.digits$}")
}

fn mark(goal: Goal, value: f64) -> &'static str {
    if goal.is_met(value) { "met" } else { "MISSED" }
}

/// Durations or other amounts, to be asked for their percentiles.
#[derive(Debug, Default)]
pub struct Spread(Vec<u64>);

impl Spread {
    #[must_use]
    pub fn of(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        Self(values)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value that `percent` of all do not exceed; 0 when there is none.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> u64 {
        let at = (self.0.len() * percent).div_ceil(100).max(1) - 1;
        self.0.get(at).copied().unwrap_or(0)
    }
}

#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_there() {
        let spread = Spread::of((1..=200).rev().collect());
        assert_eq!([1, 50, 99, 100].map(|percent| spread.percentile(percent)), [2, 100, 198, 200]);
        assert_eq!(Spread::default().percentile(99), 0);
        assert_eq!(Spread::of(vec![7]).percentile(50), 7);
    }

    #[test]
    fn a_figure_tells_its_goal_and_its_ratio() {
        let figure = Figure::new("latency", 90.0, "us").at_most(120.0).against(45.0);
        assert_eq!(figure.ratio(), Some(2.0));
        assert!(figure.row().contains("<= 120 met"), "{}", figure.row());
        assert!(figure.at_least(91.0).row().contains("MISSED"));
    }

    #[test]
    fn a_figure_survives_its_line() {
        let figure = Figure::new("idle", 0.05, "% of a core").at_most(0.1);
        let line = serde_json::to_string(&figure).unwrap();
        assert_eq!(serde_json::from_str::<Figure>(&line).unwrap(), figure);
    }
}
