//! Text: Prometheus' exposition format 0.0.4. A `Scrape` gathers the samples of one request by family, because the format
//! wants a family in one piece whoever its members come from.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Histogram, Labels};

/// The media type `render`'s text is served with.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// What a family is, the same for all its members.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
}

#[derive(Debug, Default)]
pub struct Scrape {
    families: BTreeMap<&'static str, (Family, String)>,
}

impl Scrape {
    pub fn gauge(&mut self, name: &'static str, help: &'static str, labels: Labels<'_>, value: f64) {
        self.sample(Family { name, kind: Kind::Gauge, help }, &label_text(labels), value);
    }

    pub fn counter(&mut self, name: &'static str, help: &'static str, labels: Labels<'_>, value: f64) {
        self.sample(Family { name, kind: Kind::Counter, help }, &label_text(labels), value);
    }

    pub(super) fn sample(&mut self, family: Family, labels: &str, value: f64) {
        line(self.text(family), family.name, labels, value);
    }

    pub(super) fn histogram(&mut self, family: Family, labels: &str, values: &Histogram) {
        self.cumulative(family, labels, (values.cumulative(), values.sum()));
    }

    /// A histogram that somebody else counts: its upper bounds, how many values each bucket has (one more than bounds), and their sum.
    pub fn buckets(&mut self, (name, help): (&'static str, &'static str), bounds: &[f64], counts: &[u64], sum: f64) {
        let bounds = bounds.iter().copied().chain(std::iter::once(f64::INFINITY));
        let below = counts.iter().scan(0, |below, count| {
            *below += count;
            Some(*below)
        });
        self.cumulative(Family { name, kind: Kind::Histogram, help }, "", (bounds.zip(below), sum));
    }

    fn cumulative(&mut self, family: Family, labels: &str, (below, sum): (impl Iterator<Item = (f64, u64)>, f64)) {
        let name = family.name;
        let text = self.text(family);
        let mut count = 0;
        for (bound, below) in below {
            let comma = if labels.is_empty() { "" } else { "," };
            let labels = format!("{labels}{comma}le=\"{}\"", number(bound));
            line(text, &format!("{name}_bucket"), &labels, below as f64);
            count = below;
        }
        line(text, &format!("{name}_sum"), labels, sum);
        line(text, &format!("{name}_count"), labels, count as f64);
    }

    pub(super) fn into_text(self) -> String {
        let mut out = String::new();
        for (Family { name, kind, help }, text) in self.families.into_values() {
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            push(&mut out, format_args!("# HELP {name} {help}\n# TYPE {name} {}\n{text}", kind.as_str()));
        }
        out
    }

    fn text(&mut self, family: Family) -> &mut String {
        let (known, text) = self.families.entry(family.name).or_insert_with(|| (family, String::new()));
        debug_assert_eq!(known.kind, family.kind, "metric {} is exported as two kinds", family.name);
        text
    }
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// `key="value",...` with the values escaped.
pub(super) fn label_text(labels: Labels<'_>) -> String {
    let mut text = String::new();
    for (key, value) in labels {
        let comma = if text.is_empty() { "" } else { "," };
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        push(&mut text, format_args!("{comma}{key}=\"{value}\""));
    }
    text
}

fn line(text: &mut String, name: &str, labels: &str, value: f64) {
    if labels.is_empty() {
        push(text, format_args!("{name} {}\n", number(value)));
    } else {
        push(text, format_args!("{name}{{{labels}}} {}\n", number(value)));
    }
}

fn number(value: f64) -> String {
    if value.is_nan() {
        String::from("NaN")
    } else if value.is_infinite() {
        String::from(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        value.to_string()
    }
}

fn push(text: &mut String, piece: std::fmt::Arguments<'_>) {
    text.write_fmt(piece).expect("a String takes any text");
}
