//! Audit: who changed what, as a record that only grows. The hub keeps it; the doors (HTTP, gRPC) say who asked.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Characters of a name and of a detail; what is longer is cut.
pub const NAME_CHARS_MAX: usize = 100;
pub const DETAIL_CHARS_MAX: usize = 1_000;

/// The way a change came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Door {
    Http,
    Grpc,
    /// The hub itself: its rule file, its synthetic transactions.
    Hub,
}

/// Who asked for a change. Nobody proves it: it is what they said, and where they said it from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// As they call themselves; empty where they do not.
    pub author: String,
    /// The other end of their connection, without its port; empty where there is none.
    pub address: String,
    pub via: Door,
}

impl Actor {
    /// Somebody behind one of the hub's ports.
    #[must_use]
    pub fn new(via: Door, author: &str, address: Option<std::net::IpAddr>) -> Self {
        let address = address.map(|address| address.to_canonical().to_string()).unwrap_or_default();
        Self { author: shortened(author.trim(), NAME_CHARS_MAX), address, via }
    }

    /// A part of the hub itself.
    #[must_use]
    pub fn hub(part: &str) -> Self {
        Self::new(Door::Hub, part, None)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Action {
    RuleCreated,
    RuleUpdated,
    RuleDeleted,
    /// The rule file was read anew; its rules are in force.
    RulesReloaded,
    SilenceCreated,
    SilenceEnded,
    CommandSent,
    /// Dead letters were sent again.
    LettersResent,
}

/// A change, as it is put on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    #[serde(flatten)]
    pub actor: Actor,
    pub action: Action,
    /// Name of the rule, id of the silence, the machine, id of the dead letter.
    pub subject: String,
    /// For a person: what it was, what became different, or why it was not carried out.
    pub detail: String,
    /// Put on record, and then not carried out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

impl Deed {
    #[must_use]
    pub fn new(actor: Actor, action: Action, subject: &str, detail: &str) -> Self {
        Self {
            actor,
            action,
            subject: shortened(subject, 2 * NAME_CHARS_MAX),
            detail: shortened(detail, DETAIL_CHARS_MAX),
            failed: false,
        }
    }

    /// The same, not carried out after all.
    #[must_use]
    pub fn failing(self, why: &str) -> Self {
        Self { detail: shortened(why, DETAIL_CHARS_MAX), failed: true, ..self }
    }
}

/// A deed on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Rises by one from entry to entry, over restarts too.
    pub id: u64,
    pub time: Timestamp,
    #[serde(flatten)]
    pub deed: Deed,
}

/// The record could not be written: what was to be put on it must not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the audit record could not be written: {0}")]
pub struct AuditError(pub String);

pub type Recorded<'a> = Pin<Box<dyn Future<Output = Result<(), AuditError>> + Send + 'a>>;

/// The record of changes.
pub trait AuditLog: Send + Sync {
    /// Returns when the deed is durable. A dropped call's deed is put on record all the same.
    fn record(&self, deed: Deed) -> Recorded<'_>;
    /// Newest first, those with an id below `before`.
    fn entries(&self, before: Option<u64>, limit: usize) -> Vec<Arc<Entry>>;
}

fn shortened(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}
