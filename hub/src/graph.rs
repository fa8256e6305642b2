//! Graph: the dataflow between its queues: what goes out of it, when it must draw less, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use ingest::Replayed;
use journal::Journal;
use model::{Egress, LogicalTime, Output};
use pipeline::{Feed, Gate, Handle, QueuePort, Running, SinkSpec};
use runtime::queue::{self, QueueStats, Receiver, Sender, WhenFull};
use tokio::time::{interval, timeout};

use crate::base::Base;
use crate::starting::Progress;
use crate::stores::Stores;

/// Messages for the hot store; it only ever falls behind for moments.
const HOT_MESSAGES_MAX: usize = 4_096;

/// How often a stop looks whether the graph has settled; there is no bell for it.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The running dataflow. Dropping it stops it.
pub(crate) struct Graph {
    pub(crate) handle: Arc<Handle>,
    running: Option<Running>,
}

/// Where the graph's outputs wait.
pub(crate) struct Outlets {
    /// For the store in the data folder.
    pub(crate) history: Receiver<Egress>,
    /// For the history's server, where there is one.
    pub(crate) server: Option<Receiver<Egress>>,
    pub(crate) hot: Receiver<Egress>,
}

impl Graph {
    /// # Errors
    /// When the system gives no threads.
    pub(crate) fn start(base: &Base, stores: &Stores) -> Result<(Self, Outlets)> {
        // Timely must not wait, so the queues take what they are given, and the gate closes instead.
        let (to_history, history) =
            queue::bounded("history", base.config.history.queue_messages_max, WhenFull::Overshoot);
        let (to_hot, hot) = queue::bounded("hot", HOT_MESSAGES_MAX, WhenFull::Overshoot);
        let server = stores
            .server
            .as_ref()
            .map(|_| queue::bounded("server", base.config.history.queue_messages_max, WhenFull::Overshoot));
        let (to_server, server) = server.unzip();
        let stats: Vec<QueueStats> =
            [Some(&history), Some(&hot), server.as_ref()].into_iter().flatten().map(Receiver::stats).collect();
        let gate: Gate = Arc::new(move || !stats.iter().any(QueueStats::is_full));
        let now = u64::try_from(base.clock.now_us()).unwrap_or(0);
        let mut settings = base.config.pipeline.clone();
        settings.window.covered_from = stores.recovery.covered_from;
        // Collectors have not been able to send since the journal's end, however long ago that was.
        settings.live_from = now.max(stores.journal.newest_t().map_or(0, |newest| newest + 1));
        settings.firing.clone_from(&stores.known.alerts);
        // With a server the data folder keeps what a start must know although the server is away.
        let embedded = if to_server.is_some() { is_state } else { is_stored };
        let mut sinks = vec![
            spec("history", Feed::History, to_history.clone(), embedded),
            spec("hot", Feed::Live, to_hot.clone(), is_shown),
        ];
        sinks.extend(to_server.iter().map(|to_server| spec("server", Feed::History, to_server.clone(), is_stored)));
        let (handle, running) = pipeline::start(&settings, &sinks, gate).context("start the dataflow")?;
        for sender in [Some(to_history), Some(to_hot), to_server].into_iter().flatten() {
            let graph = Arc::downgrade(&handle);
            sender.on_space(Arc::new(move || {
                if let Some(graph) = graph.upgrade() {
                    graph.ring_all();
                }
            }));
        }
        let graph = Self { handle, running: Some(running) };
        Ok((graph, Outlets { history, server, hot }))
    }

    /// Gives the graph what the journal holds from `from_t` on, and the journal back.
    ///
    /// # Errors
    /// When the journal cannot be read at all.
    pub(crate) async fn replay(
        &self,
        journal: Journal,
        from_t: LogicalTime,
        progress: &Arc<Progress>,
    ) -> Result<(Journal, Replayed)> {
        let (handle, told) = (Arc::clone(&self.handle), Arc::clone(progress));
        let replaying = tokio::task::spawn_blocking(move || {
            let mut progress = |step: ingest::Step| told.note(step);
            let replayed = ingest::replay(&journal, from_t, handle.as_ref(), &mut progress);
            replayed.map(|replayed| (journal, replayed))
        });
        replaying.await.context("replay the journal")?.context("replay the journal")
    }

    /// Ends when all that is durable by now has left the graph, so that the stores can commit it: the graph moves on with the sequencer's
    /// heartbeat, and what its end finds unfinished waits in the journal for the next start. False when that took too long.
    pub(crate) async fn settle(&self, within: Duration) -> bool {
        let sealed = self.handle.sealed();
        let mut looks = interval(LOOK_EVERY);
        let settled = async {
            while self.handle.completed() < sealed {
                looks.tick().await;
            }
        };
        timeout(within, settled).await.is_ok()
    }

    /// Ends when everything that was pushed has left the graph; false when that took too long.
    pub(crate) async fn stop(mut self, within: Duration) -> bool {
        self.handle.close();
        let Some(running) = self.running.take() else {
            return true;
        };
        let joining = tokio::task::spawn_blocking(move || running.join().is_ok());
        matches!(timeout(within, joining).await, Ok(Ok(true)))
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // Its threads are joined when `running` is dropped after this, so they must be told to end.
        self.handle.close();
    }
}

fn spec(name: &'static str, feed: Feed, queue: Sender<Egress>, wants: fn(&Output) -> bool) -> SinkSpec {
    SinkSpec { name, feed, port: Box::new(move |_worker| Box::new(QueuePort::new(queue.clone(), wants))) }
}

/// What the history has a place for.
fn is_stored(output: &Output) -> bool {
    !matches!(output, Output::Hottest(_))
}

/// What a start must know, and what people look for first when the server is away.
fn is_state(output: &Output) -> bool {
    match output {
        Output::Transition(_)
        | Output::Standing(_)
        | Output::Presence(_)
        | Output::Machine(_)
        | Output::Processes(_)
        | Output::Rejected(_) => true,
        Output::Samples(_)
        | Output::Minute(_)
        | Output::Hour(_)
        | Output::Repair(_)
        | Output::Fleet(_)
        | Output::Hottest(_) => false,
    }
}

/// What the hot store has a place for.
fn is_shown(output: &Output) -> bool {
    match output {
        Output::Samples(_)
        | Output::Transition(_)
        | Output::Standing(_)
        | Output::Presence(_)
        | Output::Machine(_)
        | Output::Processes(_)
        | Output::Hottest(_) => true,
        Output::Minute(_) | Output::Hour(_) | Output::Rejected(_) | Output::Repair(_) | Output::Fleet(_) => false,
    }
}
