//! Lane: one machine of a run: follows its plan, reads what the hub says while it sends, and knows what is under way.
//!
//! Keeps true: nothing the hub does moves a due time; frames go with rising sequences and never more of them than the hub gave credit for; what a
//! broken stream left unacknowledged goes out again on the next, in order. Bounds: frames under way by the hub's credit, every wait by a deadline.

use std::collections::VecDeque;
use std::iter::Peekable;
use std::sync::Arc;

use bytes::Bytes;
use proto::{encode, pb};
use runtime::backoff::Backoff;
use tokio::time::{sleep_until, timeout_at};
use tonic::{Code, Status};

use crate::domain::{Face, Values};
use crate::link::Link;
use crate::plan::{Deed, Kind, Plan, Planned};
use crate::run::Course;
use crate::truth::{Kept, MachineTruth};
use crate::wire::{self, FRAMES_PER_MESSAGE, Stamp};

/// What a hub may grant at most.
const CREDIT_MAX: usize = 4_096;

pub(crate) struct Lane {
    course: Arc<Course>,
    machine: u32,
    face: Face,
    plan: Peekable<Plan>,
    sequence: u64,
    credit: usize,
    under_way: VecDeque<UnderWay>,
    /// Of these, how many at the end have to go out on this stream yet.
    unsent: usize,
    newest: Option<UnderWay>,
    ready: VecDeque<Bytes>,
    /// Since when nothing held this lane up; until then lateness is the hub's.
    free_us: u64,
    held_since_us: Option<u64>,
    /// The plan says that the stream breaks here.
    cuts: bool,
    values: Values,
    truth: Option<MachineTruth>,
}

#[derive(Debug, Clone, Copy)]
struct UnderWay {
    sequence: u64,
    planned: Planned,
    sent_us: u64,
    /// When it went out on the stream of now.
    on_wire_us: u64,
}

/// How a lane's stream ended.
enum End {
    /// Everything is acknowledged.
    Done,
    /// By plan.
    Cut,
    Broken(Status),
    /// The run's last moment has come.
    Late,
}

impl Lane {
    pub(crate) fn new(course: Arc<Course>, machine: u32, face: Face) -> Self {
        let plan = course.fleet.plan(machine).peekable();
        let series = || face.series.iter().map(|key| (key.metric.to_string(), labels_of(key))).collect();
        let truth = course.keeps_truth.then(|| MachineTruth::new(&face.name, series()));
        Self {
            course,
            machine,
            face,
            plan,
            sequence: 0,
            credit: 1,
            under_way: VecDeque::new(),
            unsent: 0,
            newest: None,
            ready: VecDeque::new(),
            free_us: 0,
            held_since_us: None,
            cuts: false,
            values: Values::default(),
            truth,
        }
    }

    /// Runs the plan to its end, or to the run's last moment. What is unacknowledged then is told.
    pub(crate) async fn run(mut self) -> Result<LaneEnd, Status> {
        let mut backoff = Backoff::new(fastrand::Rng::with_seed(self.course.session ^ u64::from(self.machine)));
        loop {
            self.wait_for_work().await;
            match self.stream().await {
                End::Done | End::Late => break,
                End::Cut => self.course.board.lock().counts.disconnects += 1,
                End::Broken(status) if is_hopeless(&status) => return Err(status),
                End::Broken(_) => {
                    self.course.board.lock().counts.breaks += 1;
                    let until = self.course.last_moment.min(tokio::time::Instant::now() + backoff.next_delay());
                    sleep_until(until).await;
                }
            }
        }
        let never_sent = self.plan.filter(|deed| matches!(deed, Deed::Frame(_))).count();
        let unacknowledged = (self.under_way.len() + never_sent) as u64;
        if let Some(truth) = &mut self.truth {
            truth.unacknowledged = unacknowledged;
        }
        Ok(LaneEnd { unacknowledged, truth: self.truth })
    }

    /// A machine that was cut off comes back when it has something to say.
    async fn wait_for_work(&mut self) {
        if self.under_way.is_empty()
            && let Some(due) = self.plan.peek().map(Deed::due_us)
        {
            sleep_until(self.course.moment(due).min(self.course.last_moment)).await;
        }
    }

    async fn stream(&mut self) -> End {
        if self.is_done() {
            return End::Done;
        }
        if self.course.last_moment <= tokio::time::Instant::now() {
            return End::Late;
        }
        let layout = encode::layout(wire::LAYOUT, &self.face.series);
        let opening = Link::open(self.course.connections.of(self.machine), self.hello(), layout);
        let (mut link, first) = match timeout_at(self.course.last_moment, opening).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(status)) => return End::Broken(status),
            Err(_elapsed) => return End::Late,
        };
        self.ready.clear();
        self.take(&first);
        self.unsent = self.under_way.len();
        self.course.board.lock().counts.frames_resent += self.unsent as u64;
        let end = self.follow(&mut link).await;
        self.note_freed();
        end
    }

    async fn follow(&mut self, link: &mut Link) -> End {
        let outgoing = link.requests.clone();
        loop {
            self.fill();
            if self.is_done() {
                return End::Done;
            }
            if self.cuts && self.ready.is_empty() {
                self.cuts = false;
                return End::Cut;
            }
            let wake = self.next_wake();
            tokio::select! {
                answer = link.answers.message() => match answer {
                    Ok(Some(answer)) => self.take(&answer),
                    Ok(None) => return End::Broken(Status::unavailable("the hub closed the stream")),
                    Err(status) => return End::Broken(status),
                },
                permit = outgoing.reserve(), if !self.ready.is_empty() => match (permit, self.ready.pop_front()) {
                    (Ok(permit), Some(message)) => permit.send(message),
                    // The next answer says why.
                    (Err(_), _) | (Ok(_), None) => self.ready.clear(),
                },
                () = sleep_until(wake) => {
                    if self.course.last_moment <= tokio::time::Instant::now() {
                        return End::Late;
                    }
                }
            }
        }
    }

    fn is_done(&mut self) -> bool {
        self.under_way.is_empty() && self.ready.is_empty() && self.plan.peek().is_none()
    }

    fn room(&self) -> usize {
        self.credit.saturating_sub(self.under_way.len() - self.unsent)
    }

    /// The next moment at which there may be something to send.
    fn next_wake(&mut self) -> tokio::time::Instant {
        let can_send = self.ready.is_empty() && self.room() > 0 && !self.cuts;
        let due = self.plan.peek().filter(|_| can_send).map(|deed| self.course.moment(deed.due_us()));
        due.map_or(self.course.last_moment, |due| due.min(self.course.last_moment))
    }

    /// Makes messages of everything that is due, as far as credit goes.
    fn fill(&mut self) {
        let now_us = self.course.now_us();
        if self.cuts {
            return;
        }
        if !self.ready.is_empty() || self.room() == 0 {
            let is_due = self.plan.peek().is_some_and(|deed| deed.due_us() <= now_us);
            if is_due {
                self.held_since_us.get_or_insert(now_us);
            }
            return;
        }
        self.note_freed();
        let mut batch: Vec<UnderWay> = Vec::new();
        while 0 < self.unsent && batch.len() < FRAMES_PER_MESSAGE && 0 < self.room() {
            let at = self.under_way.len() - self.unsent;
            self.under_way[at].on_wire_us = now_us;
            batch.push(self.under_way[at]);
            self.unsent -= 1;
        }
        if self.unsent == 0 {
            self.fill_new(now_us, &mut batch);
        }
        if !batch.is_empty() {
            let message = self.encode(&batch, now_us);
            self.ready.push_back(message);
        }
    }

    fn fill_new(&mut self, now_us: u64, batch: &mut Vec<UnderWay>) {
        let (mut fresh, free_us) = (Vec::new(), self.free_us);
        while batch.len() < FRAMES_PER_MESSAGE && 0 < self.room() {
            let Some(deed) = self.plan.next_if(|deed| deed.due_us() <= now_us) else { break };
            match deed {
                Deed::Frame(planned) => {
                    self.sequence += 1;
                    let under_way = UnderWay { sequence: self.sequence, planned, sent_us: now_us, on_wire_us: now_us };
                    self.under_way.push_back(under_way);
                    self.newest = Some(under_way);
                    batch.push(under_way);
                    fresh.push(planned);
                }
                Deed::Again { .. } => {
                    if let Some(newest) = self.newest {
                        self.course.board.lock().counts.note(Kind::Duplicate);
                        batch.push(newest);
                    }
                }
                Deed::Disconnect { .. } => {
                    self.cuts = true;
                    break;
                }
            }
        }
        let mut board = self.course.board.lock();
        for planned in fresh {
            board.own.record_since(planned.due_us.max(free_us), now_us);
            board.counts.frames_sent += 1;
            board.counts.samples_sent += self.course.samples_per_frame;
            board.counts.note(planned.kind);
        }
    }

    /// Nothing holds the lane up any longer.
    fn note_freed(&mut self) {
        if let Some(since_us) = self.held_since_us.take() {
            self.free_us = self.course.now_us();
            self.course.board.lock().counts.held_us += self.free_us - since_us;
        }
    }

    fn encode(&mut self, batch: &[UnderWay], now_us: u64) -> Bytes {
        if let Some(template) = &self.course.template {
            let stamps: Vec<Stamp> = batch
                .iter()
                .map(|frame| Stamp {
                    sequence: frame.sequence,
                    time_ms: self.course.wall_ms(frame.planned.time_us),
                    number: frame.planned.number,
                })
                .collect();
            return template.message(&stamps);
        }
        let mut frames = Vec::with_capacity(batch.len());
        for frame in batch {
            self.course.fill(self.machine, &frame.planned, &mut self.values);
            frames.push(pb::Frame {
                sequence: frame.sequence,
                layout: wire::LAYOUT,
                time_ms: self.values.time_ms,
                age_ms: age_ms(&frame.planned, now_us),
                present: bitmap(&self.values),
                values: std::mem::take(&mut self.values.values),
            });
        }
        wire::frames(frames)
    }

    fn take(&mut self, answer: &pb::PushResponse) {
        self.credit = usize::try_from(answer.credit).unwrap_or(CREDIT_MAX).clamp(1, CREDIT_MAX);
        let now_us = self.course.now_us();
        for rejection in &answer.rejections {
            let samples = u64::from(rejection.count);
            self.course.board.lock().refuse(&rejection.reason, samples);
            if let Some(truth) = &mut self.truth {
                truth.refused += samples;
            }
        }
        while let Some(frame) = self.under_way.front().copied().filter(|frame| frame.sequence <= answer.acknowledged) {
            self.under_way.pop_front();
            let times = (frame.planned.due_us, frame.sent_us, now_us);
            self.course.board.lock().acknowledge(times, self.course.samples_per_frame);
            self.keep(&frame);
        }
        self.unsent = self.unsent.min(self.under_way.len());
        if !answer.unknown_layouts.is_empty() {
            self.ready.clear();
            self.ready.push_back(wire::request(pb::push_request::Message::Layout(encode::layout(
                wire::LAYOUT,
                &self.face.series,
            ))));
            self.unsent = self.under_way.len();
        }
    }

    fn keep(&mut self, frame: &UnderWay) {
        let Some(truth) = &mut self.truth else { return };
        self.course.fill(self.machine, &frame.planned, &mut self.values);
        let breach_at = self.course.domain.breach_at();
        let is_breach = breach_at.and_then(|at| self.values.each().find(|(position, _)| *position == at));
        truth.keep(Kept {
            number: frame.planned.number,
            time_ms: self.values.time_ms,
            age_ms: age_ms(&frame.planned, frame.on_wire_us),
            values: &mut self.values.each(),
            is_breach: is_breach.map(|(_, level)| level > 0.5),
        });
    }

    fn hello(&self) -> pb::Hello {
        pb::Hello {
            machine_id: self.face.name.clone(),
            session: self.course.session,
            tags: self.face.tags.clone(),
            interval_ms: u32::try_from(self.course.fleet.schedule.interval_us / 1_000).unwrap_or(u32::MAX),
            inventory: None,
        }
    }
}

/// What a lane leaves behind.
pub(crate) struct LaneEnd {
    pub(crate) unacknowledged: u64,
    pub(crate) truth: Option<MachineTruth>,
}

fn age_ms(planned: &Planned, now_us: u64) -> u32 {
    u32::try_from(now_us.saturating_sub(planned.time_us) / 1_000).unwrap_or(u32::MAX)
}

fn bitmap(values: &Values) -> Vec<u8> {
    let Some(last) = values.positions.iter().max() else { return Vec::new() };
    let mut present = vec![0; usize::from(*last) / 8 + 1];
    for position in &values.positions {
        present[usize::from(*position) / 8] |= 1 << (position % 8);
    }
    present
}

fn labels_of(key: &model::SeriesKey) -> std::collections::BTreeMap<String, String> {
    key.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Trying again would change nothing.
pub(crate) fn is_hopeless(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument | Code::Unimplemented | Code::Aborted
    )
}
