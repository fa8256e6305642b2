//! The timely graph: records in, outputs out. No async, no clock, no I/O but timely's own between processes: a replay of the journal gives the
//! same outputs.
//!
//! Entry points: `start` builds the graph and its threads (`worker.rs`), `graph.rs` is the picture, one file per operator is in
//! `operators/`, the rules' side in `control/`, what several processes need besides in `cluster/`. Each operator is a plain state struct with
//! thin glue around it (`stage.rs`).

pub mod arrivals;
pub mod cluster;
pub mod control;
pub mod counters;
pub mod doorbell;
pub mod graph;
pub mod introspect;
pub mod operators;
pub mod settings;
pub mod stage;
pub mod state;
mod unjudged;
pub mod watchdog;
pub mod worker;

pub use arrivals::{ArrivalCounts, LATE_SECONDS};
pub use cluster::Sockets;
pub use control::fleet::TagLimits;
pub use counters::{Count, Counters};
pub use graph::{Feed, Reach};
pub use introspect::{Detail, GraphView};
pub use operators::egress::{QueuePort, SinkPort};
pub use operators::presence::{MACHINE_DOWN, MACHINE_UP, machine_down};
pub use operators::source::Gate;
pub use settings::{FleetSettings, PresenceSettings, Settings, WindowSettings};
pub use unjudged::Unjudged;
pub use watchdog::{Stuck, Watchdog};
pub use worker::{Handle, PipelineError, Running, SinkSpec, start, start_with};
