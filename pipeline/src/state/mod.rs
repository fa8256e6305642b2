//! Plain state that operators are made of: no timely, no clock.

pub mod cells;
pub mod minutes;
pub mod seen;
pub mod timers;
