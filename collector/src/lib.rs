//! Collector: reads this machine and sends what it read to the hub, oldest first, until the hub says it is on its disk.

mod rate;
mod readings;
pub mod sources;

pub use readings::Readings;
