//! Frame: a tick with its number, until the hub has it on disk.

use std::sync::Arc;

use proto::pb;
use runtime::clock::Clock;

use crate::layout::{Layout, Row};

/// Rough cost of a frame beside its values.
const OVERHEAD_BYTES: usize = 160;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frame {
    pub(crate) sequence: u64,
    pub(crate) time_ms: i64,
    pub(crate) taken: Taken,
    pub(crate) row: Row,
}

/// What a frame's age is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// This process' monotonic clock.
    At(u64),
    /// An earlier process took it, and it was this old when it went to disk. Its age since is by the wall clock: nothing else
    /// goes on over a restart.
    Earlier { age_ms: u32 },
}

impl Frame {
    pub(crate) fn age_ms(&self, clock: &dyn Clock) -> u32 {
        match self.taken {
            Taken::At(taken_us) => saturating(clock.monotonic_us().saturating_sub(taken_us) / 1_000),
            Taken::Earlier { age_ms } => {
                let since_ms = clock.now_us().div_euclid(1_000).saturating_sub(self.time_ms);
                age_ms.max(saturating(u64::try_from(since_ms).unwrap_or(0)))
            }
        }
    }

    pub(crate) fn to_pb(&self, layout: u32, clock: &dyn Clock) -> pb::Frame {
        pb::Frame {
            sequence: self.sequence,
            layout,
            time_ms: self.time_ms,
            age_ms: self.age_ms(clock),
            values: self.row.values.clone(),
            present: self.row.present.clone(),
        }
    }

    pub(crate) fn from_pb(frame: pb::Frame, layout: &Arc<Layout>, taken: Taken) -> Self {
        Self {
            sequence: frame.sequence,
            time_ms: frame.time_ms,
            taken,
            row: Row { layout: Arc::clone(layout), values: frame.values, present: frame.present },
        }
    }

    /// About what it holds in memory and fills on the wire.
    pub(crate) fn bytes(&self) -> usize {
        OVERHEAD_BYTES + self.row.values.len() * size_of::<f64>() + self.row.present.len()
    }
}

fn saturating(ms: u64) -> u32 {
    u32::try_from(ms).unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(crate) mod testing {
    use model::{Labels, SeriesKey};

    use super::*;

    pub(crate) fn layout(names: &[&str]) -> Arc<Layout> {
        let key = |name: &&str| SeriesKey::parse(name, Labels::none()).unwrap();
        Arc::new(Layout { series: names.iter().map(key).collect() })
    }

    pub(crate) fn row(layout: &Arc<Layout>, value: f64) -> Row {
        Row { layout: Arc::clone(layout), values: vec![value; layout.series.len()], present: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use runtime::clock::ManualClock;

    use super::*;

    fn frame(taken: Taken) -> Frame {
        Frame { sequence: 1, time_ms: 10_000, taken, row: testing::row(&testing::layout(&["a"]), 1.0) }
    }

    #[test]
    fn a_sample_costs_less_than_nine_bytes_on_the_wire() {
        const GRPC_AND_HTTP2_BYTES: usize = 5 + 9;
        let names: Vec<String> = (0..60).map(|n| format!("m{n}")).collect();
        let layout = testing::layout(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let mut row = testing::row(&layout, 0.123_4);
        row.values.pop();
        row.present = vec![0xff; 8];
        let frame =
            Frame { sequence: 1_000_000, time_ms: 1_763_696_400_000, taken: Taken::Earlier { age_ms: 300 }, row };
        let clock = ManualClock::at(1_763_696_400_000_000);
        let message = crate::link::message(pb::push_request::Message::Frame(frame.to_pb(1, &clock)));
        let bytes = prost::Message::encoded_len(&message) + GRPC_AND_HTTP2_BYTES;
        assert!(bytes <= 59 * 9, "{bytes} bytes for 59 samples");
    }

    #[test]
    fn a_wall_clock_that_jumps_does_not_age_a_frame() {
        let clock = ManualClock::at(10_000_000);
        clock.advance(Duration::from_secs(3));
        clock.set(99_000_000_000);
        assert_eq!(frame(Taken::At(1_000_000)).age_ms(&clock), 2_000);
    }

    #[test]
    fn over_a_restart_the_wall_clock_counts_but_never_makes_a_frame_younger() {
        let clock = ManualClock::at(70_000_000);
        assert_eq!(frame(Taken::Earlier { age_ms: 5_000 }).age_ms(&clock), 60_000);
        clock.set(0);
        assert_eq!(frame(Taken::Earlier { age_ms: 5_000 }).age_ms(&clock), 5_000);
    }
}
