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

use super::heard::Heard;
use super::link::Links;
use super::words::{Claimed, Question, SilenceMade, said, understood};

/// Who keeps rules, silences and the audit record.
pub(super) const KEEPER: usize = 0;
/// What a person or a collector waits for another process at most.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// This process' way to the others.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(super) links: Arc<Links>,
    pub(super) heard: Arc<Heard>,
}

impl Remote {
    async fn ask<T: DeserializeOwned>(&self, process: usize, question: &Question) -> Option<T> {
        let answer = self.links.ask(process, said(question), ANSWER_WITHIN).await.ok()?;
        understood(&answer).ok()
    }

    /// The answers of those that gave one.
    async fn ask_all<T: DeserializeOwned>(&self, question: &Question) -> Vec<T> {
        let answers = self.links.ask_all(said(question), ANSWER_WITHIN).await;
        answers.into_iter().filter_map(|(_, answer)| understood(&answer.ok()?).ok()).collect()
    }
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
            let made: Option<Result<SilenceMade, SilenceError>> = self.ask(KEEPER, &question).await;
            let SilenceMade { made, all } = made.unwrap_or(Err(SilenceError::Stopping))?;
            self.heard.take_silences(all);
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
