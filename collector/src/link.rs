//! Link: one Push stream to the hub, from hello to its end.
//!
//! Keeps true: a layout goes out before the first frame that names it; frames go strictly oldest first; no more of them are
//! under way than the hub gave credit for; what is not acknowledged when the stream ends goes out again on the next.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proto::pb;
use proto::pb::push_request::Message;
use runtime::clock::SharedClock;
use runtime::drain::DrainToken;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tonic::{Status, Streaming};
use tracing::warn;

use crate::connection::Connection;
use crate::frame::Frame;
use crate::layout::Layout;
use crate::mailbox::Mailbox;
use crate::outbox::{Next, Outbox};
use crate::rate::exact;
use crate::telemetry::Telemetry;

/// What a hub may grant at most: beyond it, frames under way are only memory.
const CREDIT_MAX: usize = 4_096;
/// A hub that is alive but keeps frames this long unacknowledged has lost the stream; its disk is never that slow.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// A drain as a whole has 10 s; what is not acknowledged by then goes to the spool.
const DRAIN_SEND: Duration = Duration::from_secs(5);
/// Layouts remembered as sent. Machines have one or two at a time; forgetting one costs sending it again.
const LAYOUTS_KNOWN: usize = 32;
/// A hub that keeps asking for layouts it was given is broken; a new stream starts afresh.
const UNKNOWN_MAX: u32 = 16;
/// Different reasons of refusal that are logged per stream, each once; further ones are only counted.
const REASONS_MAX: usize = 16;

/// Samples per second while old frames are caught up with: below what a hub lets one machine send (50,000), or it would refuse
/// some for good. A day of a hundred series then takes a minute and a half.
const CATCH_UP_PER_SECOND: f64 = 20_000.0;

/// How a stream ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Drained: the hub has everything, or time is up.
    Drained,
    /// The hub closed it without a reason.
    Closed,
    Refused(Status),
    Silent,
    Confused,
    /// The session must be another; see `Outbox::is_beyond`.
    Forgotten,
}

pub(crate) struct Link<'a> {
    mailbox: &'a Mailbox,
    clock: SharedClock,
    telemetry: &'a Telemetry,
    outgoing: mpsc::Sender<pb::PushRequest>,
    responses: Streaming<pb::PushResponse>,
    /// Messages that are made and not yet handed over.
    ready: VecDeque<pb::PushRequest>,
    layouts: LayoutBook,
    /// Newest frame that was made a message of on this stream.
    sent: u64,
    under_way: VecDeque<u64>,
    credit: usize,
    /// Nothing more goes out before; in the past in ordinary times.
    paced_until: Instant,
    /// When the hub last moved, or had nothing to answer.
    moved: Instant,
    unknown: u32,
    reasons: BTreeSet<String>,
    is_acknowledged: bool,
}

/// What wakes a link besides the hub.
pub(crate) struct Wakes<'a> {
    pub(crate) processes: &'a mut watch::Receiver<Option<pb::ProcessTable>>,
    pub(crate) resend_layout: &'a Notify,
    pub(crate) drain: &'a DrainToken,
    /// Told when the hub first answers.
    pub(crate) connection: &'a mut Connection,
}

/// Which layouts this stream has numbers for, and whether the hub has them.
#[derive(Debug, Default)]
struct LayoutBook {
    known: VecDeque<Known>,
    last_id: u32,
}

#[derive(Debug)]
struct Known {
    id: u32,
    layout: Arc<Layout>,
    is_sent: bool,
}

impl<'a> Link<'a> {
    pub(crate) async fn new(
        mailbox: &'a Mailbox,
        telemetry: &'a Telemetry,
        outgoing: mpsc::Sender<pb::PushRequest>,
        responses: Streaming<pb::PushResponse>,
    ) -> Self {
        let outbox = mailbox.lock().await;
        Self {
            mailbox,
            clock: SharedClock::clone(outbox.clock()),
            telemetry,
            outgoing,
            responses,
            ready: VecDeque::new(),
            layouts: LayoutBook::default(),
            sent: outbox.acknowledged(),
            under_way: VecDeque::new(),
            // Until the hub says more, the least it may grant.
            credit: 1,
            paced_until: Instant::now(),
            moved: Instant::now(),
            unknown: 0,
            reasons: BTreeSet::new(),
            is_acknowledged: false,
        }
    }

    /// Whether the hub acknowledged a frame on this stream that it had not before: only such a stream is a good one.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.is_acknowledged
    }

    /// Sends and receives until the stream ends or all is drained.
    pub(crate) async fn run(&mut self, wakes: Wakes<'_>) -> End {
        let mut drained_by: Option<Instant> = None;
        let outgoing = self.outgoing.clone();
        loop {
            self.fill().await;
            if drained_by.is_some() && self.ready.is_empty() && self.mailbox.lock().await.waiting() == 0 {
                return End::Drained;
            }
            let silent_at = (!self.under_way.is_empty()).then(|| self.moved + SILENCE_MAX);
            let paced_until = Some(self.paced_until).filter(|until| Instant::now() < *until);
            tokio::select! {
                response = self.responses.message() => match response {
                    Ok(Some(response)) => {
                        wakes.connection.open();
                        self.telemetry.connected.set(1.0);
                        if let Some(end) = self.receive(response).await {
                            return end;
                        }
                    }
                    Ok(None) => return End::Closed,
                    Err(status) => return End::Refused(status),
                },
                permit = outgoing.reserve(), if !self.ready.is_empty() => match (permit, self.ready.pop_front()) {
                    (Ok(permit), Some(message)) => permit.send(message),
                    // The response says why.
                    (Err(_), _) | (Ok(_), None) => self.ready.clear(),
                },
                () = self.mailbox.filled() => {}
                Ok(()) = wakes.processes.changed(), if self.ready.is_empty() => {
                    let table = wakes.processes.borrow_and_update().clone();
                    self.ready.extend(table.map(|table| message(Message::Processes(table))));
                }
                () = wakes.resend_layout.notified() => self.layouts.resend(),
                () = at(paced_until) => {}
                () = at(silent_at) => return End::Silent,
                () = wakes.drain.draining(), if drained_by.is_none() => drained_by = Some(Instant::now() + DRAIN_SEND),
                () = at(drained_by) => return End::Drained,
            }
        }
    }

    /// Makes messages of the next frames, as far as credit goes.
    async fn fill(&mut self) {
        let room = self.credit.saturating_sub(self.under_way.len());
        if !self.ready.is_empty() || room == 0 || Instant::now() < self.paced_until {
            return;
        }
        let after = self.sent;
        let next = self.mailbox.lock().await.next(after, room);
        let frames = match next {
            Next::Frames(frames) => frames,
            Next::Nothing => return,
            Next::OnDisk => {
                self.mailbox.on_disk(move |outbox| outbox.load(after)).await;
                match self.mailbox.lock().await.next(after, room) {
                    Next::Frames(frames) => frames,
                    // The disk failed; it is asked again when the next frame comes.
                    Next::OnDisk | Next::Nothing => return,
                }
            }
        };
        self.make_ready(&frames);
    }

    fn make_ready(&mut self, frames: &[Arc<Frame>]) {
        if self.under_way.is_empty() {
            self.moved = Instant::now();
        }
        let samples: usize = frames.iter().map(|frame| frame.row.values.len()).sum();
        if frames.len() > 1 {
            self.paced_until = Instant::now() + Duration::from_secs_f64(exact(samples as u64) / CATCH_UP_PER_SECOND);
        }
        let mut packed = Vec::with_capacity(frames.len());
        for frame in frames {
            let (id, is_new) = self.layouts.id_of(&frame.row.layout);
            if is_new {
                self.ready.push_back(message(Message::Layout(frame.row.layout.to_pb(id))));
            }
            packed.push(frame.to_pb(id, self.clock.as_ref()));
            self.under_way.push_back(frame.sequence);
            self.sent = frame.sequence;
        }
        let one_or_more = match packed.len() {
            1 => packed.pop().map(Message::Frame),
            _ => Some(Message::Frames(pb::Frames { frames: packed })),
        };
        self.ready.extend(one_or_more.map(message));
    }

    async fn receive(&mut self, response: pb::PushResponse) -> Option<End> {
        let granted = usize::try_from(response.credit).unwrap_or(CREDIT_MAX);
        self.credit = granted.clamp(1, CREDIT_MAX);
        self.note_rejections(&response.rejections);
        let acknowledged = response.acknowledged;
        let (is_beyond, before) = {
            let outbox = self.mailbox.lock().await;
            (outbox.is_beyond(acknowledged), outbox.acknowledged())
        };
        if is_beyond {
            self.mailbox.on_disk(Outbox::renew_session).await;
            return Some(End::Forgotten);
        }
        if acknowledged > before {
            self.is_acknowledged = true;
            self.mailbox.acknowledge(acknowledged).await;
            self.moved = Instant::now();
            self.sent = self.sent.max(acknowledged);
            while self.under_way.front().is_some_and(|sequence| *sequence <= acknowledged) {
                self.under_way.pop_front();
            }
        }
        if !response.unknown_layouts.is_empty() {
            self.unknown += 1;
            // All of them: what is thrown away here may hold one that was never sent.
            self.layouts.resend();
            self.ready.clear();
            self.under_way.clear();
            self.sent = self.mailbox.lock().await.acknowledged();
        }
        (UNKNOWN_MAX < self.unknown).then_some(End::Confused)
    }

    fn note_rejections(&mut self, rejections: &[pb::Rejection]) {
        for rejection in rejections {
            self.telemetry.rejected_samples.add(u64::from(rejection.count));
            if self.reasons.len() < REASONS_MAX && self.reasons.insert(rejection.reason.clone()) {
                warn!(
                    reason = rejection.reason,
                    samples = rejection.count,
                    detail = rejection.detail,
                    "samples rejected"
                );
            }
        }
    }
}

impl Drop for Link<'_> {
    fn drop(&mut self) {
        self.telemetry.connected.set(0.0);
    }
}

impl LayoutBook {
    /// The number of a layout, and whether it must go out before a frame that names it.
    fn id_of(&mut self, layout: &Arc<Layout>) -> (u32, bool) {
        let is_same = |known: &&mut Known| Arc::ptr_eq(&known.layout, layout) || known.layout == *layout;
        // The newest is nearly always the one.
        if let Some(known) = self.known.iter_mut().rev().find(is_same) {
            return (known.id, !std::mem::replace(&mut known.is_sent, true));
        }
        self.last_id = self.last_id.wrapping_add(1);
        if self.known.len() == LAYOUTS_KNOWN {
            self.known.pop_front();
        }
        self.known.push_back(Known { id: self.last_id, layout: Arc::clone(layout), is_sent: true });
        (self.last_id, true)
    }

    /// Each goes out again before the next frame that names it, under its old number: a hub that asks for one waits for that.
    fn resend(&mut self) {
        self.known.iter_mut().for_each(|known| known.is_sent = false);
    }
}

/// Ends at that moment; never without one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

pub(crate) fn message(message: Message) -> pb::PushRequest {
    pb::PushRequest { message: Some(message) }
}
