//! Operators: timely's events folded into counts per operator and channel.
//!
//! Busy time is the operator's own: a scope is scheduled around its children, so what they take is subtracted from it.
//! State: one row per operator and channel of the graph, and the operators that are open at this moment.

use std::sync::Arc;
use std::time::Duration;

use timely::logging::{MessagesEvent, ParkEvent, StartStop, TimelyEvent};

use super::table::{Channel, Operator, Table};

/// A graph has some tens of each; far beyond that something else is wrong, and memory stays bounded.
const ROWS_MAX: usize = 16_384;

/// One worker's fold.
pub(super) struct Fold {
    table: Arc<Table>,
    /// By the worker's own identifiers, which operators and channels share.
    rows: Vec<Row>,
    /// Operators that run now, outermost first.
    open: Vec<Open>,
    parked_at: Option<Duration>,
}

#[derive(Default)]
enum Row {
    #[default]
    None,
    Operator(Arc<Operator>),
    Channel(Arc<Channel>),
}

struct Open {
    id: usize,
    since: Duration,
    children: Duration,
}

impl Fold {
    pub(super) fn new(table: Arc<Table>) -> Self {
        Self { table, rows: Vec::new(), open: Vec::new(), parked_at: None }
    }

    pub(super) fn take(&mut self, at: Duration, event: TimelyEvent) {
        self.table.events.add(1);
        match event {
            TimelyEvent::Schedule(schedule) => match schedule.start_stop {
                StartStop::Start => self.open.push(Open { id: schedule.id, since: at, children: Duration::ZERO }),
                StartStop::Stop => self.stop(at, schedule.id),
            },
            TimelyEvent::Messages(message) => self.message(&message),
            TimelyEvent::Park(ParkEvent::Park(_)) => self.parked_at = Some(at),
            TimelyEvent::Park(ParkEvent::Unpark) => {
                let parked = self.parked_at.take().map_or(Duration::ZERO, |since| at.saturating_sub(since));
                self.table.parked_ns.add(nanos(parked));
                self.table.parks.add(1);
            }
            TimelyEvent::Operates(operator) => {
                let row = self.table.add_operator(operator.id, &operator.addr, &operator.name);
                self.put(operator.id, Row::Operator(row));
            }
            TimelyEvent::Channels(channel) => {
                let row = self.table.add_channel(channel.id, &channel.scope_addr, channel.source, channel.target);
                self.put(channel.id, Row::Channel(row));
            }
            TimelyEvent::PushProgress(_)
            | TimelyEvent::Shutdown(_)
            | TimelyEvent::CommChannels(_)
            | TimelyEvent::Text(_) => {}
        }
    }

    fn put(&mut self, id: usize, row: Row) {
        if id >= ROWS_MAX {
            return;
        }
        if self.rows.len() <= id {
            self.rows.resize_with(id + 1, Row::default);
        }
        self.rows[id] = row;
    }

    fn stop(&mut self, at: Duration, id: usize) {
        // Starts and stops nest, so the last one open is this one; the build itself may have opened none.
        let Some(open) = self.open.pop_if(|open| open.id == id) else {
            return;
        };
        let took = at.saturating_sub(open.since);
        if let Some(parent) = self.open.last_mut() {
            parent.children += took;
        }
        if let Some(Row::Operator(operator)) = self.rows.get(id) {
            operator.schedules.add(1);
            operator.busy_ns.add(nanos(took.saturating_sub(open.children)));
        }
    }

    fn message(&self, message: &MessagesEvent) {
        let Some(Row::Channel(channel)) = self.rows.get(message.channel) else {
            return;
        };
        let traffic = if message.is_send { channel.sent_to(message.target) } else { Some(&channel.received) };
        if let Some(traffic) = traffic {
            traffic.add(u64::try_from(message.record_count).unwrap_or(0));
        }
    }
}

/// 584 years.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use timely::logging::{OperatesEvent, ScheduleEvent};

    fn operates(id: usize, addr: &[usize]) -> TimelyEvent {
        OperatesEvent { id, addr: addr.to_vec(), name: format!("op {id}") }.into()
    }

    #[test]
    fn a_scopes_busy_time_is_without_its_childrens() {
        let table = Arc::new(Table::new(0..1));
        let mut fold = Fold::new(Arc::clone(&table));
        let at = Duration::from_nanos;
        fold.take(at(0), operates(0, &[0]));
        fold.take(at(0), operates(1, &[0, 1]));
        for (ns, event) in [
            (100, ScheduleEvent::start(0)),
            (110, ScheduleEvent::start(1)),
            (150, ScheduleEvent::stop(1)),
            (160, ScheduleEvent::start(1)),
            (165, ScheduleEvent::stop(1)),
            (200, ScheduleEvent::stop(0)),
        ] {
            fold.take(at(ns), event.into());
        }
        let figures: Vec<_> =
            table.operators().iter().map(|row| (row.id, row.schedules.get(), row.busy_ns.get())).collect();
        assert_eq!(figures, [(0, 1, 55), (1, 2, 45)]);
    }

    #[test]
    fn sleep_is_counted_between_park_and_unpark() {
        let table = Arc::new(Table::new(0..1));
        let mut fold = Fold::new(Arc::clone(&table));
        fold.take(Duration::from_nanos(5), ParkEvent::unpark().into());
        fold.take(Duration::from_nanos(10), ParkEvent::park(None).into());
        fold.take(Duration::from_nanos(1_010), ParkEvent::unpark().into());
        assert_eq!(table.parked_ns.get(), 1_000);
    }
}
