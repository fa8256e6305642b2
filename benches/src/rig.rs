//! Rig: the hub's graph between the hub's own queues, for programs that feed and drain it themselves.

use std::sync::Arc;

use model::{Catalogue, Egress, Output};
use pipeline::{Feed, Gate, Handle, PipelineError, QueuePort, Reach, Running, Settings, SinkSpec};
use runtime::queue::{self, Receiver, Sender, WhenFull};

/// As in the hub.
const HISTORY_MESSAGES_MAX: usize = 8_192;
const LIVE_MESSAGES_MAX: usize = 4_096;

/// A running graph and what comes out of it.
pub struct Rig {
    pub handle: Arc<Handle>,
    pub running: Running,
    pub history: Receiver<Egress>,
    pub live: Receiver<Egress>,
}

impl Rig {
    /// The graph as the hub starts it.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(workers: usize) -> Result<Self, PipelineError> {
        Self::start_with(&Settings::new(workers, Catalogue::standard()))
    }

    /// # Errors
    /// When the system gives no threads.
    pub fn start_with(settings: &Settings) -> Result<Self, PipelineError> {
        let (to_history, history) = queue::bounded("history", HISTORY_MESSAGES_MAX, WhenFull::Overshoot);
        let (to_live, live) = queue::bounded("hot", LIVE_MESSAGES_MAX, WhenFull::Overshoot);
        let (history_stats, live_stats) = (history.stats(), live.stats());
        let gate: Gate = Arc::new(move || !history_stats.is_full() && !live_stats.is_full());
        let sinks = [
            spec("history", Feed::History, to_history.clone(), |_| true),
            spec("hot", Feed::Live(Reach::All), to_live.clone(), is_shown),
        ];
        let (handle, running) = pipeline::start(settings, &sinks, gate)?;
        for sender in [to_history, to_live] {
            let graph = Arc::downgrade(&handle);
            sender.on_space(Arc::new(move || {
                if let Some(graph) = graph.upgrade() {
                    graph.ring_all();
                }
            }));
        }
        Ok(Self { handle, running, history, live })
    }
}

fn spec(name: &'static str, feed: Feed, queue: Sender<Egress>, wants: fn(&Output) -> bool) -> SinkSpec {
    SinkSpec { name, feed, port: Box::new(move |_worker| Box::new(QueuePort::new(queue.clone(), wants))) }
}

/// What the hot store has a place for.
fn is_shown(output: &Output) -> bool {
    !matches!(output, Output::Minute(_) | Output::Hour(_) | Output::Rejected(_) | Output::Resent(_) | Output::Repair(_))
}
