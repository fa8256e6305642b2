//! Breaker: a circuit breaker in front of a service that may be down.
//!
//! Closed lets every call through; after `failures_max` failures in a row it opens and refuses at once; after `open_for`
//! it is half open and lets one probe through, whose result closes or opens it again.
//! Each pause is up to half as long again, by chance, so that many callers that lost one service do not probe it at one instant.
//! Time: the caller's monotonic microseconds; the breaker reads no clock.

use std::time::Duration;

use fastrand::Rng;

use crate::clock::micros;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    Closed,
    Open,
    HalfOpen,
}

#[derive(Debug, Clone, Copy)]
pub struct BreakerSettings {
    /// Failures in a row that open the circuit.
    pub failures_max: u32,
    /// How long an open circuit refuses before it probes, at least; half as long again at most.
    pub open_for: Duration,
}

#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    failures: u32,
    /// Set while the circuit is not closed: when the next probe may go out.
    probe_at_us: Option<u64>,
    is_probing: bool,
    rng: Rng,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures_max: 5, open_for: Duration::from_secs(5) }
    }
}

impl BreakerState {
    /// The word used as a label and in `/ready`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Breaker {
    #[must_use]
    pub fn new(settings: BreakerSettings, rng: Rng) -> Self {
        Self { settings, failures: 0, probe_at_us: None, is_probing: false, rng }
    }

    /// Whether a call may go out now. A `true` from a half-open breaker is the probe.
    pub fn allow(&mut self, now_us: u64) -> bool {
        match self.probe_at_us {
            None => true,
            Some(probe_at_us) if now_us < probe_at_us => false,
            Some(_) => {
                // A probe whose caller was cancelled never reports; after another `open_for` the next one may go out.
                self.probe_at_us = Some(self.after_pause(now_us));
                self.is_probing = true;
                true
            }
        }
    }

    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.probe_at_us = None;
        self.is_probing = false;
    }

    pub fn failed(&mut self, now_us: u64) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.settings.failures_max || self.probe_at_us.is_some() {
            self.probe_at_us = Some(self.after_pause(now_us));
            self.is_probing = false;
        }
    }

    #[must_use]
    pub fn state(&self, now_us: u64) -> BreakerState {
        match self.probe_at_us {
            None => BreakerState::Closed,
            Some(probe_at_us) if self.is_probing || probe_at_us <= now_us => BreakerState::HalfOpen,
            Some(_) => BreakerState::Open,
        }
    }

    /// When the next probe may go out; none while the circuit is closed.
    #[must_use]
    pub fn probe_at_us(&self) -> Option<u64> {
        self.probe_at_us
    }

    fn after_pause(&mut self, now_us: u64) -> u64 {
        let least = micros(self.settings.open_for);
        now_us.saturating_add(least).saturating_add(self.rng.u64(0..=least / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE_US: u64 = 5_000_000;
    /// A pause with the most that chance adds to it.
    const LONGEST_US: u64 = PAUSE_US + PAUSE_US / 2;

    fn closed_breaker() -> Breaker {
        let settings = BreakerSettings { failures_max: 2, open_for: Duration::from_micros(PAUSE_US) };
        Breaker::new(settings, Rng::with_seed(7))
    }

    fn open_breaker() -> Breaker {
        let mut breaker = closed_breaker();
        breaker.failed(0);
        assert_eq!(breaker.state(0), BreakerState::Closed);
        breaker.failed(0);
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_until_the_pause_is_over() {
        let mut breaker = open_breaker();
        assert!(!breaker.allow(PAUSE_US - 1));
        assert_eq!(breaker.state(PAUSE_US - 1), BreakerState::Open);
        assert_eq!(breaker.state(LONGEST_US), BreakerState::HalfOpen);
    }

    #[test]
    fn half_open_lets_one_probe_through() {
        let mut breaker = open_breaker();
        assert!(breaker.allow(LONGEST_US));
        assert!(!breaker.allow(LONGEST_US), "the probe is still out");
        assert_eq!(breaker.state(LONGEST_US), BreakerState::HalfOpen);
        breaker.succeeded();
        assert_eq!(breaker.state(LONGEST_US), BreakerState::Closed);
    }

    #[test]
    fn a_failed_probe_opens_it_again() {
        let mut breaker = open_breaker();
        assert!(breaker.allow(LONGEST_US));
        breaker.failed(LONGEST_US);
        assert_eq!(breaker.state(LONGEST_US), BreakerState::Open);
        assert!(!breaker.allow(LONGEST_US + PAUSE_US - 1));
        assert!(breaker.allow(2 * LONGEST_US));
    }

    #[test]
    fn a_probe_that_never_reports_is_followed_by_another() {
        let mut breaker = open_breaker();
        assert!(breaker.allow(LONGEST_US));
        assert!(breaker.allow(2 * LONGEST_US));
    }

    #[test]
    fn probes_of_many_callers_spread_over_half_a_pause() {
        let settings = BreakerSettings { failures_max: 1, open_for: Duration::from_micros(PAUSE_US) };
        let probes = (0..1_000).filter_map(|seed| {
            let mut breaker = Breaker::new(settings, Rng::with_seed(seed));
            breaker.failed(0);
            breaker.probe_at_us()
        });
        let (early, late): (Vec<u64>, Vec<u64>) = probes.partition(|at| *at < PAUSE_US + PAUSE_US / 4);
        assert_eq!(early.len() + late.len(), 1_000);
        assert!(400 < early.len() && 400 < late.len(), "{} early, {} late", early.len(), late.len());
        assert!(early.iter().chain(&late).all(|at| (PAUSE_US..=LONGEST_US).contains(at)));
    }

    #[test]
    fn a_success_forgets_earlier_failures() {
        let mut breaker = closed_breaker();
        breaker.failed(0);
        breaker.succeeded();
        breaker.failed(0);
        assert!(breaker.allow(0));
    }
}
