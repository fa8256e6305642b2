//! Synthetic: load that is made up, sent to a hub as collectors send theirs, and followed to the other end.
//!
//! `plan` and `schedule` say what is sent when, from a seed alone; `lane` and `link` send it over gRPC and hear what the hub says, `samples` does so on the older wire; `latency` and
//! `measure` time it; `truth` knows what the hub must have afterwards, `verify` asks it; `report` tells. `soak` keeps that up for
//! hours and says what drifts. `command` is `sysmonstm synth`.

pub mod command;
mod demo;
pub mod domain;
pub mod http;
mod lane;
pub mod latency;
mod link;
pub mod measure;
pub mod options;
pub mod plan;
pub mod probe;
mod progress;
pub mod report;
pub mod run;
mod samples;
pub mod schedule;
mod search;
pub mod soak;
pub mod story;
pub mod truth;
pub mod verify;
mod watch;
mod wire;
