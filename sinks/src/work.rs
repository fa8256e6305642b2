//! One call to a store: what it is for, its answer, and what remains of it for the driver.

use std::future::pending;
use std::sync::Arc;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use crate::error::SinkError;
use crate::sink::{Cursors, Group, Lane, Sink, WriteBatch};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Memory,
    Spill,
}

#[derive(Debug, Clone)]
pub(crate) enum Work {
    Connect,
    Write(Arc<WriteBatch>, Origin),
    Flush,
    Maintain,
}

impl Work {
    /// The same, when its outputs went to the spill while it was under way: they are the spill's, and to keep them in memory as well would bring them to
    /// the spill once more, behind what is newer there.
    pub(crate) fn of_spill(self) -> Self {
        match self {
            Self::Write(batch, Origin::Memory | Origin::Spill) => Self::Write(batch, Origin::Spill),
            work @ (Self::Connect | Self::Flush | Self::Maintain) => work,
        }
    }
}

pub(crate) enum Answer {
    At(Cursors),
    /// Whether more upkeep is due now.
    Maintained(bool),
}

pub(crate) struct UnderWay<S> {
    pub(crate) work: Work,
    pub(crate) since: Instant,
    /// Its batch went to the spill meanwhile, from where it will be offered again.
    pub(crate) is_spilled: bool,
    pub(crate) call: JoinHandle<(S, Result<Answer, SinkError>)>,
}

pub(crate) async fn call<S: Sink>(mut sink: S, work: Work) -> (S, Result<Answer, SinkError>) {
    let answer = match work {
        Work::Connect => sink.connect().await.map(Answer::At),
        Work::Write(batch, _) => sink.write(batch).await.map(Answer::At),
        Work::Flush => sink.flush().await.map(Answer::At),
        Work::Maintain => sink.maintain().await.map(Answer::Maintained),
    };
    (sink, answer)
}

pub(crate) async fn ended<S>(under_way: &mut Option<UnderWay<S>>) -> Result<(S, Result<Answer, SinkError>), JoinError> {
    match under_way {
        Some(under_way) => (&mut under_way.call).await,
        None => pending().await,
    }
}

/// What of a written group a store that gathers has not stored yet.
pub(crate) fn unsaved(group: &Group, cursors: Cursors) -> Option<Group> {
    if group.t <= cursors.oldest() {
        return None;
    }
    let is_unsaved = |output: &&_| cursors.of(Lane::of(output)) < group.t;
    let mut outputs: Vec<_> = group.outputs.iter().filter(is_unsaved).cloned().collect();
    // Most have one, and there are as many as the store gathers.
    outputs.shrink_to_fit();
    (!outputs.is_empty()).then_some(Group { t: group.t, outputs })
}
