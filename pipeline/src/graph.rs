//! The graph: operators chained in order, one page. The same on every worker.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use model::{LogicalTime, Output};
use timely::dataflow::Scope;
use timely::dataflow::operators::Concatenate;
use timely::dataflow::operators::vec::Map;

use crate::cluster::gather;
use crate::control::admit::Admission;
use crate::control::bindings::bindings;
use crate::control::coarsen::{boundary_after, coarsen};
use crate::control::fleet::fleet;
use crate::control::lifecycle::{self, lifecycle};
use crate::operators::batch::{Frames, batch};
use crate::operators::egress::{SinkPort, egress};
use crate::operators::evaluate::{Inputs, Verdicts, evaluate};
use crate::operators::live::live;
use crate::operators::normalize::{Names, normalize};
use crate::operators::presence::{PresenceOutput, Roll, presence};
use crate::operators::rollup::Hours;
use crate::operators::source::{SourcePort, source};
use crate::operators::window::{Windowed, Windows};
use crate::settings::Settings;
use crate::stage::{At, Records, stage};

/// Which outputs a sink is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Everything, once: what a lossless store follows.
    History,
    /// The latest values and changes: samples are conflated under load.
    Live,
}

/// One worker's port into a sink.
pub struct SinkInlet {
    pub name: &'static str,
    pub feed: Feed,
    pub port: Box<dyn SinkPort>,
    /// Outputs of times below this have left, from all workers.
    pub completed: Arc<AtomicU64>,
}

/// Builds a worker's part of the graph.
pub(crate) fn build(
    scope: Scope<'_, LogicalTime>,
    worker: usize,
    settings: &Settings,
    inlets: Vec<SinkInlet>,
    port: SourcePort,
) {
    let counters = Arc::clone(&port.counters);
    let counted = || Arc::clone(&counters);

    let records = if settings.processes < 2 { source(scope, port, None) } else { gather(scope, port, settings) };
    let normalized = normalize(records, Names::new(settings, worker, counted()));
    let frames = normalized.batches;
    let batches = batch(frames.clone(), Frames::new(settings.batch_age_max));
    let windowed =
        stage(batches.clone(), "window", Windows::new(settings.window.clone(), settings.catalogue, counted()));
    let minutes = windowed.clone().flat_map(|At { t, item }| match item {
        Windowed::Update(item) => Some(At { t, item }),
        Windowed::Repair(_) => None,
    });
    let repairs = windowed.flat_map(|At { t, item }| match item {
        Windowed::Update(_) => None,
        Windowed::Repair(repair) => Some(At { t, item: Output::Repair(repair) }),
    });
    let hours = stage(minutes.clone(), "rollup", Hours::new(settings.window.clone(), counted()));
    let fleet = settings.fleet.is_on.then(|| fleet(minutes.clone(), normalized.facts.clone(), settings, &counters));
    let facts = coarsen(normalized.facts, "coarsen", boundary_after);
    let bindings = bindings(facts.clone(), Admission::new(settings, worker, counted()));
    let verdicts = Verdicts::new(settings, worker, &counters);
    let judged = Inputs { batches: batches.clone(), minutes: minutes.clone(), bindings, facts: facts.clone() };
    let transitions = evaluate(judged, verdicts);
    let presence = presence(frames, normalized.introductions, Roll::new(settings));
    let alerts = lifecycle::Inputs { transitions: transitions.clone(), presence: presence.clone(), facts };
    let standings = lifecycle(alerts, settings, worker);

    let changes = [
        normalized.outputs,
        outputs(transitions, Output::Transition),
        outputs(presence, |output| match output {
            PresenceOutput::Presence(presence) => Output::Presence(presence),
            PresenceOutput::Transition(transition) => Output::Transition(transition),
        }),
        outputs(minutes, |update| Output::Minute(update.rows)),
        outputs(hours, Output::Hour),
        repairs,
        // Behind the transitions that they are of.
        standings,
    ];
    let changes = scope.concatenate(changes.into_iter().chain(fleet));
    let latest = live(batches.clone());
    for SinkInlet { name, feed, port, completed } in inlets {
        let samples = match feed {
            Feed::History => batches.clone(),
            Feed::Live => latest.clone(),
        };
        egress(changes.clone(), samples, name, (port, completed));
    }
}

fn outputs<'s, T: Clone + 'static>(
    records: Records<'s, T>,
    output: impl Fn(T) -> Output + 'static,
) -> Records<'s, Output> {
    records.map(move |At { t, item }| At { t, item: output(item) })
}
