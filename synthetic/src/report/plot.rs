//! Plot: lines in a box, as SVG that stands in a page. No script, no font, no colour from anywhere else.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 36.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    Log,
}

/// A line with its name. Points that do not fit a logarithmic scale are left out.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    /// Which of the page's colours.
    pub(super) colour: &'static str,
    pub(super) points: Vec<(f64, f64)>,
}

pub(super) struct Plot<'a> {
    pub(super) title: &'a str,
    pub(super) x_ticks: Vec<(f64, String)>,
    pub(super) x_name: &'a str,
    pub(super) y_scale: Scale,
    pub(super) y_name: &'a str,
    pub(super) y_text: fn(f64) -> String,
    pub(super) lines: Vec<Line<'a>>,
}

impl Plot<'_> {
    pub(super) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| line.points.iter().copied());
        let (x_min, x_max) = range(points().map(|(x, _)| x));
        let (y_min, y_max) = self.y_range();
        let x_of = |x: f64| LEFT + (x - x_min) / (x_max - x_min).max(1e-12) * (WIDTH - LEFT - RIGHT);
        let y_of = |y: f64| {
            let at = (self.y(y) - self.y(y_min)) / (self.y(y_max) - self.y(y_min)).max(1e-12);
            HEIGHT - BOTTOM - at * (HEIGHT - TOP - BOTTOM)
        };
        let mut svg = format!(
            "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escaped(self.title),
            escaped(self.title)
        );
        for y in self.y_ticks(y_min, y_max) {
            let (at, text) = (y_of(y), (self.y_text)(y));
            add(
                &mut svg,
                format_args!(
                    "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                    WIDTH - RIGHT,
                    LEFT - 6.0,
                    at + 4.0
                ),
            );
        }
        for (x, text) in self.x_ticks.iter().filter(|(x, _)| (x_min..=x_max).contains(x)) {
            let at = x_of(*x);
            add(
                &mut svg,
                format_args!(
                    "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                    HEIGHT - BOTTOM,
                    HEIGHT - BOTTOM + 16.0
                ),
            );
        }
        for line in &self.lines {
            let fits = |y: f64| self.y_scale == Scale::Linear || 0.0 < y;
            let path: Vec<String> = line
                .points
                .iter()
                .filter(|(_, y)| fits(*y))
                .map(|(x, y)| format!("{:.1},{:.1}", x_of(*x), y_of(*y)))
                .collect();
            add(&mut svg, format_args!("<polyline class=\"{}\" points=\"{}\"/>", line.colour, path.join(" ")));
        }
        add(
            &mut svg,
            format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text></svg><p class=\"key\">",
                (LEFT + WIDTH) / 2.0,
                HEIGHT - 4.0,
                escaped(self.x_name)
            ),
        );
        for line in &self.lines {
            add(&mut svg, format_args!("<span class=\"{}\">{}</span> ", line.colour, escaped(line.name)));
        }
        add(&mut svg, format_args!("<small>{}</small></p></figure>", escaped(self.y_name)));
        svg
    }

    fn y(&self, value: f64) -> f64 {
        match self.y_scale {
            Scale::Linear => value,
            Scale::Log => value.max(1e-9).log10(),
        }
    }

    fn y_range(&self) -> (f64, f64) {
        let values = self.lines.iter().flat_map(|line| line.points.iter().map(|(_, y)| *y));
        match self.y_scale {
            Scale::Linear => {
                let high = range(values).1.max(1e-9) * 1.02;
                (0.0, (high / round_step(high)).ceil() * round_step(high))
            }
            Scale::Log => {
                let (low, high) = range(values.filter(|y| 0.0 < *y));
                (10_f64.powf(low.max(1e-9).log10().floor()), 10_f64.powf(high.max(1e-8).log10().ceil()))
            }
        }
    }

    fn y_ticks(&self, low: f64, high: f64) -> Vec<f64> {
        match self.y_scale {
            Scale::Linear => {
                let ticks = std::iter::successors(Some(low), |tick| Some(tick + round_step(high)));
                ticks.take_while(|tick| *tick <= high * 1.001).take(12).collect()
            }
            Scale::Log => {
                let ticks = std::iter::successors(Some(low), |tick| Some(tick * 10.0));
                ticks.take_while(|tick| *tick <= high * 1.001).take(12).collect()
            }
        }
    }
}

/// A step of 1, 2 or 5 times a power of ten that goes into `high` four to nine times.
pub(super) fn round_step(high: f64) -> f64 {
    let rough = high / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().rev().find(|step| step * power <= rough).unwrap_or(1.0);
    step * power
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low <= high { (low, high.max(low + 1e-9)) } else { (0.0, 1.0) }
}

fn add(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes everything");
}

/// Text as content of a page.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_a_handful() {
        for (high, step) in
            [(12_700.0, 2_000.0), (5.0, 1.0), (60.0, 10.0), (99.0, 10.0), (0.003, 0.000_5), (1e6, 200_000.0)]
        {
            let found = round_step(high);
            assert!((found - step).abs() < step * 1e-9, "{high}: {found}");
            assert!((4.0..=13.0).contains(&(high / found)), "{high}: {found}");
        }
    }

    #[test]
    fn points_stay_in_the_box_and_texts_are_escaped() {
        let points = (1..=50).map(|n| (f64::from(n), f64::from(n * n))).chain([(51.0, 0.0)]).collect();
        let plot = Plot {
            title: "<a & b>",
            x_ticks: vec![(1.0, "1".into()), (50.0, "50".into()), (99.0, "outside".into())],
            x_name: "s",
            y_scale: Scale::Log,
            y_name: "ms",
            y_text: |y| format!("{y}"),
            lines: vec![Line { name: "p50", colour: "c1", points }],
        };
        let svg = plot.svg();
        assert!(svg.contains("&lt;a &amp; b&gt;") && !svg.contains("outside"), "{svg}");
        let path = svg.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        let pairs: Vec<(f64, f64)> = path
            .split(' ')
            .map(|pair| {
                let (x, y) = pair.split_once(',').unwrap();
                (x.parse().unwrap(), y.parse().unwrap())
            })
            .collect();
        assert_eq!(pairs.len(), 50);
        assert!(pairs.iter().all(|(x, y)| (LEFT..=WIDTH).contains(x) && (TOP..=HEIGHT - BOTTOM).contains(y)));
    }
}
