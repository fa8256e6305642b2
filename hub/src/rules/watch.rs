//! Watch: takes up edits of the rule file while the hub runs.
//!
//! Looks at the file every two seconds, because notifications of file systems do not reach mounted folders in containers. A valid edit is
//! published first and shown then; an invalid one is reported once and the rules in force stay.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::command::RuleStore;
use model::rule::RuleSet;
use runtime::BoxError;
use runtime::clock::SharedClock;
use runtime::drain::DrainToken;
use runtime::metrics::{Gauge, Registry};
use runtime::telemetry::error_chain;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::{LoadError, Location, Parsed, Rules, versioned};

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What tells one state of a file from another; none where there is no file.
type Stamp = Option<(SystemTime, u64)>;

/// Follows one rule file.
pub struct Watcher {
    location: Location,
    /// The state last read, good or bad, so that a bad file is reported once.
    stamp: Stamp,
    rules: Arc<Rules>,
    clock: SharedClock,
    last_reload_successful: Gauge,
}

impl Watcher {
    /// Loads the rules to start with.
    ///
    /// # Errors
    /// When there are none to start with: the file is missing or has problems.
    pub fn start(location: Location, clock: SharedClock, registry: &Registry) -> Result<Self, LoadError> {
        // Before reading: an edit in between is then read again, not missed.
        let stamp = stamp_of(&location.path);
        let Parsed { rules, warnings } = location.load()?;
        for warning in &warnings {
            warn!(path = %location.path.display(), warning = %warning, "rule is odd");
        }
        let rules = versioned(rules, 0, clock.as_ref()).map_err(|problems| invalid(&location, problems))?;
        let last_reload_successful = registry.gauge(
            "config_last_reload_successful",
            "1 when the rule file in its present state is in force, 0 when it has problems.",
            &[("file", "rules")],
        );
        last_reload_successful.set(1.0);
        Ok(Self {
            location,
            stamp,
            rules: Arc::new(Rules::starting_with(rules)),
            clock,
            last_reload_successful,
        })
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
                _ = ticks.tick() => {}
            }
            if let Some(rules) = self.look().await? {
                publish(Arc::clone(&rules)).await?;
                info!(path = %self.location.path.display(), rules = rules.rules.len(), "rules reloaded");
                self.rules.replace(rules);
                self.last_reload_successful.set(1.0);
            }
        }
    }

    /// The rules of a file that changed since the last look, when they can be used.
    async fn look(&mut self) -> Result<Option<Arc<RuleSet>>, BoxError> {
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
        let usable = loaded.and_then(|parsed| {
            versioned(parsed.rules, after, self.clock.as_ref()).map_err(|problems| invalid(&self.location, problems))
        });
        match usable {
            Ok(rules) => Ok(Some(Arc::new(rules))),
            Err(error) => {
                self.last_reload_successful.set(0.0);
                warn!(
                    error = error_chain(&error),
                    "rule file not taken, the rules in force stay"
                );
                Ok(None)
            }
        }
    }
}

fn stamp_of(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn invalid(location: &Location, problems: Vec<String>) -> LoadError {
    let notes = problems.into_iter().map(|message| super::Note { line: None, message });
    LoadError::Invalid {
        path: location.path.clone(),
        problems: notes.collect(),
    }
}
