//! Egress: outputs leave the graph, one port per sink and worker.
//!
//! In: outputs, and for those who want them samples, which the ports share. Out: the port, with progress: when the frontier has passed T, every output below T was handed over and is durable.
//! State: none. It never waits: a port takes what it is given, and the source's gate bounds how far that may go.
//! Loss: none here; what a sink does not want is left out by its own choice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::{Bound, Egress, LogicalTime, Output};
use timely::dataflow::Stream;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::introspect::{Counted, Meter};
use crate::operators::live::Batches;
use crate::stage::{At, Records};

/// Where one worker's outputs for one sink go.
pub trait SinkPort: Send {
    /// Takes an output. Times rise, but for timers that fall due between two records.
    fn output(&mut self, t: LogicalTime, output: Output);

    /// As `output` of `Output::Samples`, for those who only look.
    fn samples(&mut self, t: LogicalTime, samples: &Bound) {
        self.output(t, Output::Samples(samples.clone()));
    }

    /// What was given since the last call belongs together.
    fn flush(&mut self);

    /// Every output of a time below `before` was given, by all workers, and is durable.
    fn progress(&mut self, before: LogicalTime);

    /// Nothing follows from this worker.
    fn complete(&mut self);
}

/// `completed` follows the frontier, behind the port: outputs below it have left.
pub fn egress<'s, C: Batches>(
    outputs: Records<'s, Output>,
    samples: Option<Stream<'s, LogicalTime, C>>,
    name: &'static str,
    (mut port, completed): (Box<dyn SinkPort>, Arc<AtomicU64>),
) {
    let scope = outputs.scope();
    let mut builder = OperatorBuilder::new(name.to_owned(), scope);
    let meter = Meter::of(scope.worker(), &builder.operator_info(), name);
    let pact = Counted::on(&outputs);
    let mut outputs = builder.new_input(outputs, pact);
    let mut samples = samples.map(|samples| {
        let pact = Counted::on(&samples);
        builder.new_input(samples, pact)
    });
    builder.build(move |_capabilities| {
        move |frontiers| {
            let _running = meter.run();
            // Samples first: what they caused follows them.
            if let Some(samples) = &mut samples {
                samples.for_each(|_, records| {
                    runtime::fault::strike("egress");
                    meter.gave(usize::try_from(records.record_count()).unwrap_or(0));
                    records.each(|At { t, item }| port.samples(*t, item));
                });
            }
            outputs.for_each(|_, records| {
                meter.gave(records.len());
                records.drain(..).for_each(|At { t, item }| port.output(t, item));
            });
            port.flush();
            let before = frontiers.iter().filter_map(|frontier| frontier.frontier().first().copied()).min();
            meter.reached(before);
            match before {
                Some(before) => {
                    port.progress(before);
                    completed.fetch_max(before, Ordering::AcqRel);
                }
                None => {
                    port.complete();
                    completed.store(LogicalTime::MAX, Ordering::Release);
                }
            }
        }
    });
}

/// A port into a sink's queue, whose policy must be to overshoot.
pub struct QueuePort {
    queue: runtime::queue::Sender<Egress>,
    wants: fn(&Output) -> bool,
    t: LogicalTime,
    outputs: Vec<Output>,
    ready: Vec<Egress>,
    progress: LogicalTime,
    is_complete: bool,
}

impl QueuePort {
    pub fn new(queue: runtime::queue::Sender<Egress>, wants: fn(&Output) -> bool) -> Self {
        Self { queue, wants, t: 0, outputs: Vec::new(), ready: Vec::new(), progress: 0, is_complete: false }
    }

    fn cut(&mut self) {
        if !self.outputs.is_empty() {
            let outputs = std::mem::take(&mut self.outputs);
            self.ready.push(Egress::Data { t: self.t, outputs });
        }
    }
}

impl SinkPort for QueuePort {
    fn output(&mut self, t: LogicalTime, output: Output) {
        if !(self.wants)(&output) {
            return;
        }
        if t != self.t {
            self.cut();
            self.t = t;
        }
        self.outputs.push(output);
    }

    fn flush(&mut self) {
        self.cut();
        if !self.ready.is_empty() {
            // A closed queue means that the sink is gone, which only a shutdown does.
            self.queue.push_all(&mut self.ready);
        }
    }

    fn progress(&mut self, before: LogicalTime) {
        if before > self.progress {
            self.progress = before;
            self.ready.push(Egress::Progress(before));
            self.queue.push_all(&mut self.ready);
        }
    }

    fn complete(&mut self) {
        if !self.is_complete {
            self.is_complete = true;
            self.ready.push(Egress::Complete);
            self.queue.push_all(&mut self.ready);
        }
    }
}
