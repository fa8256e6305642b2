//! Circuit: when a sink may be called, and how it is: its breaker, its back-off and its health, of which each change is told once.
//!
//! In: what became of each call. Out: whether and when the next may go out, a `Health`, and figures. A failed call is told in the log when
//! the sink was up before, the circuit when it opens and when it closes; a probe is no change that a person has to hear of.

use std::time::Duration;

use fastrand::Rng;
use model::query::Health;
use runtime::backoff::Backoff;
use runtime::breaker::{Breaker, BreakerSettings, BreakerState};
use runtime::clock::SharedClock;
use runtime::metrics::{Counter, Gauge, Histogram, LATENCY_SECONDS, Registry};
use tracing::{debug, error, info, warn};

use crate::error::{SinkError, chain};

#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The first pause after a failure is up to this long, each further one up to twice as long as the one before.
    pub retry_base: Duration,
    pub retry_cap: Duration,
    pub breaker: BreakerSettings,
}

pub(crate) struct Circuit {
    breaker: Breaker,
    backoff: Backoff,
    clock: SharedClock,
    health: Health,
    told: BreakerState,
    failures: Counter,
    seconds: Histogram,
    state: Gauge,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            retry_base: Duration::from_millis(100),
            retry_cap: Duration::from_secs(30),
            breaker: BreakerSettings::default(),
        }
    }
}

impl Circuit {
    pub(crate) fn new(name: &'static str, patience: Patience, clock: SharedClock, registry: &Registry) -> Self {
        let labels: &[(&'static str, &str)] = &[("sink", name)];
        let health = Health {
            name,
            is_up: true,
            is_required: false,
            since_ms: clock.now_us().div_euclid(1_000),
            latency_ms: None,
            last_error: None,
            circuit: Some(BreakerState::Closed.as_str()),
            detail: None,
        };
        Self {
            breaker: Breaker::new(patience.breaker, Rng::new()),
            backoff: Backoff::between(patience.retry_base, patience.retry_cap, Rng::new()),
            health,
            told: BreakerState::Closed,
            failures: registry.counter("sinks_failures_total", "Calls to the store that failed.", labels),
            seconds: registry.histogram("sinks_write_seconds", "Time of one write.", labels, LATENCY_SECONDS),
            state: registry.gauge("sinks_breaker_state", "0 closed, 1 half open, 2 open.", labels),
            clock,
        }
    }

    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// None: a call may go out now, and its end must be told. Otherwise how long to wait.
    pub(crate) fn wait(&mut self) -> Option<Duration> {
        let now_us = self.clock.monotonic_us();
        let wait = if self.breaker.allow(now_us) { None } else { Some(self.until_probe(now_us)) };
        self.tell(now_us);
        wait
    }

    /// A call that took this long did its work.
    pub(crate) fn succeeded(&mut self, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
        self.backoff.reset();
        self.breaker.succeeded();
        let health = &mut self.health;
        if !health.is_up {
            let now_ms = self.clock.now_us().div_euclid(1_000);
            info!(sink = health.name, down_ms = now_ms - health.since_ms, "sink is back");
            (health.is_up, health.since_ms, health.last_error) = (true, now_ms, None);
        }
        health.latency_ms = Some(took.as_secs_f64() * 1_000.0);
        self.tell(self.clock.monotonic_us());
    }

    /// A call failed; how long to wait before the next.
    pub(crate) fn failed(&mut self, failure: &SinkError) -> Duration {
        self.failures.increment();
        let now_us = self.clock.monotonic_us();
        self.breaker.failed(now_us);
        let reason = chain(failure);
        let health = &mut self.health;
        if health.is_up {
            let sink = health.name;
            if failure.is_retryable() {
                warn!(sink, error = reason, "sink is down: outputs wait and are written when it is back");
            } else {
                error!(sink, error = reason, "sink is broken: outputs wait until somebody repairs it");
            }
            (health.is_up, health.since_ms) = (false, self.clock.now_us().div_euclid(1_000));
        }
        health.last_error = Some(reason);
        self.tell(now_us);
        self.backoff.next_delay().max(self.until_probe(now_us))
    }

    fn until_probe(&self, now_us: u64) -> Duration {
        Duration::from_micros(self.breaker.probe_at_us().map_or(0, |at| at.saturating_sub(now_us)))
    }

    fn tell(&mut self, now_us: u64) {
        let state = self.breaker.state(now_us);
        if state == self.told {
            return;
        }
        let (sink, from, to) = (self.health.name, self.told.as_str(), state.as_str());
        match (self.told, state) {
            (BreakerState::Closed, _) => warn!(sink, from, to, "sink circuit opened: only probes go out"),
            (_, BreakerState::Closed) => info!(sink, from, to, "sink circuit closed"),
            // Between open and half open it goes with each probe.
            (_, BreakerState::Open | BreakerState::HalfOpen) => debug!(sink, from, to, "sink is probed"),
        }
        self.told = state;
        self.health.circuit = Some(to);
        self.state.set(match state {
            BreakerState::Closed => 0.0,
            BreakerState::HalfOpen => 1.0,
            BreakerState::Open => 2.0,
        });
    }
}

#[cfg(test)]
mod tests {
    use runtime::clock::ManualClock;

    use super::*;

    fn down() -> SinkError {
        SinkError::Unavailable { sink: "redis", action: "write", source: "refused".into() }
    }

    #[test]
    fn the_circuit_opens_probes_and_closes_and_health_says_since_when_and_why() {
        let clock = ManualClock::at(5_000_000);
        let registry = Registry::new();
        let breaker = BreakerSettings { failures_max: 2, open_for: Duration::from_secs(4) };
        let patience = Patience { retry_base: Duration::from_millis(1), retry_cap: Duration::from_millis(1), breaker };
        let mut circuit = Circuit::new("redis", patience, clock.shared(), &registry);
        let state = |registry: &Registry| {
            let text = registry.render();
            text.lines().find_map(|line| line.strip_prefix("sinks_breaker_state{sink=\"redis\"} ")).unwrap().to_owned()
        };
        assert_eq!(circuit.wait(), None);
        clock.advance(Duration::from_secs(1));
        assert!(circuit.failed(&down()) <= Duration::from_millis(1));
        let told = |circuit: &Circuit| (circuit.health().is_up, circuit.health().since_ms, circuit.health().circuit);
        assert_eq!(told(&circuit), (false, 6_000, Some("closed")));
        clock.advance(Duration::from_secs(1));
        let pause = circuit.failed(&down());
        assert!((Duration::from_secs(4)..=Duration::from_secs(6)).contains(&pause), "{pause:?}");
        assert_eq!((told(&circuit), state(&registry).as_str()), ((false, 6_000, Some("open")), "2"));
        assert_eq!(circuit.health().last_error.as_deref(), Some("write in redis: refused"));
        assert_eq!(circuit.wait(), Some(pause));
        clock.advance(pause);
        assert_eq!(circuit.wait(), None);
        assert_eq!((told(&circuit), state(&registry).as_str()), ((false, 6_000, Some("half_open")), "1"));
        circuit.failed(&down());
        assert_eq!(told(&circuit), (false, 6_000, Some("open")));
        clock.advance(Duration::from_secs(6));
        assert_eq!(circuit.wait(), None);
        circuit.succeeded(Duration::from_millis(2));
        assert_eq!((circuit.health().is_up, circuit.health().circuit), (true, Some("closed")));
        assert_eq!((circuit.health().last_error.as_deref(), state(&registry).as_str()), (None, "0"));
    }
}
