//! Cluster: several hub processes find, check, watch and talk to each other, so that they can run one graph.
//!
//! Here is what carries words, not what they say: `hosts` says who there is, `private` where it is safe to listen,
//! `join` makes the connections. Membership is static and fate is shared.

mod arrivals;
mod dial;
mod door;
mod frame;
mod hello;
mod hosts;
mod join;
mod private;
mod refusal;
mod roster;

pub use hosts::{HostPort, Hosts, PROCESSES_MAX, digest};
pub use join::{JOIN_WITHIN, Joined, Place, Talk, join};
pub use refusal::Refusal;
