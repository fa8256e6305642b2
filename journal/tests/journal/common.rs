//! What every test here needs: a small journal, its files, and damage.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use journal::{Journal, Opened, Options, Reader};

pub(crate) type Records = Vec<(u64, u32, Vec<u8>)>;

pub(crate) const SEGMENT_HEADER_BYTES: u64 = 24;
pub(crate) const RECORD_HEADER_BYTES: u64 = 20;

pub(crate) fn small(dir: &Path) -> Options {
    Options { segment_bytes: 200, quota_bytes: 1000, record_bytes_max: 100, ..Options::new(dir) }
}

pub(crate) fn open(dir: &Path) -> (Journal, Opened) {
    Journal::open(small(dir)).expect("the folder is free and whole")
}

pub(crate) fn read_on(reader: &mut Reader) -> Records {
    let mut records = Vec::new();
    while let Some(record) = reader.next().expect("every segment can be opened") {
        records.push((record.t, record.index, record.payload.to_vec()));
    }
    records
}

pub(crate) fn ts(records: &Records) -> Vec<u64> {
    records.iter().map(|(t, _, _)| *t).collect()
}

/// One T a segment, each with `count` records of 10 bytes.
pub(crate) fn fill(journal: &mut Journal, segments: std::ops::Range<u64>, count: usize) {
    for t in segments {
        for _ in 0..count {
            journal.append(t, b"0123456789").expect("the sequence grows");
        }
        journal.rotate().expect("the disk has room");
    }
}

pub(crate) fn segment_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("the folder is there").map(|entry| entry.expect("readable").path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|it| it == "journal")).collect();
    files.sort();
    files
}

pub(crate) fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("the segment is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("inside the file");
    file.write_all_at(&[byte[0] ^ 0x10], offset).expect("inside the file");
}
