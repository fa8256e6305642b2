//! The graph: operators chained in order, one page. The same on every worker.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use model::{Bound, LogicalTime, Output};
use timely::dataflow::Scope;
use timely::dataflow::operators::Concatenate;
use timely::dataflow::operators::vec::Map;

use crate::cluster::gather;
use crate::cluster::share::{Leaving, share};
use crate::control::admit::Admission;
use crate::control::bindings::bindings;
use crate::control::coarsen::{boundary_after, coarsen};
use crate::control::fleet::fleet;
use crate::control::lifecycle::{self, lifecycle};
use crate::operators::batch::{Frames, batch};
use crate::operators::egress::{SinkPort, egress};
use crate::operators::evaluate::{Inputs, Verdicts, evaluate};
use crate::operators::live::{Kept, live};
use crate::operators::normalize::{Names, normalize};
use crate::operators::presence::{PresenceOutput, Roll, presence};
use crate::operators::rollup::Hours;
use crate::operators::source::{SourcePort, source};
use crate::operators::window::{Windowed, Windows};
use crate::settings::Settings;
use crate::stage::{At, Records, SharedRecords, stage};

/// Which outputs a sink is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Everything that this process' workers put out, once: what a lossless store follows. There is no such thing of all processes: each has
    /// the history of its own machines.
    History,
    /// Changes without samples.
    Changes(Reach),
    /// The latest values and changes: samples are conflated under load.
    Live(Reach),
}

/// Whose outputs. With one process both are the same, and so is the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This process' workers'.
    Own,
    /// All processes': of the others without what concerns only their own store: windows, repairs and the fleet's minutes.
    All,
}

impl Feed {
    fn reach(self) -> Reach {
        match self {
            Self::History => Reach::Own,
            Self::Changes(reach) | Self::Live(reach) => reach,
        }
    }
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
    leave(changes, batches, inlets, settings);
}

/// Hands each sink what it asks for.
fn leave<'s>(
    changes: Records<'s, Output>,
    batches: SharedRecords<'s, Bound>,
    inlets: Vec<SinkInlet>,
    settings: &Settings,
) {
    let own = Leaving { changes, samples: Some(live(batches.clone())) };
    let is_cluster = settings.processes > 1;
    let asks = |feed: Feed| inlets.iter().any(|inlet| inlet.feed == feed);
    let (asks_for_samples, asks_for_changes) = (asks(Feed::Live(Reach::All)), asks(Feed::Changes(Reach::All)));
    let all = (is_cluster && (asks_for_samples || asks_for_changes)).then(|| {
        let samples = own.samples.clone().filter(|_| asks_for_samples);
        share(Leaving { changes: own.changes.clone(), samples }, settings)
    });
    for SinkInlet { name, feed, port, completed } in inlets {
        let Leaving { changes, samples } = match (feed.reach(), &all) {
            (Reach::All, Some(all)) => all.clone(),
            (Reach::Own, _) | (Reach::All, None) => own.clone(),
        };
        match feed {
            Feed::History => egress(changes, Some(batches.clone()), name, (port, completed)),
            Feed::Changes(_) => egress::<Kept>(changes, None, name, (port, completed)),
            Feed::Live(_) => egress(changes, samples, name, (port, completed)),
        }
    }
}

fn outputs<'s, T: Clone + 'static>(
    records: Records<'s, T>,
    output: impl Fn(T) -> Output + 'static,
) -> Records<'s, Output> {
    records.map(move |At { t, item }| At { t, item: output(item) })
}
