//! A monitored machine: what it is, whether it lives, what runs on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::MachineId;
use crate::time::Timestamp;

/// Most tags of a machine.
pub const TAGS_MAX: usize = 32;
/// Processes in one table (by CPU and by memory, each).
pub const PROCESSES_MAX: usize = 10;

/// What a collector says of its machine when it connects, and again when that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineInfo {
    pub machine: MachineId,
    /// Machine context for filters, rules and rollups (`COLLECTOR_TAGS`).
    pub tags: BTreeMap<String, String>,
    /// Time between two frames; 0 where the sender did not say.
    pub interval_ms: u32,
    pub os: String,
    pub kernel: String,
    pub arch: String,
    pub cpu_model: String,
    pub cores: u32,
    pub memory_bytes: u64,
    pub agent_version: String,
    /// Milliseconds since the epoch; 0 where unknown.
    pub boot_time_ms: i64,
    /// When the hub received it.
    pub arrival: Timestamp,
}

impl MachineInfo {
    /// What is known of a machine that never introduced itself (the one-sample-per-message wire).
    pub fn unknown(machine: MachineId, arrival: Timestamp) -> Self {
        Self {
            machine,
            tags: BTreeMap::new(),
            interval_ms: 0,
            os: String::new(),
            kernel: String::new(),
            arch: String::new(),
            cpu_model: String::new(),
            cores: 0,
            memory_bytes: 0,
            agent_version: String::new(),
            boot_time_ms: 0,
            arrival,
        }
    }
}

/// One process name: several processes of one name are added up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Process {
    pub name: String,
    /// In cores: 1.0 is one core busy.
    pub cpu: f64,
    /// Resident bytes.
    pub memory: u64,
}

/// The busiest and the largest processes at one time. Names only: arguments may hold secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Processes {
    pub machine: MachineId,
    pub time: Timestamp,
    pub by_cpu: Vec<Process>,
    pub by_memory: Vec<Process>,
}

/// Whether a machine is heard of. The clock is the graph's frontier, not the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Up,
    /// Three intervals without a frame.
    Stale,
    /// Silent for a minute or more.
    Down,
}

impl Status {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Stale => "stale",
            Self::Down => "down",
        }
    }
}

/// A machine's status changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    pub machine: MachineId,
    pub status: Status,
    /// When it changed, on the graph's clock.
    pub at: Timestamp,
    /// Arrival of its newest frame.
    pub last_seen: Timestamp,
}
