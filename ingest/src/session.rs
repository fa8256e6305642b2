//! Session: one collector's Push stream, its reading half. `answers` is the other half.
//!
//! In: hello, then layouts, frames, process tables. Out: submissions to the sequencer, in order, and a note of each for the answers.
//! A message is taken only when the one before it was handed in: a full hub leaves the stream unread and the collector waits.
//! Loss: none. A duplicate is acknowledged again and not journalled; a refused frame is journalled as such and acknowledged; frames
//! whose layout is not known are shed, with all that follow, until the layout comes: acknowledgement is cumulative.
//! Invariants: J-1; a mark moves only when its frame was handed in, in one step with it.

use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use model::{Kept, MachineInfo, Record, SessionId, Source};
use proto::{decode, pb};
use tokio::sync::mpsc;
use tonic::Status;
use tracing::debug;

use crate::admission::{self, Refusal};
use crate::answers::Note;
use crate::context::{Context, broken, draining};
use crate::door::rejection;
use crate::intake::Tickets;
use crate::layouts::StreamLayouts;
use crate::machines::{Machine, Seat};
use crate::push::superseded;

pub(crate) struct Session<'a> {
    context: Arc<Context>,
    pub(crate) machine: Arc<Machine>,
    id: SessionId,
    layouts: StreamLayouts,
    /// The layout that frames wait for, and the first that does.
    missing: Option<Missing>,
    tickets: Tickets,
    notes: &'a mpsc::Sender<Note>,
}

#[derive(Clone, Copy)]
struct Missing {
    layout: u32,
    sequence: u64,
}

/// What one message comes to.
#[derive(Default)]
struct Taken {
    records: Vec<Record>,
    note: Note,
    /// Newest sequence that is settled by the records.
    newest: u64,
    accepted: u64,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        context: Arc<Context>,
        machine: Arc<Machine>,
        id: SessionId,
        tickets: Tickets,
        notes: &'a mpsc::Sender<Note>,
    ) -> Self {
        let layouts = StreamLayouts::new(context.streams.layouts_per_stream_max);
        Self { context, machine, id, layouts, missing: None, tickets, notes }
    }

    /// Journals what is new about the machine, and tells the collector from where on the hub misses frames.
    pub(crate) async fn introduce(&mut self, info: MachineInfo) -> Result<(), Status> {
        let info = Arc::new(info);
        let (is_new, mark) = self.machine.with_door(|door| {
            let is_new = !door.info.as_ref().is_some_and(|known| says_the_same(known, &info));
            (is_new, door.mark(self.id))
        });
        let mut taken = Taken::default();
        taken.note.sequence = mark;
        if is_new {
            taken.records.push(Record::Machine(Arc::clone(&info)));
        }
        self.hand_in(taken).await?;
        if is_new {
            self.machine.with_door(|door| door.info = Some(info));
        }
        Ok(())
    }

    pub(crate) async fn run<S>(&mut self, requests: &mut S, seat: &mut Seat) -> Result<(), Status>
    where
        S: Stream<Item = Result<pb::PushRequest, Status>> + Unpin,
    {
        let context = Arc::clone(&self.context);
        loop {
            let message = tokio::select! {
                biased;
                () = seat.superseded() => return Err(superseded(&context)),
                () = context.drain.draining() => return Err(draining()),
                message = requests.next() => message,
            };
            let Some(message) = message else { return Ok(()) };
            runtime::fault::strike("session");
            let taking = self.take(message.map_err(|status| broken(status, &context))?);
            tokio::select! {
                biased;
                () = seat.superseded() => return Err(superseded(&context)),
                taken = taking => taken?,
            }
        }
    }

    async fn take(&mut self, request: pb::PushRequest) -> Result<(), Status> {
        use pb::push_request::Message;
        let taken = match request.message {
            None => return Ok(()),
            Some(Message::Hello(_)) => {
                return Err(Status::invalid_argument("a stream has one hello, its first message"));
            }
            Some(Message::Layout(layout)) => self.learn(&layout),
            Some(Message::Frame(frame)) => self.frames(vec![frame])?,
            Some(Message::Frames(frames)) => self.frames(frames.frames)?,
            Some(Message::Processes(table)) => {
                let table = decode::processes(table, self.machine.id.clone());
                let is_timely = admission::check_time(table.time, self.context.now(), &self.context.limits).is_ok();
                let record = is_timely.then(|| Record::Processes(Arc::new(table)));
                Taken { records: record.into_iter().collect(), ..Taken::default() }
            }
        };
        self.hand_in(taken).await
    }

    /// Journals the refusals that still waited for their second, when the stream ends in whatever way.
    pub(crate) async fn leave(mut self) {
        let mut taken = Taken::default();
        self.journal_refusals(&mut taken, true);
        if taken.records.is_empty() {
            return;
        }
        if let Err(closed) = self.context.intake.submit(taken.records, &mut self.tickets).await {
            debug!(machine = %self.machine.id, reason = %closed, "the last refusals are counted but not journalled");
        }
    }

    fn learn(&mut self, layout: &pb::Layout) -> Taken {
        let sent = decode::layout(layout);
        let now_us = self.context.clock.monotonic_us();
        let (known, refusals) = self
            .machine
            .with_door(|door| admission::layout(sent, &self.machine.id, door, now_us, &self.context.limits));
        self.layouts.insert(layout.id, known);
        if self.missing.is_some_and(|missing| missing.layout == layout.id) {
            self.missing = None;
        }
        let mut taken = Taken::default();
        for refusal in &refusals {
            taken.note.reject(rejection(0, refusal));
        }
        // The samples of a refused series are counted frame by frame.
        self.machine.with_door(|door| refusals.iter().for_each(|refusal| door.refuse(refusal, |_no_samples| {})));
        self.journal_refusals(&mut taken, false);
        taken
    }

    fn frames(&mut self, frames: Vec<pb::Frame>) -> Result<Taken, Status> {
        let mut taken = Taken {
            records: Vec::with_capacity(frames.len() + 1),
            newest: self.machine.with_door(|door| door.mark(self.id)),
            ..Taken::default()
        };
        self.context.meters.frames.add(frames.len() as u64);
        for frame in frames {
            if frame.sequence == 0 {
                return Err(Status::invalid_argument("a frame has no sequence; they start at 1"));
            }
            self.frame(frame, &mut taken);
        }
        taken.note.sequence = taken.newest;
        self.journal_refusals(&mut taken, false);
        Ok(taken)
    }

    fn frame(&mut self, frame: pb::Frame, taken: &mut Taken) {
        let meters = &self.context.meters;
        let samples = frame.values.len();
        if frame.sequence <= taken.newest {
            meters.duplicate.add(samples as u64);
            return;
        }
        // From the first one on again: the collector has started over, and may have dropped what the layout was for.
        if self.missing.is_some_and(|missing| frame.sequence <= missing.sequence) {
            self.missing = None;
        }
        let known = if self.missing.is_none() { self.layouts.get(frame.layout) } else { None };
        let Some(known) = known else {
            meters.shed.add(samples as u64);
            if self.missing.is_none() {
                self.missing = Some(Missing { layout: frame.layout, sequence: frame.sequence });
                taken.note.unknown_layouts.push(frame.layout);
            }
            return;
        };
        let sequence = frame.sequence;
        taken.newest = sequence;
        let now_us = self.context.clock.monotonic_us();
        let limits = &self.context.limits;
        let is_within_rate = self.machine.with_door(|door| door.take_rate(samples, now_us, limits));
        let (refusals, returned) = if is_within_rate {
            let admitted = admission::frame(frame, known, self.id, self.context.now(), limits);
            for (reason, count) in admitted.silent {
                meters.reject(reason, count);
            }
            if let Some(batch) = admitted.batch {
                taken.accepted += batch.len() as u64;
                taken.records.push(Record::Batch(Arc::new(batch)));
            }
            (admitted.refusals, admitted.returned)
        } else {
            let detail = format!("more than {} samples a second", limits.samples_per_second_max);
            (vec![Refusal::new(model::RejectReason::RateLimited, samples, &detail)], Some(frame))
        };
        for refusal in &refusals {
            meters.reject(refusal.reason, refusal.count);
            let keep = |kept: &mut Kept| {
                returned.iter().for_each(|frame| admission::keep_frame(frame, known, kept));
            };
            self.machine.with_door(|door| door.refuse(refusal, keep));
            taken.note.reject(rejection(sequence, refusal));
        }
    }

    fn journal_refusals(&self, taken: &mut Taken, all: bool) {
        let (now, now_us) = (self.context.now(), self.context.clock.monotonic_us());
        let due =
            self.machine.with_door(|door| door.take_refusals((&self.machine.id, Source::GrpcPush), now, now_us, all));
        taken.records.extend(due.into_iter().map(|rejected| Record::Rejected(Arc::new(rejected))));
    }

    /// Submits, moves the mark and leaves the note. The place for the note comes first: from the submission on nothing waits, so
    /// that a stream that is cut off has either handed in a frame and its mark, or neither.
    async fn hand_in(&mut self, mut taken: Taken) -> Result<(), Status> {
        let gone = || Status::cancelled("the client has gone");
        let place = self.notes.reserve().await.map_err(|_closed| gone())?;
        taken.note.number = self.context.intake.submit(taken.records, &mut self.tickets).await?;
        if 0 < taken.newest {
            self.machine.with_door(|door| door.advance(self.id, taken.newest));
        }
        self.context.meters.accepted.add(taken.accepted);
        place.send(taken.note);
        Ok(())
    }
}

/// But for when it arrived.
fn says_the_same(known: &MachineInfo, new: &MachineInfo) -> bool {
    let new = MachineInfo { arrival: known.arrival, ..new.clone() };
    *known == new
}
