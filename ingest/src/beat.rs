//! Beat: when the graph's clock is to move although nothing comes.

use std::time::Duration;

use model::LogicalTime;

use crate::settings::SequencerSettings;

/// The control region of the graph moves in steps of this.
const TICK_US: u64 = 100_000;
/// Beats in a row after which the hub counts as idle: a machine that sends every five seconds keeps it from that.
const IDLE_AFTER: u32 = 5;

#[derive(Debug, Default)]
pub(crate) struct Beat {
    at: LogicalTime,
    /// Since something came, as far as they count.
    in_a_row: u32,
}

impl Beat {
    /// The first one is due at once.
    pub(crate) fn from(at: LogicalTime) -> Self {
        Self { at, in_a_row: 0 }
    }

    pub(crate) const fn is_due(&self, now: LogicalTime) -> bool {
        self.at <= now
    }

    /// Something came at `t`: the clock moves at the next boundary.
    pub(crate) fn after_record(&mut self, t: LogicalTime, settings: &SequencerSettings) {
        self.in_a_row = 0;
        self.at = ((t / TICK_US + 1) * TICK_US).min(t + self.pause_us(settings));
    }

    /// The clock has moved to `now`.
    pub(crate) fn after_beat(&mut self, now: LogicalTime, settings: &SequencerSettings) {
        self.in_a_row = IDLE_AFTER.min(self.in_a_row + 1);
        self.at = now + self.pause_us(settings);
    }

    /// How long to wait for something to come.
    pub(crate) fn wait(&self, now: LogicalTime, settings: &SequencerSettings) -> Duration {
        let left_us = self.at.saturating_sub(now);
        // A clock that was set back must not stop the beat.
        Duration::from_micros(left_us.clamp(1_000, self.pause_us(settings)))
    }

    fn pause_us(&self, settings: &SequencerSettings) -> u64 {
        let pause = if self.in_a_row < IDLE_AFTER { settings.quiet } else { settings.idle };
        runtime::clock::micros(pause).max(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the next beats are, one after the other.
    fn next(beat: &mut Beat, count: usize, settings: &SequencerSettings) -> Vec<u64> {
        let mut times = Vec::new();
        for _ in 0..count {
            times.push(beat.at / 1_000);
            beat.after_beat(beat.at, settings);
        }
        times
    }

    #[test]
    fn an_idle_hub_beats_more_seldom_until_something_comes() {
        let settings = SequencerSettings::default();
        let mut beat = Beat::from(0);
        beat.after_record(10_020_000, &settings);
        assert_eq!(next(&mut beat, 7, &settings), [10_100, 11_100, 12_100, 13_100, 14_100, 15_700, 17_300]);
        assert_eq!(beat.wait(17_900_000, &settings), Duration::from_millis(1_000));
        beat.after_record(17_900_000, &settings);
        assert_eq!(next(&mut beat, 3, &settings), [18_000, 19_000, 20_000]);
    }

    #[test]
    fn a_process_of_a_cluster_never_slows_down() {
        let quiet = Duration::from_millis(20);
        let settings = SequencerSettings { quiet, idle: quiet, ..SequencerSettings::default() };
        let mut beat = Beat::from(0);
        beat.after_record(1_000, &settings);
        assert_eq!(next(&mut beat, 8, &settings), [21, 41, 61, 81, 101, 121, 141, 161]);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_it() {
        let settings = SequencerSettings::default();
        let beat = Beat::from(10_000_000);
        assert!(beat.is_due(10_000_000) && !beat.is_due(9_999_999));
        assert_eq!(beat.wait(0, &settings), settings.quiet);
    }
}
