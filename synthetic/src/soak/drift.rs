//! Drift: whether a figure grows for as long as a program runs, told apart from its noise.
//!
//! The slope is Theil and Sen's: the median of the slopes between all pairs of looks, which a quarter of wild looks cannot move. What counts is
//! how far that slope leads over the time that is judged, held against an allowance: a part of the figure's median, and never less than so much.

use serde::Serialize;

/// Looks are thinned to so many by the medians of neighbours: pairs grow with the square.
const POINTS_MAX: usize = 400;

/// A figure that is judged, and how much of a growth is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Watched {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    /// Growth over the judged time that is allowed, as a part of the median.
    pub(crate) part: f64,
    /// And at least, in its own unit.
    pub(crate) least: f64,
}

/// What became of a figure over the judged time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trend {
    pub name: &'static str,
    pub unit: &'static str,
    pub looks: usize,
    pub median: f64,
    pub highest: f64,
    pub per_hour: f64,
    /// Where the slope leads from the first judged look to the last.
    pub growth: f64,
    pub allowed: f64,
    pub is_drift: bool,
}

/// `looks` are seconds and the figure, in order of time.
///
/// None where the looks are too few to have a slope.
pub(crate) fn judge(watched: &Watched, looks: &[(f64, f64)]) -> Option<Trend> {
    let slope = slope(&thinned(looks))?;
    let (first, last) = (looks.first()?.0, looks.last()?.0);
    let median = median(looks.iter().map(|look| look.1).collect())?;
    let (growth, allowed) = (slope * (last - first), watched.least.max(watched.part * median));
    Some(Trend {
        name: watched.name,
        unit: watched.unit,
        looks: looks.len(),
        median,
        highest: looks.iter().map(|look| look.1).fold(f64::MIN, f64::max),
        per_hour: slope * 3_600.0,
        growth,
        allowed,
        is_drift: allowed < growth,
    })
}

/// Median of the slopes between all pairs.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let pairs =
        points.iter().enumerate().flat_map(|(index, from)| points[index + 1..].iter().map(move |to| (from, to)));
    median(pairs.filter(|(from, to)| from.0 < to.0).map(|(from, to)| (to.1 - from.1) / (to.0 - from.0)).collect())
}

fn thinned(looks: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let group = looks.len().div_ceil(POINTS_MAX).max(1);
    let one = |group: &[(f64, f64)]| {
        let part = |figure: fn(&(f64, f64)) -> f64| median(group.iter().map(figure).collect());
        Some((part(|look| look.0)?, part(|look| look.1)?))
    };
    looks.chunks(group).filter_map(one).collect()
}

/// The upper one of two in the middle.
fn median(mut figures: Vec<f64>) -> Option<f64> {
    let middle = figures.len() / 2;
    if figures.is_empty() {
        return None;
    }
    Some(*figures.select_nth_unstable_by(middle, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: Watched = Watched { name: "resident", unit: "MB", part: 0.05, least: 16.0 };

    /// An hour of looks, one each 5 s.
    fn hour(figure: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        (0..720).map(|look| f64::from(look) * 5.0).map(|at_s| (at_s, figure(at_s))).collect()
    }

    /// Between 0 and 1, the same in every run.
    fn noise(at_s: f64) -> f64 {
        fastrand::Rng::with_seed(at_s.to_bits()).f64()
    }

    #[test]
    fn a_leak_is_told_from_noise_and_by_how_much_an_hour() {
        let leak = judge(&MEMORY, &hour(|at_s| 300.0 + 60.0 * at_s / 3_600.0 + 40.0 * noise(at_s))).unwrap();
        assert!(leak.is_drift && (55.0..65.0).contains(&leak.per_hour), "{leak:?}");
        let steady = judge(&MEMORY, &hour(|at_s| 300.0 + 40.0 * noise(at_s))).unwrap();
        assert!(!steady.is_drift && steady.growth.abs() < 8.0, "{steady:?}");
    }

    #[test]
    fn what_returns_and_what_is_rare_is_no_drift() {
        // A saw of ten minutes, as a history that is written in turns makes one.
        let saw = judge(&MEMORY, &hour(|at_s| 300.0 + 60.0 * (at_s % 600.0) / 600.0)).unwrap();
        assert!(!saw.is_drift, "{saw:?}");
        let rare =
            judge(&MEMORY, &hour(|at_s| if at_s > 3_000.0 && noise(at_s) > 0.8 { 2_000.0 } else { 300.0 })).unwrap();
        assert!(!rare.is_drift && rare.highest > 1_900.0, "{rare:?}");
        let less = judge(&MEMORY, &hour(|at_s| 300.0 - 60.0 * at_s / 3_600.0)).unwrap();
        assert!(!less.is_drift && less.growth < -50.0, "{less:?}");
    }

    #[test]
    fn one_descriptor_a_minute_is_a_drift_however_small() {
        let files = Watched { name: "open files", unit: "", part: 0.0, least: 4.0 };
        assert!(judge(&files, &hour(|at_s| 80.0 + (at_s / 60.0).floor())).unwrap().is_drift);
        assert!(!judge(&files, &hour(|at_s| 80.0 + (noise(at_s) * 3.0).floor())).unwrap().is_drift);
    }

    #[test]
    fn without_two_looks_there_is_no_slope() {
        assert_eq!(judge(&MEMORY, &[]), None);
        assert_eq!(judge(&MEMORY, &[(1.0, 5.0)]), None);
    }
}
