//! Synthetic machines: made up to load or to probe a hub. Their names set them apart, so that every part of the hub can tell them from real ones.

use crate::alert::Alert;
use crate::ids::MachineId;

/// What the ids of made-up machines begin with.
pub const PREFIX: &str = "synthetic-";

/// The made-up machine whose series tell how the hub's own synthetic transactions fare: its alerts are for people.
pub const HUB: &str = "synthetic-hub";

impl MachineId {
    /// Made up: left out of fleet views and rollups, kept for a short time only, never an alert for being silent.
    pub fn is_synthetic(&self) -> bool {
        self.as_str().starts_with(PREFIX)
    }

    /// Whether its alerts are listed for people: of the made-up machines only the one that speaks of the hub.
    pub fn has_shown_alerts(&self) -> bool {
        !self.is_synthetic() || self.as_str() == HUB
    }
}

impl Alert {
    /// Of a made-up machine: left out wherever alerts are listed for people.
    pub fn is_synthetic(&self) -> bool {
        !self.machine.has_shown_alerts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells() {
        let is = |name: &str| MachineId::parse(name).unwrap().is_synthetic();
        assert!(is("synthetic-load-0001") && !is("synthetics") && !is("db-synthetic-1"));
    }
}
