//! Backoff: how long to wait before the next try.
//!
//! Exponential with full jitter: a delay is uniform between zero and a ceiling that doubles up to a cap, so that a fleet
//! which lost its hub at one instant does not come back at one instant. It never gives up; giving up is the caller's choice.

use std::time::Duration;

use fastrand::Rng;

/// A reconnect costs the other side little, so half a second is early enough to hide a restart.
pub const BASE: Duration = Duration::from_millis(500);
/// A minute is the longest a person waits for a fleet to come back after a repair.
pub const CAP: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
    rng: Rng,
}

impl Backoff {
    #[must_use]
    pub fn new(rng: Rng) -> Self {
        Self::between(BASE, CAP, rng)
    }

    #[must_use]
    pub fn between(base: Duration, cap: Duration, rng: Rng) -> Self {
        Self { base, cap, failures: 0, rng }
    }

    /// Notes one more failure and says how long to wait for it.
    pub fn next_delay(&mut self) -> Duration {
        let ceiling = self.ceiling();
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(self.rng.f64())
    }

    /// Call after a success, so that the next failure starts small again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn ceiling(&self) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_delay_stays_below_a_ceiling_that_doubles_up_to_the_cap() {
        let mut backoff = Backoff::new(Rng::with_seed(7));
        for ceiling_ms in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            assert!(backoff.next_delay() <= Duration::from_millis(ceiling_ms));
        }
        for _ in 0..100 {
            assert!(backoff.next_delay() <= CAP);
        }
    }

    #[test]
    fn jitter_uses_the_whole_range() {
        let mut backoff = Backoff::between(CAP, CAP, Rng::with_seed(7));
        let delays: Vec<Duration> = (0..1_000).map(|_| backoff.next_delay()).collect();
        assert!(delays.iter().any(|delay| *delay < CAP / 20));
        assert!(delays.iter().any(|delay| CAP * 19 / 20 < *delay));
    }

    #[test]
    fn a_success_starts_small_again() {
        let mut backoff = Backoff::new(Rng::with_seed(7));
        for _ in 0..50 {
            backoff.next_delay();
        }
        backoff.reset();
        assert_eq!(backoff.failures(), 0);
        assert!(backoff.next_delay() <= BASE);
    }
}
