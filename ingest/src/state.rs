//! State of the journal as `/ready` shows it.

use std::sync::{Mutex, PoisonError};

use model::query::Health;
use runtime::clock::SharedClock;

/// Shared by the sequencer, which writes it, and whoever reports health.
pub struct JournalState {
    clock: SharedClock,
    health: Mutex<Health>,
}

impl JournalState {
    pub(crate) fn new(clock: SharedClock) -> Self {
        let health = Health {
            name: "journal",
            is_up: true,
            is_required: true,
            since_ms: clock.now_us() / 1_000,
            latency_ms: None,
            last_error: None,
            circuit: None,
            detail: None,
        };
        Self { clock, health: Mutex::new(health) }
    }

    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn up(&self) {
        self.set(true, None);
    }

    pub(crate) fn down(&self, error: &str) {
        self.set(false, Some(error.to_owned()));
    }

    fn set(&self, is_up: bool, last_error: Option<String>) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if health.is_up != is_up {
            health.since_ms = self.clock.now_us() / 1_000;
        }
        health.is_up = is_up;
        if last_error.is_some() {
            health.last_error = last_error;
        }
    }
}
