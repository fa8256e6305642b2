//! View: the tables of all workers put together, in flow order, for whoever shows or exports them.
//!
//! Workers build the same graph, so an operator has the same address on each. Operators are numbered as `graph.rs` makes them, which
//! is the order in which records flow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use model::LogicalTime;

use super::table::{Channel, Operator, Table};

/// What the workers have done since the start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GraphView {
    pub operators: Vec<OperatorView>,
    pub channels: Vec<ChannelView>,
    pub arrangements: Vec<ArrangementView>,
    pub workers: Vec<WorkerView>,
}

/// An operator of the graph, on all workers.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorView {
    /// Its name; with its address behind it when several have the same.
    pub name: String,
    pub address: Box<[usize]>,
    /// It has operators within: its time is without theirs, its records are theirs.
    pub is_scope: bool,
    /// By worker.
    pub work: Vec<OperatorWork>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct OperatorWork {
    pub schedules: u64,
    pub busy_ns: u64,
    pub records_in: u64,
    /// Once for each output, however many follow it.
    pub records_out: u64,
    /// Sent to it and not yet taken.
    pub waiting_records: u64,
    /// Logical time between what is durable and what its inputs are complete for; `None` for operators that do not look.
    pub lag_us: Option<u64>,
}

/// A channel between two operators, on all workers.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelView {
    pub source: String,
    pub source_port: usize,
    pub target: String,
    pub target_port: usize,
    /// By the worker they go to.
    pub traffic: Vec<ChannelTraffic>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChannelTraffic {
    pub messages: u64,
    pub records: u64,
    pub waiting_messages: u64,
    pub waiting_records: u64,
}

/// What differential keeps for an operator, on all workers together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrangementView {
    /// As it was given, or of its operator.
    pub name: String,
    pub records: u64,
    pub batches: u64,
    /// Not yet in a batch: their time is not complete.
    pub waiting_records: u64,
    /// Records times the size of one, without what it points at; `None` where nobody said the size.
    pub approx_bytes: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerView {
    pub parked_ns: u64,
    pub parks: u64,
    pub events: u64,
}

/// Scope and operator of a scope's child.
type Place<'a> = (&'a [usize], usize);

/// `is_from_events`: every channel is known, so they tell what operators gave; otherwise the operators say so themselves.
pub(super) fn view(tables: &[Arc<Table>], is_from_events: bool, sealed: LogicalTime) -> GraphView {
    let rows: Vec<Vec<Arc<Operator>>> = tables.iter().map(|table| table.operators()).collect();
    let channels: Vec<Vec<Arc<Channel>>> = tables.iter().map(|table| table.channels()).collect();
    let first = rows.first().map_or(&[][..], Vec::as_slice);
    let names = names(first);
    let channels = merge(channels.first().map_or(&[][..], Vec::as_slice), &channels);
    let mut operators: Vec<OperatorView> =
        first.iter().map(|row| OperatorView::new(row, &names, tables.len())).collect();
    operators.sort_by(|a, b| a.address.cmp(&b.address));
    let mut positions = BTreeMap::new();
    for (position, operator) in operators.iter().enumerate() {
        positions.insert(operator.address.clone(), position);
    }
    for (worker, table) in tables.iter().enumerate() {
        let frontiers = table.frontiers();
        for row in &rows[worker] {
            if let Some(position) = positions.get(&row.address) {
                let work = &mut operators[*position].work[worker];
                (work.schedules, work.busy_ns) = (row.schedules.get(), row.busy_ns.get());
                work.records_out = row.gave.get();
                work.lag_us = frontiers.get(&row.id).map(|frontier| sealed.saturating_sub(*frontier));
            }
        }
    }
    for merged in &channels {
        for (worker, traffic) in merged.traffic.iter().enumerate() {
            if let Some(position) = positions.get(&merged.target_address()) {
                let work = &mut operators[*position].work[worker];
                work.records_in += traffic.records;
                work.waiting_records += traffic.waiting_records;
            }
        }
    }
    if is_from_events {
        count_sent(&channels, &positions, &mut operators);
    }
    GraphView {
        arrangements: arrangements(tables, &rows, &names),
        channels: channels.iter().map(|merged| merged.view(&names)).collect(),
        workers: tables.iter().map(|table| WorkerView::of(table)).collect(),
        operators,
    }
}

/// A channel with what all workers saw of it.
struct Merged {
    row: Arc<Channel>,
    traffic: Vec<ChannelTraffic>,
    /// Records by the worker that sent them.
    sent: Vec<u64>,
}

/// Channels are numbered alike on every worker, or messages could not find their way.
fn merge(first: &[Arc<Channel>], all: &[Vec<Arc<Channel>>]) -> Vec<Merged> {
    let of = |id: usize| all.iter().map(move |rows| rows.iter().find(|row| row.id == id));
    first.iter().map(|row| Merged::new(row, &of(row.id).collect::<Vec<_>>())).collect()
}

impl Merged {
    fn new(row: &Arc<Channel>, workers: &[Option<&Arc<Channel>>]) -> Self {
        // What was received is read before what was sent, so that a message on its way counts as waiting and never below zero.
        let received = |row: &Arc<Channel>| (row.received.messages.get(), row.received.records.get());
        let received: Vec<(u64, u64)> = workers.iter().map(|row| row.map_or((0, 0), received)).collect();
        let to = |worker: usize| {
            let sent = workers.iter().flatten().filter_map(move |row| row.sent().get(worker));
            sent.fold((0, 0), |sum, traffic| (sum.0 + traffic.messages.get(), sum.1 + traffic.records.get()))
        };
        let traffic = received.iter().enumerate().map(|(worker, (messages, records))| {
            let sent = to(worker);
            ChannelTraffic {
                messages: *messages,
                records: *records,
                waiting_messages: sent.0.saturating_sub(*messages),
                waiting_records: sent.1.saturating_sub(*records),
            }
        });
        let by = |row: &Arc<Channel>| row.sent().iter().map(|traffic| traffic.records.get()).sum();
        let sent = workers.iter().map(|row| row.map_or(0, by)).collect();
        Self { traffic: traffic.collect(), sent, row: Arc::clone(row) }
    }

    /// Operator 0 of a scope is the scope itself, seen from within.
    fn address(&self, (operator, _): (usize, usize)) -> Box<[usize]> {
        let own = (operator != 0).then_some(operator);
        self.row.scope.iter().copied().chain(own).collect()
    }

    fn target_address(&self) -> Box<[usize]> {
        self.address(self.row.target)
    }

    fn view(&self, names: &BTreeMap<Box<[usize]>, String>) -> ChannelView {
        let name = |address: Box<[usize]>| names.get(&address).cloned().unwrap_or_else(|| joined(&address));
        ChannelView {
            source: name(self.address(self.row.source)),
            source_port: self.row.source.1,
            target: name(self.target_address()),
            target_port: self.row.target.1,
            traffic: self.traffic.clone(),
        }
    }
}

/// Adds what each operator gave: an output that several follow has a channel to each, with the same records.
fn count_sent(channels: &[Merged], positions: &BTreeMap<Box<[usize]>, usize>, operators: &mut [OperatorView]) {
    let mut outputs: BTreeMap<(Place<'_>, usize), Vec<&Merged>> = BTreeMap::new();
    for merged in channels {
        let (operator, port) = merged.row.source;
        outputs.entry(((&merged.row.scope, operator), port)).or_default().push(merged);
    }
    for followers in outputs.values() {
        let Some(position) = positions.get(&followers[0].address(followers[0].row.source)) else {
            continue;
        };
        for (worker, work) in operators[*position].work.iter_mut().enumerate() {
            work.records_out += followers.iter().map(|merged| merged.sent[worker]).max().unwrap_or(0);
        }
    }
}

/// A name for each address, unique within the graph.
fn names(operators: &[Arc<Operator>]) -> BTreeMap<Box<[usize]>, String> {
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for operator in operators {
        if !seen.insert(&operator.name) {
            twice.insert(&operator.name);
        }
    }
    let name = |operator: &Operator| {
        if twice.contains(&operator.name) {
            format!("{} {}", operator.name, joined(&operator.address))
        } else {
            operator.name.to_string()
        }
    };
    operators.iter().map(|operator| (operator.address.clone(), name(operator))).collect()
}

fn joined(address: &[usize]) -> String {
    address.iter().map(usize::to_string).collect::<Vec<_>>().join(".")
}

fn arrangements(
    tables: &[Arc<Table>],
    rows: &[Vec<Arc<Operator>>],
    names: &BTreeMap<Box<[usize]>, String>,
) -> Vec<ArrangementView> {
    let mut views: BTreeMap<String, ArrangementView> = BTreeMap::new();
    for (table, rows) in tables.iter().zip(rows) {
        for (id, kept) in table.arrangements() {
            let operator = rows.iter().find(|row| row.id == id).and_then(|row| names.get(&row.address));
            let name = kept.name.get().map(|name| (*name).to_owned()).or_else(|| operator.cloned());
            let name = name.unwrap_or_else(|| format!("arrangement {id}"));
            let view = views.entry(name.clone()).or_insert_with(|| ArrangementView {
                name,
                records: 0,
                batches: 0,
                waiting_records: 0,
                approx_bytes: None,
            });
            let records = kept.records.get();
            view.records += records;
            view.batches += kept.batches.get();
            view.waiting_records += kept.waiting_records.get();
            let record_bytes = kept.record_bytes.load(Relaxed);
            if record_bytes > 0 {
                *view.approx_bytes.get_or_insert(0) += records.saturating_mul(record_bytes);
            }
        }
    }
    views.into_values().collect()
}

impl OperatorView {
    fn new(row: &Operator, names: &BTreeMap<Box<[usize]>, String>, workers: usize) -> Self {
        let is_scope = names.keys().any(|other| other.len() > row.address.len() && other.starts_with(&row.address));
        let name = names.get(&row.address).cloned().unwrap_or_default();
        Self { name, address: row.address.clone(), is_scope, work: vec![OperatorWork::default(); workers] }
    }
}

impl WorkerView {
    fn of(table: &Table) -> Self {
        Self { parked_ns: table.parked_ns.get(), parks: table.parks.get(), events: table.events.get() }
    }
}
