//! Root: where the kernel's files are. Tests point it at a folder of their own.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::SourceError;

/// The largest of the kernel's files that we read is /proc/stat on a machine with thousands of interrupts.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Entries of one folder: /proc on a machine at its default limit of processes.
const ENTRIES_MAX: usize = 65_536;

#[derive(Debug, Clone)]
pub(crate) struct Root(PathBuf);

impl Root {
    /// This machine's own files.
    pub(crate) fn system() -> Self {
        Self(PathBuf::from("/"))
    }

    #[cfg(test)]
    pub(crate) fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.0.join(relative)
    }

    /// A file's text. Bytes that are no UTF-8 are replaced: a device may carry any name.
    pub(crate) fn read(&self, relative: &str) -> Result<String, SourceError> {
        let path = self.path(relative);
        read_bounded(&path).map_err(|source| SourceError::Read { path, source })
    }

    /// `None` where the kernel, its settings or our rights do not offer the file.
    pub(crate) fn read_optional(&self, relative: &str) -> Option<String> {
        read_bounded(&self.path(relative)).ok()
    }

    /// Names in a folder, sorted; none where there is no such folder.
    pub(crate) fn names(&self, relative: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(relative)) else {
            return Vec::new();
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.take(ENTRIES_MAX).collect();
        names.sort_unstable();
        names
    }
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(odd) => String::from_utf8_lossy(odd.as_bytes()).into_owned(),
    })
}
