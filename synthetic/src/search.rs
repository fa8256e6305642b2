//! Search: the highest rate whose p99 keeps within a bound: doubled until a step fails, then halved in between.

use crate::report::{Limit, Report, Search, Step};

/// Halvings once a step has failed: the answer is then within 5 % or so.
const HALVINGS: u32 = 4;
/// A step that delivers less than this part of what was asked has not kept up.
const DELIVERED_MIN: f64 = 0.95;
/// Steps at most; 40 doublings are beyond any machine.
const STEPS_MAX: usize = 40;

/// Where a search stands.
#[derive(Debug, Clone)]
pub(crate) struct Seeker {
    bound_us: u64,
    within: Option<f64>,
    beyond: Option<f64>,
    start: f64,
    halvings: u32,
    most: f64,
    is_over: bool,
    steps: Vec<Step>,
}

impl Seeker {
    /// `most` is what the machines can send at all.
    pub(crate) fn new(bound_us: u64, start: f64, most: f64) -> Self {
        let start = start.min(most);
        Self { bound_us, within: None, beyond: None, start, halvings: 0, most, is_over: false, steps: Vec::new() }
    }

    /// The rate to try next; none when the search is over.
    pub(crate) fn next_rate(&self) -> Option<f64> {
        if self.is_over || STEPS_MAX <= self.steps.len() || HALVINGS <= self.halvings {
            return None;
        }
        match (self.within, self.beyond) {
            (None, None) => Some(self.start),
            (Some(within), None) => (within < self.most).then(|| (within * 2.0).min(self.most)),
            (Some(within), Some(beyond)) => Some((within * beyond).sqrt()),
            // The first step failed: lower, but not for ever.
            (None, Some(beyond)) => Some(beyond / 4.0),
        }
    }

    /// Takes in what a step came to.
    pub(crate) fn note(&mut self, rate: f64, report: &Report) {
        let acknowledged = report.stage("acknowledged").map(|stage| stage.summary).unwrap_or_default();
        let why = if report.limit == Limit::Generator {
            Some("this program is the limit here; it is over".to_owned())
        } else if report.samples_per_s < rate * DELIVERED_MIN {
            Some("it did not keep up".to_owned())
        } else if self.bound_us < acknowledged.p99_us {
            Some("p99 beyond the bound".to_owned())
        } else {
            None
        };
        let is_within = why.is_none();
        if is_within {
            self.within = Some(rate);
        } else {
            self.beyond = Some(rate);
        }
        if self.beyond.is_some() {
            self.halvings += 1;
        }
        self.is_over = report.limit == Limit::Generator;
        self.steps.push(Step {
            target_samples_per_s: rate,
            samples_per_s: report.samples_per_s,
            p50_us: acknowledged.p50_us,
            p99_us: acknowledged.p99_us,
            max_us: acknowledged.max_us,
            limit: report.limit,
            is_within,
            why: why.unwrap_or_default(),
        });
    }

    pub(crate) fn finish(self) -> Search {
        Search { bound_us: self.bound_us, samples_per_s: self.within, steps: self.steps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Measured;
    use crate::report::tests::{course, setting};

    /// A hub whose p99 is 5 ms up to `limit` samples a second and a second beyond.
    fn search(limit: f64, most: f64) -> Search {
        let mut seeker = Seeker::new(50_000, 1_000.0, most);
        while let Some(rate) = seeker.next_rate() {
            let mut measured = Measured::default();
            measured.acknowledge(
                (0, 0, if rate <= limit { 5_000 } else { 1_000_000 }),
                crate::schedule::whole(rate * 10.0),
            );
            measured.counts.samples_sent = crate::schedule::whole(rate * 10.0);
            seeker.note(rate, &Report::of(setting(), course(), &measured));
        }
        seeker.finish()
    }

    #[test]
    fn the_search_ends_a_little_below_the_limit() {
        for limit in [300.0, 1_000.0, 50_000.0, 7_654_321.0] {
            let found = search(limit, 1e9).samples_per_s.unwrap();
            assert!(found <= limit && limit * 0.75 < found, "{limit}: {found}");
        }
    }

    #[test]
    fn a_search_stops_at_what_can_be_sent_at_all() {
        let found = search(1e12, 3_000.0);
        assert_eq!(found.samples_per_s, Some(3_000.0));
        assert_eq!(search(0.0, 1e9).samples_per_s, None);
    }
}
