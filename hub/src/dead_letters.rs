//! Dead letters: sent again on request. Samples go through the journal, as any others; a row that the history's server refused goes to
//! that server. One at a time, so that two people who press the same button send it once.

use std::collections::VecDeque;
use std::sync::Arc;

use ingest::{NotResent, Resender};
use model::command::{DeadLetterOffice, ResendError, ResendReport, Resending};
use model::query::{DeadLetterQuery, History};
use model::{DeadLetter, RejectReason};
use runtime::metrics::{Counter, Registry};
use sinks::postgres::{PostgresHistory, RowRefused};
use tokio::sync::Mutex;
use tracing::info;

/// Letters of one request for many, each of which waits for the disk.
const LETTERS_MAX: usize = 200;
/// Refusals that its answer lists; the rest is in the list of dead letters as before.
const REFUSED_MAX: usize = 100;
/// Letters remembered as sent until the stores say so themselves.
const RECENT_MAX: usize = 10 * LETTERS_MAX;

/// Sends them again.
pub(crate) struct Office {
    history: Arc<dyn History>,
    /// Where the history is on a server.
    server: Option<PostgresHistory>,
    resender: Resender,
    /// Sent, and perhaps not yet marked so in the stores. Held while one is sent.
    recent: Mutex<VecDeque<String>>,
    sent: Counter,
    refused: Counter,
}

impl Office {
    pub(crate) fn new(
        history: Arc<dyn History>,
        server: Option<PostgresHistory>,
        resender: Resender,
        registry: &Registry,
    ) -> Self {
        let help = "Dead letters that somebody asked to send again.";
        let counter = |outcome| registry.counter("hub_dead_letters_resent_total", help, &[("outcome", outcome)]);
        let (sent, refused) = (counter("sent"), counter("refused"));
        Self { history, server, resender, recent: Mutex::default(), sent, refused }
    }

    /// Letters that an earlier run sent, newest first: its stores may not have been told.
    pub(crate) fn knowing(mut self, sent: &[String]) -> Self {
        self.recent.get_mut().extend(sent.iter().take(RECENT_MAX).cloned());
        self
    }

    async fn one(&self, letter: &DeadLetter, recent: &mut VecDeque<String>) -> Result<usize, ResendError> {
        if let Some(obstacle) = letter.obstacle() {
            return Err(ResendError::Never(obstacle));
        }
        if recent.contains(&letter.id) {
            return Err(ResendError::Never("it was sent again already"));
        }
        let done = match letter.rejected.reason {
            RejectReason::StoreRefused => self.row(letter).await,
            _ => self.resender.resend(letter).await.map_err(ResendError::from_door),
        };
        match &done {
            Ok(_) => {
                self.sent.increment();
                recent.truncate(RECENT_MAX - 1);
                recent.push_front(letter.id.clone());
            }
            Err(_) => self.refused.increment(),
        }
        done
    }

    async fn row(&self, letter: &DeadLetter) -> Result<usize, ResendError> {
        let Some(server) = &self.server else {
            return Err(ResendError::Never("it is a row of a server that this hub does not use now"));
        };
        server.resend(&letter.id).await.map_err(|error| match error {
            RowRefused::Gone => ResendError::NotFound(letter.id.clone()),
            RowRefused::Refused(detail) => ResendError::Refused { reason: RejectReason::StoreRefused, detail },
            RowRefused::Query(error) => ResendError::Store(error),
        })
    }
}

/// How the door's answer is told.
trait FromDoor {
    fn from_door(refusal: NotResent) -> Self;
}

impl FromDoor for ResendError {
    fn from_door(refusal: NotResent) -> Self {
        match refusal {
            NotResent::Refused { reason: RejectReason::TooOld, .. } => {
                Self::Never("it is older than raw samples are kept by now")
            }
            NotResent::Refused { reason, detail } => Self::Refused { reason, detail },
            NotResent::Stopping => Self::Stopping,
        }
    }
}

impl DeadLetterOffice for Office {
    fn resend(&self, id: String) -> Resending<'_, usize> {
        Box::pin(async move {
            let mut recent = self.recent.lock().await;
            let query = DeadLetterQuery { id: Some(id.clone()), limit: 1, ..DeadLetterQuery::default() };
            let found = self.history.dead_letters(query).await?;
            let letter = found.first().ok_or(ResendError::NotFound(id))?;
            let samples = self.one(letter, &mut recent).await?;
            info!(id = letter.id, machine = %letter.rejected.machine, samples, "dead letter sent again");
            Ok(samples)
        })
    }

    fn resend_all(&self, reason: Option<RejectReason>) -> Resending<'_, ResendReport> {
        Box::pin(async move {
            let mut recent = self.recent.lock().await;
            let mut report = ResendReport::default();
            let mut offset = 0;
            loop {
                let query = DeadLetterQuery { reason, is_waiting: true, offset, limit: LETTERS_MAX, id: None };
                let found = self.history.dead_letters(query).await?;
                offset += found.len();
                report.is_more = found.len() == LETTERS_MAX;
                let can = |letter: &&DeadLetter| letter.obstacle().is_none() && !recent.contains(&letter.id);
                let able: Vec<&DeadLetter> = found.iter().rev().filter(can).collect();
                for letter in &able {
                    self.count(letter, &mut recent, &mut report).await?;
                }
                // A page of what cannot go is no reason to stop.
                if 0 < report.letters || !report.is_more {
                    break;
                }
            }
            info!(
                letters = report.letters,
                samples = report.samples,
                refused = report.refused,
                "dead letters sent again"
            );
            Ok(report)
        })
    }
}

impl Office {
    /// A letter's end in the report; what concerns them all ends the request.
    async fn count(
        &self,
        letter: &DeadLetter,
        recent: &mut VecDeque<String>,
        report: &mut ResendReport,
    ) -> Result<(), ResendError> {
        match self.one(letter, recent).await {
            Ok(samples) => {
                report.letters += 1;
                report.samples += samples;
            }
            Err(error @ (ResendError::Stopping | ResendError::Store(_))) => return Err(error),
            Err(error) => {
                report.refused += 1;
                if report.refusals.len() < REFUSED_MAX {
                    report.refusals.push((letter.id.clone(), error.to_string()));
                }
            }
        }
        Ok(())
    }
}
