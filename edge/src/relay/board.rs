//! Board: what is shown just now, made once for all viewers. One publisher writes; each viewer holds nothing but a cursor.
//!
//! Three messages, each shared as the bytes of a whole WebSocket frame (E-3): the whole picture, which changes once a minute at most while
//! the machines stay; the newest minute alone; and what holds now. A viewer that missed some takes the newest of each and has everything.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use model::Status;
use serde::Serialize;
use tokio::sync::watch;

use super::frame;
use super::picture::{Malformed, Picture};
use crate::protocol::{Column, FromHub, to_json};

/// Everything that is shown, and its messages.
#[derive(Debug)]
pub(super) struct Shown {
    /// Rises with every message of a publisher.
    pub(super) version: u64,
    pub(super) picture: Picture,
    /// The edge's clock, in milliseconds since the epoch.
    pub(super) received: i64,
    /// A viewer that saw another one needs the whole picture.
    epoch: u64,
    whole: Bytes,
    /// From the minute before.
    step: Bytes,
    now: Bytes,
    document: OnceLock<Bytes>,
}

/// What a viewer has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    version: u64,
    epoch: u64,
    minute: i64,
}

/// Only the publisher of the newest one may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tenure(u64);

#[derive(Debug)]
pub(super) struct Board {
    writer: Mutex<Writer>,
    shown: watch::Sender<Option<Arc<Shown>>>,
    /// The newest publisher, and whether it is here.
    tenure: watch::Sender<(u64, bool)>,
}

#[derive(Debug, Default)]
struct Writer {
    version: u64,
    epoch: u64,
    /// None until the publisher of this tenure has sent a snapshot.
    picture: Option<Picture>,
}

#[derive(Serialize)]
struct WholeShape<'a> {
    r#type: &'static str,
    time: i64,
    title: &'a str,
    interval_ms: u32,
    minute: i64,
    metrics: &'a [Column],
    machines: Vec<MachineShape<'a>>,
}

#[derive(Serialize)]
struct MachineShape<'a> {
    name: &'a str,
    #[serde(flatten)]
    now: NowShape<'a>,
    charts: &'a [Vec<Option<f64>>],
}

#[derive(Serialize)]
struct NowMessage<'a> {
    r#type: &'static str,
    time: i64,
    machines: Vec<NowShape<'a>>,
}

#[derive(Serialize)]
struct NowShape<'a> {
    status: Status,
    /// For how long nothing was heard of it, at `time`; of one that is not up.
    silent_ms: Option<i64>,
    values: &'a [Option<f64>],
}

#[derive(Serialize)]
struct StepMessage {
    r#type: &'static str,
    minute: i64,
    points: Vec<Vec<Option<f64>>>,
}

impl Tenure {
    pub(super) fn is(self, number: u64) -> bool {
        self.0 == number
    }
}

impl Board {
    pub(super) fn new() -> Self {
        Self { writer: Mutex::default(), shown: watch::Sender::new(None), tenure: watch::Sender::new((0, false)) }
    }

    pub(super) fn shown(&self) -> Option<Arc<Shown>> {
        self.shown.borrow().clone()
    }

    /// Wakes with every change.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Arc<Shown>>> {
        self.shown.subscribe()
    }

    pub(super) fn has_publisher(&self) -> bool {
        self.tenure.borrow().1
    }

    /// A new publisher: from here on the one before may not write. The receiver wakes when there is a newer one.
    pub(super) fn take_over(&self) -> (Tenure, watch::Receiver<(u64, bool)>) {
        let mut writer = self.lock();
        writer.picture = None;
        self.tenure.send_modify(|(newest, is_here)| (*newest, *is_here) = (*newest + 1, true));
        let receiver = self.tenure.subscribe();
        let number = receiver.borrow().0;
        (Tenure(number), receiver)
    }

    /// What was shown stays on show.
    pub(super) fn leave(&self, tenure: Tenure) {
        self.tenure.send_if_modified(|(newest, is_here)| *newest == tenure.0 && std::mem::take(is_here));
    }

    /// Takes a message in. False when there is a newer publisher.
    pub(super) fn apply(&self, tenure: Tenure, message: FromHub, received: i64) -> Result<bool, Malformed> {
        let mut writer = self.lock();
        if self.tenure.borrow().0 != tenure.0 {
            return Ok(false);
        }
        let before = self.shown();
        let picture = match (message, writer.picture.take()) {
            (FromHub::Snapshot(snapshot), _) => {
                writer.epoch += 1;
                Picture::new(snapshot)?
            }
            (FromHub::Update(_), None) => return Err(Malformed::NoSnapshot),
            (FromHub::Update(update), Some(mut picture)) => {
                picture.update(update)?;
                picture
            }
        };
        writer.version += 1;
        let shown = Shown::new(writer.version, writer.epoch, picture.clone(), (received, before.as_deref()));
        writer.picture = Some(picture);
        self.shown.send_replace(Some(Arc::new(shown)));
        Ok(true)
    }

    // A panic aborts the process, so a poisoned lock is only ever met in tests.
    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shown {
    fn new(version: u64, epoch: u64, picture: Picture, (received, before): (i64, Option<&Self>)) -> Self {
        let kept = before.filter(|before| before.epoch == epoch && before.picture.minute == picture.minute);
        let (whole, step) = match kept {
            Some(kept) => (kept.whole.clone(), kept.step.clone()),
            None => (
                frame::text(to_json(&WholeShape::of(&picture, received))),
                frame::text(to_json(&StepMessage::of(&picture))),
            ),
        };
        let now = frame::text(to_json(&NowMessage::of(&picture, received)));
        Self { version, picture, received, epoch, whole, step, now, document: OnceLock::new() }
    }

    /// The whole picture as JSON, made when somebody asks for it first.
    pub(super) fn document(&self) -> Bytes {
        let made = self.document.get_or_init(|| to_json(&WholeShape::of(&self.picture, self.received)).into());
        made.clone()
    }

    /// What a viewer with this cursor is sent, and where it is then.
    pub(super) fn since(&self, cursor: Cursor) -> (Vec<Bytes>, Cursor) {
        let minute = self.picture.minute;
        let next = Cursor { version: self.version, epoch: self.epoch, minute };
        let is_behind = cursor.epoch != self.epoch || cursor.minute.saturating_add(1) < minute;
        let frames = if cursor.version == self.version {
            Vec::new()
        } else if is_behind {
            vec![self.whole.clone(), self.now.clone()]
        } else if cursor.minute != minute {
            vec![self.step.clone(), self.now.clone()]
        } else {
            vec![self.now.clone()]
        };
        (frames, next)
    }
}

impl<'a> WholeShape<'a> {
    fn of(picture: &'a Picture, time: i64) -> Self {
        let head = &picture.head;
        let machines = head.names.iter().zip(&picture.now).zip(picture.charts.iter());
        Self {
            r#type: "snapshot",
            time,
            title: &head.title,
            interval_ms: head.interval_ms,
            minute: picture.minute,
            metrics: &head.metrics,
            machines: machines
                .map(|((name, now), charts)| MachineShape { name, now: NowShape::of(now, picture.time), charts })
                .collect(),
        }
    }
}

impl<'a> NowMessage<'a> {
    fn of(picture: &'a Picture, time: i64) -> Self {
        let machines = picture.now.iter().map(|now| NowShape::of(now, picture.time)).collect();
        Self { r#type: "now", time, machines }
    }
}

impl<'a> NowShape<'a> {
    fn of(now: &'a crate::protocol::Now, hub_time: i64) -> Self {
        let silent_ms = now.last_seen.map(|seen| (hub_time - seen).max(0));
        Self { status: now.status, silent_ms, values: &now.values }
    }
}

impl StepMessage {
    fn of(picture: &Picture) -> Self {
        let points = (0..picture.now.len()).map(|at| picture.newest_points(at).collect()).collect();
        Self { r#type: "step", minute: picture.minute, points }
    }
}

/// The first message of a conversation. `time` is the edge's clock: the times of the later ones are by it.
pub(super) fn hello(now_ms: i64) -> Bytes {
    let version = env!("CARGO_PKG_VERSION");
    frame::text(format!(r#"{{"type":"hello","protocol":1,"server_time":{now_ms},"version":"{version}"}}"#))
}
