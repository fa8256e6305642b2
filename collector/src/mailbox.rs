//! Mailbox: the outbox as the tasks share it. What may wait for a disk runs on a thread that may wait.

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard, Notify};
use tracing::error;

use crate::outbox::Outbox;
use crate::sampler::Tick;

#[derive(Clone)]
pub(crate) struct Mailbox {
    outbox: Arc<Mutex<Outbox>>,
    filled: Arc<Notify>,
}

impl Mailbox {
    pub(crate) fn new(outbox: Outbox) -> Self {
        Self { outbox: Arc::new(Mutex::new(outbox)), filled: Arc::default() }
    }

    /// For what touches memory only. Others wait, so hold it briefly.
    pub(crate) async fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().await
    }

    /// Ends when something was pushed since the last call. For one caller.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    pub(crate) async fn push(&self, tick: Tick) {
        let has_work = self.lock().await.push(tick);
        self.filled.notify_one();
        if has_work {
            self.on_disk(Outbox::maintain).await;
        }
    }

    pub(crate) async fn acknowledge(&self, sequence: u64) {
        let mut outbox = self.lock().await;
        if outbox.has_spooled() {
            drop(outbox);
            self.on_disk(move |outbox| outbox.acknowledge(sequence)).await;
        } else {
            outbox.acknowledge(sequence);
        }
    }

    /// Holds the outbox for as long as the disk takes. Goes on to its end when the caller is cancelled.
    pub(crate) async fn on_disk<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Outbox) -> R + Send + 'static,
    ) -> Option<R> {
        let mut outbox = Arc::clone(&self.outbox).lock_owned().await;
        let joined = tokio::task::spawn_blocking(move || work(&mut outbox)).await;
        joined.inspect_err(|failure| error!(error = %failure, "spool work broke off")).ok()
    }
}
