//! Words: what the processes of a cluster say to each other, as JSON. All of them are of one version, so nothing here is for ever.

use std::sync::Arc;

use anyhow::{Context, Result};
use ingest::Yielded;
use model::audit::{Actor, Deed, Entry};
use model::command::{CollectorCommand, RuleChange, RuleListing, SilenceChange};
use model::silence::Silence;
use model::{LogicalTime, MachineId, SessionId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What is told and not answered.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Note {
    /// A process' part in a step of the start, as JSON.
    Step {
        step: Step,
        part: String,
    },
    /// What is in force: told by the process that keeps it.
    Rules(RuleListing),
    Silences(Arc<Vec<Arc<Silence>>>),
    /// Newest last.
    Audit(Vec<Arc<Entry>>),
    /// This process stops, and why.
    Stopping(String),
}

/// Steps that all processes take together when they start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Step {
    /// What each found in its data folder.
    Found,
    /// It knows what all found, and that they must not begin.
    Refused,
    /// From when on its journal has everything.
    Covered,
    /// Stores that are new begin where the others are.
    Begun,
    /// Whose folder it is is on disk: nothing runs before.
    Saved,
    /// What the keeper of the state knows.
    Known,
    /// The journal is replayed: collectors may come.
    Ready,
}

/// What is asked of one process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Question {
    /// A machine's collector has come to the process that asks. Answer: `Result<Claimed, String>`.
    Claim(MachineId),
    /// Answer: `Result<RuleListing, RuleError>`.
    Rule { change: RuleChange, by: Actor },
    /// Answer: `Result<Arc<Silence>, SilenceError>`.
    Silence { change: SilenceChange, by: Actor },
    /// Answer: `Result<(), String>`.
    Deed(Deed),
    /// Answer: `Result<(), CommandError>`.
    Command { machine: MachineId, command: CollectorCommand },
    /// Answer: `bool`.
    IsConnected(MachineId),
}

/// What a process has of a machine that it gave up.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claimed {
    marks: Vec<(SessionId, u64)>,
    newest_t: LogicalTime,
}

impl From<Yielded> for Claimed {
    fn from(Yielded { marks, newest_t }: Yielded) -> Self {
        Self { marks, newest_t }
    }
}

impl From<Claimed> for Yielded {
    fn from(Claimed { marks, newest_t }: Claimed) -> Self {
        Self { marks, newest_t }
    }
}

/// Plain structs with string keys: serde_json has no reason to refuse them.
pub(super) fn said(words: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(words).expect("plain data serializes")
}

/// # Errors
/// When they are another version's, which the handshake refuses.
pub(super) fn understood<T: DeserializeOwned>(words: &[u8]) -> Result<T> {
    serde_json::from_slice(words).context("understand another process of the cluster")
}
