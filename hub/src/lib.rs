//! The program `sysmonstm` as a library, so that tests can start a hub inside their own process.
//!
//! Construction, order and the command line only: what the parts do is in their own crates.
//! `config` reads the settings, `rules` the threshold rules, `wiring` puts the system together, `cli` chooses what to run.

pub mod cli;
pub mod client;
pub mod config;
pub mod exit;
pub mod health;
pub mod program;
pub mod rules;
