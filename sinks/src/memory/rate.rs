//! How many samples a second come in: whole seconds of monotonic time, averaged over the newest ten.

const SECONDS: u64 = 10;
/// The running second and the whole ones before it.
const CELLS: usize = 11;
const MICROS: u64 = 1_000_000;

#[derive(Debug, Default)]
pub(super) struct Rate {
    /// Count per second, in a ring; `newest` is the running second.
    seconds: [u64; CELLS],
    newest: u64,
    pub(super) total: u64,
}

impl Rate {
    pub(super) fn add(&mut self, count: u64, now_us: u64) {
        self.advance(now_us / MICROS);
        *self.cell(self.newest) += count;
        self.total += count;
    }

    /// Over the last ten whole seconds, so that a tick every 5 s shows as a steady figure.
    #[expect(clippy::cast_precision_loss, reason = "counts of ten seconds stay far below 2^53")]
    pub(super) fn per_second(&mut self, now_us: u64) -> f64 {
        self.advance(now_us / MICROS);
        let running = *self.cell(self.newest);
        let whole = self.seconds.iter().sum::<u64>() - running;
        whole as f64 / SECONDS as f64
    }

    fn advance(&mut self, second: u64) {
        if self.newest + SECONDS < second {
            self.seconds = Default::default();
            self.newest = second;
        }
        while self.newest < second {
            self.newest += 1;
            *self.cell(self.newest) = 0;
        }
    }

    fn cell(&mut self, second: u64) -> &mut u64 {
        let index = second % self.seconds.len() as u64;
        // The remainder is below the ring's length.
        &mut self.seconds[usize::try_from(index).unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_mean_of_ten_whole_seconds_and_falls_to_zero_in_silence() {
        let mut rate = Rate::default();
        for second in 0..20 {
            rate.add(60, second * MICROS);
        }
        assert!((rate.per_second(20 * MICROS) - 60.0).abs() < 1e-9);
        assert!((rate.per_second(25 * MICROS) - 30.0).abs() < 1e-9);
        assert!(rate.per_second(1_000 * MICROS).abs() < 1e-9);
        assert_eq!(rate.total, 1_200);
    }
}
