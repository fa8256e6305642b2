//! Counters of the graph: what became of each sample (C-1). One set per worker, so that workers never share a cache line.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::arrivals::{ArrivalTable, Lateness};
use crate::unjudged::Unjudged;

/// A count that only its worker raises and anybody reads.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Only by the worker that owns it: a load and a store. A locked addition waits until all that was written before it is out of the
    /// processor's hands, and before it are the cells of a whole frame.
    pub fn add(&self, n: usize) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n as u64), Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// accepted = aggregated + duplicate + beyond_horizon + rejected.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    /// Samples that entered the graph.
    pub accepted: Count,
    /// Samples refused by `normalize`.
    pub rejected: Count,
    /// Samples in an aggregate.
    pub aggregated: Count,
    /// Samples whose (machine, time, series) was there before.
    pub duplicate: Count,
    /// Of the aggregated: those behind the watermark.
    pub late: Count,
    /// Samples too old to correct their window: stored raw only.
    pub beyond_horizon: Count,
    /// Rows published, by tier.
    pub minute_rows: Count,
    pub hour_rows: Count,
    /// Rows of windows that the replayed journal does not wholly cover: not published.
    pub partial_rows: Count,
    /// Minutes put on the repair list.
    pub repairs: Count,
    pub transitions: Count,
    /// Rules on series that found no room.
    pub bindings_refused: Count,
    /// Records held back until their rules are known.
    pub stashed: Count,
    /// Activations of the source.
    pub activations: Count,
    /// Minute updates that came too late for the fleet's minute, or from too far ahead.
    pub fleet_outside: Count,
    /// Series of a machine that has more metrics of its own than the fleet takes from one.
    pub fleet_refused: Count,
    /// Metrics left out of a minute of the fleet, for want of room.
    pub fleet_left_out: Count,
    /// Tags that get no rollups, for want of room.
    pub fleet_tags_refused: Count,
    /// Of the late ones and those beyond the horizon.
    pub lateness: Lateness,
    /// Machine by machine.
    pub arrivals: ArrivalTable,
    /// Rule by rule.
    pub unjudged: Unjudged,
}

impl Counters {
    /// Name and value of each, for `/metrics`.
    pub fn list(&self) -> [(&'static str, u64); 18] {
        [
            ("accepted", self.accepted.get()),
            ("rejected", self.rejected.get()),
            ("aggregated", self.aggregated.get()),
            ("duplicate", self.duplicate.get()),
            ("late", self.late.get()),
            ("beyond_horizon", self.beyond_horizon.get()),
            ("minute_rows", self.minute_rows.get()),
            ("hour_rows", self.hour_rows.get()),
            ("partial_rows", self.partial_rows.get()),
            ("repairs", self.repairs.get()),
            ("transitions", self.transitions.get()),
            ("bindings_refused", self.bindings_refused.get()),
            ("stashed", self.stashed.get()),
            ("activations", self.activations.get()),
            ("fleet_outside", self.fleet_outside.get()),
            ("fleet_refused", self.fleet_refused.get()),
            ("fleet_left_out", self.fleet_left_out.get()),
            ("fleet_tags_refused", self.fleet_tags_refused.get()),
        ]
    }
}
