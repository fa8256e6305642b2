//! Payments: processors instead of machines, payments instead of samples. Each processor writes down what happened in its own way (`records`), and an
//! adapter brings that to the catalogue (`adapter`): amount, whether it failed, how long it took, per merchant.

pub mod adapter;
pub mod records;

use std::collections::BTreeMap;

use fastrand::Rng;
use model::{InvalidName, Labels, SeriesKey};

use super::{Domain, Face, Moment, Values};
use crate::schedule::mix;
use crate::story::{Scene, Story};
use adapter::{Payment, Unmapped};
use records::{Happening, MERCHANTS};

/// Of each payment: amount in euros, 1 where it failed, seconds.
const METRICS: [&str; 3] = ["payment.amount", "payment.failed", "payment.latency"];
/// Name, currency and kind of a processor; more processors are further ones of these kinds.
const KINDS: [(&str, &str, &str); 3] =
    [("card-network", "EUR", "card"), ("wallet", "USD", "wallet"), ("bank-api", "JPY", "bank")];
/// Of a hundred payments on a calm day.
const FAILED_PERCENT: u32 = 2;

/// Payment processors.
#[derive(Debug, Clone)]
pub struct Payments {
    seed: u64,
    prefix: String,
    story: Story,
}

impl Payments {
    #[must_use]
    pub fn new(prefix: &str, seed: u64, story: Story) -> Self {
        Self { seed, prefix: prefix.to_owned(), story }
    }

    /// What happened: busier merchants, mostly small amounts, few failures; and what the story makes of it.
    fn happening(&self, machine: u32, number: u64, at: Moment) -> Happening {
        let mut rng = Rng::with_seed(mix(self.seed ^ mix(u64::from(machine) << 40 ^ number)));
        let merchant = rng.usize(..MERCHANTS.len()).min(rng.usize(..MERCHANTS.len()));
        let calm = Happening {
            number,
            merchant,
            quarters: 8 + rng.u32(..200) * rng.u32(1..4),
            is_failed: rng.u32(..100) < FAILED_PERCENT,
            // Eighths of a second, so that sums are exact in any order.
            took_ms: 125 * (1 + rng.u32(..3)),
            at_ms: at.wall_ms,
        };
        match self.story.scene_of_processor(machine, at.time_us) {
            Scene::Calm => calm,
            Scene::Degraded => Happening { is_failed: rng.u32(..100) < 35, took_ms: calm.took_ms * 12, ..calm },
            // One merchant, round amounts, far above what anybody pays there.
            Scene::Fraud => Happening { merchant: MERCHANTS.len() - 1, quarters: 36_000 + rng.u32(..8) * 400, ..calm },
        }
    }
}

/// As the processor of this kind would write it down, and as the hub gets it.
fn payment(kind: usize, happening: Happening) -> Result<Payment, Unmapped> {
    match kind {
        0 => adapter::card(&happening.card()),
        1 => adapter::wallet(&happening.wallet()),
        _ => adapter::bank(&happening.bank()),
    }
}

impl Domain for Payments {
    fn face(&self, machine: u32) -> Result<Face, InvalidName> {
        let (name, currency, kind) = KINDS[machine as usize % KINDS.len()];
        let round = machine as usize / KINDS.len();
        let name = if round == 0 { name.to_owned() } else { format!("{name}-{}", round + 1) };
        let tag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut series = Vec::with_capacity(MERCHANTS.len() * METRICS.len());
        for merchant in MERCHANTS {
            for metric in METRICS {
                let labels = Labels::parse([("merchant", merchant), ("currency", currency)])?;
                series.push(SeriesKey::parse(metric, labels)?);
            }
        }
        let tags = BTreeMap::from([tag("domain", "payments"), tag("kind", kind), tag("currency", currency)]);
        Ok(Face { name: format!("{}{name}", self.prefix), tags, series })
    }

    fn fill(&self, machine: u32, number: u64, at: Moment, out: &mut Values) {
        out.clear();
        let kind = machine as usize % KINDS.len();
        let Ok(payment) = payment(kind, self.happening(machine, number, at)) else {
            debug_assert!(false, "the records made here are all mapped");
            return;
        };
        out.time_ms = payment.time_ms;
        let first = u16::try_from(payment.merchant * METRICS.len()).unwrap_or(0);
        out.positions.extend([first, first + 1, first + 2]);
        out.values.extend([payment.amount_eur, if payment.is_failed { 1.0 } else { 0.0 }, payment.took_s]);
    }

    fn samples_per_frame(&self) -> usize {
        METRICS.len()
    }

    fn number_at(&self) -> Option<usize> {
        None
    }

    fn breach_at(&self) -> Option<usize> {
        None
    }

    fn has_events(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Moment = Moment { wall_ms: 1_763_742_612_345, time_us: 0 };

    #[test]
    fn every_processor_writes_and_every_record_is_mapped() {
        let payments = Payments::new("", 1, Story::calm());
        let mut values = Values::default();
        for machine in 0..7 {
            let face = payments.face(machine).unwrap();
            assert_eq!(face.series.len(), 18);
            for number in 0..500 {
                payments.fill(machine, number, AT, &mut values);
                for (position, value) in values.each() {
                    let metric = model::Catalogue::standard().find(&face.series[position].metric).unwrap();
                    assert!((metric.min..=metric.max).contains(&value), "{}: {value}", metric.name);
                }
                assert_eq!((values.values.len(), values.time_ms / 1_000), (3, AT.wall_ms / 1_000));
            }
        }
        assert_eq!(payments.face(3).unwrap().name, "card-network-2");
    }

    #[test]
    fn a_degraded_processor_fails_often_and_a_fraud_buys_toys() {
        let payments = Payments::new("", 1, Story::demo());
        let share = |machine: u32, second: u64, of: &dyn Fn(&Values) -> bool| {
            let at = Moment { time_us: second * 1_000_000, ..AT };
            let mut values = Values::default();
            let hits = (0..1_000).filter(|number| {
                payments.fill(machine, *number, at, &mut values);
                of(&values)
            });
            hits.count()
        };
        let failed = |values: &Values| values.values[1] > 0.5;
        let toys = |values: &Values| values.positions[0] == 15 && values.values[0] > 5_000.0;
        assert!(share(1, 10, &failed) < 50 && share(0, 10, &toys) == 0);
        assert!(share(1, 150, &failed) > 250, "the wallet degrades in its scene");
        assert!(share(0, 150, &failed) < 50, "and nobody else does");
        assert_eq!(share(0, 200, &toys), 1_000);
    }
}
