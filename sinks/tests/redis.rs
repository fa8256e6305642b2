//! The hot state in a real Redis, of each test its own: as it should be, and after everything that can happen to a server.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "redis/alerts.rs"]
mod alerts;
#[path = "redis/bus.rs"]
mod bus;
#[path = "redis/example.rs"]
mod example;
#[path = "../src/fixtures.rs"]
mod fixtures;
#[path = "redis/keys.rs"]
mod keys;
#[path = "redis/outage.rs"]
mod outage;
#[path = "redis/rig.rs"]
mod rig;
#[path = "bus/suite.rs"]
mod suite;
#[path = "redis/transport.rs"]
mod transport;
