//! Domain: what the machines of a run are and what they measure. `machines` is a fleet of hosts, `payments` are payment processors.

pub mod machines;
pub mod payments;

use std::collections::BTreeMap;

use model::{InvalidName, SeriesKey};

/// One machine as the hub gets to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Face {
    pub name: String,
    pub tags: BTreeMap<String, String>,
    /// The order of the values of its frames.
    pub series: Vec<SeriesKey>,
}

/// When a frame is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// By the wall clock, in milliseconds since the epoch.
    pub wall_ms: i64,
    /// Since the run began.
    pub time_us: u64,
}

/// The values of a frame, in the order of the machine's series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    /// Event time as the hub gets it, in milliseconds since the epoch: some sources are not as exact as the moment.
    pub time_ms: i64,
    /// Of the series that are present.
    pub values: Vec<f64>,
    /// Positions of these; empty when all are.
    pub positions: Vec<u16>,
}

/// Pure: the same machine, number and moment give the same values, so that a frame can be made again for a resend or an expectation.
pub trait Domain: Send + Sync {
    /// # Errors
    /// When a name breaks a rule of the hub.
    fn face(&self, machine: u32) -> Result<Face, InvalidName>;

    /// Fills in what the frame of this number holds.
    fn fill(&self, machine: u32, number: u64, at: Moment, values: &mut Values);

    /// Values that each frame holds.
    fn samples_per_frame(&self) -> usize;

    /// The position of the series that tells the frame's number, by which it is recognized at the other end.
    fn number_at(&self) -> Option<usize>;

    /// The position of the series that breaches now and then.
    fn breach_at(&self) -> Option<usize>;

    /// Whether its samples are events: a new frame with the content of another one then counts again.
    fn has_events(&self) -> bool {
        false
    }
}

impl Values {
    pub fn clear(&mut self) {
        self.values.clear();
        self.positions.clear();
    }

    /// Positions with their values.
    pub fn each(&self) -> impl Iterator<Item = (usize, f64)> {
        let is_whole = self.positions.is_empty();
        let position = move |index: usize| if is_whole { index } else { usize::from(self.positions[index]) };
        self.values.iter().enumerate().map(move |(index, value)| (position(index), *value))
    }
}
