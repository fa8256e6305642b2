//! Settings: the effective values, read by key and type. A value that does not fit is noted as a problem and a harmless
//! stand-in returned, so that one run reports everything; `finish` then refuses the whole.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::{Table, Value};

use super::{Problem, Problems, Source, mask, parse_duration, parse_size};

/// An effective value as a person may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub value: String,
    /// Where it comes from: a flag, a variable, the file, the default.
    pub source: String,
}

#[derive(Debug, Clone, Default)]
pub struct Settings {
    values: Table,
    sources: BTreeMap<String, Source>,
    problems: Vec<Problem>,
}

impl Settings {
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// The flat table: dotted keys, no nesting.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.values
    }

    #[must_use]
    pub fn source(&self, key: &str) -> Source {
        self.sources.get(key).cloned().unwrap_or(Source::Default)
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Keys below a prefix with their values, for tables whose names are data (`tags.role = "db"`).
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let inner = move |key: &'a str| key.strip_prefix(prefix)?.strip_prefix('.');
        self.values.iter().filter_map(move |(key, value)| Some((inner(key)?, value)))
    }

    pub fn text(&mut self, key: &str) -> String {
        self.optional_text(key).unwrap_or_else(|| self.missing(key))
    }

    /// `None` when the key has no value, or an empty one: that is how a default is switched off.
    pub fn optional_text(&mut self, key: &str) -> Option<String> {
        let text = match self.values.get(key)? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (!text.is_empty()).then_some(text)
    }

    pub fn texts(&mut self, key: &str) -> Vec<String> {
        match self.values.get(key) {
            Some(Value::Array(items)) => items.iter().map(plain).collect(),
            Some(Value::String(list)) => super::value::list(list).map(str::to_owned).collect(),
            Some(other) => vec![other.to_string()],
            None => Vec::new(),
        }
    }

    pub fn flag(&mut self, key: &str) -> bool {
        match self.values.get(key) {
            Some(Value::Boolean(on)) => *on,
            Some(_) => self.unfit(key, "is neither true nor false"),
            None => self.missing(key),
        }
    }

    /// A whole number inside the range.
    pub fn count(&mut self, key: &str, range: RangeInclusive<usize>) -> usize {
        let Some(value) = self.values.get(key) else {
            return self.missing(key);
        };
        match value.as_integer().and_then(|number| usize::try_from(number).ok()) {
            Some(number) if range.contains(&number) => number,
            Some(_) | None => {
                let message =
                    format!("is {}, not a whole number from {} to {}", plain(value), range.start(), range.end());
                self.unfit(key, message)
            }
        }
    }

    pub fn number(&mut self, key: &str, range: RangeInclusive<f64>) -> f64 {
        let Some(value) = self.values.get(key) else {
            return self.missing(key);
        };
        let number = value.as_float().or_else(|| value.as_integer().map(|number| number as f64));
        match number {
            Some(number) if range.contains(&number) => number,
            Some(_) | None => {
                let message = format!("is {}, not a number from {} to {}", plain(value), range.start(), range.end());
                self.unfit(key, message)
            }
        }
    }

    /// A duration inside the range, by the grammar of `parse_duration`.
    pub fn duration(&mut self, key: &str, range: RangeInclusive<Duration>) -> Duration {
        let Some(value) = self.values.get(key) else {
            return self.missing(key);
        };
        match parse_duration(&plain(value)) {
            Ok(duration) if range.contains(&duration) => duration,
            Ok(_) => {
                let (least, most) = (super::format_duration(*range.start()), super::format_duration(*range.end()));
                let message = format!("is {}, not from {least} to {most}", plain(value));
                self.unfit(key, message)
            }
            Err(message) => self.unfit(key, message),
        }
    }

    /// A size in bytes inside the range, by the grammar of `parse_size`.
    pub fn size_bytes(&mut self, key: &str, range: RangeInclusive<u64>) -> u64 {
        let Some(value) = self.values.get(key) else {
            return self.missing(key);
        };
        match parse_size(&plain(value)) {
            Ok(bytes) if range.contains(&bytes) => bytes,
            Ok(_) => {
                let (least, most) = (super::format_size(*range.start()), super::format_size(*range.end()));
                let message = format!("is {}, not from {least} to {most}", plain(value));
                self.unfit(key, message)
            }
            Err(message) => self.unfit(key, message),
        }
    }

    /// Any other type, by a parser that says what is wrong: addresses, levels, names.
    pub fn parsed<T, E: Display>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let text = self.text(key);
        if text.is_empty() {
            return None;
        }
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.reject(key, format!("is {text:?}: {error}"));
                None
            }
        }
    }

    /// Notes what the caller found wrong with a key's value, also across keys.
    pub fn reject(&mut self, key: &str, message: impl Display) {
        let source = self.source(key);
        self.problems.push(Problem { source, message: format!("{key} {message}") });
    }

    /// # Errors
    /// Every problem that the layers and the reads have found.
    pub fn finish(self) -> Result<(), Problems> {
        if self.problems.is_empty() { Ok(()) } else { Err(Problems(self.problems)) }
    }

    /// One line per key, in order: value, with secrets masked, and source. Itself valid TOML.
    #[must_use]
    pub fn print(&self) -> String {
        let mut out = String::new();
        for (key, value) in self.shown() {
            let source = self.source(key);
            writeln!(out, "{key} = {value}  # {source}").expect("a String takes any text");
        }
        out
    }

    /// The same as data: key, value with secrets masked and strings without quotes, source.
    #[must_use]
    pub fn listed(&self) -> Vec<Listed> {
        let source = |key: &str| self.source(key).to_string();
        self.shown()
            .map(|(key, value)| Listed { key: key.to_owned(), value: plain(&value), source: source(key) })
            .collect()
    }

    fn shown(&self) -> impl Iterator<Item = (&str, Value)> {
        self.values.iter().map(|(key, value)| match value {
            Value::String(text) => (key.as_str(), Value::String(mask(key, text))),
            other => (key.as_str(), other.clone()),
        })
    }

    pub(super) fn put(&mut self, key: String, value: Value, source: Source) {
        self.sources.insert(key.clone(), source);
        self.values.insert(key, value);
    }

    pub(super) fn add_problems(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
    }

    fn missing<T: Default>(&mut self, key: &str) -> T {
        self.unfit(key, "has no value")
    }

    fn unfit<T: Default>(&mut self, key: &str, message: impl Display) -> T {
        self.reject(key, message);
        T::default()
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
