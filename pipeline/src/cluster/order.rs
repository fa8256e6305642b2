//! Order: what the workers of all processes sent to this one, in the order of logical time.
//!
//! In: parcels, in order of T from each worker. Out: records in order of T, of equal times the lower worker's first; each worker's in its order.
//! Time: a record goes on when the frontier has passed its T, so when every process has sealed it: the slowest one's disk and clock are what a
//! record waits for. State: the records that wait; bounded by what the processes have in flight (`Flight`).
//! Backpressure: while the gate is closed nothing goes on, the frontier stands, and every process' flight fills. Loss: none.
//! Invariants: P-1 what leaves is what one process would publish of all journals together.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use model::codec::{CodecError, Decoder};
use model::{LogicalTime, Record};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Probe;
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::probe::Handle as Passed;

use super::parcel::{Load, Parcel};
use crate::introspect::Meter;
use crate::operators::source::Gate;
use crate::settings::Settings;
use crate::stage::{At, Records};

/// Records that go on in one activation: bounds the latency of everything else on the worker.
const FUEL: usize = 1_024;
/// How often a closed gate is looked at, for nobody rings here.
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(crate) struct Order {
    /// By worker.
    lines: Vec<Line>,
}

/// What came from one worker and waits.
#[derive(Default)]
struct Line {
    waiting: VecDeque<At<Record>>,
    decoder: Decoder,
}

impl Order {
    pub(crate) fn new(peers: usize) -> Self {
        Self { lines: (0..peers).map(|_| Line::default()).collect() }
    }

    /// # Errors
    /// What cannot be read: another version's bytes.
    pub(crate) fn take(&mut self, parcel: Parcel) -> Result<(), CodecError> {
        let line = self.lines.get_mut(parcel.from as usize).ok_or(CodecError::Malformed("an unknown worker"))?;
        let Line { waiting, decoder } = line;
        match parcel.load {
            Load::Near(records) => waiting.extend(records),
            Load::Far(packed) => packed.unpack(decoder, |at| waiting.push_back(at))?,
        }
        Ok(())
    }

    /// Hands on about `room` records of times below `before`, always all of one time and worker; whether that is all there is.
    pub(crate) fn release(&mut self, before: LogicalTime, room: usize, out: &mut Vec<At<Record>>) -> bool {
        while out.len() < room {
            let first = |(n, line): (usize, &Line)| line.waiting.front().map(|at| (at.t, n));
            let Some((t, n)) = self.lines.iter().enumerate().filter_map(first).min().filter(|(t, _)| *t < before)
            else {
                return true;
            };
            let waiting = &mut self.lines[n].waiting;
            while let Some(at) = waiting.pop_front_if(|at| at.t == t) {
                out.push(at);
            }
        }
        false
    }

    /// The oldest time that waits.
    pub(crate) fn first(&self) -> Option<LogicalTime> {
        self.lines.iter().filter_map(|line| line.waiting.front().map(|at| at.t)).min()
    }
}

/// `passed` follows what has gone on, on all workers.
pub(crate) fn order<'s>(
    parcels: StreamVec<'s, LogicalTime, Parcel>,
    settings: &Settings,
    gate: Gate,
    passed: Passed<LogicalTime>,
) -> Records<'s, Record> {
    let scope = parcels.scope();
    let mut order = Order::new(settings.peers());
    let owner = Exchange::new(|parcel: &Parcel| u64::from(parcel.to));
    let ordered = parcels.unary_frontier::<CapacityContainerBuilder<Vec<At<Record>>>, _, _, _>(
        owner,
        "order",
        move |capability, info| {
            let activator = scope.activator_for(Rc::clone(&info.address));
            let (mut held, mut out) = (Some(capability), Vec::new());
            let meter = Meter::of(scope.worker(), &info, "order");
            move |(input, frontier), output| {
                let _running = meter.run();
                input.for_each(|_, parcels| {
                    for parcel in parcels.drain(..) {
                        // The processes have made sure of each other's version; a lost record would be worse than a stop.
                        order.take(parcel).expect("another process' records can be read");
                    }
                });
                let Some(capability) = held.as_mut() else { return };
                let now = frontier.frontier().first().copied();
                meter.reached(now);
                let before = now.unwrap_or(LogicalTime::MAX);
                let is_open = gate();
                let is_all = is_open && order.release(before, FUEL, &mut out);
                if !out.is_empty() {
                    meter.gave(out.len());
                    output.session(&*capability).give_container(&mut out);
                }
                if is_all && now.is_none() {
                    held = None;
                    return;
                }
                // What waits goes on under this capability.
                capability.downgrade(&order.first().map_or(before, |first| first.min(before)));
                if !is_open {
                    activator.activate_after(LOOK_EVERY);
                } else if !is_all {
                    activator.activate();
                }
            }
        },
    );
    ordered.probe_with(&passed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::MachineId;

    use super::*;

    /// A record that tells where it came from and its number there.
    fn mark(from: u32, number: u64) -> Record {
        let machine = MachineId::parse(&format!("from-{from}")).unwrap();
        Record::Machine(Arc::new(model::MachineInfo::unknown(machine, model::Timestamp::from_logical(number))))
    }

    fn parcel(from: u32, times: &[LogicalTime]) -> Parcel {
        let records = (0..).zip(times).map(|(number, t)| At { t: *t, item: mark(from, number) });
        Parcel { to: 0, from, load: Load::Near(records.collect()) }
    }

    fn told(out: &[At<Record>]) -> Vec<(LogicalTime, String)> {
        out.iter().map(|at| (at.t, at.item.machine().unwrap().to_string())).collect()
    }

    #[test]
    fn records_go_on_in_order_of_time_then_worker_and_never_before_their_seal() {
        for interleaved in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut order = Order::new(3);
            let times: [&[LogicalTime]; 3] = [&[1, 4, 4, 9], &[1, 5], &[4]];
            for from in interleaved {
                order.take(parcel(from, times[from as usize])).unwrap();
            }
            let mut out = Vec::new();
            assert!(order.release(5, 100, &mut out));
            let expected = [(1, 0), (1, 1), (4, 0), (4, 0), (4, 2)];
            assert_eq!(told(&out), expected.map(|(t, from)| (t, format!("from-{from}"))));
            assert_eq!(order.first(), Some(5));
            out.clear();
            assert!(order.release(LogicalTime::MAX, 100, &mut out));
            assert_eq!((told(&out).len(), order.first()), (2, None));
        }
    }

    #[test]
    fn a_time_is_never_cut_in_two() {
        let mut order = Order::new(1);
        order.take(parcel(0, &[3, 3, 3, 4])).unwrap();
        let mut out = Vec::new();
        assert!(!order.release(10, 1, &mut out));
        assert_eq!((told(&out).len(), order.first()), (3, Some(4)));
    }
}
