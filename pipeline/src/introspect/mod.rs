//! Introspection: what each operator does, readable while the graph runs.
//!
//! Each worker raises its own counts on its own thread (`tally.rs`, `table.rs`): nothing is kept per event, no thread is woken, a reader stops
//! nobody. Where the counts come from is a matter of detail:
//! `Operators`, the default: our operators measure themselves (`meter.rs`, and `counted.rs` for what waits for them), timely's log tells when
//! workers sleep and differential's how large arrangements are. Below one per cent at full speed.
//! `Events`: timely's log of every schedule and message, so that every operator and channel is there, differential's too. Some per cent.
//! Logs are flushed after every step of a worker and before it sleeps, so what is read is at most one step old.

mod arrangements;
mod counted;
mod meter;
mod operators;
mod table;
mod tally;
mod view;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::LogicalTime;
use timely::worker::{Config, Worker};

use arrangements::Sizes;
pub(crate) use counted::Counted;
pub(crate) use meter::Meter;
use operators::Fold;
use table::Table;
pub use view::{ArrangementView, ChannelTraffic, ChannelView, GraphView, OperatorView, OperatorWork, WorkerView};

/// Where timely's configuration carries it to the operators.
const KEY: &str = "sysmonstm/introspection";

/// How much is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Detail {
    /// Nothing: to measure what the rest costs.
    Off,
    /// Our operators, workers and arrangements.
    #[default]
    Operators,
    /// Every operator and channel, from timely's own log.
    Events,
}

/// The tables of a process' workers.
#[derive(Debug, Clone)]
pub struct Introspection {
    detail: Detail,
    /// Index of the first of them among the workers of all processes.
    first: usize,
    tables: Arc<[Arc<Table>]>,
}

impl Introspection {
    pub(crate) fn new(detail: Detail, first: usize, workers: usize) -> Self {
        Self { detail, first, tables: (0..workers).map(|_| Arc::new(Table::new(first..first + workers))).collect() }
    }

    fn table(&self, worker: &Worker) -> Option<&Arc<Table>> {
        self.tables.get(worker.index().checked_sub(self.first)?)
    }

    /// Makes it known to the operators that will be built.
    pub(crate) fn configure(&self, config: &mut Config) {
        if self.detail != Detail::Off {
            config.set(KEY.to_owned(), self.clone());
        }
    }

    /// Builds a worker's graph so that what it does is counted.
    pub(crate) fn build<R>(&self, worker: &mut Worker, build: impl FnOnce(&mut Worker) -> R) -> R {
        let Some(table) = self.table(worker).filter(|_| self.detail != Detail::Off) else {
            return build(worker);
        };
        log_arrangements(worker, table);
        if self.detail == Detail::Events {
            log_events(worker, table);
            return build(worker);
        }
        let built = build(worker);
        // Operators and channels take their logger when they are built. Those have none, so only the worker itself logs: when it sleeps.
        log_events(worker, table);
        built
    }

    /// What the workers have done since the start. `sealed` is what frontiers are compared with.
    pub fn view(&self, sealed: LogicalTime) -> GraphView {
        view::view(&self.tables, self.detail == Detail::Events, sealed)
    }
}

fn log_events(worker: &Worker, table: &Arc<Table>) {
    let mut fold = Fold::new(Arc::clone(table));
    if let Some(mut log) = worker.log_register() {
        log.insert::<timely::logging::TimelyEventBuilder, _>("timely", move |_, events| {
            if let Some(events) = events {
                events.drain(..).for_each(|(at, event)| fold.take(at, event));
            }
        });
    }
}

fn log_arrangements(worker: &Worker, table: &Arc<Table>) {
    let mut sizes = Sizes::new(Arc::clone(table));
    if let Some(mut log) = worker.log_register() {
        type Events = differential_dataflow::logging::DifferentialEventBuilder;
        log.insert::<Events, _>("differential/arrange", move |_, events| {
            if let Some(events) = events {
                events.drain(..).for_each(|(_, event)| sizes.take(event));
            }
        });
    }
}

/// What watches this worker, if anything does.
fn found(worker: &Worker) -> Option<(Detail, &Arc<Table>)> {
    let known = worker.config().get::<Introspection>(KEY)?;
    Some((known.detail, known.table(worker)?))
}

/// Says what the arrangement of operator `id` is called and how large its records are: differential's log counts records, not bytes.
pub(crate) fn weigh(worker: &Worker, id: usize, name: &'static str, record_bytes: usize) {
    if let Some((_, table)) = found(worker) {
        let row = table.arrangement(id);
        row.record_bytes.store(record_bytes as u64, Ordering::Relaxed);
        row.name.get_or_init(|| name);
    }
}
