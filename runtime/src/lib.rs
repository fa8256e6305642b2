//! Runtime: what every program runs on, without a word of the domain.
//!
//! Time (`clock`), bounded queues (`queue`), shutdown (`drain`), retries (`backoff`, `breaker`), settings (`config`),
//! logs and metrics (`telemetry`, `metrics`, `process`), small durable files (`file`), the end of a broken process (`failstop`) and its
//! rehearsal (`fault`), how threads take turns (`thread`), and sockets past the runtime (`net`).
//! Invariants: Q-1 every queue has a capacity and a policy.

pub mod backoff;
pub mod breaker;
pub mod clock;
pub mod config;
pub mod drain;
pub mod failstop;
pub mod fault;
pub mod file;
pub mod metrics;
pub mod net;
pub mod process;
pub mod queue;
pub mod telemetry;
pub mod thread;

/// An error of any kind that may cross threads.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
