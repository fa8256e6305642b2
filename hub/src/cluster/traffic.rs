//! Traffic: the tasks of one talk connection. One writes what waits, and pulses; one reads and hands on; one answers.
//!
//! A task that has nothing left to do waits for the drain, so that a part of the hub does not end by itself.
//! Bounds: of the questions that wait for an answer [`ROOM`] KiB, more are told that there is no room; a write that
//! gets nowhere for the time of `silence` loses the process.

use std::io;
use std::sync::Arc;

use runtime::queue::{Receiver, Sender, WhenFull, bounded};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::frame::{Frame, FrameKind, Frames, head};
use super::link::{Gone, LOOK_EVERY};
use super::peer::{Outgoing, Peer, ROOM, share_of};
use crate::part::Part;

/// Frames between two looks at the time for a pulse.
const BATCH_FRAMES_MAX: usize = 64;
/// Shorter frames go out in one write.
const WRITE_BYTES: usize = 64 << 10;

struct Question {
    id: u64,
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// Where the reader leaves questions.
struct Desk {
    questions: Sender<Question>,
    room: Arc<Semaphore>,
}

pub(super) fn start(peer: &Arc<Peer>, stream: TcpStream, queue: Receiver<Outgoing>, part: &mut Part) {
    let (reading, writing) = stream.into_split();
    let (questions, asked) = bounded("cluster_questions", ROOM + 1, WhenFull::Shed);
    let desk = Desk { questions, room: Arc::new(Semaphore::new(ROOM)) };
    run("cluster writer", part, write(Arc::clone(peer), writing, queue));
    run("cluster reader", part, read(Arc::clone(peer), reading, desk));
    run("cluster answers", part, answer(Arc::clone(peer), asked));
}

fn run(name: &'static str, part: &mut Part, work: impl Future<Output = ()> + Send + 'static) {
    let token = part.token();
    part.spawn(name, async move {
        tokio::select! {
            () = work => token.draining().await,
            () = token.draining() => {}
        }
        Ok(())
    });
}

async fn write(peer: Arc<Peer>, mut stream: OwnedWriteHalf, queue: Receiver<Outgoing>) {
    let written = tokio::select! {
        written = write_all(&peer, &mut stream, queue) => written,
        () = peer.over() => Ok(()),
    };
    match written {
        // Nothing follows the goodbye; the reader sees the other side close. An error is that it has done so already.
        Ok(()) => drop(stream.shutdown().await),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            peer.lose(&format!(
                "has not taken anything for {:?}: it is stopped, overloaded or cut off",
                peer.common.silence
            ));
        }
        // The reader knows better why, for what was sent before a closing can still be read.
        Err(_broken) => {}
    }
}

async fn write_all(peer: &Peer, stream: &mut OwnedWriteHalf, mut queue: Receiver<Outgoing>) -> io::Result<()> {
    let (mut pulse, mut batch, mut buffer) = (interval(LOOK_EVERY), Vec::new(), Vec::new());
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = pulse.tick() => {
                let bytes = peer.common.listen.pulse();
                put(&mut buffer, FrameKind::Pulse, 0, &bytes);
            }
            count = queue.recv_many(&mut batch, BATCH_FRAMES_MAX) => {
                if count == 0 {
                    return Ok(());
                }
            }
        }
        for frame in batch.drain(..) {
            put(&mut buffer, frame.kind, frame.id, &frame.bytes);
            if WRITE_BYTES <= buffer.len() {
                flush(peer, stream, &mut buffer).await?;
            }
        }
        flush(peer, stream, &mut buffer).await?;
    }
}

fn put(buffer: &mut Vec<u8>, kind: FrameKind, id: u64, bytes: &[u8]) {
    buffer.extend_from_slice(&head(kind, id, bytes.len()));
    buffer.extend_from_slice(bytes);
}

/// Each write has its own deadline, so that a large frame may take longer as long as it moves.
async fn flush(peer: &Peer, stream: &mut OwnedWriteHalf, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut rest = &buffer[..];
    while !rest.is_empty() {
        let written = timeout(peer.common.silence, stream.write(rest)).await??;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = &rest[written..];
    }
    buffer.clear();
    // A large frame's memory goes back.
    buffer.shrink_to(2 * WRITE_BYTES);
    Ok(())
}

async fn read(peer: Arc<Peer>, mut stream: OwnedReadHalf, desk: Desk) {
    let end = tokio::select! {
        end = read_all(&peer, &mut stream, &desk) => end,
        () = peer.over() => return,
    };
    match end {
        Ok(()) => peer.lose("closed its connection: it ended or was killed"),
        Err(error) if is_closed(&error) => peer.lose("closed its connection: it ended or was killed"),
        Err(error) => peer.lose(&format!("cannot be heard any more: {error}")),
    }
}

/// Ends well when the other side has closed.
async fn read_all(peer: &Arc<Peer>, stream: &mut OwnedReadHalf, desk: &Desk) -> io::Result<()> {
    let mut frames = Frames::default();
    while stream.read_buf(frames.room()).await? > 0 {
        peer.hear();
        while let Some(frame) = frames.next().map_err(io::Error::other)? {
            take(peer, frame, desk);
        }
    }
    Ok(())
}

fn take(peer: &Arc<Peer>, frame: Frame, desk: &Desk) {
    let (listen, from) = (&peer.common.listen, peer.process());
    let Frame { kind, id, bytes } = frame;
    match kind {
        FrameKind::Pulse => listen.pulsed(from, &bytes),
        FrameKind::Note => listen.note(from, bytes),
        FrameKind::Question => {
            if !desk.leave(id, bytes) {
                refuse(peer, id);
            }
        }
        FrameKind::Answer => peer.answered(id, Ok(bytes)),
        FrameKind::Unanswered => peer.answered(id, Err(Gone::Unanswered { process: from })),
        FrameKind::Bye => peer.leaves(),
        // A word of the joining that came late.
        FrameKind::Ready => {}
    }
}

/// Tells that there will be no answer, if there is room for that; if not, the asker's own time ends its wait.
fn refuse(peer: &Peer, id: u64) {
    let _told: Result<bool, Gone> = peer.try_send(FrameKind::Unanswered, id, Arc::default());
}

impl Desk {
    fn leave(&self, id: u64, bytes: Vec<u8>) -> bool {
        let Ok(share) = share_of(bytes.len()) else { return false };
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(share) else { return false };
        self.questions.try_send(Question { id, bytes, _room: room }).is_ok()
    }
}

async fn answer(peer: Arc<Peer>, mut asked: Receiver<Question>) {
    let mut answers = JoinSet::new();
    let answering = async {
        while let Some(question) = asked.recv().await {
            // Never closed; were it, the answers would go on without a bound.
            let Ok(place) = Arc::clone(&peer.common.answers).acquire_owned().await else { return };
            let Question { id, bytes, _room } = question;
            let (peer, answer) = (Arc::clone(&peer), peer.common.listen.question(peer.process(), bytes));
            answers.spawn(async move {
                let bytes = answer.await;
                if let Err(Gone::TooLong { .. }) = peer.send(FrameKind::Answer, id, bytes.into()).await {
                    refuse(&peer, id);
                }
                drop(place);
            });
            while answers.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = answering => {}
        () = peer.over() => {}
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted
    )
}
