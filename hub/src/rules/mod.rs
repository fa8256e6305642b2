//! Rules: the threshold rules that the hub runs, from a file that may change while it runs, and own ones that are made at run time.
//!
//! One file at a time: the one that was asked for, or `rules.toml` in the data folder, or the built-in pack. A file that cannot be used
//! never takes rules away: the ones in force stay. Its rules win by name over the hub's own. One task makes every change.

pub mod command;
mod file;
mod own;
mod problems;
mod table;
mod watch;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::audit::Actor;
use model::command::{Changed, RuleChange, RuleError, RuleListing, RuleStore};
use model::rule::{Rule, RuleSet};
use runtime::clock::Clock;
use runtime::queue::{self, Receiver, Sender, WhenFull};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::sync::watch::{Receiver as Following, Sender as InForce};

pub use file::{FILE_BYTES_MAX, Parsed, RULES_MAX, parse, to_toml};
pub use own::OwnRules;
pub use problems::Note;
pub use watch::Watcher;

use crate::config::Config;

/// The rules of a hub without a rule file.
pub const BUILT_IN: &str = include_str!("../../default_rules.toml");

const FILE_NAME: &str = "rules.toml";
/// People make rules; a program that makes many waits.
const ORDERS_MAX: usize = 16;

/// Where the rules come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub path: PathBuf,
    /// Somebody asked for this file, so it must be there; otherwise the built-in rules stand in.
    pub is_required: bool,
}

#[derive(Debug, Error)]
pub enum LoadError {
    #[error("cannot read rule file {}: {source}; check the path and its permissions", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("rule file {} is longer than {} KiB; is it the right file?", .0.display(), FILE_BYTES_MAX >> 10)]
    TooLong(PathBuf),
    #[error("{}", several(path, problems))]
    Invalid { path: PathBuf, problems: Vec<Note> },
    #[error(
        "cannot use the rules made at run time in {}: {problem}; mend the file, or move it away to start without them",
        path.display()
    )]
    Own { path: PathBuf, problem: String },
}

/// The rules in force, for whoever shows them, and the way to the task that changes them.
pub struct Rules {
    current: InForce<RuleListing>,
    orders: Sender<Order>,
}

/// A change on its way to that task: also when whoever asked has gone, it is made whole.
struct Order {
    change: RuleChange,
    by: Actor,
    answer: oneshot::Sender<Result<Arc<RuleSet>, RuleError>>,
}

impl Location {
    #[must_use]
    pub fn of(config: &Config) -> Self {
        match &config.rules {
            Some(path) => Self { path: path.clone(), is_required: true },
            None => Self { path: config.data_dir.join(FILE_NAME), is_required: false },
        }
    }

    /// The rules at this moment.
    ///
    /// # Errors
    /// When the file cannot be read, or is missing and required, or has problems: all of them.
    pub fn load(&self) -> Result<Parsed, LoadError> {
        match read(&self.path) {
            Err(LoadError::Read { source, .. }) if !self.is_required && source.kind() == io::ErrorKind::NotFound => {
                parse(BUILT_IN).map_err(|problems| LoadError::Invalid { path: PathBuf::from("(built in)"), problems })
            }
            read => self.parse(&read?),
        }
    }

    fn parse(&self, text: &str) -> Result<Parsed, LoadError> {
        parse(text).map_err(|problems| LoadError::Invalid { path: self.path.clone(), problems })
    }
}

/// A rule file's text.
fn read(path: &Path) -> Result<String, LoadError> {
    let failed = |source| LoadError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if FILE_BYTES_MAX < text.len() as u64 {
        return Err(LoadError::TooLong(path.to_owned()));
    }
    Ok(text)
}

impl Rules {
    fn starting_with(rules: RuleListing) -> (Self, Receiver<Order>) {
        let (orders, waiting) = queue::bounded("rule changes", ORDERS_MAX, WhenFull::Block);
        let current = InForce::new(rules);
        (Self { current, orders }, waiting)
    }

    fn replace(&self, rules: RuleListing) {
        self.current.send_replace(rules);
    }

    /// Follows what is in force.
    pub(crate) fn follow(&self) -> Following<RuleListing> {
        self.current.subscribe()
    }
}

impl RuleStore for Rules {
    fn listing(&self) -> RuleListing {
        self.current.borrow().clone()
    }

    fn change(&self, change: RuleChange, by: Actor) -> Changed<'_> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let handed_over = self.orders.send(Order { change, by, answer }).await;
            handed_over.map_err(|_closed| RuleError::Stopping)?;
            answered.await.unwrap_or(Err(RuleError::Stopping))
        })
    }
}

/// A set with a version above every earlier one's, also of earlier runs of the hub: versions are times.
///
/// # Errors
/// What `RuleSet::new` finds.
pub fn versioned(rules: Vec<Rule>, after: u64, clock: &dyn Clock) -> Result<RuleSet, Vec<String>> {
    let now = u64::try_from(clock.now_us()).unwrap_or(0);
    RuleSet::new(now.max(after + 1), rules)
}

fn several(path: &Path, problems: &[Note]) -> String {
    let lines: Vec<String> = problems.iter().map(|note| format!("\n  {note}")).collect();
    let plural = if problems.len() == 1 { "" } else { "s" };
    format!("{} problem{plural} in rule file {}{}", problems.len(), path.display(), lines.concat())
}
