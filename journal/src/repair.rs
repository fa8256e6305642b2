//! Repair: what a crash left at the end of the newest segment.
//!
//! The segment is cut at its first bad record; the cut bytes go to a `.torn` file first, so nothing is thrown away. What
//! stays is synced, because a killed process leaves records in the page cache that no fsync has covered yet, and
//! whoever reads them from now on takes them for durable (J-1).

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::record::{self, Parsed};
use crate::scan::{Scan, Scanner};
use crate::segment::{self, Header};
use crate::{JournalError, Options};

const SUFFIX: &str = "torn";

/// A cut tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    pub segment: PathBuf,
    pub offset: u64,
    pub bytes: u64,
    /// Whole, valid records among the cut bytes. None after a plain crash; some when the disk damaged acknowledged data.
    pub records: u64,
    pub reason: &'static str,
    pub saved_as: PathBuf,
}

/// The newest segment after repair, with at least one record in it.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) file: File,
    pub(crate) first_t: u64,
    pub(crate) last: (u64, u32),
    pub(crate) bytes: u64,
    pub(crate) records: u64,
}

/// `None` when nothing of the segment is left: the file is gone, and the next older one is the newest.
pub(crate) fn repair(options: &Options, first_t: u64, torn: &mut Vec<Torn>) -> Result<Option<Tail>, JournalError> {
    let path = segment::path(&options.dir, first_t);
    let file = OpenOptions::new().read(true).write(true).open(&path);
    let file = file.map_err(JournalError::io("open journal segment", &path))?;
    let read = JournalError::io("read journal segment", &path);
    let length = file.metadata().map_err(JournalError::io("look at journal segment", &path))?.len();
    match segment::read_header(&file, first_t).map_err(read)? {
        Header::Good => {}
        Header::OtherVersion(found) => {
            return Err(JournalError::Version { path, found, known: segment::VERSION });
        }
        Header::Bad => {
            if length > 0 {
                torn.push(save(&file, &path, 0, "its header is damaged", options)?);
            }
            return remove(options, &path).map(|()| None);
        }
    }
    let (scanner, records, bad) = scan(&file, first_t, length, options, &path)?;
    let bytes = scanner.offset();
    if let Some(reason) = bad {
        torn.push(save(&file, &path, bytes, reason, options)?);
        file.set_len(bytes).map_err(JournalError::io("cut journal segment", &path))?;
    }
    let Some(last) = scanner.last() else {
        return remove(options, &path).map(|()| None);
    };
    file.sync_all().map_err(JournalError::io("sync journal segment", &path))?;
    Ok(Some(Tail { file, first_t, last, bytes, records }))
}

/// Counts a segment's readable records.
pub(crate) fn count_records(options: &Options, first_t: u64) -> Result<u64, JournalError> {
    let path = segment::path(&options.dir, first_t);
    let file = File::open(&path).map_err(JournalError::io("open journal segment", &path))?;
    let length = file.metadata().map_err(JournalError::io("look at journal segment", &path))?.len();
    scan(&file, first_t, length, options, &path).map(|(_, records, _)| records)
}

/// The bytes of saved tails, which count against the quota, oldest name first.
pub(crate) fn list_torn(dir: &Path) -> Result<Vec<(PathBuf, u64)>, JournalError> {
    let mut torn = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(JournalError::io("list journal folder", dir))? {
        let path = entry.map_err(JournalError::io("list journal folder", dir))?.path();
        if path.extension().is_some_and(|suffix| suffix == SUFFIX) {
            let length = std::fs::metadata(&path).map_err(JournalError::io("look at saved journal tail", &path))?.len();
            torn.push((path, length));
        }
    }
    torn.sort();
    Ok(torn)
}

fn scan(
    file: &File,
    first_t: u64,
    length: u64,
    options: &Options,
    path: &Path,
) -> Result<(Scanner, u64, Option<&'static str>), JournalError> {
    let mut scanner = Scanner::new(options.record_bytes_max);
    scanner.restart(first_t);
    let mut records = 0;
    loop {
        match scanner.next(file, length).map_err(JournalError::io("read journal segment", path))? {
            Scan::Record { .. } => records += 1,
            Scan::End => return Ok((scanner, records, None)),
            Scan::Bad(reason) => return Ok((scanner, records, Some(reason))),
        }
    }
}

/// Copies what will be cut into its own file and makes that durable before anything is cut.
fn save(file: &File, path: &Path, offset: u64, reason: &'static str, options: &Options) -> Result<Torn, JournalError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let saved_as = options.dir.join(format!("{stem}-{offset}.{SUFFIX}"));
    let copy = || -> io::Result<(u64, u64)> {
        let mut from = file;
        from.seek(SeekFrom::Start(offset))?;
        let mut out = File::create(&saved_as)?;
        let bytes = io::copy(&mut from, &mut out)?;
        out.sync_all()?;
        segment::sync_dir(&options.dir)?;
        Ok((bytes, count_after_bad(file, offset, options.record_bytes_max)?))
    };
    let (bytes, records) = copy().map_err(JournalError::write("save the journal's torn tail to", &saved_as))?;
    Ok(Torn { segment: path.to_owned(), offset, bytes, records, reason, saved_as })
}

/// Follows the framing past the bad record, as far as it leads, and counts the good records there.
fn count_after_bad(mut file: &File, offset: u64, record_bytes_max: usize) -> io::Result<u64> {
    file.seek(SeekFrom::Start(offset))?;
    let mut file = io::BufReader::new(file);
    let (mut record, mut records) = (Vec::new(), 0);
    loop {
        record.clear();
        file.by_ref().take(record::HEADER_BYTES as u64).read_to_end(&mut record)?;
        let Some(length) = record.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes) else {
            return Ok(records);
        };
        if usize::try_from(length).is_ok_and(|length| record_bytes_max < length) {
            return Ok(records);
        }
        file.by_ref().take(u64::from(length)).read_to_end(&mut record)?;
        if matches!(record::parse(&record, record_bytes_max), Parsed::Whole { .. }) {
            records += 1;
        }
    }
}

fn remove(options: &Options, path: &Path) -> Result<(), JournalError> {
    std::fs::remove_file(path)
        .and_then(|()| segment::sync_dir(&options.dir))
        .map_err(JournalError::io("remove empty journal segment", path))
}

impl fmt::Display for Torn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment, offset, bytes, records, reason, saved_as } = self;
        let (segment, saved_as) = (segment.display(), saved_as.display());
        write!(
            out,
            "{bytes} bytes cut from {segment} at {offset}, a record there is bad: {reason}; saved as {saved_as}"
        )?;
        if *records > 0 {
            write!(
                out,
                "; {records} good records were behind it, so the disk is damaged: check it, and keep the file"
            )?;
        }
        Ok(())
    }
}
