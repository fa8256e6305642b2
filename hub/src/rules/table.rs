//! Table: reads one `[[rule]]` key by key. A value of the wrong type is noted with its line and read as absent, so that the keys
//! after it are still checked.

use std::collections::BTreeMap;
use std::ops::Range;

use model::GroupBy;
use runtime::config::parse_duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problems::{Notes, nearest};

/// One `[[rule]]` with the notes of its file.
pub(super) struct RuleTable<'a, 't> {
    pub(super) notes: &'a mut Notes<'t>,
    pub(super) table: &'a DeTable<'t>,
    pub(super) span: Range<usize>,
}

impl<'a, 't> RuleTable<'a, 't> {
    pub(super) fn refuse_unknown_keys(&mut self, known: &[&str]) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let hint = nearest(name, known.iter().copied());
                self.notes.problem(Some(key.span()), format!("unknown key {name:?}{hint}"));
            }
        }
    }

    pub(super) fn span_of(&self, key: &str) -> Range<usize> {
        self.get(key).map_or_else(|| self.span.clone(), Spanned::span)
    }

    pub(super) fn text(&mut self, key: &str) -> Option<&'a str> {
        self.read(key, "a text in quotes", DeValue::as_str)
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        self.read(key, "true or false", DeValue::as_bool)
    }

    pub(super) fn number(&mut self, key: &str) -> Option<f64> {
        self.read(key, "a number", number)
    }

    pub(super) fn seconds(&mut self, key: &str) -> Option<u32> {
        let wanted = "whole seconds, like \"10m\" or 600";
        self.read(key, wanted, |value| {
            let text = match value {
                DeValue::String(text) => text.as_ref(),
                DeValue::Integer(number) => number.as_str(),
                _ => return None,
            };
            let duration = parse_duration(text).ok()?;
            (duration.subsec_nanos() == 0).then(|| u32::try_from(duration.as_secs()).ok())?
        })
    }

    /// A word out of a fixed list, by its name.
    pub(super) fn word<T>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T>
    where
        T: Copy,
    {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let wanted = format!("one of {}", names.join(", "));
        self.read(key, &wanted, |value| {
            let given = value.as_str()?;
            words.iter().find(|(name, _)| *name == given).map(|(_, word)| *word)
        })
    }

    pub(super) fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        self.read(key, "a list of texts, like [\"db-*\", \"web-1\"]", |value| {
            let items = value.as_array()?.iter();
            items.map(|item| Some(item.get_ref().as_str()?.to_owned())).collect()
        })
    }

    pub(super) fn group_by(&mut self) -> Vec<GroupBy> {
        let (mut names, span) = (Vec::new(), self.span_of("group_by"));
        for text in self.texts("group_by").unwrap_or_default() {
            match GroupBy::parse(&text) {
                Ok(by) => names.push(by),
                Err(problem) => self.notes.problem(Some(span.clone()), format!("`group_by`: {problem}")),
            }
        }
        names
    }

    pub(super) fn pairs(&mut self, key: &str) -> Option<BTreeMap<String, String>> {
        self.read(key, "names with texts, like { role = \"db*\" }", |value| {
            let pairs = value.as_table()?.iter();
            pairs
                .map(|(name, value)| Some((name.get_ref().to_string(), value.get_ref().as_str()?.to_owned())))
                .collect()
        })
    }

    /// Says that a key which a rule cannot do without is not there. One of a wrong type was noted already.
    pub(super) fn require<T>(&mut self, key: &str, value: Option<T>) -> Option<T> {
        if value.is_none() && self.get(key).is_none() {
            let span = self.span.clone();
            self.notes.problem(Some(span), format!("this rule has no `{key}`"));
        }
        value
    }

    fn read<T>(&mut self, key: &str, wanted: &str, convert: impl FnOnce(&'a DeValue<'t>) -> Option<T>) -> Option<T> {
        let value = self.get(key)?;
        let converted = convert(value.get_ref());
        if converted.is_none() {
            self.notes.problem(Some(value.span()), format!("`{key}` must be {wanted}"));
        }
        converted
    }

    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'t>>> {
        let entry = self.table.iter().find(|(name, _)| name.get_ref().as_ref() == key);
        entry.map(|(_, value)| value)
    }
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(number) => number.as_str().parse().ok(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
        _ => None,
    }
}
