//! Figures: what the hub tells about itself: its own counters at each scrape, the pipeline screen, the rate on the first screen.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::synthetic::probe::Book;
use model::MachineId;
use pipeline::{ArrivalCounts, Counters, Handle, LATE_SECONDS};
use runtime::clock::SharedClock;
use runtime::metrics::{Registry, Scrape};
use runtime::process::Usage;
use runtime::queue::QueueStats;
use sinks::status::DriverHandle;
use web::{ArrivalView, HubStats, HubStatsSource, PipelineView, QueueView, StageView, SyntheticView};

use crate::operators::{self, Looks};
use crate::synthetic;

/// A rate is taken over this time: long enough to be steady at one frame in five seconds.
const RATE_OVER_US: u64 = 10_000_000;

/// Where each counter of the graph belongs: family, label name, label value.
const FAMILIES: [(&str, &str, &str, &str); 18] = [
    ("accepted", "pipeline_samples_total", "outcome", "accepted"),
    ("rejected", "pipeline_samples_total", "outcome", "rejected"),
    ("aggregated", "pipeline_samples_total", "outcome", "aggregated"),
    ("duplicate", "pipeline_samples_total", "outcome", "duplicate"),
    ("late", "pipeline_samples_total", "outcome", "late"),
    ("beyond_horizon", "pipeline_samples_total", "outcome", "beyond_horizon"),
    ("minute_rows", "pipeline_rows_total", "tier", "minute"),
    ("hour_rows", "pipeline_rows_total", "tier", "hour"),
    ("partial_rows", "pipeline_rows_total", "tier", "partial"),
    ("repairs", "pipeline_events_total", "kind", "repair"),
    ("transitions", "pipeline_events_total", "kind", "transition"),
    ("bindings_refused", "pipeline_events_total", "kind", "binding_refused"),
    ("stashed", "pipeline_events_total", "kind", "stashed"),
    ("activations", "pipeline_events_total", "kind", "activation"),
    ("fleet_outside", "pipeline_fleet_left_out_total", "what", "late_minute"),
    ("fleet_refused", "pipeline_fleet_left_out_total", "what", "series"),
    ("fleet_left_out", "pipeline_fleet_left_out_total", "what", "metric"),
    ("fleet_tags_refused", "pipeline_fleet_left_out_total", "what", "tag"),
];

/// Reads the running parts; shared with the web.
pub(crate) struct Figures {
    pub(crate) graph: Arc<Handle>,
    pub(crate) history: DriverHandle,
    pub(crate) meters: ingest::Meters,
    /// Out of the graph.
    pub(crate) sink_queues: Vec<QueueStats>,
    pub(crate) clock: SharedClock,
    /// How far a machine's watermark is behind its newest event time.
    pub(crate) lateness: Duration,
    pub(crate) rates: Mutex<Rates>,
    pub(crate) looks: Mutex<Looks>,
    /// None while synthetic transactions are off.
    pub(crate) synthetic: Option<Arc<Book>>,
}

/// Counts of the last seconds, oldest first: time, samples, frames.
#[derive(Debug, Default)]
pub(crate) struct Rates(VecDeque<(u64, u64, u64)>);

impl Figures {
    /// Exports the graph's counters and its lag.
    pub(crate) fn export(self: &Arc<Self>, registry: &Registry) {
        let figures = Arc::clone(self);
        registry.collector(move |scrape| figures.scrape(scrape));
        registry.collector(|scrape| {
            if let Some(usage) = Usage::own() {
                usage.scrape(scrape);
            }
        });
        for queue in &self.sink_queues {
            registry.watch_queue(queue.clone());
        }
    }

    fn scrape(&self, scrape: &mut Scrape) {
        let totals = self.graph_totals();
        for (name, family, label, value) in FAMILIES {
            let total = totals.get(name).copied().unwrap_or(0);
            let help = "What became of the graph's input, and what it published.";
            scrape.counter(family, help, &[(label, value)], total as f64);
        }
        for (worker, queue) in self.graph.queues().iter().enumerate() {
            let help = "Records waiting for a worker of the graph.";
            let worker = worker.to_string();
            scrape.gauge("pipeline_queue_depth", help, &[("worker", &worker)], queue.depth() as f64);
        }
        operators::scrape(&self.graph.operators(), scrape);
        self.scrape_lateness(scrape);
        let help = "Logical time between what is durable and what has left the graph.";
        scrape.gauge("pipeline_frontier_lag_seconds", help, &[], self.graph_lag_us() as f64 / 1e6);
    }

    fn scrape_lateness(&self, scrape: &mut Scrape) {
        let mut counts = vec![0; LATE_SECONDS.len() + 1];
        let mut sum_us = 0;
        for lateness in self.graph.counters().iter().map(|worker| &worker.lateness) {
            counts.iter_mut().zip(lateness.buckets()).for_each(|(count, more)| *count += more);
            sum_us += lateness.sum_us();
        }
        let help = "How far behind their machine's newest event time late samples were, those beyond the horizon too.";
        scrape.buckets(("pipeline_late_seconds", help), LATE_SECONDS, &counts, sum_us as f64 / 1e6);
    }

    /// Summed over the workers.
    fn graph_totals(&self) -> BTreeMap<&'static str, u64> {
        let mut totals = BTreeMap::new();
        for (name, count) in self.graph.counters().iter().flat_map(|worker: &Arc<Counters>| worker.list()) {
            *totals.entry(name).or_default() += count;
        }
        totals
    }

    fn graph_lag_us(&self) -> u64 {
        self.graph.sealed().saturating_sub(self.graph.completed())
    }

    /// Samples and frames a second.
    fn rates(&self) -> (f64, f64) {
        let now = self.clock.monotonic_us();
        let counts = (now, self.meters.accepted.value(), self.meters.frames.value());
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.over(counts)
    }

    /// In flow order.
    fn queues(&self) -> Vec<QueueView> {
        let workers = self.graph.queues().into_iter().enumerate();
        let workers =
            workers.map(|(worker, queue)| QueueView { name: format!("worker {worker}"), ..QueueView::from(&queue) });
        workers.chain(self.sink_queues.iter().map(QueueView::from)).collect()
    }

    fn stages(&self) -> Vec<StageView> {
        let status = self.history.status();
        let owned = |totals: BTreeMap<&'static str, u64>| {
            let pairs = totals.into_iter();
            pairs.map(|(name, count)| (name.to_owned(), count)).collect()
        };
        let ingest = BTreeMap::from([
            ("accepted", self.meters.accepted.value()),
            ("duplicate", self.meters.duplicate.value()),
            ("rejected", self.meters.rejected_total()),
            ("shed", self.meters.shed.value()),
        ]);
        let journal = BTreeMap::from([("bytes", self.meters.journal_bytes.value())]);
        let history = BTreeMap::from([("backlog_bytes", status.backlog_bytes), ("lost", status.lost)]);
        let stored = status.cursors.map(|cursors| status.sealed.saturating_sub(cursors.rows));
        let stage = |name: &str, lag_us: Option<u64>, totals| StageView {
            name: name.to_owned(),
            lag_ms: lag_us.map(|us| us as f64 / 1e3),
            totals: owned(totals),
        };
        vec![
            stage("ingest", None, ingest),
            stage("journal", None, journal),
            stage("graph", Some(self.graph_lag_us()), self.graph_totals()),
            stage("history", stored, history),
        ]
    }
}

impl HubStatsSource for Figures {
    fn stats(&self) -> HubStats {
        let latency = self.synthetic.as_deref().and_then(synthetic::headline);
        HubStats {
            samples_per_s: self.rates().0,
            latency_p50_ms: latency.map(|(p50, _, _)| p50),
            latency_p99_ms: latency.map(|(_, p99, _)| p99),
            latency_max_ms: latency.map(|(_, _, max)| max),
        }
    }

    fn arrivals(&self, machine: &MachineId) -> ArrivalView {
        let ArrivalCounts { newest, late, duplicate, beyond_horizon, future } =
            self.graph.arrivals(machine).unwrap_or_default();
        let watermark = newest.map(|newest| (newest - self.lateness).millis());
        ArrivalView { watermark, late, duplicate, beyond_horizon, future }
    }

    fn unjudged(&self, rule: &str) -> u64 {
        self.graph.unjudged(rule) as u64
    }

    fn synthetic(&self) -> Option<SyntheticView> {
        self.synthetic.as_deref().map(synthetic::view)
    }

    fn pipeline(&self) -> PipelineView {
        let (samples_per_s, frames_per_s) = self.rates();
        let now = self.graph.operators();
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let graph = looks.figures(self.clock.monotonic_us(), &now);
        PipelineView {
            complete_until: self.graph.completed() / 1_000,
            samples_per_s,
            frames_per_s,
            stages: self.stages(),
            queues: self.queues(),
            graph,
        }
    }
}

impl Rates {
    /// Notes the counts of now and answers with the rates since those of about ten seconds ago.
    fn over(&mut self, now: (u64, u64, u64)) -> (f64, f64) {
        // Two older than the window would be one too many: the oldest kept is the first at or before its start.
        while self.0.get(1).is_some_and(|second| second.0 + RATE_OVER_US <= now.0) {
            self.0.pop_front();
        }
        // Twenty looks a second fill the list no further than this, however many ask.
        if self.0.back().is_none_or(|last| last.0 + 50_000 <= now.0) {
            self.0.push_back(now);
        }
        let Some(first) = self.0.front().filter(|first| first.0 < now.0) else {
            return (0.0, 0.0);
        };
        let seconds = (now.0 - first.0) as f64 / 1e6;
        let rate = |from: u64, to: u64| to.saturating_sub(from) as f64 / seconds;
        (rate(first.1, now.1), rate(first.2, now.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_taken_over_the_last_ten_seconds() {
        let mut rates = Rates::default();
        assert_eq!(rates.over((0, 0, 0)), (0.0, 0.0));
        for second in 1..=30_u64 {
            let samples = second.min(20) * 60;
            let (per_s, _) = rates.over((second * 1_000_000, samples, 0));
            let expected = if second <= 20 { 60.0 } else { 60.0 * (30.0 - second as f64) / 10.0 };
            assert!((per_s - expected).abs() < 1e-9, "{second}: {per_s}");
        }
        assert!(rates.0.len() < 15);
    }

    #[test]
    fn every_counter_of_the_graph_is_exported() {
        let names: Vec<&str> = Counters::default().list().iter().map(|(name, _)| *name).collect();
        assert_eq!(names, FAMILIES.map(|(name, ..)| name));
    }
}
