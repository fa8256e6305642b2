//! Watchdog: says when the graph is stuck: there is durable work below the seal, and nothing has been completed for a while.
//!
//! Timely stops neither the siblings of a failed worker nor the process, so somebody has to look. The program asks once a second
//! and aborts on the first complaint; the supervisor restarts it, and the journal gives everything back.

use std::time::Duration;

use model::LogicalTime;

/// What the graph has not done for how long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the dataflow is stuck: sealed up to {sealed}, completed only up to {completed} for {silence:?}")]
pub struct Stuck {
    pub sealed: LogicalTime,
    pub completed: LogicalTime,
    pub silence: Duration,
}

/// Remembers when progress was last seen, on a monotonic clock.
#[derive(Debug)]
pub struct Watchdog {
    patience: Duration,
    completed: LogicalTime,
    since_us: u64,
}

impl Watchdog {
    pub fn new(patience: Duration, now_us: u64) -> Self {
        Self { patience, completed: 0, since_us: now_us }
    }

    /// # Errors
    /// When `completed` has stood still below `sealed` for longer than the patience.
    pub fn check(&mut self, now_us: u64, sealed: LogicalTime, completed: LogicalTime) -> Result<(), Stuck> {
        if completed != self.completed || completed >= sealed {
            (self.completed, self.since_us) = (completed, now_us);
            return Ok(());
        }
        let silence = Duration::from_micros(now_us.saturating_sub(self.since_us));
        if silence < self.patience { Ok(()) } else { Err(Stuck { sealed, completed, silence }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_complains_only_when_work_waits_and_nothing_moves() {
        let second = 1_000_000;
        let mut dog = Watchdog::new(Duration::from_secs(10), 0);
        assert!(dog.check(5 * second, 100, 50).is_ok(), "moving");
        assert!(dog.check(14 * second, 100, 50).is_ok(), "within its patience");
        assert!(dog.check(16 * second, 200, 50).is_err(), "stuck");
        assert!(dog.check(60 * second, 200, 200).is_ok(), "done");
        assert!(dog.check(61 * second, 300, 200).is_ok(), "patience starts with the work");
    }
}
