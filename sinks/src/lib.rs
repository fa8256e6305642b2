//! Sinks: where the graph's outputs go.
//!
//! `memory` shows the latest values, `sqlite` keeps history, `postgres` keeps it on a server. Both are fed by a queue of `model::Egress` that they always drain:
//! a slow or dead store slows nobody. `sink` is the contract of a store that loses nothing, `driver` the one loop that writes to it.
//! `relay` tells the latest values to `redis`; `bus` carries events to other programs.
//! Invariants: S-1 writing twice equals writing once, S-2 a cursor never passes an unwritten row or an undurable time.

pub mod bus;
mod circuit;
pub mod driver;
pub mod error;
pub mod memory;
pub mod outbox;
pub mod owed;
pub mod payload;
pub mod postgres;
mod process_list;
pub mod redis;
pub mod relay;
mod roster;
mod samples;
mod settings;
pub mod sink;
pub mod spill;
mod spill_codec;
pub mod sqlite;
mod staging;
pub mod status;
mod work;

#[cfg(test)]
mod fixtures;
