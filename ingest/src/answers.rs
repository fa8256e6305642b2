//! Answers: what a Push stream hears, in the order of its messages.
//!
//! The reading half of a session leaves a note per message; a note becomes an answer when its submission is durable. Notes that are
//! durable together become one answer, so there is at most one per fsync and stream. Bounded by the notes' queue: a reader whose
//! notes are not durable yet waits.
//! Invariants: J-1 a sequence is told only when everything up to it is durable.

use futures_util::stream::{self, Stream};
use proto::pb;
use runtime::drain::DrainToken;
use tokio::sync::{mpsc, watch};
use tonic::Status;

use crate::context::draining;
use crate::intake::Intake;

/// Rejections in one note, and about as many in one answer: a hostile message must not make an answer larger than itself.
pub(crate) const REJECTIONS_MAX: usize = 256;

/// What one message leaves to be answered.
#[derive(Debug, Default)]
pub(crate) struct Note {
    /// Its submission's number.
    pub(crate) number: u64,
    /// Newest sequence that it settles.
    pub(crate) sequence: u64,
    pub(crate) rejections: Vec<pb::Rejection>,
    pub(crate) unknown_layouts: Vec<u32>,
    /// How the stream ends; nothing follows.
    pub(crate) end: Option<Status>,
}

impl Note {
    /// Beyond the limit only the count of the reason grows.
    pub(crate) fn reject(&mut self, rejection: pb::Rejection) {
        let is_full = REJECTIONS_MAX <= self.rejections.len();
        let same = self.rejections.iter_mut().rfind(|known| is_full && known.reason == rejection.reason);
        match same {
            Some(known) => known.count = known.count.saturating_add(rejection.count),
            None => self.rejections.push(rejection),
        }
    }
}

pub(crate) struct Answers {
    pub(crate) notes: mpsc::Receiver<Note>,
    pub(crate) durable: watch::Receiver<u64>,
    pub(crate) intake: Intake,
    pub(crate) cut: DrainToken,
    pub(crate) credit_frames_max: u32,
}

struct State {
    answers: Answers,
    /// Read, and not durable yet.
    next: Option<Note>,
    acknowledged: u64,
    end: Option<Status>,
}

impl Answers {
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<pb::PushResponse, Status>> {
        let state = State { answers: self, next: None, acknowledged: 0, end: None };
        stream::unfold(state, async |mut state| {
            let answer = state.next().await?;
            Some((answer, state))
        })
    }
}

impl State {
    async fn next(&mut self) -> Option<Result<pb::PushResponse, Status>> {
        if let Some(end) = self.end.take() {
            // Nothing follows the status: the queue is closed, so that the next look ends the stream.
            self.answers.notes.close();
            return Some(Err(end));
        }
        let cut = self.answers.cut.clone();
        tokio::select! {
            answer = self.durable() => answer,
            () = cut.draining() => {
                self.answers.notes.close();
                Some(Err(draining()))
            }
        }
    }

    /// The next answer, when its submission is durable.
    async fn durable(&mut self) -> Option<Result<pb::PushResponse, Status>> {
        let first = match self.next.take() {
            Some(note) => note,
            None => self.answers.notes.recv().await?,
        };
        if let Some(end) = first.end {
            self.answers.notes.close();
            return Some(Err(end));
        }
        let number = first.number;
        if self.answers.durable.wait_for(|durable| number <= *durable).await.is_err() {
            return Some(Err(draining()));
        }
        let mut answer = pb::PushResponse::default();
        self.merge(first, &mut answer);
        self.merge_durable(&mut answer);
        answer.acknowledged = self.acknowledged;
        answer.credit = self.credit();
        Some(Ok(answer))
    }

    fn merge_durable(&mut self, answer: &mut pb::PushResponse) {
        let durable = *self.answers.durable.borrow();
        while answer.rejections.len() < REJECTIONS_MAX {
            let Ok(note) = self.answers.notes.try_recv() else {
                return;
            };
            if let Some(end) = note.end {
                self.end = Some(end);
                return;
            }
            if durable < note.number {
                self.next = Some(note);
                return;
            }
            self.merge(note, answer);
        }
    }

    fn merge(&mut self, note: Note, answer: &mut pb::PushResponse) {
        self.acknowledged = self.acknowledged.max(note.sequence);
        answer.rejections.extend(note.rejections);
        answer.unknown_layouts.extend(note.unknown_layouts);
    }

    /// Shrinks as the way in fills up, so that many collectors together do not send more than fits.
    fn credit(&self) -> u32 {
        let max = f64::from(self.answers.credit_frames_max);
        let credit = (max * (1.0 - self.answers.intake.fullness())).floor();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a u32: fullness is between 0 and 1"
        )]
        let credit = credit as u32;
        credit.max(1)
    }
}
