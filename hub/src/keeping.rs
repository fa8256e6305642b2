//! Keeping: rules, silences and the record of their changes: kept here, or followed where another process of a cluster keeps them.

use std::sync::Arc;

use anyhow::Result;
use model::audit::AuditLog;
use model::command::{RuleStore, SilenceStore};
use model::silence::SilenceSet;

use crate::audit::Audit;
use crate::base::Base;
use crate::cluster::{Cluster, Kept, KeptNow};
use crate::rules::{Location, OwnRules, Watcher};
use crate::silences::{Keeper, OwnSilences};

pub(crate) struct Keeping {
    pub(crate) rules: Arc<dyn RuleStore>,
    pub(crate) silences: Arc<dyn SilenceStore>,
    pub(crate) audit: Arc<dyn AuditLog>,
    /// Those who make the changes, each on record first.
    pub(crate) own: Option<(Watcher, Keeper)>,
    /// For those who follow.
    pub(crate) kept: Option<Kept>,
}

impl Keeping {
    /// # Errors
    /// What of it cannot be used.
    pub(crate) fn of(base: &Base, cluster: Option<&Cluster>) -> Result<Self> {
        if let Some(cluster) = cluster.filter(|cluster| !cluster.is_keeper()) {
            let remote = Arc::new(cluster.remote());
            let (rules, silences) = (Arc::clone(&remote), Arc::clone(&remote));
            return Ok(Self { rules, silences, audit: remote, own: None, kept: None });
        }
        let record = Arc::new(Audit::of(&base.config, base.clock())?);
        let audit: Arc<dyn AuditLog> = Arc::clone(&record) as Arc<dyn AuditLog>;
        let (location, own) = (Location::of(&base.config), OwnRules::of(&base.config)?);
        let watcher = Watcher::start(location, own, (base.clock(), Arc::clone(&audit)), &base.registry)?;
        let keeper = Keeper::new(OwnSilences::of(&base.config)?, base.clock(), Arc::clone(&audit));
        let (rules, silences) = (watcher.rules(), keeper.silences());
        let kept = cluster.map(|_| Kept { rules: rules.follow(), silences: silences.follow(), audit: record });
        Ok(Self { rules, silences, audit, own: Some((watcher, keeper)), kept })
    }

    /// For the other processes, where this one keeps it.
    pub(crate) fn now(&self) -> Option<KeptNow> {
        self.kept.as_ref().map(Kept::now)
    }

    /// What the graph is to know of silences beyond what the journal ends with.
    pub(crate) fn silences_news(&mut self, known: Option<&SilenceSet>) -> Option<Arc<SilenceSet>> {
        self.own.as_mut()?.1.news(known)
    }
}
