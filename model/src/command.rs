//! What the web and gRPC order: rules and collectors, as traits that the hub implements.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::audit::Actor;
use crate::ids::MachineId;
use crate::query::QueryError;
use crate::record::RejectReason;
use crate::rule::{Rule, RuleSet};
use crate::silence::{Matchers, Silence};
use crate::time::Timestamp;

/// Who keeps a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum RuleSource {
    /// The rule file, or the built-in rules where there is none: changed in the file and nowhere else.
    File,
    /// The hub itself: made at run time, and changed the same way.
    Own,
}

/// The rules in force, and who keeps each.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RuleListing {
    pub set: Arc<RuleSet>,
    /// Names of the set's rules that the hub keeps itself.
    pub own: Arc<BTreeSet<String>>,
}

impl RuleListing {
    pub fn source(&self, name: &str) -> RuleSource {
        if self.own.contains(name) { RuleSource::Own } else { RuleSource::File }
    }
}

/// One change of the hub's own rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RuleChange {
    Create(Rule),
    /// Replaces the rule of this name whole.
    Update(Rule),
    Delete(String),
}

impl RuleChange {
    /// The name of the rule that it is about.
    pub fn name(&self) -> &str {
        match self {
            Self::Create(rule) | Self::Update(rule) => &rule.name,
            Self::Delete(name) => name,
        }
    }
}

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum RuleError {
    /// Every problem, each a sentence that says what to do.
    #[error("{}", .0.join("; "))]
    Invalid(Vec<String>),
    #[error("rule {0} comes from the rule file (or is built in where there is none), which wins; change it there")]
    FromFile(String),
    #[error("a rule is called {0} already; update it, or choose another name")]
    Exists(String),
    #[error("no rule is called {0}; the list of rules has their names")]
    NotFound(String),
    #[error("the hub keeps at most {0}; delete a rule first, or put rules into the rule file")]
    TooMany(Cow<'static, str>),
    /// Nothing changed.
    #[error("the rules could not be written to disk: {0}; free space or mend the data folder, then try again")]
    Store(String),
    #[error("the hub is stopping; see in the list of rules, once it is back, whether the change was made")]
    Stopping,
}

/// The set with the change in it, in force and durable.
pub type Changed<'a> = Pin<Box<dyn Future<Output = Result<Arc<RuleSet>, RuleError>> + Send + 'a>>;

/// The rules in force, and the way to change them while the hub runs.
pub trait RuleStore: Send + Sync {
    fn listing(&self) -> RuleListing;

    fn rules(&self) -> Arc<RuleSet> {
        self.listing().set
    }

    /// One change at a time, whole or not at all. A dropped call's change is made all the same once it was handed over.
    fn change(&self, change: RuleChange, by: Actor) -> Changed<'_>;
}

/// The closed, harmless list of what a hub may ask of a collector: never a shell, a file or an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CollectorCommand {
    Pause,
    Resume,
    CollectNow,
    ResendLayout,
    /// Collect every second for a minute.
    Focus,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum CommandError {
    #[error("{0} is not connected with a control stream")]
    NotConnected(MachineId),
    #[error("{0} has too many commands waiting; try again in a few seconds")]
    Busy(MachineId),
}

/// An answer about a collector, which may be connected to another process.
pub type Commanding<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sends commands to connected collectors.
pub trait CollectorControl: Send + Sync {
    fn command<'a>(
        &'a self,
        machine: &'a MachineId,
        command: CollectorCommand,
    ) -> Commanding<'a, Result<(), CommandError>>;

    /// Whether the machine has an open control stream.
    fn is_connected<'a>(&'a self, machine: &'a MachineId) -> Commanding<'a, bool>;
}

/// A silence as it is asked for; the hub gives it an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSilence {
    pub matchers: Matchers,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub author: String,
    pub comment: String,
}

/// One change of the hub's silences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SilenceChange {
    Create(NewSilence),
    /// Ends the silence of this id now; one that has not begun never will.
    End(String),
}

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum SilenceError {
    /// Every problem, each a sentence that says what to do.
    #[error("{}", .0.join("; "))]
    Invalid(Vec<String>),
    #[error("no silence has the id {0}; the list of silences has their ids")]
    NotFound(String),
    #[error("the hub keeps at most {0}; end one first, or make one that covers several")]
    TooMany(Cow<'static, str>),
    /// Nothing changed.
    #[error("the silences could not be written to disk: {0}; free space or mend the data folder, then try again")]
    Store(String),
    #[error("the hub is stopping; see in the list of silences, once it is back, whether the change was made")]
    Stopping,
}

/// The silence after the change, in force and durable.
pub type SilenceChanged<'a> = Pin<Box<dyn Future<Output = Result<Arc<Silence>, SilenceError>> + Send + 'a>>;

/// The silences that the hub keeps, and the way to change them while it runs.
pub trait SilenceStore: Send + Sync {
    /// Ended ones too, until they are forgotten; the one that ends last comes first.
    fn silences(&self) -> Arc<Vec<Arc<Silence>>>;

    /// One change at a time, whole or not at all. A dropped call's change is made all the same once it was handed over.
    fn change(&self, change: SilenceChange, by: Actor) -> SilenceChanged<'_>;
}

/// What became of dead letters that were sent again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResendReport {
    /// Letters whose samples or rows are stored now, or will be for certain.
    pub letters: usize,
    /// Samples and rows in them.
    pub samples: usize,
    /// Letters that were refused again: they stay as they are.
    pub refused: usize,
    /// Some of them, with the reason.
    pub refusals: Vec<(String, String)>,
    /// More letters fit the request than one call takes: ask again.
    pub is_more: bool,
}

/// Why a dead letter was not sent again. It stays as it is.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResendError {
    #[error("no dead letter has the id {0}; the list of dead letters has their ids")]
    NotFound(String),
    #[error("it cannot be sent again: {0}")]
    Never(&'static str),
    /// Another time it may go.
    #[error("it was refused again ({}): {detail}", reason.as_str())]
    Refused { reason: RejectReason, detail: String },
    #[error(transparent)]
    Store(#[from] QueryError),
    #[error("the hub is stopping; see in the list of dead letters, once it is back, whether it was sent")]
    Stopping,
}

/// A resend's end, later; dropped early, it may have been made all the same.
pub type Resending<'a, T> = Pin<Box<dyn Future<Output = Result<T, ResendError>> + Send + 'a>>;

/// Sends dead letters again: samples through the journal like any others, rows to the server that refused them.
pub trait DeadLetterOffice: Send + Sync {
    /// One letter; how many samples or rows it was.
    fn resend(&self, id: String) -> Resending<'_, usize>;

    /// Those of a reason, or all, that were not sent again yet and may be accepted; the oldest of what one call takes first.
    fn resend_all(&self, reason: Option<RejectReason>) -> Resending<'_, ResendReport>;
}
