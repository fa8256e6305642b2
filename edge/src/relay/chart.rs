//! Chart: the last hour of one metric as inline SVG, with gaps as gaps. `page/chart.js` draws it the same way when it goes on.

use std::fmt::Write;

use super::format;
use crate::protocol::{CHART_POINTS, Column, Kind};

/// Between two points; the picture is as wide as an hour of them.
const STEP: usize = 2;
const WIDTH: usize = (CHART_POINTS - 1) * STEP;
const HEIGHT: f64 = 40.0;
/// Above the highest and below the lowest value, so that the stroke is not cut.
const MARGIN: f64 = 1.0;

const INFALLIBLE: &str = "a String takes any text";

/// Lowest and highest value; none without any.
fn range(points: &[Option<f64>]) -> Option<(f64, f64)> {
    let known = points.iter().flatten();
    known.fold(None, |range, value| match range {
        None => Some((*value, *value)),
        Some((low, high)) => Some((low.min(*value), high.max(*value))),
    })
}

/// What stands at the top: a whole of a ratio, the highest value of everything else.
fn top(kind: Kind, high: f64) -> f64 {
    match kind {
        Kind::Ratio => 1.0,
        Kind::Number | Kind::Bytes | Kind::BytesPerSecond | Kind::PerSecond | Kind::Seconds | Kind::Celsius => {
            if high > 0.0 { high } else { 1.0 }
        }
    }
}

/// In words, for who does not see it.
pub(super) fn words(column: &Column, points: &[Option<f64>]) -> String {
    let label = &column.label;
    match range(points) {
        None => format!("{label}: no values in the last hour"),
        Some((low, high)) => format!("{label} in the last hour: {}", between(column.kind, low, high)),
    }
}

/// The range, for below the chart.
pub(super) fn caption(column: &Column, points: &[Option<f64>]) -> String {
    range(points).map_or_else(|| String::from("no values"), |(low, high)| between(column.kind, low, high))
}

fn between(kind: Kind, low: f64, high: f64) -> String {
    let (low, high) = (format::value(kind, Some(low)), format::value(kind, Some(high)));
    if low == high { low } else { format!("{low} to {high}") }
}

/// The lines' path and the path of the area below them.
pub(super) fn paths(kind: Kind, points: &[Option<f64>]) -> (String, String) {
    let (mut line, mut area) = (String::new(), String::new());
    let Some((_, high)) = range(points) else { return (line, area) };
    let top = top(kind, high);
    let first = CHART_POINTS - points.len().min(CHART_POINTS);
    let mut before = None;
    for (index, point) in points.iter().enumerate() {
        let x = (first + index) * STEP;
        let Some(value) = point else {
            close(&mut area, before.take());
            continue;
        };
        let y = format::tenths((HEIGHT - MARGIN - (value * (HEIGHT - 2.0 * MARGIN)) / top).clamp(0.0, HEIGHT));
        match before {
            None => {
                // A point alone has a stroke too, by its round ends.
                write!(line, "M{x} {y:.1}h0").expect(INFALLIBLE);
                write!(area, "M{x} {HEIGHT}V{y:.1}").expect(INFALLIBLE);
            }
            Some(_) => {
                write!(line, "L{x} {y:.1}").expect(INFALLIBLE);
                write!(area, "L{x} {y:.1}").expect(INFALLIBLE);
            }
        }
        before = Some(x);
    }
    close(&mut area, before);
    (line, area)
}

fn close(area: &mut String, x: Option<usize>) {
    if x.is_some() {
        write!(area, "V{HEIGHT}Z").expect(INFALLIBLE);
    }
}

/// `viewBox` of every chart.
pub(super) fn view_box() -> String {
    format!("0 0 {WIDTH} {HEIGHT}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_a_gap_and_the_newest_is_at_the_right() {
        let points = [Some(0.0), Some(1.0), None, Some(0.5)];
        let (line, area) = paths(Kind::Ratio, &points);
        assert_eq!(line, "M112 39.0h0L114 1.0M118 20.0h0");
        assert_eq!(area, "M112 40V39.0L114 1.0V40ZM118 40V20.0V40Z");
        assert_eq!(paths(Kind::Ratio, &[None, None]), (String::new(), String::new()));
    }

    #[test]
    fn what_has_no_upper_end_is_scaled_by_its_highest_value() {
        let (line, _) = paths(Kind::BytesPerSecond, &[Some(0.0), Some(4e6)]);
        assert_eq!(line, "M116 39.0h0L118 1.0");
        assert_eq!(paths(Kind::Number, &[Some(0.0)]).0, "M118 39.0h0");
    }

    #[test]
    fn a_chart_is_told_in_words() {
        let column = Column { label: String::from("CPU"), kind: Kind::Ratio };
        assert_eq!(words(&column, &[Some(0.1), None, Some(0.4)]), "CPU in the last hour: 10 % to 40 %");
        assert_eq!(words(&column, &[]), "CPU: no values in the last hour");
        assert_eq!(caption(&column, &[Some(0.1)]), "10 %");
    }
}
