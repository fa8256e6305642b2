//! Clock: the only door to the system's time, so that tests own it.
//!
//! Wall time is for stamping events, monotonic time for ages, rates and deadlines: it never jumps.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub trait Clock: Send + Sync {
    /// Wall time in microseconds since the Unix epoch; it may jump when somebody sets the machine's clock.
    fn now_us(&self) -> i64;
    /// Microseconds since some fixed moment of this process; never goes back.
    fn monotonic_us(&self) -> u64;
}

pub type SharedClock = Arc<dyn Clock>;

/// The machine's own clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

/// A clock that stands still until it is moved. Clones share one time.
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    time: Arc<ManualTime>,
}

#[derive(Debug, Default)]
struct ManualTime {
    wall_us: AtomicI64,
    monotonic_us: AtomicU64,
}

impl SystemClock {
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }

    #[must_use]
    pub fn shared() -> SharedClock {
        Arc::new(Self::new())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else takes as an argument")]
    fn now_us(&self) -> i64 {
        // A clock set before 1970 is read as a negative time, not as an error: admission judges times, not the clock.
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => saturating_us_i64(since),
            Err(before) => -saturating_us_i64(before.duration()),
        }
    }

    fn monotonic_us(&self) -> u64 {
        micros(self.started.elapsed())
    }
}

impl ManualClock {
    #[must_use]
    pub fn at(now_us: i64) -> Self {
        let clock = Self::default();
        clock.set(now_us);
        clock
    }

    /// Moves the wall clock only, also backwards, as an administrator or NTP does.
    pub fn set(&self, now_us: i64) {
        self.time.wall_us.store(now_us, Ordering::SeqCst);
    }

    /// Lets time pass: wall and monotonic alike.
    pub fn advance(&self, by: Duration) {
        self.time.wall_us.fetch_add(saturating_us_i64(by), Ordering::SeqCst);
        self.time.monotonic_us.fetch_add(micros(by), Ordering::SeqCst);
    }

    #[must_use]
    pub fn shared(&self) -> SharedClock {
        Arc::new(self.clone())
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> i64 {
        self.time.wall_us.load(Ordering::SeqCst)
    }

    fn monotonic_us(&self) -> u64 {
        self.time.monotonic_us.load(Ordering::SeqCst)
    }
}

/// A duration in whole microseconds, at most `u64::MAX`.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn saturating_us_i64(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_clock_jumps_without_ageing_anything() {
        let clock = ManualClock::at(5_000_000);
        clock.advance(Duration::from_secs(1));
        let same = clock.clone();
        same.set(1);
        assert_eq!((clock.now_us(), clock.monotonic_us()), (1, 1_000_000));
    }

    #[test]
    fn the_system_clock_is_past_2020_and_its_monotonic_time_does_not_go_back() {
        let clock = SystemClock::new();
        assert!(clock.now_us() > 1_577_836_800_000_000);
        let first = clock.monotonic_us();
        assert!(first <= clock.monotonic_us());
    }
}
