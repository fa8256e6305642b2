//! What the web orders: rules and collectors, as traits that the hub implements.

use std::sync::Arc;

use crate::ids::MachineId;
use crate::rule::RuleSet;

/// The rules in force.
pub trait RuleStore: Send + Sync {
    fn rules(&self) -> Arc<RuleSet>;
}

/// The closed, harmless list of what a hub may ask of a collector: never a shell, a file or an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CollectorCommand {
    Pause,
    Resume,
    CollectNow,
    ResendLayout,
    /// Collect every second for a minute.
    Focus,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("{0} is not connected with a control stream")]
    NotConnected(MachineId),
    #[error("{0} has too many commands waiting; try again in a few seconds")]
    Busy(MachineId),
}

/// Sends commands to connected collectors.
pub trait CollectorControl: Send + Sync {
    fn command(&self, machine: &MachineId, command: CollectorCommand) -> Result<(), CommandError>;
    /// Machines with an open control stream.
    fn connected(&self) -> Vec<MachineId>;
}
