//! Operators: what each operator of the graph does, for `/metrics` and the pipeline screen.

use std::collections::{BTreeMap, VecDeque};

use pipeline::introspect::{ChannelView, GraphView, OperatorWork, WorkerView};
use runtime::metrics::Scrape;
use web::{
    ArrangementFigures, ChannelFigures, ChannelWorkerFigures, GraphFigures, OperatorFigures, OperatorWorkerFigures,
    WorkerFigures,
};

/// Rates are taken over this time, as far as somebody looked then.
const RATE_OVER_US: u64 = 10_000_000;
/// Looks closer together are not remembered: bounds the memory to some twelve.
const LOOK_EVERY_US: u64 = 1_000_000;

/// The looks of the last seconds, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Looks(VecDeque<(u64, GraphView)>);

impl Looks {
    /// Notes what is seen now, at a monotonic time, and gives it with the rates since the look of about ten seconds ago.
    pub(crate) fn figures(&mut self, now_us: u64, now: &GraphView) -> GraphFigures {
        // The one kept in front is the first at or before the start of the ten seconds.
        while self.0.get(1).is_some_and(|second| second.0 + RATE_OVER_US <= now_us) {
            self.0.pop_front();
        }
        let figures = match self.0.front().filter(|first| first.0 < now_us) {
            Some((at, before)) => figures(now, Some((before, (now_us - at) as f64 / 1e6))),
            None => figures(now, None),
        };
        if self.0.back().is_none_or(|last| last.0 + LOOK_EVERY_US <= now_us) {
            self.0.push_back((now_us, now.clone()));
        }
        figures
    }
}

/// `before` with the seconds since then.
fn figures(now: &GraphView, before: Option<(&GraphView, f64)>) -> GraphFigures {
    let operators = now.operators.iter().enumerate().map(|(at, operator)| {
        let then = before.and_then(|(view, seconds)| Some((view.operators.get(at)?, seconds)));
        let on = |(worker, work): (usize, &OperatorWork)| {
            let then = then.and_then(|(view, seconds)| Some((view.work.get(worker)?, seconds)));
            operator_figures(work, then)
        };
        OperatorFigures {
            name: operator.name.clone(),
            scope: operator.is_scope,
            workers: operator.work.iter().enumerate().map(on).collect(),
        }
    });
    let workers = now.workers.iter().enumerate().map(|(at, worker)| {
        worker_figures(worker, before.and_then(|(view, seconds)| Some((view.workers.get(at)?, seconds))))
    });
    GraphFigures {
        over_s: before.map(|(_, seconds)| seconds),
        workers: workers.collect(),
        operators: operators.collect(),
        channels: now.channels.iter().map(channel_figures).collect(),
        arrangements: arrangement_figures(now),
    }
}

fn operator_figures(work: &OperatorWork, before: Option<(&OperatorWork, f64)>) -> OperatorWorkerFigures {
    let rate = |count: fn(&OperatorWork) -> u64| {
        before.map(|(then, seconds)| count(work).saturating_sub(count(then)) as f64 / seconds)
    };
    OperatorWorkerFigures {
        busy_share: rate(|work| work.busy_ns).map(|ns| ns / 1e9),
        schedules_per_s: rate(|work| work.schedules),
        records_in_per_s: rate(|work| work.records_in),
        records_out_per_s: rate(|work| work.records_out),
        waiting_records: work.waiting_records,
        lag_ms: work.lag_us.map(|us| us as f64 / 1e3),
        busy_s: work.busy_ns as f64 / 1e9,
        schedules: work.schedules,
        records_in: work.records_in,
        records_out: work.records_out,
    }
}

fn worker_figures(now: &WorkerView, before: Option<(&WorkerView, f64)>) -> WorkerFigures {
    let rate = |count: fn(&WorkerView) -> u64| {
        before.map(|(then, seconds)| count(now).saturating_sub(count(then)) as f64 / seconds)
    };
    // A worker that sleeps now has not said for how long: its sleep counts when it wakes, so a share may be off by one sleep.
    let awake_share = rate(|worker| worker.parked_ns).map(|ns| (1.0 - ns / 1e9).clamp(0.0, 1.0));
    WorkerFigures { awake_share, wakes_per_s: rate(|worker| worker.parks) }
}

fn channel_figures(channel: &ChannelView) -> ChannelFigures {
    let workers = channel.traffic.iter().map(|traffic| ChannelWorkerFigures {
        records: traffic.records,
        waiting_records: traffic.waiting_records,
        waiting_messages: traffic.waiting_messages,
    });
    ChannelFigures {
        source: channel.source.clone(),
        source_port: channel.source_port,
        target: channel.target.clone(),
        target_port: channel.target_port,
        workers: workers.collect(),
    }
}

fn arrangement_figures(now: &GraphView) -> Vec<ArrangementFigures> {
    let figures = now.arrangements.iter().map(|arrangement| ArrangementFigures {
        name: arrangement.name.clone(),
        records: arrangement.records,
        batches: arrangement.batches,
        waiting_records: arrangement.waiting_records,
        approx_bytes: arrangement.approx_bytes,
    });
    figures.collect()
}

/// Writes what each operator has done. Labels are bounded by the graph: some tens of operators.
pub(crate) fn scrape(view: &GraphView, scrape: &mut Scrape) {
    for operator in &view.operators {
        for (worker, work) in operator.work.iter().enumerate() {
            scrape_operator(&operator.name, &worker.to_string(), work, scrape);
        }
    }
    for ((source, target, worker), waiting) in depths(view) {
        let labels = [("source", source), ("target", target), ("worker", &worker.to_string())];
        let help = "Records sent from one operator to another and not yet taken.";
        scrape.gauge("pipeline_channel_depth", help, &labels, waiting as f64);
    }
    for arrangement in &view.arrangements {
        let labels = [("name", arrangement.name.as_str())];
        let help = "Records that differential keeps indexed.";
        scrape.gauge("pipeline_arrangement_records", help, &labels, arrangement.records as f64);
        let help = "Batches in which differential keeps them.";
        scrape.gauge("pipeline_arrangement_batches", help, &labels, arrangement.batches as f64);
        if let Some(bytes) = arrangement.approx_bytes {
            let help = "Records times the size of one, without what it points at.";
            scrape.gauge("pipeline_arrangement_bytes", help, &labels, bytes as f64);
        }
    }
    for (worker, view) in view.workers.iter().enumerate() {
        let (worker, parked_s) = (worker.to_string(), view.parked_ns as f64 / 1e9);
        let labels = [("worker", worker.as_str())];
        scrape.counter("pipeline_worker_parked_seconds_total", "Time in which a worker slept.", &labels, parked_s);
        scrape.counter("pipeline_worker_parks_total", "Times a worker went to sleep.", &labels, view.parks as f64);
        let help = "Log events folded into these figures: what introspection costs is so many times one event.";
        scrape.counter("pipeline_introspection_events_total", help, &labels, view.events as f64);
    }
}

fn scrape_operator(operator: &str, worker: &str, work: &OperatorWork, scrape: &mut Scrape) {
    let labels = [("operator", operator), ("worker", worker)];
    let help = "Time in an operator, without the operators within it.";
    scrape.counter("pipeline_operator_busy_seconds_total", help, &labels, work.busy_ns as f64 / 1e9);
    let help = "Times an operator ran.";
    scrape.counter("pipeline_operator_schedules_total", help, &labels, work.schedules as f64);
    for (direction, records) in [("in", work.records_in), ("out", work.records_out)] {
        let labels = [("operator", operator), ("worker", worker), ("direction", direction)];
        scrape.counter("pipeline_operator_records_total", "Records in and out.", &labels, records as f64);
    }
    if let Some(lag_us) = work.lag_us {
        let help = "Logical time between what is durable and what an operator's inputs are complete for.";
        scrape.gauge("pipeline_operator_lag_seconds", help, &labels, lag_us as f64 / 1e6);
    }
}

/// By source, target and worker: two operators may be connected through several ports.
fn depths(view: &GraphView) -> BTreeMap<(&str, &str, usize), u64> {
    let mut depths = BTreeMap::new();
    for channel in &view.channels {
        for (worker, traffic) in channel.traffic.iter().enumerate() {
            *depths.entry((channel.source.as_str(), channel.target.as_str(), worker)).or_default() +=
                traffic.waiting_records;
        }
    }
    depths
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::introspect::OperatorView;

    fn view(busy_ns: u64, records_in: u64) -> GraphView {
        let work = vec![OperatorWork { busy_ns, records_in, ..OperatorWork::default() }];
        let operator = OperatorView { name: "window".into(), address: Box::new([0, 1]), is_scope: false, work };
        GraphView { operators: vec![operator], ..GraphView::default() }
    }

    #[test]
    fn rates_are_taken_over_the_last_ten_seconds() {
        let mut looks = Looks::default();
        assert_eq!(looks.figures(0, &view(0, 0)).operators[0].workers[0].busy_share, None);
        for second in 1..=30_u64 {
            // Half a core in the first twenty seconds, nothing after.
            let figures = looks.figures(second * 1_000_000, &view(second.min(20) * 500_000_000, second * 7));
            let work = figures.operators[0].workers[0];
            let share = if second <= 20 { 0.5 } else { 0.05 * (30.0 - second as f64) };
            assert!((work.busy_share.unwrap() - share).abs() < 1e-9, "{second}: {:?}", work.busy_share);
            assert!((work.records_in_per_s.unwrap() - 7.0).abs() < 1e-9);
        }
        assert!(looks.0.len() < 15, "bounded");
    }
}
