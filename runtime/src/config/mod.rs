//! Config: layered settings without knowing what they mean. Default text < file < environment < flags.
//!
//! In: TOML and strings. Out: one flat table of dotted keys (`ingest.queue_batches_max`), each with its source.
//! The default text names every key and gives its type; keys without a default are listed beside it. A key nobody knows is a
//! problem with the nearest known one; all problems are gathered and reported at once, never only the first.

mod read;
mod secret;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use toml::{Table, Value};

pub use read::{Listed, Settings};
pub use secret::{mask, mask_url, read_secret_file};
pub use value::{format_duration, format_size, parse_duration, parse_size};

/// Where an effective value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    File(PathBuf),
    Env(String),
    Flag(String),
}

/// One thing wrong with the settings, in words for the person who wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub source: Source,
    pub message: String,
}

/// All that is wrong with the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Error)]
pub struct Problems(pub Vec<Problem>);

/// Which environment variable sets which key. For a key named twice, the variable listed first wins.
#[derive(Debug, Clone, Copy)]
pub struct EnvNames<'a> {
    /// `(variable, key)`. `<variable>_FILE` works too: the value is then read from the file it names.
    pub pairs: &'a [(&'a str, &'a str)],
    /// Variables that start so are ours: one that no pair names is a problem.
    pub prefixes: &'a [&'a str],
}

/// The layers, put on one by one from the lowest up.
#[derive(Debug)]
pub struct Layers {
    settings: Settings,
    /// Keys without a default; `tags.*` stands for every key below `tags`.
    optional: Vec<String>,
    problems: Vec<Problem>,
}

impl Layers {
    /// # Errors
    /// When the default text itself is no TOML.
    pub fn new(default_text: &str, optional: &[&str]) -> Result<Self, Problems> {
        let table: Table = default_text.parse().map_err(|error| one(Source::Default, format!("{error}")))?;
        let mut settings = Settings::default();
        for (key, value) in flatten(table) {
            settings.put(key, value, Source::Default);
        }
        let optional = optional.iter().map(|key| (*key).to_owned()).collect();
        Ok(Self { settings, optional, problems: Vec::new() })
    }

    /// Puts on a file's text.
    pub fn file(&mut self, path: &Path, text: &str) {
        let source = Source::File(path.to_owned());
        match text.parse::<Table>() {
            Ok(table) => {
                for (key, value) in flatten(table) {
                    self.set(&key, value, source.clone());
                }
            }
            Err(error) => self.problem(source, format!("this is not TOML: {error}")),
        }
    }

    /// Reads a file and puts it on; one that cannot be read is a problem.
    pub fn read_file(&mut self, path: &Path) {
        match std::fs::read_to_string(path) {
            Ok(text) => self.file(path, &text),
            Err(error) => {
                let source = Source::File(path.to_owned());
                self.problem(source, format!("cannot read the file: {error}; check the path and its permissions"));
            }
        }
    }

    /// Puts on the environment, given as it is so that tests own it.
    pub fn env(&mut self, names: EnvNames<'_>, variables: impl IntoIterator<Item = (String, String)>) {
        let variables: BTreeMap<String, String> = variables.into_iter().collect();
        // Backwards, so that of two variables for one key the first listed lands last.
        for (name, key) in names.pairs.iter().rev() {
            let file_name = format!("{name}_FILE");
            match (variables.get(*name), variables.get(&file_name)) {
                (Some(text), None) => self.set_text(key, text, Source::Env((*name).to_owned())),
                (None, Some(path)) => match read_secret_file(Path::new(path)) {
                    Ok(text) => self.set_text(key, &text, Source::Env(file_name)),
                    Err(message) => self.problem(Source::Env(file_name), message),
                },
                (Some(_), Some(_)) => {
                    self.problem(Source::Env(file_name), format!("{name} is set as well; keep one of them"));
                }
                (None, None) => {}
            }
        }
        self.check_names(names, &variables);
    }

    /// Puts on one flag of the command line; `name` is the flag as typed, with its dashes.
    pub fn flag(&mut self, name: &str, key: &str, text: &str) {
        self.set_text(key, text, Source::Flag(name.to_owned()));
    }

    /// The effective settings, with the problems found so far inside; `Settings::finish` reports them with its own.
    #[must_use]
    pub fn settings(mut self) -> Settings {
        self.settings.add_problems(self.problems);
        self.settings
    }

    fn set(&mut self, key: &str, value: Value, source: Source) {
        if !self.knows(key) {
            let message = format!("unknown key {key:?}{}", nearest(key, self.known_keys()));
            return self.problem(source, message);
        }
        match value::fit(self.settings.get(key), value) {
            Ok(value) => self.settings.put(key.to_owned(), value, source),
            Err(message) => self.problem(source, format!("{key} {message}")),
        }
    }

    fn set_text(&mut self, key: &str, text: &str, source: Source) {
        match value::from_text(self.settings.get(key), text) {
            Ok(value) => self.set(key, value, source),
            Err(message) => self.problem(source, format!("{key} {message}")),
        }
    }

    fn check_names(&mut self, names: EnvNames<'_>, variables: &BTreeMap<String, String>) {
        for variable in variables.keys() {
            let bare = variable.strip_suffix("_FILE").unwrap_or(variable);
            let is_ours = names.prefixes.iter().any(|prefix| variable.starts_with(prefix));
            let is_known = names.pairs.iter().any(|(name, _)| *name == bare || name == variable);
            if is_ours && !is_known {
                let hint = nearest(variable, names.pairs.iter().map(|(name, _)| *name));
                self.problem(Source::Env(variable.clone()), format!("unknown variable{hint}"));
            }
        }
    }

    fn knows(&self, key: &str) -> bool {
        let is_optional = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => key.starts_with(prefix),
            None => pattern == key,
        };
        self.settings.get(key).is_some() || self.optional.iter().any(is_optional)
    }

    fn known_keys(&self) -> impl Iterator<Item = &str> {
        self.settings.keys().chain(self.optional.iter().map(String::as_str))
    }

    fn problem(&mut self, source: Source, message: String) {
        self.problems.push(Problem { source, message });
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::File(path) => write!(out, "file {}", path.display()),
            Self::Env(name) => write!(out, "environment {name}"),
            Self::Flag(name) => write!(out, "flag {name}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.source, self.message)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(out, "{count} problem{} with the settings", if count == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|problem| write!(out, "\n  {problem}"))
    }
}

/// Nested tables as dotted keys. An empty table holds no setting.
fn flatten(table: Table) -> Vec<(String, Value)> {
    let mut flat = Vec::new();
    let mut rest: Vec<(String, Value)> = table.into_iter().collect();
    rest.reverse();
    while let Some((key, value)) = rest.pop() {
        match value {
            Value::Table(inner) => {
                let from = rest.len();
                rest.extend(inner.into_iter().map(|(name, value)| (format!("{key}.{name}"), value)));
                rest[from..].reverse();
            }
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_) => flat.push((key, value)),
        }
    }
    flat
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    // Below this likeness a hint misleads more often than it helps.
    const LIKENESS_MIN: f64 = 0.8;
    let scored = known.map(|other| (strsim::jaro_winkler(name, other), other));
    match scored.max_by(|one, other| one.0.total_cmp(&other.0)) {
        Some((likeness, other)) if LIKENESS_MIN <= likeness => format!("; did you mean {other:?}?"),
        Some(_) | None => String::new(),
    }
}

fn one(source: Source, message: String) -> Problems {
    Problems(vec![Problem { source, message }])
}
