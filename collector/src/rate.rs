//! Rates: what a counter's growth means per second, by monotonic time.
//!
//! Keeps true: a first look, a counter that went back (reset, wrap, a replaced device) and no elapsed time all give an absent
//! value. A rate is never negative, and the wall clock has no part in it.

/// The last reading of a set of counters, with when it was taken. Replaced whole, so what vanished is forgotten.
#[derive(Debug)]
pub(crate) struct Last<T> {
    reading: Option<(u64, T)>,
}

/// An earlier reading and how long ago it was.
#[derive(Debug)]
pub(crate) struct Earlier<T> {
    pub(crate) elapsed_us: u64,
    pub(crate) reading: T,
}

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self { reading: None }
    }
}

impl<T> Last<T> {
    /// Keeps this reading, and hands out the one before it; `None` for the first, and when no time has passed.
    pub(crate) fn replace(&mut self, at_us: u64, reading: T) -> Option<Earlier<T>> {
        let (before_us, before) = self.reading.replace((at_us, reading))?;
        let elapsed_us = at_us.checked_sub(before_us).filter(|elapsed| *elapsed > 0)?;
        Some(Earlier { elapsed_us, reading: before })
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.reading.as_ref().map(|(_, reading)| reading)
    }
}

/// Growth per second, to three decimals: finer than any counter over seconds, coarse enough to compress.
pub(crate) fn per_second(before: u64, now: u64, elapsed_us: u64) -> Option<f64> {
    let grown = now.checked_sub(before)?;
    (elapsed_us > 0).then(|| round(exact(grown) * 1e6 / exact(elapsed_us), 1e3))
}

/// Bytes per second, whole: a fraction of a byte says nothing.
pub(crate) fn bytes_per_second(before: u64, now: u64, elapsed_us: u64) -> Option<f64> {
    per_second(before, now, elapsed_us).map(f64::round)
}

/// Part of a whole, to 1e-4 and inside 0..=1: two clocks read one after the other may overshoot a little.
pub(crate) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| round((exact(part) / exact(whole)).min(1.0), 1e4))
}

/// The nearest multiple of `1 / steps`.
pub(crate) fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

/// A count as a number; above 2^53 to the nearest that a double holds, which no rounding here could tell apart.
pub(crate) fn exact(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_growth_over_the_elapsed_time() {
        assert_eq!(per_second(1_000, 2_000, 5_000_000), Some(200.0));
        assert_eq!(per_second(0, 1, 3_000_000), Some(0.333));
        assert_eq!(per_second(7, 7, 1), Some(0.0));
    }

    #[test]
    fn a_reset_a_wrap_and_no_time_give_no_value() {
        assert_eq!(per_second(2_000, 1_000, 5_000_000), None);
        assert_eq!(per_second(u64::MAX, 3, 5_000_000), None);
        assert_eq!(per_second(1, 2, 0), None);
    }

    #[test]
    fn a_share_stays_a_ratio() {
        assert_eq!(share(1, 3), Some(0.3333));
        assert_eq!(share(1_001, 1_000), Some(1.0));
        assert_eq!(share(1, 0), None);
    }

    #[test]
    fn the_first_reading_and_a_repeated_time_have_no_earlier_one() {
        let mut last = Last::default();
        assert!(last.replace(10, 'a').is_none());
        assert!(last.replace(10, 'b').is_none());
        assert!(last.replace(5, 'c').is_none(), "time that went back");
        let earlier = last.replace(25, 'd').unwrap();
        assert_eq!((earlier.elapsed_us, earlier.reading), (20, 'c'));
    }
}
