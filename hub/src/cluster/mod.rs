//! Cluster: several hub processes find, check, watch and talk to each other, so that they can run one graph.
//!
//! `hosts` says who there is, `private` where it is safe to listen, `join` makes the connections, `link` watches them and carries messages.
//! `words` is what is said, `heard` what becomes of it here, `agree` where all begin after a restart, `remote` what another process
//! keeps for this one, `member` all of it together. Membership is static and fate is shared: who is lost is told once, and the hub ends.

pub(crate) mod agree;
mod arrivals;
mod dial;
mod door;
mod frame;
mod heard;
mod hello;
mod hosts;
mod join;
mod link;
mod member;
mod pace;
mod peer;
mod private;
mod refusal;
mod remote;
mod roster;
mod traffic;
mod words;

pub(crate) use agree::KeptNow;
pub(crate) use heard::{Doors, Heard};
pub use hosts::{HostPort, Hosts, PROCESSES_MAX};
pub use join::{JOIN_WITHIN, Joined, Place, Talk, join};
pub use link::{Gone, Links, Listen, SILENCE};
pub(crate) use member::{Cluster, Kept};
pub use refusal::Refusal;
pub(crate) use remote::{AllCollectors, Remote};
pub(crate) use words::Step;
