//! Segment: one file of the log, named by its first T, so that a listing is the log's order.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::JournalError;

const MAGIC: &[u8; 8] = b"SMJOURNL";
pub(crate) const VERSION: u32 = 1;
const HEADER_LENGTH: usize = 24;
pub(crate) const HEADER_BYTES: u64 = HEADER_LENGTH as u64;
const SUFFIX: &str = ".journal";

/// What the first bytes of a segment say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Header {
    Good,
    /// Not a header, or that of another segment: a creation cut short, or damage.
    Bad,
    OtherVersion(u32),
}

pub(crate) fn path(dir: &Path, first_t: u64) -> PathBuf {
    dir.join(format!("{first_t:020}{SUFFIX}"))
}

/// Makes the folder with its missing parents, durable by name: a log whose folder is gone after a crash is lost whole.
pub(crate) fn create_folder(dir: &Path) -> io::Result<()> {
    let missing = dir.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    let parents: Vec<&Path> = missing.filter_map(Path::parent).collect();
    std::fs::create_dir_all(dir)?;
    // The parent of a relative name is the current folder, spelled as nothing.
    parents.into_iter().map(|it| if it.as_os_str().is_empty() { Path::new(".") } else { it }).try_for_each(sync_dir)
}

/// The folder's segments: first T and length in bytes. Other files are left alone.
pub(crate) fn list(dir: &Path) -> Result<BTreeMap<u64, u64>, JournalError> {
    let mut segments = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(JournalError::io("list journal folder", dir))? {
        let entry = entry.map_err(JournalError::io("list journal folder", dir))?;
        let name = entry.file_name();
        let first_t = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).and_then(|digits| digits.parse().ok());
        if let Some(first_t) = first_t {
            let metadata = entry.metadata().map_err(JournalError::io("look at journal segment", &entry.path()))?;
            segments.insert(first_t, metadata.len());
        }
    }
    Ok(segments)
}

/// Makes a segment that survives a crash by name: header and folder entry are synced. Leaves nothing behind on failure.
pub(crate) fn create(dir: &Path, first_t: u64) -> io::Result<File> {
    let path = path(dir, first_t);
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    let written = file.write_all_at(&header(first_t), 0).and_then(|()| file.sync_all()).and_then(|()| sync_dir(dir));
    if let Err(error) = written {
        std::fs::remove_file(&path)?;
        return Err(error);
    }
    Ok(file)
}

pub(crate) fn read_header(file: &File, first_t: u64) -> io::Result<Header> {
    let mut bytes = [0; HEADER_LENGTH];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Header::Bad),
        Err(error) => return Err(error),
    }
    let version = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    Ok(if bytes != header_of_version(first_t, version) {
        Header::Bad
    } else if version == VERSION {
        Header::Good
    } else {
        Header::OtherVersion(version)
    })
}

/// Makes names durable: a new or removed file is only certain after its folder is synced.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn header(first_t: u64) -> [u8; HEADER_LENGTH] {
    header_of_version(first_t, VERSION)
}

fn header_of_version(first_t: u64, version: u32) -> [u8; HEADER_LENGTH] {
    let mut bytes = [0; HEADER_LENGTH];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&version.to_le_bytes());
    bytes[16..].copy_from_slice(&first_t.to_le_bytes());
    // Computed with its own place still zero.
    let checksum = crc32fast::hash(&bytes);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_belongs_to_one_segment_and_version() {
        let dir = tempfile::tempdir().unwrap();
        let file = create(dir.path(), 42).unwrap();
        assert_eq!(read_header(&file, 42).unwrap(), Header::Good);
        assert_eq!(read_header(&file, 43).unwrap(), Header::Bad);
        file.write_all_at(&header_of_version(42, 9), 0).unwrap();
        assert_eq!(read_header(&file, 42).unwrap(), Header::OtherVersion(9));
        file.set_len(10).unwrap();
        assert_eq!(read_header(&file, 42).unwrap(), Header::Bad);
    }

    #[test]
    fn a_listing_is_in_order_and_ignores_other_files() {
        let dir = tempfile::tempdir().unwrap();
        for first_t in [u64::MAX, 0, 42] {
            create(dir.path(), first_t).unwrap();
        }
        std::fs::write(dir.path().join("cursors"), "").unwrap();
        std::fs::write(dir.path().join("x.journal"), "").unwrap();
        let listed: Vec<_> = list(dir.path()).unwrap().into_iter().collect();
        assert_eq!(listed, [(0, HEADER_BYTES), (42, HEADER_BYTES), (u64::MAX, HEADER_BYTES)]);
    }
}
