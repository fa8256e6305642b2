//! Watch: the one task that changes the rules in force: it takes up edits of the rule file and the changes that clients order.
//!
//! Looks at the file every two seconds, because notifications of file systems do not reach mounted folders in containers. A valid edit is
//! published first and shown then; an invalid one is reported once and the rules in force stay. A change of the hub's own rules is on disk
//! before it is published, and answered when both are durable.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::audit::{Action, Actor, AuditLog, Deed};
use model::command::{RuleChange, RuleError, RuleListing, RuleStore};
use model::rule::{Rule, RuleSet};
use runtime::BoxError;
use runtime::clock::SharedClock;
use runtime::drain::DrainToken;
use runtime::metrics::{Gauge, Registry};
use runtime::queue::Receiver;
use runtime::telemetry::error_chain;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::audit;

use super::{LoadError, Location, Order, OwnRules, Parsed, Rules, versioned};

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What tells one state of a file from another; none where there is no file.
type Stamp = Option<(SystemTime, u64)>;

/// Keeps the rules in force.
pub struct Watcher {
    location: Location,
    /// The state last read, good or bad, so that a bad file is reported once.
    stamp: Stamp,
    /// The file's rules that are in force.
    file: Vec<Rule>,
    own: OwnRules,
    rules: Arc<Rules>,
    orders: Receiver<Order>,
    clock: SharedClock,
    audit: Arc<dyn AuditLog>,
    last_reload_successful: Gauge,
}

impl Watcher {
    /// Loads the rules to start with.
    ///
    /// # Errors
    /// When there are none to start with: the file is missing or has problems.
    pub fn start(
        location: Location,
        own: OwnRules,
        (clock, audit): (SharedClock, Arc<dyn AuditLog>),
        registry: &Registry,
    ) -> Result<Self, LoadError> {
        // Before reading: an edit in between is then read again, not missed.
        let stamp = stamp_of(&location.path);
        let Parsed { rules: file, warnings } = location.load()?;
        for warning in &warnings {
            warn!(path = %location.path.display(), warning = %warning, "rule is odd");
        }
        warn_of_hidden(&own, &file);
        let listing = listing(&file, &own, 0, &clock).map_err(|problems| invalid(&location, problems))?;
        let last_reload_successful = registry.gauge(
            "config_last_reload_successful",
            "1 when the rule file in its present state is in force, 0 when it has problems.",
            &[("file", "rules")],
        );
        last_reload_successful.set(1.0);
        let (rules, orders) = Rules::starting_with(listing);
        Ok(Self { location, stamp, file, own, rules: Arc::new(rules), orders, clock, audit, last_reload_successful })
    }

    /// The rules in force, kept up to date while `run` runs.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules)
    }

    /// Until draining begins. `publish` makes a set durable and hands it to the graph.
    ///
    /// # Errors
    /// When a set cannot be published: then nothing else can be either.
    pub async fn run<P, F>(mut self, publish: P, drain: DrainToken) -> Result<(), BoxError>
    where
        P: Fn(Arc<RuleSet>) -> F + Send,
        F: Future<Output = Result<(), BoxError>> + Send,
    {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = drain.draining() => return Ok(()),
                // It ends with its senders, one of which is our own.
                Some(order) = self.orders.recv() => self.obey(order, &publish).await?,
                _ = ticks.tick() => self.follow(&publish).await?,
            }
        }
    }

    /// Makes one change and answers when it is durable, or why it is not made.
    async fn obey<P, F>(&mut self, order: Order, publish: &P) -> Result<(), BoxError>
    where
        P: Fn(Arc<RuleSet>) -> F + Send,
        F: Future<Output = Result<(), BoxError>> + Send,
    {
        let Order { change, by, answer } = order;
        let name = change.name().to_owned();
        let made = match self.prepared(change, by).await? {
            Ok((own, listing)) => {
                // On disk from here on. When it cannot be published the hub ends, and the next start publishes it.
                self.own = own;
                publish(Arc::clone(&listing.set)).await?;
                info!(rule = name, rules = listing.set.rules.len(), "own rule changed");
                self.rules.replace(listing.clone());
                Ok(listing.set)
            }
            Err(error) => {
                warn!(rule = name, error = error_chain(&error), "own rule not changed");
                Err(error)
            }
        };
        // Whoever asked may have gone.
        answer.send(made).ok();
        Ok(())
    }

    /// The own rules with the change, on disk, and what is in force then.
    async fn prepared(
        &self,
        change: RuleChange,
        by: Actor,
    ) -> Result<Result<(OwnRules, RuleListing), RuleError>, BoxError> {
        let deed = audit::of_rule(by, &change, self.own.get(change.name()));
        let own = match self.own.after(change, &self.file) {
            Ok(own) => own,
            Err(refused) => return Ok(Err(refused)),
        };
        let listing = match listing(&self.file, &own, self.rules.rules().version, &self.clock) {
            Ok(listing) => listing,
            Err(problems) => return Ok(Err(RuleError::Invalid(problems))),
        };
        // First, so that nothing is changed of which nobody could tell who did it (U-1).
        if let Err(failed) = self.audit.record(deed.clone()).await {
            return Ok(Err(RuleError::Store(failed.to_string())));
        }
        // On its own thread: a slow disk would hold up every other task.
        let saved = tokio::task::spawn_blocking(move || own.save().map(|()| own)).await?;
        if let Err(failed) = &saved {
            // A record that cannot be written either has said so in the log.
            self.audit.record(deed.failing(&failed.to_string())).await.ok();
        }
        Ok(saved.map(|own| (own, listing)))
    }

    /// Takes up an edit of the file.
    async fn follow<P, F>(&mut self, publish: &P) -> Result<(), BoxError>
    where
        P: Fn(Arc<RuleSet>) -> F + Send,
        F: Future<Output = Result<(), BoxError>> + Send,
    {
        if let Some((file, listing)) = self.look().await? {
            publish(Arc::clone(&listing.set)).await?;
            info!(path = %self.location.path.display(), rules = listing.set.rules.len(), "rules reloaded");
            warn_of_hidden(&self.own, &file);
            let detail = format!("{} rules of the file", file.len());
            let deed = Deed::new(Actor::hub("rule file"), Action::RulesReloaded, "rules", &detail);
            // What is in the file is in force either way; the log has the failure.
            self.audit.record(deed).await.ok();
            self.file = file;
            self.rules.replace(listing);
            self.last_reload_successful.set(1.0);
        }
        Ok(())
    }

    /// The rules of a file that changed since the last look, when they can be used, and what is in force with them.
    async fn look(&mut self) -> Result<Option<(Vec<Rule>, RuleListing)>, BoxError> {
        let (location, seen) = (self.location.clone(), self.stamp);
        // On its own thread: a file on a dead mount would hold up every other task.
        let look = tokio::task::spawn_blocking(move || {
            let stamp = stamp_of(&location.path);
            (stamp != seen).then(|| (stamp, location.load()))
        });
        let Some((stamp, loaded)) = look.await? else {
            return Ok(None);
        };
        self.stamp = stamp;
        let after = self.rules.rules().version;
        let usable = loaded.and_then(|Parsed { rules, .. }| {
            let listing = listing(&rules, &self.own, after, &self.clock);
            let listing = listing.map_err(|problems| invalid(&self.location, problems))?;
            Ok((rules, listing))
        });
        match usable {
            Ok(usable) => Ok(Some(usable)),
            Err(error) => {
                self.last_reload_successful.set(0.0);
                warn!(error = error_chain(&error), "rule file not taken, the rules in force stay");
                Ok(None)
            }
        }
    }
}

/// What is in force with these rules of the file and these own ones.
fn listing(file: &[Rule], own: &OwnRules, after: u64, clock: &SharedClock) -> Result<RuleListing, Vec<String>> {
    let set = versioned(own.behind(file), after, clock.as_ref())?;
    Ok(RuleListing { set: Arc::new(set), own: Arc::new(own.names_behind(file)) })
}

fn warn_of_hidden(own: &OwnRules, file: &[Rule]) {
    for rule in own.hidden_by(file) {
        warn!(rule, "own rule has no effect while the rule file has one of its name");
    }
}

fn stamp_of(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn invalid(location: &Location, problems: Vec<String>) -> LoadError {
    let notes = problems.into_iter().map(|message| super::Note { line: None, message });
    LoadError::Invalid { path: location.path.clone(), problems: notes.collect() }
}
