//! Synthetic machines: made up to load or to probe a hub. Their names set them apart, so that every part of the hub can tell them from real ones.

use crate::ids::MachineId;

/// What the ids of made-up machines begin with.
pub const PREFIX: &str = "synthetic-";

impl MachineId {
    /// Made up: left out of fleet views and rollups, kept for a short time only, never an alert for being silent.
    pub fn is_synthetic(&self) -> bool {
        self.as_str().starts_with(PREFIX)
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
