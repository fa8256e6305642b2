//! Keeper: the one task that changes the silences. A change is on disk, then in the journal, and answered when both are durable.

use std::future::Future;
use std::sync::Arc;

use model::Timestamp;
use model::audit::{AuditLog, Deed};
use model::command::SilenceError;
use model::silence::{Silence, SilenceSet};
use runtime::BoxError;
use runtime::clock::SharedClock;
use runtime::drain::DrainToken;
use runtime::queue::Receiver;
use runtime::telemetry::error_chain;
use tracing::{info, warn};

use crate::audit;

use super::{Order, OwnSilences, Silences};

/// Keeps the silences.
pub struct Keeper {
    own: OwnSilences,
    silences: Arc<Silences>,
    orders: Receiver<Order>,
    clock: SharedClock,
    audit: Arc<dyn AuditLog>,
    /// Above every earlier one, also of earlier runs: versions are times.
    version: u64,
}

impl Keeper {
    #[must_use]
    pub fn new(own: OwnSilences, clock: SharedClock, audit: Arc<dyn AuditLog>) -> Self {
        let (silences, orders) = Silences::starting_with(own.list());
        Self { own, silences: Arc::new(silences), orders, clock, audit, version: 0 }
    }

    /// The silences, kept up to date while `run` runs.
    #[must_use]
    pub fn silences(&self) -> Arc<Silences> {
        Arc::clone(&self.silences)
    }

    /// What the graph is to know, unless `known` says the same already: what the journal ends with.
    #[must_use]
    pub fn news(&mut self, known: Option<&SilenceSet>) -> Option<Arc<SilenceSet>> {
        let now = self.now();
        let set = self.next_set(&self.own.clone(), now);
        let is_known = known.map_or(set.silences.is_empty(), |known| known.says_the_same(&set, now));
        (!is_known).then_some(set)
    }

    /// Until draining begins. `publish` makes a set durable and hands it to the graph.
    ///
    /// # Errors
    /// When a set cannot be published: then nothing else can be either.
    pub async fn run<P, F>(mut self, publish: P, drain: DrainToken) -> Result<(), BoxError>
    where
        P: Fn(Arc<SilenceSet>) -> F + Send,
        F: Future<Output = Result<(), BoxError>> + Send,
    {
        loop {
            tokio::select! {
                () = drain.draining() => return Ok(()),
                // It ends with its senders, one of which is our own.
                Some(order) = self.orders.recv() => self.obey(order, &publish).await?,
            }
        }
    }

    /// Makes one change and answers when it is durable, or why it is not made.
    async fn obey<P, F>(&mut self, order: Order, publish: &P) -> Result<(), BoxError>
    where
        P: Fn(Arc<SilenceSet>) -> F + Send,
        F: Future<Output = Result<(), BoxError>> + Send,
    {
        let Order { change, by, answer } = order;
        let now = self.now();
        let made = match self.own.after(change.clone(), now) {
            Ok((own, changed)) => self.save(audit::of_silence(by, &change, &changed), own, changed).await?,
            Err(refused) => Err(refused),
        };
        let made: Result<Arc<Silence>, SilenceError> = match made {
            Ok((own, changed)) => {
                // On disk from here on. When it cannot be published the hub ends, and the next start publishes it.
                let set = self.next_set(&own, now);
                self.own = own;
                publish(set).await?;
                info!(silence = changed.id, author = changed.author, ends_at = %changed.ends_at, "silences changed");
                self.silences.kept.send_replace(Arc::new(self.own.list()));
                Ok(changed)
            }
            Err(error) => {
                warn!(error = error_chain(&error), "silences not changed");
                Err(error)
            }
        };
        // Whoever asked may have gone.
        answer.send(made).ok();
        Ok(())
    }

    /// On record first, so that nothing is silenced of which nobody could tell who did it (U-1), then on disk.
    async fn save(
        &self,
        deed: Deed,
        own: OwnSilences,
        changed: Arc<Silence>,
    ) -> Result<Result<(OwnSilences, Arc<Silence>), SilenceError>, BoxError> {
        if let Err(failed) = self.audit.record(deed.clone()).await {
            return Ok(Err(SilenceError::Store(failed.to_string())));
        }
        // On its own thread: a slow disk would hold up every other task.
        let saved = tokio::task::spawn_blocking(move || own.save().map(|()| (own, changed))).await?;
        if let Err(failed) = &saved {
            // A record that cannot be written either has said so in the log.
            self.audit.record(deed.failing(&failed.to_string())).await.ok();
        }
        Ok(saved)
    }

    fn next_set(&mut self, own: &OwnSilences, now: Timestamp) -> Arc<SilenceSet> {
        self.version = u64::try_from(now.micros()).unwrap_or(0).max(self.version + 1);
        Arc::new(own.set(self.version, now))
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.clock.now_us())
    }
}
