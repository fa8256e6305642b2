//! Worker: one source on one thread, with a deadline. A source that hangs keeps its thread and nothing else.
//!
//! Keeps true: a source has at most one read under way; one that missed its deadline is not asked again until it has returned
//! and its quarantine is over; what it brings back late is thrown away.

use std::io;
use std::time::Duration;

use fastrand::Rng;
use runtime::backoff::Backoff;
use runtime::clock::{SharedClock, micros};
use runtime::metrics::{Counter, Gauge, Registry};
use runtime::queue::{self, WhenFull};
use runtime::telemetry::error_chain;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use crate::readings::Readings;
use crate::sources::{Source, SourceError};

/// Parsers hold their text on the heap; the default of 2 MiB would count against small machines' limits.
const STACK_BYTES: usize = 256 * 1024;
const QUARANTINE_BASE: Duration = Duration::from_secs(10);
const QUARANTINE_CAP: Duration = Duration::from_secs(300);

pub(crate) struct Worker {
    name: &'static str,
    jobs: queue::Sender<Job>,
    under_way: Option<oneshot::Receiver<Done>>,
    quarantined_until_us: u64,
    backoff: Backoff,
    is_well: bool,
    counters: Counters,
}

struct Job {
    reply: oneshot::Sender<Done>,
}

struct Done {
    readings: Readings,
    result: Result<(), SourceError>,
    took_us: u64,
}

struct Counters {
    success: Gauge,
    duration_seconds: Gauge,
    failures: Counter,
}

impl Worker {
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(mut source: Box<dyn Source>, clock: SharedClock, metrics: &Registry) -> io::Result<Self> {
        let name = source.name();
        let (jobs, mut inbox) = queue::bounded::<Job>("collector_source", 1, WhenFull::Shed);
        let work = move || {
            while let Some(job) = inbox.recv_blocking() {
                let mut readings = Readings::default();
                let at_us = clock.monotonic_us();
                let result = source.read(at_us, &mut readings);
                let took_us = clock.monotonic_us().saturating_sub(at_us);
                // A receiver that is gone missed its deadline long ago.
                drop(job.reply.send(Done { readings, result, took_us }));
            }
        };
        std::thread::Builder::new().name(format!("source-{name}")).stack_size(STACK_BYTES).spawn(work)?;
        Ok(Self {
            name,
            jobs,
            under_way: None,
            quarantined_until_us: 0,
            backoff: Backoff::between(QUARANTINE_BASE, QUARANTINE_CAP, Rng::new()),
            is_well: true,
            counters: Counters::new(name, metrics),
        })
    }

    /// Asks for a reading unless the source hangs or is in quarantine.
    pub(crate) fn ask(&mut self, now_us: u64) {
        if let Some(reply) = &mut self.under_way {
            match reply.try_recv() {
                Err(oneshot::error::TryRecvError::Empty) => return,
                // It is back, too late; the quarantine that began then decides when it is asked again.
                Ok(_) | Err(oneshot::error::TryRecvError::Closed) => self.under_way = None,
            }
        }
        if now_us < self.quarantined_until_us {
            return;
        }
        let (reply, done) = oneshot::channel();
        if self.jobs.try_send(Job { reply }).is_ok() {
            self.under_way = Some(done);
            self.quarantined_until_us = 0;
        }
    }

    /// What it read, if it was asked and answers before the deadline.
    pub(crate) async fn collect(&mut self, now_us: u64, deadline: Instant) -> Option<Readings> {
        // A source that hangs since an earlier tick is in quarantine, and not waited for.
        if self.quarantined_until_us > 0 {
            return None;
        }
        let reply = self.under_way.as_mut()?;
        match timeout_at(deadline, reply).await {
            Ok(Ok(done)) => {
                self.under_way = None;
                self.note(done)
            }
            Ok(Err(_thread_is_gone)) => {
                self.under_way = None;
                self.quarantine(now_us, "the source broke");
                None
            }
            Err(_elapsed) => {
                self.quarantine(now_us, "the source hangs");
                None
            }
        }
    }

    fn note(&mut self, done: Done) -> Option<Readings> {
        self.counters.duration_seconds.set(Duration::from_micros(done.took_us).as_secs_f64());
        match done.result {
            Ok(()) => {
                self.backoff.reset();
                self.counters.success.set(1.0);
                if !self.is_well {
                    self.is_well = true;
                    info!(source = self.name, "source back");
                }
                Some(done.readings)
            }
            Err(error) => {
                self.fail(&error_chain(&error));
                None
            }
        }
    }

    fn quarantine(&mut self, now_us: u64, why: &'static str) {
        let pause = self.backoff.next_delay();
        self.quarantined_until_us = now_us.saturating_add(micros(pause)).max(1);
        self.fail(why);
    }

    /// Logged when it begins, counted each time.
    fn fail(&mut self, why: &str) {
        self.counters.failures.increment();
        self.counters.success.set(0.0);
        if self.is_well {
            self.is_well = false;
            warn!(source = self.name, error = why, "source absent");
        }
    }
}

impl Counters {
    fn new(source: &'static str, metrics: &Registry) -> Self {
        let labels = &[("source", source)];
        Self {
            success: metrics.gauge("collector_source_success", "1 when the last read was good", labels),
            duration_seconds: metrics.gauge("collector_source_duration_seconds", "How long the last read took", labels),
            failures: metrics.counter("collector_source_failures_total", "Reads that failed or hung", labels),
        }
    }
}
