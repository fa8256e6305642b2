//! Own: the rules that were made at run time, in one file in the data folder that the hub alone writes (ADR 0010).
//!
//! A change is computed on a copy, written beside the file, fsynced and renamed over it, and only then taken: a crash leaves the old rules
//! or the new ones. A file that cannot be used stops the start and is left as it is: rules never vanish in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use model::command::{RuleChange, RuleError};
use model::rule::{Rule, RuleSet};

use super::LoadError;
use super::file::{FILE_BYTES_MAX, RULES_MAX};
use crate::config::Config;

const FILE_NAME: &str = "rules.json";

/// The hub's own rules, as they are on disk.
#[derive(Debug, Clone)]
pub struct OwnRules {
    path: PathBuf,
    rules: BTreeMap<String, Rule>,
}

impl OwnRules {
    /// Those in the data folder.
    ///
    /// # Errors
    /// As `open`.
    pub fn of(config: &Config) -> Result<Self, LoadError> {
        Self::open(config.data_dir.join(FILE_NAME))
    }

    /// Reads the file; without one there are none.
    ///
    /// # Errors
    /// When the file cannot be read or is not what the hub wrote.
    pub fn open(path: PathBuf) -> Result<Self, LoadError> {
        let unusable = |problem: String| LoadError::Own { path: path.clone(), problem };
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => "[]".to_owned(),
            Err(error) => return Err(unusable(error.to_string())),
        };
        let rules: Vec<Rule> = serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
        // Nothing in it is trusted more than what a client sends: somebody may have edited it.
        RuleSet::new(0, rules.clone()).map_err(|problems| unusable(problems.join("; ")))?;
        let rules = rules.into_iter().map(|rule| (rule.name.clone(), rule)).collect();
        Ok(Self { path, rules })
    }

    /// The rules with one change, not yet on disk. `file` are the rules that win by name.
    pub(super) fn after(&self, change: RuleChange, file: &[Rule]) -> Result<Self, RuleError> {
        let name = change.name().to_owned();
        if file.iter().any(|rule| rule.name == name) {
            return Err(RuleError::FromFile(name));
        }
        let mut next = self.clone();
        let is_known = next.rules.contains_key(&name);
        match change {
            RuleChange::Create(_) if is_known => return Err(RuleError::Exists(name)),
            RuleChange::Update(_) | RuleChange::Delete(_) if !is_known => return Err(RuleError::NotFound(name)),
            RuleChange::Create(rule) | RuleChange::Update(rule) => {
                let rule = rule.in_base_units();
                let problems = rule.problems();
                if !problems.is_empty() {
                    return Err(RuleError::Invalid(problems));
                }
                next.rules.insert(name, rule);
            }
            RuleChange::Delete(_) => {
                next.rules.remove(&name);
            }
        }
        if RULES_MAX < next.rules.len() {
            return Err(RuleError::TooMany("1000 rules of its own".into()));
        }
        Ok(next)
    }

    /// Puts the rules on disk; returns when they are durable.
    pub(super) fn save(&self) -> Result<(), RuleError> {
        let rules: Vec<&Rule> = self.rules.values().collect();
        let text = serde_json::to_vec_pretty(&rules).map_err(|error| RuleError::Store(error.to_string()))?;
        if FILE_BYTES_MAX < text.len() as u64 {
            return Err(RuleError::TooMany("1 MiB of rules of its own".into()));
        }
        runtime::file::replace(&self.path, &text)
            .map_err(|error| RuleError::Store(format!("{}: {error}", self.path.display())))
    }

    /// The rule of this name, as it is kept.
    pub(super) fn get(&self, name: &str) -> Option<&Rule> {
        self.rules.get(name)
    }

    /// Names that a file's rules hide.
    pub(super) fn hidden_by(&self, file: &[Rule]) -> Vec<String> {
        let names = file.iter().map(|rule| &rule.name);
        names.filter(|name| self.rules.contains_key(*name)).cloned().collect()
    }

    /// A file's rules and, behind them, the own ones that it does not hide.
    pub(super) fn behind(&self, file: &[Rule]) -> Vec<Rule> {
        let names: BTreeSet<&str> = file.iter().map(|rule| rule.name.as_str()).collect();
        let own = self.rules.values().filter(|rule| !names.contains(rule.name.as_str()));
        file.iter().chain(own).cloned().collect()
    }

    /// Names of the own rules that a file's do not hide.
    pub(super) fn names_behind(&self, file: &[Rule]) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = self.rules.keys().cloned().collect();
        for rule in file {
            names.remove(&rule.name);
        }
        names
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if FILE_BYTES_MAX < text.len() as u64 {
        return Err(io::Error::other("it is longer than the hub writes it"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use testkit::servers::private_dir;

    fn rule(name: &str) -> Rule {
        let text =
            format!(r#"{{"name":"{name}","metric":"CPU_PERCENT","operator":"gt","threshold":50.0,"severity":"info"}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_change_is_there_after_a_restart_and_in_base_units() {
        let dir = private_dir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let none = OwnRules::open(path.clone()).unwrap();
        let one = none.after(RuleChange::Create(rule("a")), &[]).unwrap();
        one.save().unwrap();
        let again = OwnRules::open(path.clone()).unwrap();
        assert_eq!(again.rules, one.rules);
        let kept = &again.rules["a"];
        assert_eq!((kept.metric.as_str(), kept.threshold), ("system.cpu.utilization", 0.5));
        again.after(RuleChange::Delete("a".into()), &[]).unwrap().save().unwrap();
        assert!(OwnRules::open(path).unwrap().rules.is_empty());
    }

    #[test]
    fn a_change_that_cannot_be_made_says_why() {
        let dir = private_dir().unwrap();
        let none = OwnRules::open(dir.path().join(FILE_NAME)).unwrap();
        let one = none.after(RuleChange::Create(rule("a")), &[]).unwrap();
        let refused = |change| one.after(change, &[rule("f")]).unwrap_err();
        assert_eq!(refused(RuleChange::Create(rule("a"))), RuleError::Exists("a".into()));
        assert_eq!(refused(RuleChange::Update(rule("b"))), RuleError::NotFound("b".into()));
        assert_eq!(refused(RuleChange::Delete("b".into())), RuleError::NotFound("b".into()));
        for change in [RuleChange::Create(rule("f")), RuleChange::Delete("f".into())] {
            assert_eq!(refused(change), RuleError::FromFile("f".into()));
        }
        assert!(matches!(refused(RuleChange::Create(rule("No"))), RuleError::Invalid(_)));
    }

    #[test]
    fn there_is_an_end_to_rules() {
        let dir = private_dir().unwrap();
        let mut own = OwnRules::open(dir.path().join(FILE_NAME)).unwrap();
        for n in 0..RULES_MAX {
            own.rules.insert(format!("r{n}"), rule(&format!("r{n}")));
        }
        own.after(RuleChange::Update(rule("r0")), &[]).unwrap();
        let refused = own.after(RuleChange::Create(rule("x")), &[]).unwrap_err();
        assert!(matches!(refused, RuleError::TooMany(_)));
        let long = Rule { summary: "x".repeat(1 << 20), ..rule("r0") };
        let refused = own.after(RuleChange::Update(long), &[]).unwrap().save();
        assert!(matches!(refused, Err(RuleError::TooMany(_))));
    }

    #[test]
    fn a_folder_that_cannot_be_written_changes_nothing() {
        let dir = private_dir().unwrap();
        let own = OwnRules::open(dir.path().join("gone").join(FILE_NAME)).unwrap();
        let next = own.after(RuleChange::Create(rule("a")), &[]).unwrap();
        let refused = next.save().unwrap_err().to_string();
        assert!(refused.contains("free space or mend the data folder"), "{refused}");
    }

    #[test]
    fn a_damaged_file_is_an_error_that_says_what_to_do() {
        let dir = private_dir().unwrap();
        let path = dir.path().join(FILE_NAME);
        for text in ["[{", "{}", r#"[{"name":"A","metric":"m","operator":"gt","threshold":1,"severity":"info"}]"#] {
            fs::write(&path, text).unwrap();
            let error = OwnRules::open(path.clone()).unwrap_err().to_string();
            assert!(error.contains("move it away to start without them"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "left as it was");
        }
    }
}
