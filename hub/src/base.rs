//! Base: what every part of the hub is built on.

use std::sync::Arc;

use runtime::clock::SharedClock;
use runtime::metrics::Registry;

use crate::config::Config;
use crate::recovery::Reach;

pub(crate) struct Base {
    pub(crate) config: Config,
    pub(crate) clock: SharedClock,
    pub(crate) registry: Registry,
}

impl Base {
    pub(crate) fn clock(&self) -> SharedClock {
        Arc::clone(&self.clock)
    }

    pub(crate) fn reach(&self) -> Reach {
        let window = &self.config.pipeline.window;
        Reach { horizon: window.horizon, lateness: window.lateness, ahead_max: self.config.ingest.limits.ahead_max }
    }
}
