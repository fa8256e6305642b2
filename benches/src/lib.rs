//! What measures sysmonstm: the workload `sysmon-1` and its replay through the hub's own graph.
//!
//! `sysmonstm bench replay` is a thin caller of `replay::run`; the programs in `bin/` measure single stages. README.md has method and results.

pub mod baseline;
pub mod figures;
pub mod replay;
pub mod workload;
