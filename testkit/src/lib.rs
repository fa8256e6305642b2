//! Testkit: what tests of several crates share. A dev-dependency only: no program links it.
//!
//! Waiting goes through [`eventually`], live services and private folders come from [`servers`] and [`redis`], JSON is held against its
//! description by [`schema`].
//! `tests/tidy.rs` checks the house rules of the whole workspace.

pub mod certificate;
pub mod eventually;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod postgres;
pub mod postgres_server;
pub mod proxy;
pub mod redis;
pub mod schema;
pub mod servers;
pub mod small_disk;

pub use eventually::{TimedOut, eventually, eventually_blocking};
