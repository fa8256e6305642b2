//! The program `sysmonstm` as a library, so that tests can start a hub inside their own process.
//!
//! Construction, order and the command line only: what the parts do is in their own crates.
//! `config` reads the settings, `rules` the threshold rules, `silences` what nobody wants to hear of, `cluster` joins several hubs,
//! `wiring` puts the system together, `cli` chooses what to run.

pub mod audit;
mod base;
mod buses;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod config;
pub mod db;
mod dead_letters;
mod edge;
pub mod exit;
mod figures;
mod folder;
mod graph;
pub mod health;
mod history;
mod keeping;
mod listen;
mod operators;
mod outflow;
mod part;
pub mod program;
mod recovery;
mod resend;
pub mod rules;
pub mod serve;
mod server;
pub mod silences;
mod starting;
mod stores;
mod synthetic;
mod upkeep;
pub mod wiring;
