//! Link: messages between the processes of one graph, and the watch over them.
//!
//! In: the talk connections of `join`, and somebody who listens. Out: notes, which arrive once and in order; questions,
//! which are answered or fail within their time; pulses every [`LOOK_EVERY`]; and, once per process, that it is lost,
//! with a sentence for people, or that it has left. Tasks of each process: one writes, one reads, one answers; one
//! watches all.
//! Bounds: per process [`ROOM`](super::peer::ROOM) of what waits to be sent and as much of what waits to be answered,
//! [`ASKED_MAX`](super::peer::ASKED_MAX) open questions; [`ANSWERS_MAX`] answers at once of all.
//! Loss: none while a process is here. One that takes nothing for the time of `silence`, or so little that a note finds
//! no room, is lost itself.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use runtime::clock::SharedClock;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::join::Talk;
use super::pace::Pace;
use super::peer::Peer;
use super::traffic;
use crate::part::Part;

/// Between two pulses, and two looks at who is silent.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Longer than a page of history takes to be read, shorter than people wait for.
pub const SILENCE: Duration = Duration::from_secs(5);
/// Answers are awaited by people; more of them at once would only all be later.
const ANSWERS_MAX: usize = 1_024;

/// Who is told, by tasks of the links and never from within a call of theirs. Nothing here may block or take long, for
/// it is called between two reads; a question's future may. An answer must not wait for a question of its own, or two
/// processes could wait for each other's room.
pub trait Listen: Send + Sync {
    /// What the next pulse carries; some bytes.
    fn pulse(&self) -> Vec<u8>;
    fn pulsed(&self, from: usize, bytes: &[u8]);
    fn note(&self, from: usize, bytes: Vec<u8>);
    fn question(&self, from: usize, bytes: Vec<u8>) -> BoxFuture<'static, Vec<u8>>;
    /// Once per process, and never after `left`.
    fn lost(&self, process: usize, reason: &str);
    /// It has said goodbye, and its closing is no loss.
    fn left(&self, process: usize);
}

/// Why there is no answer, or nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Gone {
    #[error("process {process} is lost")]
    Lost { process: usize },
    #[error("process {process} has left, or this one has")]
    Left { process: usize },
    #[error("process {process} has not answered within {within:?}")]
    Late { process: usize, within: Duration },
    /// Too many questions wait there.
    #[error("process {process} has no room for one more question, or its answer is too long")]
    Unanswered { process: usize },
    #[error("a message of {bytes} bytes is too long")]
    TooLong { bytes: usize },
    #[error("there is no other process {process}")]
    Nobody { process: usize },
}

/// All other processes.
pub struct Links {
    /// By index; none for this process.
    peers: Vec<Option<Arc<Peer>>>,
}

/// What every task of the links has.
pub(super) struct Common {
    pub(super) listen: Arc<dyn Listen>,
    pub(super) pace: Pace,
    /// After which a process is lost.
    pub(super) silence: Duration,
    /// Answers that are being made.
    pub(super) answers: Arc<Semaphore>,
}

impl Links {
    /// The tasks belong to the part. When it drains they end at once; call `bye` before, or the others lose this
    /// process.
    pub(crate) fn start(
        talks: Vec<Option<Talk>>,
        listen: Arc<dyn Listen>,
        silence: Duration,
        clock: SharedClock,
        part: &mut Part,
    ) -> Arc<Self> {
        // Half of the silence: another process that is that late is still here, and so is this one.
        let pace = Pace::new(clock, silence / 2);
        let answers = Arc::new(Semaphore::new(ANSWERS_MAX));
        let common = Arc::new(Common { listen, pace, silence, answers });
        let start = |(process, talk): (usize, Option<Talk>)| {
            let Talk { stream, name } = talk?;
            let (peer, queue) = Peer::new(process, name, Arc::clone(&common));
            traffic::start(&peer, stream, queue, part);
            Some(peer)
        };
        let links = Arc::new(Self { peers: talks.into_iter().enumerate().map(start).collect() });
        let (token, watched) = (part.token(), Arc::clone(&links));
        part.spawn("cluster watch", async move {
            tokio::select! {
                () = watched.watch(&common) => {}
                () = token.draining() => {}
            }
            Ok(())
        });
        links
    }

    /// A note. Never waits.
    ///
    /// # Errors
    /// When it will not arrive.
    pub fn tell(&self, to: usize, bytes: impl Into<Arc<[u8]>>) -> Result<(), Gone> {
        self.peer(to)?.tell(bytes.into())
    }

    /// A note to everybody who is here; who is not has been told as lost.
    pub fn tell_all(&self, bytes: impl Into<Arc<[u8]>>) {
        let bytes = bytes.into();
        for peer in self.peers() {
            let _gone: Result<(), Gone> = peer.tell(Arc::clone(&bytes));
        }
    }

    /// Cancel safe: the answer is then dropped when it comes.
    ///
    /// # Errors
    /// When there is no answer within the time, which includes the wait for room.
    pub async fn ask(&self, to: usize, bytes: impl Into<Arc<[u8]>>, within: Duration) -> Result<Vec<u8>, Gone> {
        let peer = self.peer(to)?;
        let late = |_elapsed| Gone::Late { process: to, within };
        timeout(within, peer.ask(bytes.into())).await.map_err(late)?
    }

    /// Everybody's answer, by index; without this process.
    pub async fn ask_all(&self, bytes: impl Into<Arc<[u8]>>, within: Duration) -> Vec<(usize, Result<Vec<u8>, Gone>)> {
        let bytes = bytes.into();
        let ask = async |peer: &Arc<Peer>| (peer.process(), self.ask(peer.process(), Arc::clone(&bytes), within).await);
        join_all(self.peers().map(ask)).await
    }

    /// Leaves: what was told before still arrives, then the others hear that this process has left. True when all of
    /// them have closed in time.
    pub async fn bye(&self, within: Duration) -> bool {
        self.peers().for_each(|peer| peer.bye());
        timeout(within, join_all(self.peers().map(|peer| peer.over()))).await.is_ok()
    }

    fn peer(&self, process: usize) -> Result<&Arc<Peer>, Gone> {
        self.peers.get(process).and_then(Option::as_ref).ok_or(Gone::Nobody { process })
    }

    fn peers(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.peers.iter().flatten()
    }

    async fn watch(&self, common: &Common) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let now_us = common.pace.look();
            self.peers().for_each(|peer| peer.judge(now_us));
        }
    }
}

#[cfg(test)]
mod tests;
