//! Outputs as bytes, and back: for the spill on disk, and for what one process tells another.
//!
//! Entries one after the other: tag u8, length u32, body; numbers little endian. Batches travel in the journal's own code (`codec`), under a
//! layout that is their machine's roster. A roster is named once, by a layout entry before the first output that uses it, so reading
//! begins where the encoder began. A time goes before the outputs that are of it. A machine's index is its worker's own affair: here it is 0.
//! Bounds: an encoder names anew from the beginning once much of what it has named is gone, and says so; the decoder then holds what still is.
//! Loss: none; what is cut short or forged is an error.

mod decode;
mod encode;
mod shapes;
#[cfg(test)]
mod tests;

pub use decode::{Decoder, Entry};
pub use encode::Encoder;

const TIME: u8 = 1;
const RECORD: u8 = 2;
const WINDOW: u8 = 3;
const TRANSITION: u8 = 4;
const PRESENCE: u8 = 5;
const REPAIR: u8 = 6;
const FLEET: u8 = 7;
const STANDING: u8 = 8;
const HOTTEST: u8 = 9;
const GROUP: u8 = 10;
/// What was named so far is not used any more without being named again.
const FORGET: u8 = 11;

/// One row of a window: slot, then six numbers.
const ROW_BYTES: usize = 52;
