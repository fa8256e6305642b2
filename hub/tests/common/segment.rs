//! A journal segment as bytes, and what a crash or a disk may do to them. The framing is the one that `journal/src/lib.rs` promises.

use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use model::codec::Decoder;
use model::{LogicalTime, Record};

const HEADER_BYTES: usize = 24;
const FRAMING_BYTES: usize = 20;

/// The newest segment of a hub's journal.
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

/// One record of it.
pub(crate) struct Framed {
    pub(crate) t: LogicalTime,
    /// Behind its last byte.
    pub(crate) end: usize,
    pub(crate) record: Option<Record>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Damage {
    None,
    /// The file ends somewhere in what nobody was told is safe.
    Cut,
    /// A record that was being written, up to some byte of it.
    Torn,
    /// Bytes that mean nothing, or zeros, as file systems leave them.
    Garbage,
    /// One bit of what nobody was told is safe; of a record of its own where all is.
    Flip,
}

impl Damage {
    pub(crate) const ALL: [Self; 5] = [Self::None, Self::Cut, Self::Torn, Self::Garbage, Self::Flip];
}

impl Segment {
    pub(crate) fn newest(data_dir: &Path) -> Option<Self> {
        Self::newest_but(data_dir, 0)
    }

    /// The one before so many newer ones.
    pub(crate) fn newest_but(data_dir: &Path, newer: usize) -> Option<Self> {
        let files = fs::read_dir(data_dir.join("journal")).ok()?.map(|file| file.unwrap().path());
        let mut paths: Vec<PathBuf> =
            files.filter(|path| path.extension().is_some_and(|end| end == "journal")).collect();
        paths.sort();
        let path = paths.into_iter().rev().nth(newer)?;
        let bytes = fs::read(&path).unwrap();
        Some(Self { path, bytes })
    }

    /// Its whole records in order. A record whose layout is in an earlier segment's preamble only has no content.
    pub(crate) fn records(&self) -> Vec<Framed> {
        let (mut records, mut at, mut decoder) = (Vec::new(), HEADER_BYTES, Decoder::new());
        while let Some(framing) = self.bytes.get(at..at + FRAMING_BYTES) {
            let length = u32::from_le_bytes(framing[4..8].try_into().unwrap()) as usize;
            let t = u64::from_le_bytes(framing[8..16].try_into().unwrap());
            let end = at + FRAMING_BYTES + length;
            let Some(payload) = self.bytes.get(at + FRAMING_BYTES..end) else { break };
            records.push(Framed { t, end, record: decoder.decode(payload).ok() });
            at = end;
        }
        records
    }

    /// Does it to everything from `safe` on, of which nobody was told that it is kept.
    pub(crate) fn damage(mut self, damage: Damage, safe: usize, rng: &mut Rng) {
        let safe = safe.clamp(HEADER_BYTES.min(self.bytes.len()), self.bytes.len());
        match damage {
            Damage::None => return,
            Damage::Cut => self.bytes.truncate(rng.usize(safe..=self.bytes.len())),
            Damage::Torn => {
                let record = self.next_record();
                self.bytes.extend_from_slice(&record[..rng.usize(1..record.len())]);
            }
            Damage::Garbage => {
                let is_zeros = rng.bool();
                let length = rng.usize(1..300);
                self.bytes.extend((0..length).map(|_| if is_zeros { 0 } else { rng.u8(..) }));
            }
            Damage::Flip => {
                if safe == self.bytes.len() {
                    let record = self.next_record();
                    self.bytes.extend_from_slice(&record);
                }
                let at = rng.usize(safe..self.bytes.len());
                self.bytes[at] ^= 1 << rng.u8(0..8);
            }
        }
        fs::write(&self.path, &self.bytes).unwrap();
    }

    /// A whole record that could follow, in a T of its own.
    fn next_record(&self) -> Vec<u8> {
        let t = self.records().last().map_or(1, |last| last.t + 1);
        let payload = [0x5a; 200];
        let mut covered = Vec::new();
        covered.extend_from_slice(&200_u32.to_le_bytes());
        covered.extend_from_slice(&t.to_le_bytes());
        covered.extend_from_slice(&0_u32.to_le_bytes());
        covered.extend_from_slice(&payload);
        [&crc32fast::hash(&covered).to_le_bytes()[..], &covered].concat()
    }
}
