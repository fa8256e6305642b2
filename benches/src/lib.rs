//! What measures sysmonstm: workloads, the graph's replay, and what the programs in `bin/` share.
//!
//! `sysmonstm bench replay` is a thin caller of `replay::run`; `bin/measure` and `bin/weigh` have a file for each thing that is measured. README.md has method and results.

pub mod baseline;
pub mod client;
pub mod figures;
pub mod fleet;
pub mod hub_process;
pub mod load;
pub mod process;
pub mod replay;
pub mod report;
pub mod restart;
pub mod rig;
pub mod together;
pub mod viewers;
pub mod workload;
