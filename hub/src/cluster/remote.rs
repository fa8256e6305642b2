//! Remote: rules, silences, the audit record and commands, as a process has them that does not keep them itself: what is in force is followed, a change is
//! asked of process 0, a command of the process where the collector is.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use ingest::{Collectors, NotYielded, Peers, Yielded};
use model::MachineId;
use model::audit::{Actor, AuditError, AuditLog, Deed, Entry, Recorded};
use model::command::{
    Changed, CollectorCommand, CollectorControl, CommandError, Commanding, RuleChange, RuleError, RuleListing,
    RuleStore, SilenceChange, SilenceChanged, SilenceError, SilenceStore,
};
use model::silence::Silence;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tracing::warn;

use super::heard::Heard;
use super::link::{Gone, Links};
use super::words::{Claimed, Question, said, understood};

/// Who keeps rules, silences and the audit record.
pub(super) const KEEPER: usize = 0;
/// What a person or a collector waits for another process at most.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// And for the note of what was just answered, which is on its way.
const FOLLOW_WITHIN: Duration = Duration::from_secs(1);

/// This process' way to the others.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(super) links: Arc<Links>,
    pub(super) heard: Arc<Heard>,
}

impl Remote {
    async fn ask<T: DeserializeOwned>(&self, process: usize, question: &Question) -> Option<T> {
        told(process, self.links.ask(process, said(question), ANSWER_WITHIN).await)
    }

    /// The answers of those that gave one.
    async fn ask_all<T: DeserializeOwned>(&self, question: &Question) -> Vec<T> {
        let answers = self.links.ask_all(said(question), ANSWER_WITHIN).await;
        answers.into_iter().filter_map(|(process, answer)| told(process, answer)).collect()
    }
}

/// An answer; that there is none, or not this one, is in the log, for whoever asked is only told that it was not done.
fn told<T: DeserializeOwned>(process: usize, answer: Result<Vec<u8>, Gone>) -> Option<T> {
    let answer = answer.map_err(anyhow::Error::from).and_then(|answer| understood(&answer));
    answer.inspect_err(|error| warn!(process, error = format!("{error:#}"), "no answer of another process")).ok()
}

impl RuleStore for Remote {
    fn listing(&self) -> RuleListing {
        self.heard.rules.borrow().clone()
    }

    fn change(&self, change: RuleChange, by: Actor) -> Changed<'_> {
        Box::pin(async move {
            let made: Option<Result<RuleListing, RuleError>> = self.ask(KEEPER, &Question::Rule { change, by }).await;
            let listing = made.unwrap_or(Err(RuleError::Stopping))?;
            let set = Arc::clone(&listing.set);
            self.heard.take_rules(listing);
            Ok(set)
        })
    }
}

impl SilenceStore for Remote {
    fn silences(&self) -> Arc<Vec<Arc<Silence>>> {
        Arc::clone(&self.heard.silences.borrow())
    }

    fn change(&self, change: SilenceChange, by: Actor) -> SilenceChanged<'_> {
        Box::pin(async move {
            let question = Question::Silence { change, by };
            let made: Option<Result<Arc<Silence>, SilenceError>> = self.ask(KEEPER, &question).await;
            let made = made.unwrap_or(Err(SilenceError::Stopping))?;
            // Who made it sees it. The list comes as a note, in order with others' changes; one of those may have changed it again.
            let mut silences = self.heard.silences.subscribe();
            drop(timeout(FOLLOW_WITHIN, silences.wait_for(|all| all.contains(&made))).await);
            Ok(made)
        })
    }
}

impl AuditLog for Remote {
    fn record(&self, deed: Deed) -> Recorded<'_> {
        Box::pin(async move {
            let recorded: Option<Result<(), String>> = self.ask(KEEPER, &Question::Deed(deed)).await;
            recorded.unwrap_or_else(|| Err("the process that keeps it does not answer".to_owned())).map_err(AuditError)
        })
    }

    fn entries(&self, before: Option<u64>, limit: usize) -> Vec<Arc<Entry>> {
        self.heard.entries(before, limit)
    }
}

impl Peers for Remote {
    fn claim(&self, machine: &MachineId) -> BoxFuture<'_, Result<Vec<Yielded>, NotYielded>> {
        let question = Question::Claim(machine.clone());
        Box::pin(async move {
            let answers = self.links.ask_all(said(&question), ANSWER_WITHIN).await;
            let yielded = answers.into_iter().map(|(_, answer)| {
                let answer = answer.map_err(|gone| NotYielded(gone.to_string()))?;
                let claimed: Result<Claimed, String> =
                    understood(&answer).map_err(|error| NotYielded(format!("{error:#}")))?;
                claimed.map(Yielded::from).map_err(NotYielded)
            });
            yielded.collect()
        })
    }
}

/// The collectors of all processes.
pub(crate) struct AllCollectors {
    pub(crate) own: Arc<Collectors>,
    pub(crate) others: Remote,
}

impl CollectorControl for AllCollectors {
    fn command<'a>(
        &'a self,
        machine: &'a MachineId,
        command: CollectorCommand,
    ) -> Commanding<'a, Result<(), CommandError>> {
        Box::pin(async move {
            let here = self.own.give(machine, command);
            if !matches!(here, Err(CommandError::NotConnected(_))) {
                return here;
            }
            let question = Question::Command { machine: machine.clone(), command };
            let there: Vec<Result<(), CommandError>> = self.others.ask_all(&question).await;
            let is_there = |answer: &Result<(), CommandError>| !matches!(answer, Err(CommandError::NotConnected(_)));
            there.into_iter().find(is_there).unwrap_or(here)
        })
    }

    fn is_connected<'a>(&'a self, machine: &'a MachineId) -> Commanding<'a, bool> {
        Box::pin(async move {
            let question = Question::IsConnected(machine.clone());
            self.own.has(machine) || self.others.ask_all(&question).await.contains(&true)
        })
    }
}
