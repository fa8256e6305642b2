//! Ingest: gRPC in, journalled batches out.
//!
//! A collector's stream is read by `push` and `session` (columnar) or `samples` (one sample a message), judged by `admission`, handed in through
//! `intake`, given its logical time, journalled and sent to the graph by the `sequencer`, made durable by the `committer`, and only
//! then acknowledged by `answers`. After a restart `replay` gives the graph the journal again before the port opens.
//! Bounded: every queue, per-machine state and per-stream state; a full hub leaves streams unread.
//! Invariants: J-1 acknowledged means fsynced, J-2 the sequence grows strictly, C-1 received = accepted + duplicate + rejected + shed.

mod accept;
mod admission;
mod answers;
mod beat;
mod budget;
mod committer;
mod config_service;
mod context;
mod control_service;
mod door;
mod gather;
mod health;
mod intake;
mod layouts;
mod machines;
mod meters;
mod metrics_service;
mod peers;
mod preamble;
mod push;
mod reflection;
mod refuse;
mod replay;
mod resend;
mod samples;
mod sequencer;
mod serve;
mod session;
mod settings;
mod start;
mod state;
mod timeline;

pub use config_service::CollectorConfig;
pub use control_service::Collectors;
pub use intake::{Intake, IntakeClosed};
pub use meters::Meters;
pub use peers::{Lamport, NotYielded, Peers, Seats, Yielded};
pub use preamble::Preamble;
pub use refuse::refuse;
pub use replay::{ReplayError, Replayed, Step, replay};
pub use resend::{NotResent, Resender};
pub use serve::{ServeError, Services, serve};
pub use settings::{Limits, SequencerSettings, Settings, StreamSettings};
pub use start::{Foundations, Ingest};
pub use state::JournalState;

/// Ends the process: half a hub must not go on acknowledging. The reason is the last line of the log.
fn fail_stop(action: &'static str, error: &dyn std::error::Error) -> ! {
    tracing::error!(error = %error, action, "process aborts: what is on disk can only be told by a restart");
    std::process::abort()
}
