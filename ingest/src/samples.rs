//! Samples: one StreamMetrics stream, the wire with one sample a message, made into batches.
//!
//! In: samples of one or more machines. Out: batches per machine, by size or age, under a layout that grows with the series it meets.
//! The acknowledgement comes once, when the client closes its half or the hub drains, after everything is durable.
//! State: per machine the series met and the samples gathered; the machine fed longest ago is flushed and forgotten beyond the limit.
//! Loss: none; a bad sample is refused with its reason and never takes another with it.
//! Invariants: C-1 received = accepted + rejected.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use hashbrown::HashMap;
use model::{Kept, MachineId, Record, RejectReason, Rejected, SeriesKey, Source, Timestamp};
use proto::sample::Sample;
use proto::{decode, pb};
use tokio::time::Instant;
use tonic::Status;
use tracing::warn;

use crate::admission::{self, Refusal};
use crate::context::{Context, broken, draining};
use crate::gather::Gather;
use crate::intake::Tickets;
use crate::meters::OpenStream;

/// Messages that are taken at once when they are there: a wait and a look at the clock for all of them.
const READY_MAX: usize = 256;
/// Samples whose machine id cannot be one are listed under this name.
const NAMELESS: &str = "unknown";

/// Reads a stream to its end and acknowledges what became durable.
pub(crate) async fn serve<S>(context: Arc<Context>, samples: S) -> Result<pb::StreamAck, Status>
where
    S: Stream<Item = Result<Sample, Status>> + Send + Unpin,
{
    let _open = OpenStream::count(&context.meters.sample_streams);
    let mut feed = Feed::new(Arc::clone(&context));
    let mut ready = samples.ready_chunks(READY_MAX);
    let mut deadline: Option<Instant> = None;
    let end = loop {
        let flush = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = context.drain.draining() => break Ok(()),
            () = flush => {
                feed.flush_all().await?;
                deadline = None;
            }
            chunk = ready.next() => match chunk {
                None => break Ok(()),
                Some(chunk) => match feed.take(chunk).await {
                    Ok(()) => deadline = feed.deadline(deadline, context.streams.batch_wait),
                    Err(status) => break Err(status),
                },
            },
        }
    };
    // Also when the stream broke: what was received was received.
    feed.flush_all().await?;
    end?;
    tokio::select! {
        () = feed.tickets.all_durable() => Ok(feed.ack),
        () = context.cut.draining() => Err(draining()),
    }
}

struct Feed {
    context: Arc<Context>,
    machines: HashMap<Box<str>, Gather, foldhash::fast::RandomState>,
    gathered: usize,
    /// Counts chunks: which machine was fed longest ago.
    turn: u64,
    tickets: Tickets,
    ack: pb::StreamAck,
    has_warned: bool,
}

impl Feed {
    fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            machines: HashMap::default(),
            gathered: 0,
            turn: 0,
            tickets: Tickets::new(),
            ack: pb::StreamAck::default(),
            has_warned: false,
        }
    }

    /// When what is gathered must go; it stays while there is something.
    fn deadline(&self, current: Option<Instant>, wait: Duration) -> Option<Instant> {
        (0 < self.gathered).then(|| current.unwrap_or_else(|| Instant::now() + wait))
    }

    async fn take(&mut self, chunk: Vec<Result<Sample, Status>>) -> Result<(), Status> {
        self.turn += 1;
        let now = self.context.moment();
        for sample in chunk {
            let sample = sample.map_err(|status| broken(status, &self.context))?;
            self.ack.received += 1;
            if !self.machines.contains_key(sample.machine()) && !self.admit(sample.machine()).await? {
                continue;
            }
            let Some(gather) = self.machines.get_mut(sample.machine()) else {
                continue;
            };
            gather.turn = self.turn;
            match gather.add(&sample, now, &self.context.limits) {
                Ok(()) => self.gathered += 1,
                Err(refusal) => {
                    self.ack.rejected += 1;
                    self.context.meters.reject(refusal.reason, refusal.count);
                    gather.machine.with_door(|door| door.refuse(&refusal, |kept| keep(&sample, kept)));
                }
            }
            if self.context.streams.batch_samples_max <= gather.len() {
                self.flush(sample.machine()).await?;
            }
        }
        Ok(())
    }

    /// Makes place for a machine; false when it is refused.
    async fn admit(&mut self, raw: &str) -> Result<bool, Status> {
        let id = match MachineId::parse(raw) {
            Ok(id) => id,
            Err(invalid) => {
                self.refuse_nameless(RejectReason::BadName, &invalid.to_string()).await?;
                return Ok(false);
            }
        };
        let machine = match self.context.machines.enter(&id) {
            Ok(machine) => machine,
            Err(full) => {
                self.refuse_nameless(RejectReason::TooManyMachines, &format!("{id}: {full}")).await?;
                return Ok(false);
            }
        };
        if self.context.streams.machines_per_stream_max <= self.machines.len() {
            let oldest = self.machines.iter().min_by_key(|(_, gather)| gather.turn).map(|(id, _)| id.clone());
            if let Some(oldest) = oldest {
                self.flush(&oldest).await?;
                self.machines.remove(&oldest);
            }
        }
        self.machines.insert(raw.into(), Gather::new(machine));
        Ok(true)
    }

    /// A sample of nobody the hub knows: journalled once a stream, counted always.
    async fn refuse_nameless(&mut self, reason: RejectReason, detail: &str) -> Result<(), Status> {
        self.ack.rejected += 1;
        self.context.meters.reject(reason, 1);
        if std::mem::replace(&mut self.has_warned, true) {
            return Ok(());
        }
        warn!(reason = reason.as_str(), detail, "samples refused");
        let Ok(machine) = MachineId::parse(NAMELESS) else {
            return Ok(());
        };
        let Refusal { reason, count, detail } = Refusal::new(reason, 1, detail);
        let (arrival, source) = (self.context.now(), Source::GrpcStreamMetrics);
        let rejected = Rejected { machine, reason, count, arrival, detail, source, kept: None };
        self.context.intake.submit(vec![Record::Rejected(Arc::new(rejected))], &mut self.tickets).await?;
        Ok(())
    }

    async fn flush_all(&mut self) -> Result<(), Status> {
        let mut names: Vec<Box<str>> = self.machines.keys().cloned().collect();
        names.sort_unstable();
        for name in names {
            self.flush(&name).await?;
        }
        Ok(())
    }

    async fn flush(&mut self, name: &str) -> Result<(), Status> {
        let Some(gather) = self.machines.get_mut(name) else {
            return Ok(());
        };
        let (now, now_us) = (self.context.now(), self.context.clock.monotonic_us());
        let samples = gather.len();
        self.gathered -= samples;
        let limits = &self.context.limits;
        let is_within_rate = gather.machine.with_door(|door| door.take_rate(samples, now_us, limits));
        let batch = gather.batch(now).map(Arc::new);
        let mut records = Vec::with_capacity(2);
        let mut accepted = 0;
        if is_within_rate {
            accepted = samples as u64;
            records.extend(batch.map(Record::Batch));
        } else {
            let detail = format!("more than {} samples a second", limits.samples_per_second_max);
            let refusal = Refusal::new(RejectReason::RateLimited, samples, &detail);
            self.ack.rejected += samples as u64;
            self.context.meters.reject(refusal.reason, refusal.count);
            gather
                .machine
                .with_door(|door| door.refuse(&refusal, |kept| batch.iter().for_each(|batch| batch.keep(kept))));
        }
        let id = gather.machine.id.clone();
        let due = gather
            .machine
            .with_door(|door| door.take_refusals((&id, Source::GrpcStreamMetrics), now, now_us, samples == 0));
        records.extend(due.into_iter().map(|rejected| Record::Rejected(Arc::new(rejected))));
        if records.is_empty() {
            return Ok(());
        }
        self.context.intake.submit(records, &mut self.tickets).await?;
        self.ack.accepted += accepted;
        self.context.meters.accepted.add(accepted);
        Ok(())
    }
}

/// Keeps a sample that is refused, where it has a name.
fn keep(sample: &Sample, kept: &mut Kept) {
    let key = decode::metric_name(sample.kind())
        .and_then(|name| SeriesKey::parse(name, decode::labels(&sample.labels()).ok()?).ok());
    key.iter().for_each(|key| kept.add(key, Timestamp::from_millis(sample.timestamp_ms()), sample.value()));
}

/// Judges a sample that needs no look at its series.
pub(crate) fn check(
    sample: &Sample,
    arrival: Timestamp,
    limits: &crate::settings::Limits,
) -> Result<&'static str, Refusal> {
    let refuse = |reason, detail: String| Err(Refusal::new(reason, 1, &detail));
    let Some(name) = decode::metric_name(sample.kind()) else {
        return refuse(RejectReason::BadName, format!("metric type {} is not known", sample.kind()));
    };
    if !sample.value().is_finite() {
        return refuse(RejectReason::NotFinite, format!("{name} is {}", sample.value()));
    }
    let time = Timestamp::from_millis(sample.timestamp_ms());
    if let Err(reason) = admission::check_time(time, arrival, limits) {
        return refuse(reason, format!("sample of {time} arrived at {arrival}"));
    }
    Ok(name)
}
