//! Journal: the durable log. Opaque byte records under a sequence T, appended, made durable in groups, read back in order.
//!
//! Used three times: the hub's input journal, a collector's spool, a lossless sink's spill.
//!
//! In: `append(t, payload)`, T never going back; several records may share one T and are told apart by their index in it.
//! Out: `Reader`, the same records in the same order, also while the writer goes on.
//! Durable: what was flushed before a `Syncer::sync` that succeeded. A failed fsync poisons the journal for good: the kernel
//! may have dropped the pages, so a second fsync that succeeds would prove nothing. The owner aborts.
//! Loss: never silent. A torn tail is cut, kept in a `.torn` file and reported; damage in an older segment is a `Gap`; the
//! quota drops the oldest segments with a count.
//!
//! A folder holds, all numbers little endian:
//! - `<first T, 20 digits>.journal`, a segment: magic (8 bytes), version u32, crc32 u32, first T u64, then records; a record is
//!   crc32 u32 (over all that follows), payload length u32, T u64, index u32, payload. No T spans two segments.
//! - `cursors`, named positions; `lock`, held by the one process that has it open; `<segment>-<offset>.torn`, cut bytes.
//!
//! Invariants: J-1 acknowledged means fsynced, J-2 the sequence only grows and a replay repeats it.

mod active;
mod commit;
mod cursor;
mod error;
mod journal;
mod options;
mod reader;
mod record;
mod repair;
mod retention;
mod scan;
mod segment;

pub use commit::Syncer;
pub use error::JournalError;
pub use journal::{Journal, Opened};
pub use options::Options;
pub use reader::{Gap, Reader, Record};
pub use record::FRAMING_BYTES;
pub use repair::Torn;
pub use retention::Dropped;
