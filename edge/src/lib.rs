//! The public edge: shows chosen machines to anybody, somewhere a hub must not stand.
//!
//! `relay` is the program `sysmonstm-edge`: it takes a picture from one hub, which dials out to it, and shows it read-only to any number of
//! viewers, as a page and over a WebSocket. `publish` is the hub's side: what may be shown is chosen there, so nothing else ever leaves
//! (E-1). `protocol` is what the two say to each other (docs/EDGE.md). No database, no gRPC.

pub mod config;
pub mod program;
pub mod protocol;
pub mod publish;
pub mod relay;
