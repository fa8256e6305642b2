//! Silences: alerts that nobody wants to hear of for a while. The alert goes on; only how it stands changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::MachineId;
use crate::rule::glob;
use crate::series::Labels;
use crate::time::Timestamp;

/// Longest silence, and how far ahead one may begin.
pub const SILENCE_MAX: Duration = Duration::from_secs(30 * 86_400);
/// Silences that a hub keeps, ended ones among them: people make them by hand.
pub const SILENCES_MAX: usize = 1_000;

/// Patterns in one list, and pairs in one map.
const PATTERNS_MAX: usize = 64;
const PATTERN_CHARS_MAX: usize = 256;
const AUTHOR_CHARS_MAX: usize = 128;
const COMMENT_CHARS_MAX: usize = 1_024;
const ID_BYTES_MAX: usize = 64;

/// Which alerts: all that is given must fit, and something must be given. Patterns have `*` and `?`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Matchers {
    /// Names of rules; empty: any.
    #[serde(default)]
    pub rules: Vec<String>,
    /// Machine ids; empty: any.
    #[serde(default)]
    pub machines: Vec<String>,
    /// Tags that the machine must carry.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Labels that the series must carry.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// One silence: in force in `[starts_at, ends_at)` of the graph's logical time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// Given by the hub: letters, digits and dashes.
    pub id: String,
    pub matchers: Matchers,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    /// Whoever asked for it, as they said.
    pub author: String,
    #[serde(default)]
    pub comment: String,
    pub created: Timestamp,
}

/// Where a silence stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum SilenceState {
    Pending,
    Active,
    Ended,
}

impl Matchers {
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.machines.is_empty() && self.tags.is_empty() && self.labels.is_empty()
    }

    /// Whether an alert of this rule, machine and series is meant.
    pub fn match_alert(
        &self,
        rule: &str,
        machine: &MachineId,
        tags: &BTreeMap<String, String>,
        labels: &Labels,
    ) -> bool {
        let any = |patterns: &[String], text: &str| patterns.is_empty() || patterns.iter().any(|p| glob(p, text));
        any(&self.rules, rule)
            && any(&self.machines, machine.as_str())
            && self.tags.iter().all(|(n, p)| tags.get(n).is_some_and(|v| glob(p, v)))
            && self.labels.iter().all(|(n, p)| labels.get(n).is_some_and(|v| glob(p, v)))
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.is_empty() {
            problems
                .push("say what is to be silent: rules, machines, tags or labels; rules [\"*\"] is everything".into());
        }
        for (what, patterns) in [("rules", &self.rules), ("machines", &self.machines)] {
            if PATTERNS_MAX < patterns.len() || patterns.iter().any(|pattern| !is_pattern(pattern)) {
                problems.push(format!(
                    "{what}: use at most {PATTERNS_MAX} patterns of 1 to {PATTERN_CHARS_MAX} characters"
                ));
            }
        }
        for (what, pairs) in [("tags", &self.tags), ("labels", &self.labels)] {
            let are_fine = pairs.iter().all(|(name, pattern)| is_pattern(name) && is_pattern(pattern));
            if PATTERNS_MAX < pairs.len() || !are_fine {
                problems.push(format!(
                    "{what}: use at most {PATTERNS_MAX} names with patterns of 1 to {PATTERN_CHARS_MAX} characters"
                ));
            }
        }
        problems
    }
}

fn is_pattern(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= PATTERN_CHARS_MAX && !text.chars().any(char::is_control)
}

impl Silence {
    /// Every problem of the silence, each a sentence that says what to do.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.matchers.problems();
        let mut check = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        let id_is_fine = self.id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        check(
            id_is_fine && (1..=ID_BYTES_MAX).contains(&self.id.len()),
            format!("id {:?}: use 1 to {ID_BYTES_MAX} of A-Z a-z 0-9 -", self.id),
        );
        check(self.starts_at < self.ends_at, "a silence must end after it starts".to_owned());
        let is_short = self.ends_at.since(self.starts_at) <= SILENCE_MAX;
        check(is_short, "a silence lasts at most 30 days; make a rule not apply instead".to_owned());
        let is_near = self.starts_at.since(self.created) <= SILENCE_MAX;
        check(is_near, "a silence starts at most 30 days after it is made".to_owned());
        let says_who = (1..=AUTHOR_CHARS_MAX).contains(&self.author.trim().chars().count());
        check(says_who, format!("author: say who you are, in 1 to {AUTHOR_CHARS_MAX} characters"));
        let is_concise = self.comment.chars().count() <= COMMENT_CHARS_MAX;
        check(is_concise, format!("comment: use at most {COMMENT_CHARS_MAX} characters"));
        problems
    }

    pub fn state(&self, now: Timestamp) -> SilenceState {
        match now {
            _ if self.ends_at <= now => SilenceState::Ended,
            _ if self.starts_at <= now => SilenceState::Active,
            _ => SilenceState::Pending,
        }
    }
}

/// The silences that have not ended when the set is made, in id order. A later version replaces the earlier one whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SilenceSet {
    pub version: u64,
    pub silences: Vec<Arc<Silence>>,
}

impl SilenceSet {
    /// What of these is pending or in force at `now`.
    pub fn new(version: u64, silences: impl IntoIterator<Item = Arc<Silence>>, now: Timestamp) -> Self {
        let mut silences: Vec<Arc<Silence>> =
            silences.into_iter().filter(|silence| silence.state(now) != SilenceState::Ended).collect();
        silences.sort_by(|a, b| a.id.cmp(&b.id));
        Self { version, silences }
    }

    /// Whether two sets mean the same from `now` on.
    pub fn says_the_same(&self, other: &Self, now: Timestamp) -> bool {
        let open = |set: &Self| -> Vec<Arc<Silence>> {
            set.silences.iter().filter(|silence| silence.state(now) != SilenceState::Ended).cloned().collect()
        };
        open(self) == open(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence() -> Silence {
        Silence {
            id: "s-1".into(),
            matchers: Matchers { machines: vec!["db-*".into()], ..Matchers::default() },
            starts_at: Timestamp::from_secs(100),
            ends_at: Timestamp::from_secs(200),
            author: "ana".into(),
            comment: String::new(),
            created: Timestamp::from_secs(90),
        }
    }

    #[test]
    fn all_that_a_silence_names_must_fit() {
        let machine = MachineId::parse("db-1").unwrap();
        let tags = BTreeMap::from([("role".to_owned(), "db".to_owned())]);
        let labels = Labels::parse([("mount", "/var")]).unwrap();
        let fits = |text: &str| {
            let matchers: Matchers = serde_json::from_str(text).unwrap();
            matchers.match_alert("disk-full", &machine, &tags, &labels)
        };
        assert!(fits(
            r#"{"rules":["disk-*","cpu"],"machines":["db-?"],"tags":{"role":"d*"},"labels":{"mount":"/var"}}"#
        ));
        assert!(fits(r#"{"rules":["*"]}"#));
        for other in [
            r#"{"rules":["cpu"]}"#,
            r#"{"machines":["web-*"]}"#,
            r#"{"tags":{"site":"*"}}"#,
            r#"{"rules":["*"],"labels":{"mount":"/"}}"#,
        ] {
            assert!(!fits(other), "{other}");
        }
    }

    #[test]
    fn a_silence_has_an_end_and_all_its_problems_are_reported_at_once() {
        assert_eq!(silence().problems(), Vec::<String>::new());
        let bad = Silence {
            id: "a b".into(),
            matchers: Matchers::default(),
            ends_at: Timestamp::from_secs(100),
            author: " ".into(),
            comment: "x".repeat(1_025),
            ..silence()
        };
        assert_eq!(bad.problems().len(), 5, "{:?}", bad.problems());
        let long = Silence { ends_at: silence().starts_at + SILENCE_MAX + Duration::from_secs(1), ..silence() };
        assert_eq!(long.problems().len(), 1);
        let far = Timestamp::from_secs(91) + SILENCE_MAX;
        let late = Silence { starts_at: far, ends_at: far + Duration::from_secs(1), ..silence() };
        assert_eq!(late.problems().len(), 1);
        let wide = Matchers {
            rules: vec!["x".into(); 65],
            tags: BTreeMap::from([(String::new(), "x".into())]),
            ..Matchers::default()
        };
        assert_eq!(Silence { matchers: wide, ..silence() }.problems().len(), 2);
    }

    #[test]
    fn a_silence_is_in_force_from_its_start_until_before_its_end() {
        let at = |s| silence().state(Timestamp::from_secs(s));
        assert_eq!(
            [99, 100, 199, 200].map(at),
            [SilenceState::Pending, SilenceState::Active, SilenceState::Active, SilenceState::Ended]
        );
    }

    #[test]
    fn a_set_has_what_has_not_ended_and_two_compare_by_that() {
        let other = Silence { id: "a".into(), ends_at: Timestamp::from_secs(150), ..silence() };
        let both = [Arc::new(silence()), Arc::new(other)];
        let early = SilenceSet::new(1, both.clone(), Timestamp::from_secs(120));
        let late = SilenceSet::new(2, both, Timestamp::from_secs(150));
        assert_eq!((early.silences.len(), early.silences[0].id.as_str(), late.silences.len()), (2, "a", 1));
        assert!(!early.says_the_same(&late, Timestamp::from_secs(149)));
        assert!(early.says_the_same(&late, Timestamp::from_secs(150)));
    }
}
