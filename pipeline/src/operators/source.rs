//! Source: the journal's records, with their logical times, into the graph.
//!
//! In: this worker's queue. Out: records in order of T. State: none but a capability at `sealed`.
//! Time: `sealed`, raised after the group's fsync, is the frontier; while the queue holds more, the newest T that was drawn, if that is
//! sealed. Records enter before they are sealed, so data flows before the disk answers and `frontier passed T` means durable.
//! Backpressure: while the gate is closed (a lossless sink's queue is full) nothing is drawn, the queue fills, the sequencer waits.
//! Invariants: Q-1 every queue has a capacity and a policy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::{LogicalTime, Record, Stamped};
use runtime::queue::Receiver;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Scope;
use timely::dataflow::operators::generic::operator::source as timely_source;

use crate::cluster::flight::Flight;
use crate::counters::Counters;
use crate::doorbell::Doorbell;
use crate::introspect::Meter;
use crate::stage::{At, Records};

/// Records drawn in one activation: bounds the latency of everything else on the worker.
const FUEL: usize = 256;

/// Activations with a queue that is never empty after which the frontier moves all the same. What waits for it would gather without end;
/// each move costs what some thousand samples do, for every operator hears of it.
const BUSY_MAX: u32 = 16;

/// How often a full flight is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Whether sinks have room; a pure check.
pub type Gate = Arc<dyn Fn() -> bool + Send + Sync>;

/// What a worker's source draws from.
pub struct SourcePort {
    pub queue: Receiver<Stamped>,
    pub bell: Arc<Doorbell>,
    pub sealed: Arc<AtomicU64>,
    pub gate: Gate,
    pub counters: Arc<Counters>,
}

/// `flight`: what may be under way to other processes, if there are any.
pub fn source<'s>(
    scope: Scope<'s, LogicalTime>,
    mut port: SourcePort,
    mut flight: Option<Flight>,
) -> Records<'s, Record> {
    timely_source::<_, CapacityContainerBuilder<Vec<At<Record>>>, _, _>(scope, "source", move |capability, info| {
        let activator = scope.activator_for(std::rc::Rc::clone(&info.address));
        port.bell.install(scope.worker().sync_activator_for(info.address.to_vec()));
        let meter = Meter::of(scope.worker(), &info, "source");
        let (mut held, mut drawn, mut run) = (Some(capability), Vec::with_capacity(FUEL), Vec::new());
        // Of the newest T more may come, of nothing before.
        let (mut newest, mut busy) = (0, 0_u32);
        move |output| {
            let _running = meter.run();
            let Some(capability) = held.as_mut() else { return };
            port.counters.activations.add(1);
            port.bell.clear();
            // Read before drawing: every record below it is already queued.
            let sealed = port.sealed.load(Ordering::Acquire);
            let is_full = flight.as_mut().is_some_and(|flight| flight.is_full(sealed));
            let is_open = !is_full && (port.gate)();
            let is_drained = is_open && port.queue.drain_into(&mut drawn, FUEL) < FUEL;
            if !drawn.is_empty() {
                runtime::fault::strike("source");
                meter.gave(drawn.len());
                newest = drawn.last().map_or(newest, |last| last.t);
                if let Some(flight) = &mut flight {
                    flight.drew(newest, drawn.len());
                }
                run.extend(drawn.drain(..).map(|Stamped { t, record }| At { t, item: record }));
                output.session(&*capability).give_container(&mut run);
            }
            if port.queue.is_finished() {
                held = None;
                meter.reached(None);
                return;
            }
            let is_busy = is_open && !is_drained;
            busy += u32::from(is_busy);
            if !is_busy || busy == BUSY_MAX {
                busy = 0;
                let reach = if is_drained { sealed } else { newest.min(sealed) };
                if *capability.time() < reach {
                    capability.downgrade(&reach);
                    meter.reached(Some(reach));
                }
            }
            if is_busy {
                activator.activate();
            }
            if is_full {
                // Nobody rings when other processes have caught up.
                activator.activate_after(LOOK_EVERY);
            }
            // A closed gate is opened by whoever makes room, who rings the bell.
        }
    })
}
