//! Schedule: when each machine measures. Open loop: a moment depends on the seed, the machine and the number of the tick, never on the hub.
//!
//! Times are microseconds since the run began. Machines are spread evenly over the interval; jitter delays a tick by a part of the interval, so
//! that the ticks of a machine stay in order.

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    pub seed: u64,
    pub machines: u32,
    pub interval_us: u64,
    /// Most that a tick is late, as a part of the interval: 0 up to 0.9.
    pub jitter: f64,
}

impl Schedule {
    /// When the machine's tick is due.
    #[must_use]
    pub fn due_us(&self, machine: u32, tick: u64) -> u64 {
        let phase = u128::from(machine) * u128::from(self.interval_us) / u128::from(self.machines.max(1));
        let phase = u64::try_from(phase).unwrap_or(u64::MAX);
        phase + tick * self.interval_us + self.delay_us(machine, tick)
    }

    /// The first tick that is not before this moment, jitter left aside.
    #[must_use]
    pub fn ticks_before(&self, machine: u32, end_us: u64) -> u64 {
        let phase = self.due_us(machine, 0) - self.delay_us(machine, 0);
        end_us.saturating_sub(phase).div_ceil(self.interval_us.max(1))
    }

    fn delay_us(&self, machine: u32, tick: u64) -> u64 {
        if self.jitter <= 0.0 {
            return 0;
        }
        let share = unit(mix(self.seed ^ mix(u64::from(machine) << 40 ^ tick))) * self.jitter.min(0.9);
        whole(self.interval_us as f64 * share)
    }
}

/// Scrambles the bits, so that neighbours have nothing in common (the finisher of splitmix64).
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// 0 to 1, without 1.
pub(crate) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// The whole part of a number that is not negative.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and far below 2^63")]
pub(crate) fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn machines_are_spread_over_the_interval_and_tick_once_in_each() {
        let schedule = Schedule { seed: 1, machines: 4, interval_us: 1_000, jitter: 0.0 };
        let table: Vec<Vec<u64>> = (0..4).map(|m| (0..3).map(|n| schedule.due_us(m, n)).collect()).collect();
        assert_eq!(table, [[0, 1_000, 2_000], [250, 1_250, 2_250], [500, 1_500, 2_500], [750, 1_750, 2_750]]);
        assert_eq!((0..4).map(|m| schedule.ticks_before(m, 2_500)).collect::<Vec<_>>(), [3, 3, 2, 2]);
    }

    proptest! {
        #[test]
        fn ticks_stay_in_order_whatever_the_jitter_and_are_the_seeds_alone(
            seed: u64, machine in 0_u32..50, interval_us in 100_u64..10_000_000, jitter in 0.0_f64..2.0,
        ) {
            let schedule = Schedule { seed, machines: 50, interval_us, jitter };
            let due: Vec<u64> = (0..100).map(|tick| schedule.due_us(machine, tick)).collect();
            prop_assert!(due.windows(2).all(|pair| pair[0] < pair[1]));
            let plain = Schedule { jitter: 0.0, ..schedule };
            for (tick, due) in due.iter().enumerate() {
                let ideal = plain.due_us(machine, tick as u64);
                prop_assert!((ideal..ideal + interval_us).contains(due));
            }
            prop_assert_eq!(due, (0..100).map(|tick| schedule.due_us(machine, tick)).collect::<Vec<_>>());
        }
    }
}
