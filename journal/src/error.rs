//! Errors: what went wrong, where, and what a person does about it; the predicates say what the program does.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

#[derive(Debug, Error)]
pub enum JournalError {
    #[error("journal folder {} is in use by another process; stop that process or choose another folder", dir.display())]
    Locked { dir: PathBuf },

    /// Nothing was lost: what was appended stays in memory, and the same call may be tried again.
    #[error("no space for the journal at {}; free disk space or lower the journal's quota, writing goes on by itself then", path.display())]
    NoSpace { path: PathBuf, source: io::Error },

    /// What is durable is unknown from here on; only a restart, which reads the disk, can tell.
    #[error(
        "journal stopped after a failed write: {reason}; check the disk (dmesg, SMART), then restart: what was acknowledged is replayed"
    )]
    Poisoned { reason: String },

    #[error("cannot {action} {}; check that it exists, who owns it, and the disk", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },

    #[error("{} has journal format {found}, this program reads {known}; run the version that wrote it, or move the folder away to start empty", path.display())]
    Version { path: PathBuf, found: u32, known: u32 },

    #[error(
        "sequence {t} does not follow {newest}: the sequence only grows, and a new segment starts with a new number (J-2)"
    )]
    Sequence { t: u64, newest: u64 },

    #[error("a record of {bytes} bytes is over the limit of {bytes_max}; split it or raise record_bytes_max")]
    RecordTooLong { bytes: usize, bytes_max: usize },

    #[error("sequence {t} was asked to be durable before it was flushed; flush first")]
    NotFlushed { t: u64 },

    #[error("journal options: {problem}")]
    Options { problem: String },

    #[error("cursor name {name:?} is not 1 to 64 of a-z 0-9 . _ : - or there are already {count} cursors")]
    CursorName { name: String, count: usize },
}

impl JournalError {
    /// The same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NoSpace { .. })
    }

    /// The process must end.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Poisoned { .. })
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// For calls that make files: a full disk is told apart.
    pub(crate) fn write(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let path = path.to_owned();
            if is_no_space(&source) { Self::NoSpace { path, source } } else { Self::Io { action, path, source } }
        }
    }
}

/// Disk full, over a disk quota, or over the process' file size limit: all pass when somebody makes room.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
