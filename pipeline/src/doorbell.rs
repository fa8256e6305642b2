//! Doorbell: wakes a worker from another thread, once per burst. An activation allocates and crosses a channel, a ring mostly is one swap.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use timely::scheduling::SyncActivator;

#[derive(Default)]
pub struct Doorbell {
    is_pending: AtomicBool,
    activator: OnceLock<SyncActivator>,
}

impl Doorbell {
    /// Connects the worker's side; rings that came before it are made up for.
    pub(crate) fn install(&self, activator: SyncActivator) {
        if self.activator.set(activator).is_ok() {
            self.is_pending.store(false, Ordering::Release);
            self.ring();
        }
    }

    pub fn ring(&self) {
        let is_first = !self.is_pending.swap(true, Ordering::AcqRel);
        let activated = self.activator.get().filter(|_| is_first).map(SyncActivator::activate);
        // It fails only when the worker is gone, and then there is nobody to wake.
        if let Some(Err(_gone)) = activated {
            self.is_pending.store(false, Ordering::Release);
        }
    }

    /// The consumer clears before it draws, never after: what comes in between rings again.
    pub(crate) fn clear(&self) {
        self.is_pending.swap(false, Ordering::AcqRel);
    }
}
