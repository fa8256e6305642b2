//! A series: one metric with one set of labels, of one machine. Validated at the door.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::InvalidName;

pub const METRIC_NAME_BYTES_MAX: usize = 128;
pub const LABEL_NAME_BYTES_MAX: usize = 64;
pub const LABEL_VALUE_BYTES_MAX: usize = 256;
/// Labels per series.
pub const LABELS_MAX: usize = 8;

/// Label pairs, sorted by name, each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    pub fn none() -> Self {
        Self::default()
    }

    /// Validates names (`[A-Za-z_][A-Za-z0-9_.]*`), sizes and number; sorts; refuses a repeated name.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, InvalidName> {
        let mut sorted: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        for (name, value) in pairs {
            if !is_dotted_name(name, LABEL_NAME_BYTES_MAX) {
                return Err(InvalidName::new(
                    "label name",
                    name,
                    "use 1 to 64 of A-Z a-z 0-9 _ . and start with a letter",
                ));
            }
            if value.len() > LABEL_VALUE_BYTES_MAX || value.chars().any(char::is_control) {
                return Err(InvalidName::new("label value", value, "use up to 256 bytes without control characters"));
            }
            if sorted.len() == LABELS_MAX {
                return Err(InvalidName::new("label", name, "a series has at most 8 labels"));
            }
            sorted.push((name.into(), value.into()));
        }
        sorted.sort();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(InvalidName::new("label name", &twice[0].0, "each label is given once"));
        }
        Ok(Self(sorted.into()))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.as_ref() == name).map(|(_, v)| v.as_ref())
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_ref(), v.as_ref()))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Labels {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = std::collections::BTreeMap::<String, String>::deserialize(deserializer)?;
        Self::parse(map.iter().map(|(n, v)| (n.as_str(), v.as_str()))).map_err(serde::de::Error::custom)
    }
}

/// A metric with its labels: what names a series within its machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesKey {
    pub metric: Arc<str>,
    pub labels: Labels,
}

impl SeriesKey {
    /// Validates the metric's name (`[A-Za-z_][A-Za-z0-9_.]*`, at most 128 bytes).
    pub fn parse(metric: &str, labels: Labels) -> Result<Self, InvalidName> {
        if !is_dotted_name(metric, METRIC_NAME_BYTES_MAX) {
            return Err(InvalidName::new(
                "metric name",
                metric,
                "use 1 to 128 of A-Z a-z 0-9 _ . and start with a letter",
            ));
        }
        Ok(Self { metric: metric.into(), labels })
    }
}

/// `metric{a=b,c=d}`, with quotes and backslashes of values escaped: also the seeds' JSON key.
impl fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.metric)?;
        if self.labels.is_empty() {
            return Ok(());
        }
        f.write_str("{")?;
        for (index, (name, value)) in self.labels.iter().enumerate() {
            write!(f, "{}{name}={value:?}", if index == 0 { "" } else { "," })?;
        }
        f.write_str("}")
    }
}

fn is_dotted_name(name: &str, bytes_max: usize) -> bool {
    let first_is_fine = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first_is_fine
        && name.len() <= bytes_max
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
}

/// Keys that layouts share: machines with one kind of collector have mostly the same, and their text is held once.
#[derive(Debug, Default)]
pub struct SharedKeys(HashSet<SeriesKey>);

impl SharedKeys {
    /// Beyond it the memory starts anew: keys are shared to be small, not to be right.
    const MAX: usize = 65_536;

    /// The key, with the text of an equal one that was here before.
    pub fn share(&mut self, key: SeriesKey) -> SeriesKey {
        if let Some(known) = self.0.get(&key) {
            return known.clone();
        }
        if self.0.len() == Self::MAX {
            self.0.clear();
        }
        self.0.insert(key.clone());
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_and_unique() {
        let labels = Labels::parse([("b", "2"), ("a", "1")]).unwrap();
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        assert!(Labels::parse([("a", "1"), ("a", "2")]).is_err());
        assert!(Labels::parse([("", "1")]).is_err());
        assert!(Labels::parse([("a", "line\nbreak")]).is_err());
        let many: Vec<String> = (0..9).map(|n| format!("l{n}")).collect();
        assert!(Labels::parse(many.iter().map(|n| (n.as_str(), ""))).is_err());
    }

    #[test]
    fn a_series_prints_like_a_selector() {
        let key =
            SeriesKey::parse("system.filesystem.usage", Labels::parse([("mountpoint", "/\"x")]).unwrap()).unwrap();
        assert_eq!(key.to_string(), r#"system.filesystem.usage{mountpoint="/\"x"}"#);
        assert!(SeriesKey::parse("9lives", Labels::none()).is_err());
        assert!(SeriesKey::parse("a b", Labels::none()).is_err());
    }

    #[test]
    fn equal_keys_share_their_text_and_the_memory_is_bounded() {
        let key = |name: &str| SeriesKey::parse(name, Labels::parse([("device", "sda")]).unwrap()).unwrap();
        let mut keys = SharedKeys::default();
        let (first, again, other) = (keys.share(key("a")), keys.share(key("a")), keys.share(key("b")));
        assert!(
            first == again
                && Arc::ptr_eq(&first.metric, &again.metric)
                && Arc::ptr_eq(&first.labels.0, &again.labels.0)
        );
        assert_eq!(other, key("b"));
        for number in 0..2 * SharedKeys::MAX {
            keys.share(key(&format!("m{number}")));
        }
        assert!(keys.0.len() <= SharedKeys::MAX);
    }
}
