//! Board: what is shown just now, made once for all viewers. One publisher writes; each viewer holds nothing but a cursor.
//!
//! Four messages, each shared as the bytes of a whole WebSocket frame (E-3): the whole picture, which is made once a minute while the
//! machines and their past stay; the newest minute alone; the past, which changes a few times an hour; and what holds now. A viewer that
//! missed some takes the newest of each and has everything.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use model::Status;
use serde::Serialize;
use tokio::sync::watch;

use super::frame;
use super::past::{Outages, Past};
use super::picture::{Malformed, Picture};
use crate::protocol::{Column, Days, FromHub, Now, to_json};

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
    past: Bytes,
    now: Bytes,
    document: OnceLock<Bytes>,
}

/// What a viewer has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    version: u64,
    epoch: u64,
    minute: i64,
    past: u64,
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
    incidents: &'a Outages,
}

#[derive(Serialize)]
struct MachineShape<'a> {
    name: &'a str,
    #[serde(flatten)]
    now: NowShape<'a>,
    charts: &'a [Vec<Option<f64>>],
    days: Option<&'a Days>,
}

#[derive(Serialize)]
struct PastMessage<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    past: &'a Past,
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
        let before = before.filter(|before| before.epoch == epoch);
        let same_minute = before.filter(|before| before.picture.minute == picture.minute);
        let same_past = before.filter(|before| before.picture.past_version == picture.past_version);
        let step =
            same_minute.map_or_else(|| frame::text(to_json(&StepMessage::of(&picture))), |before| before.step.clone());
        let past =
            same_past.map_or_else(|| frame::text(to_json(&PastMessage::of(&picture))), |before| before.past.clone());
        let whole = same_minute
            .and(same_past)
            .map_or_else(|| frame::text(to_json(&WholeShape::of(&picture, received))), |before| before.whole.clone());
        let now = frame::text(to_json(&NowMessage::of(&picture, received)));
        Self { version, picture, received, epoch, whole, step, past, now, document: OnceLock::new() }
    }

    /// The whole picture as JSON, made when somebody asks for it first.
    pub(super) fn document(&self) -> Bytes {
        let made = self.document.get_or_init(|| to_json(&WholeShape::of(&self.picture, self.received)).into());
        made.clone()
    }

    /// What a viewer with this cursor is sent, and where it is then.
    pub(super) fn since(&self, cursor: Cursor) -> (Vec<Bytes>, Cursor) {
        let minute = self.picture.minute;
        let next = Cursor { version: self.version, epoch: self.epoch, minute, past: self.picture.past_version };
        if cursor.version == self.version {
            return (Vec::new(), next);
        }
        let is_behind = cursor.epoch != self.epoch || cursor.minute.saturating_add(1) < minute;
        let frames = [
            is_behind.then_some(&self.whole),
            (!is_behind && cursor.minute != minute).then_some(&self.step),
            (!is_behind && cursor.past != next.past).then_some(&self.past),
            Some(&self.now),
        ];
        (frames.into_iter().flatten().cloned().collect(), next)
    }
}

impl<'a> WholeShape<'a> {
    fn of(picture: &'a Picture, time: i64) -> Self {
        let head = &picture.head;
        let machines = head.names.iter().zip(&picture.now).zip(picture.charts.iter()).zip(&picture.past.days);
        let machine = |(((name, now), charts), days): (((&'a String, &'a Now), &'a Vec<_>), &'a Option<Days>)| {
            MachineShape { name, now: NowShape::of(now, picture.time), charts, days: days.as_ref() }
        };
        Self {
            r#type: "snapshot",
            time,
            title: &head.title,
            interval_ms: head.interval_ms,
            minute: picture.minute,
            metrics: &head.metrics,
            machines: machines.map(machine).collect(),
            incidents: &picture.past.incidents,
        }
    }
}

impl<'a> PastMessage<'a> {
    fn of(picture: &'a Picture) -> Self {
        Self { r#type: "past", past: &picture.past }
    }
}

impl<'a> NowMessage<'a> {
    fn of(picture: &'a Picture, time: i64) -> Self {
        let machines = picture.now.iter().map(|now| NowShape::of(now, picture.time)).collect();
        Self { r#type: "now", time, machines }
    }
}

impl<'a> NowShape<'a> {
    fn of(now: &'a Now, hub_time: i64) -> Self {
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
