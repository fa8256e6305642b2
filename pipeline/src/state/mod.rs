//! Plain state that operators are made of: no timely, no clock.

pub mod minutes;
pub mod news;
pub mod seen;
pub mod timers;
