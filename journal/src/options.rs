//! Options: where a journal lives and how big it may get.

use std::path::PathBuf;
use std::time::Duration;

use crate::{JournalError, segment};

#[derive(Debug, Clone)]
pub struct Options {
    pub dir: PathBuf,
    /// A segment counts as full from here on; it is the grain of dropping and of repair.
    pub segment_bytes: u64,
    /// What `enforce_quota` keeps the folder under, save the newest segment.
    pub quota_bytes: u64,
    /// How long `expire` keeps records, for journals whose T are microseconds. `None`: until dropped otherwise.
    pub keep: Option<Duration>,
    pub record_bytes_max: usize,
    /// Appended bytes held in memory before `append` writes them.
    pub buffer_bytes: usize,
}

impl Options {
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: 64 << 20,
            quota_bytes: 10 << 30,
            keep: None,
            record_bytes_max: 16 << 20,
            buffer_bytes: 1 << 20,
        }
    }

    pub(crate) fn check(&self) -> Result<(), JournalError> {
        let problem = if self.record_bytes_max > 1 << 30 {
            "record_bytes_max is over 1 GiB"
        } else if self.segment_bytes <= segment::HEADER_BYTES {
            "segment_bytes is too small for a single record"
        } else if self.quota_bytes / 2 < self.segment_bytes {
            "quota_bytes must hold two segments: one that is written and one that can be dropped"
        } else {
            return Ok(());
        };
        Err(JournalError::Options { problem: problem.to_owned() })
    }
}
