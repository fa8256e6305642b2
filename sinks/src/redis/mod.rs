//! Redis: the hot state for other programs: a document per machine, the list of machines, and channels.
//!
//! In: updates of `relay`, conflated. Out: keys that live five minutes and are renewed well before; messages to who listens.
//! Loss: none of state: after an outage everything is written again. Messages reach who listens at that moment.

pub mod config;
pub mod keys;
pub(crate) mod link;
mod wire;
mod write;

pub use config::{RedisAddress, RedisSettings, parse_prefix};
pub use write::RedisOutlet;
