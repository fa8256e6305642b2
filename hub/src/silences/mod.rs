//! Silences: made and ended by people while the hub runs, durable before they are answered, told to the graph through the journal.
//!
//! `own` is the file, `keeper` the one task that makes every change.

mod keeper;
mod own;

use std::path::PathBuf;
use std::sync::Arc;

use model::audit::Actor;
use model::command::{SilenceChange, SilenceChanged, SilenceError, SilenceStore};
use model::silence::Silence;
use runtime::queue::{self, Receiver, Sender, WhenFull};
use thiserror::Error;
use tokio::sync::{oneshot, watch};

pub use keeper::Keeper;
pub use own::OwnSilences;

/// People make silences; a program that makes many waits.
const ORDERS_MAX: usize = 16;

#[derive(Debug, Error)]
#[error("cannot use the silences in {}: {problem}; mend the file, or move it away to start without them", path.display())]
pub struct LoadError {
    path: PathBuf,
    problem: String,
}

/// The silences, for whoever shows them, and the way to the task that changes them.
pub struct Silences {
    kept: watch::Sender<Arc<Vec<Arc<Silence>>>>,
    orders: Sender<Order>,
}

/// A change on its way to that task: also when whoever asked has gone, it is made whole.
struct Order {
    change: SilenceChange,
    by: Actor,
    answer: oneshot::Sender<Result<Arc<Silence>, SilenceError>>,
}

impl Silences {
    fn starting_with(kept: Vec<Arc<Silence>>) -> (Self, Receiver<Order>) {
        let (orders, waiting) = queue::bounded("silence changes", ORDERS_MAX, WhenFull::Block);
        (Self { kept: watch::Sender::new(Arc::new(kept)), orders }, waiting)
    }

    /// Follows them.
    pub(crate) fn follow(&self) -> watch::Receiver<Arc<Vec<Arc<Silence>>>> {
        self.kept.subscribe()
    }
}

impl SilenceStore for Silences {
    fn silences(&self) -> Arc<Vec<Arc<Silence>>> {
        Arc::clone(&self.kept.borrow())
    }

    fn change(&self, change: SilenceChange, by: Actor) -> SilenceChanged<'_> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let handed_over = self.orders.send(Order { change, by, answer }).await;
            handed_over.map_err(|_closed| SilenceError::Stopping)?;
            answered.await.unwrap_or(Err(SilenceError::Stopping))
        })
    }
}
