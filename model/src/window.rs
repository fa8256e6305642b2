//! Tumbling windows: `[start, end)`, aligned to the Unix epoch, in event time.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How long a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Width {
    Minute,
    Hour,
}

impl Width {
    pub const fn micros(self) -> i64 {
        match self {
            Self::Minute => 60_000_000,
            Self::Hour => 3_600_000_000,
        }
    }
}

/// One tumbling window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    pub start: Timestamp,
    pub width: Width,
}

impl Window {
    /// The window that a sample of time `at` falls into: exactly one (W-1).
    pub fn containing(at: Timestamp, width: Width) -> Self {
        let micros = at.micros();
        Self { start: Timestamp::from_micros(micros - micros.rem_euclid(width.micros())), width }
    }

    /// First moment after the window.
    pub fn end(self) -> Timestamp {
        Timestamp::from_micros(self.start.micros().saturating_add(self.width.micros()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_on_the_boundary_opens_the_next_window() {
        let minute = |at| Window::containing(Timestamp::from_micros(at), Width::Minute).start.micros();
        assert_eq!(minute(59_999_999), 0);
        assert_eq!(minute(60_000_000), 60_000_000);
        assert_eq!(minute(-1), -60_000_000);
    }
}
