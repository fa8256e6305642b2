//! Cluster: several hub processes find, check, watch and talk to each other, so that they can run one graph.
//!
//! Here is what carries words, not what they say: `hosts` says who there is, `private` where it is safe to listen,
//! `join` makes the connections, `link` watches them and carries messages. Membership is static and fate is shared: who
//! is lost is told once, and the hub ends.

#![allow(dead_code, reason = "the hub starts its links once it says something over them")]

mod arrivals;
mod dial;
mod door;
mod frame;
mod hello;
mod hosts;
mod join;
mod link;
mod pace;
mod peer;
mod private;
mod refusal;
mod roster;
mod traffic;

pub use hosts::{HostPort, Hosts, PROCESSES_MAX, digest};
pub use join::{JOIN_WITHIN, Joined, Place, Talk, join};
pub use link::{Gone, Links, Listen, SILENCE};
pub use refusal::Refusal;
