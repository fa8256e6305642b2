//! Metrics: a small registry of counters, gauges and histograms, rendered as Prometheus text (format 0.0.4).
//!
//! Names and label keys are static; label values may come from data, so a family keeps at most `LABEL_SETS_MAX` sets.
//! One more gets a handle that works but is not exported, and `metrics_label_sets_refused_total` counts it.
//! What already has its numbers elsewhere (queues, stores) is read by a collector at scrape time.
//! Cost: a handle is an atomic; keep it, do not look it up per event.

mod handle;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use handle::{Counter, Gauge, Histogram};
pub use text::{CONTENT_TYPE, Kind, Scrape};

use crate::queue::QueueStats;
use text::Family;

/// A label set costs the scraper a series for good; a thousand per family is far above any honest use of ours.
pub const LABEL_SETS_MAX: usize = 1_000;

/// Upper bounds in seconds, for waits from a local call to a slow disk.
pub const LATENCY_SECONDS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Label pairs in the order they are printed.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

type Collector = Arc<dyn Fn(&mut Scrape) + Send + Sync>;

/// Clones share one set of metrics.
#[derive(Clone, Default)]
pub struct Registry {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    families: BTreeMap<&'static str, Members>,
    collectors: Vec<Collector>,
}

struct Members {
    family: Family,
    by_labels: BTreeMap<String, Member>,
    refused: u64,
}

enum Member {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

impl Registry {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The counter with these labels; the same handle when asked again. Its name ends in `_total`.
    #[must_use]
    pub fn counter(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Counter {
        let mut inner = self.lock();
        match inner.member(Family { name, kind: Kind::Counter, help }, labels, || Member::Counter(Counter::default())) {
            Some(Member::Counter(counter)) => counter.clone(),
            Some(Member::Gauge(_) | Member::Histogram(_)) | None => Counter::default(),
        }
    }

    #[must_use]
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Gauge {
        let mut inner = self.lock();
        match inner.member(Family { name, kind: Kind::Gauge, help }, labels, || Member::Gauge(Gauge::default())) {
            Some(Member::Gauge(gauge)) => gauge.clone(),
            Some(Member::Counter(_) | Member::Histogram(_)) | None => Gauge::default(),
        }
    }

    /// `bounds` are the buckets' upper ends, ascending; the bucket for what is above them comes by itself.
    #[must_use]
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        bounds: &'static [f64],
    ) -> Histogram {
        let mut inner = self.lock();
        match inner
            .member(Family { name, kind: Kind::Histogram, help }, labels, || Member::Histogram(Histogram::new(bounds)))
        {
            Some(Member::Histogram(histogram)) => histogram.clone(),
            Some(Member::Counter(_) | Member::Gauge(_)) | None => Histogram::new(bounds),
        }
    }

    /// Calls `collect` at each scrape. It must not register metrics nor wait for long.
    pub fn collector(&self, collect: impl Fn(&mut Scrape) + Send + Sync + 'static) {
        self.lock().collectors.push(Arc::new(collect));
    }

    /// Exports a queue's depth, bound and totals under its name.
    pub fn watch_queue(&self, stats: QueueStats) {
        self.collector(move |scrape| {
            let labels: Labels<'_> = &[("queue", stats.name())];
            scrape.gauge("queue_depth", "Items waiting in the queue.", labels, stats.depth() as f64);
            scrape.gauge("queue_depth_max", "Most items that ever waited.", labels, stats.depth_max() as f64);
            scrape.gauge("queue_capacity", "Bound of the queue.", labels, stats.capacity() as f64);
            scrape.counter("queue_sent_total", "Items accepted.", labels, stats.sent_total() as f64);
            scrape.counter(
                "queue_shed_total",
                "Items refused because the queue was full.",
                labels,
                stats.shed_total() as f64,
            );
        });
    }

    /// Everything as Prometheus text, families and their members in a fixed order.
    #[must_use]
    pub fn render(&self) -> String {
        let mut scrape = Scrape::default();
        let collectors = {
            let inner = self.lock();
            inner.scrape_into(&mut scrape);
            inner.collectors.clone()
        };
        // Without the lock: a collector may take its own locks, whose holders may be registering metrics.
        for collect in collectors {
            collect(&mut scrape);
        }
        scrape.into_text()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Registry({} families)", self.lock().families.len())
    }
}

impl Inner {
    /// The family's member with these labels, made if there is room; `None` when the family is full or of another kind.
    fn member(&mut self, family: Family, labels: Labels<'_>, make: impl FnOnce() -> Member) -> Option<&Member> {
        let empty = || Members { family, by_labels: BTreeMap::new(), refused: 0 };
        let members = self.families.entry(family.name).or_insert_with(empty);
        debug_assert_eq!(members.family.kind, family.kind, "metric {} is registered as two kinds", family.name);
        let key = text::label_text(labels);
        let is_full = LABEL_SETS_MAX <= members.by_labels.len() && !members.by_labels.contains_key(&key);
        if is_full || members.family.kind != family.kind {
            members.refused += 1;
            return None;
        }
        Some(members.by_labels.entry(key).or_insert_with(make))
    }

    fn scrape_into(&self, scrape: &mut Scrape) {
        for (name, Members { family, by_labels, refused }) in &self.families {
            for (labels, member) in by_labels {
                match member {
                    Member::Counter(counter) => scrape.sample(*family, labels, counter.value() as f64),
                    Member::Gauge(gauge) => scrape.sample(*family, labels, gauge.value()),
                    Member::Histogram(histogram) => scrape.histogram(*family, labels, histogram),
                }
            }
            if *refused > 0 {
                let help = "Label sets not exported because their family is full.";
                scrape.counter("metrics_label_sets_refused_total", help, &[("family", name)], *refused as f64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_text_groups_families_and_escapes_labels() {
        let registry = Registry::new();
        registry.counter("ingest_samples_total", "Samples by outcome.", &[("outcome", "late")]).add(3);
        registry.counter("ingest_samples_total", "Samples by outcome.", &[("outcome", "a \"b\"\\\n")]).increment();
        registry.gauge("sessions", "Open sessions.", &[]).set(2.5);
        let seconds = registry.histogram("fsync_seconds", "Time of an fsync.", &[("disk", "a")], &[0.001, 0.01]);
        for value in [0.0005, 0.001, 0.002, 5.0] {
            seconds.observe(value);
        }
        registry.collector(|scrape| scrape.gauge("sessions", "Open sessions.", &[("kind", "push")], 1.0));
        expect![[r#"
            # HELP fsync_seconds Time of an fsync.
            # TYPE fsync_seconds histogram
            fsync_seconds_bucket{disk="a",le="0.001"} 2
            fsync_seconds_bucket{disk="a",le="0.01"} 3
            fsync_seconds_bucket{disk="a",le="+Inf"} 4
            fsync_seconds_sum{disk="a"} 5.0035
            fsync_seconds_count{disk="a"} 4
            # HELP ingest_samples_total Samples by outcome.
            # TYPE ingest_samples_total counter
            ingest_samples_total{outcome="a \"b\"\\\n"} 1
            ingest_samples_total{outcome="late"} 3
            # HELP sessions Open sessions.
            # TYPE sessions gauge
            sessions 2.5
            sessions{kind="push"} 1
        "#]]
        .assert_eq(&registry.render());
    }

    #[test]
    fn a_full_family_refuses_further_label_sets_with_a_count() {
        let registry = Registry::new();
        for index in 0..LABEL_SETS_MAX + 7 {
            registry.counter("rows_total", "Rows.", &[("table", &index.to_string())]).increment();
        }
        registry.counter("rows_total", "Rows.", &[("table", "0")]).increment();
        let text = registry.render();
        assert!(text.contains("rows_total{table=\"0\"} 2\n"));
        assert!(text.contains("metrics_label_sets_refused_total{family=\"rows_total\"} 7\n"));
        assert_eq!(text.matches("rows_total{table").count(), LABEL_SETS_MAX);
    }

    #[test]
    fn a_watched_queue_shows_its_depth_and_what_it_shed() {
        let registry = Registry::new();
        let (sender, _receiver) = crate::queue::bounded("intake", 1, crate::queue::WhenFull::Shed);
        registry.watch_queue(sender.stats());
        sender.try_send(1).unwrap();
        assert!(sender.try_send(2).is_err());
        let text = registry.render();
        assert!(text.contains("queue_depth{queue=\"intake\"} 1\n"));
        assert!(text.contains("queue_shed_total{queue=\"intake\"} 1\n"));
    }
}
