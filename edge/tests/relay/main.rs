//! The edge as a hub, viewers, browsers and strangers meet it: a real server on a free port of the loopback.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
mod flood;
mod page;
mod publishers;
mod viewers;
