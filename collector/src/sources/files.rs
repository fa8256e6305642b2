//! Open files of the whole system, and how much of the kernel's limit they take, from /proc/sys/fs/file-nr.

use super::root::Root;
use super::{Source, SourceError};
use crate::rate::{exact, round};
use crate::readings::Readings;

pub(super) struct Files {
    root: Root,
}

impl Files {
    pub(super) fn new(root: Root) -> Self {
        Self { root }
    }
}

impl Source for Files {
    fn name(&self) -> &'static str {
        "files"
    }

    fn read(&mut self, _at_us: u64, out: &mut Readings) -> Result<(), SourceError> {
        let (open, limit) = parse(&self.root.read("proc/sys/fs/file-nr")?).ok_or(SourceError::Format {
            file: "/proc/sys/fs/file-nr",
            what: "open and largest number of file handles",
        })?;
        out.plain("system.file_descriptor.count", exact(open));
        // The kernel's default is "as good as unlimited", of which a share says nothing.
        if limit < LIMIT_MEANT_MAX {
            out.plain("system.file_descriptor.utilization", round(exact(open) / exact(limit), 1e4));
        }
        Ok(())
    }
}

const LIMIT_MEANT_MAX: u64 = 1 << 40;

/// Handles in use and the limit: the first and the third number; the second, free handles, is always 0 since Linux 2.6.
fn parse(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split_ascii_whitespace().map(|word| word.parse::<u64>().ok());
    let (open, _free, limit) = (numbers.next()??, numbers.next()??, numbers.next()??);
    (0 < limit).then_some((open, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_handles_and_their_limit_are_the_first_and_the_third_number() {
        assert_eq!(parse("1952\t0\t9223372036854775807\n"), Some((1952, 9_223_372_036_854_775_807)));
        for text in ["", "1 0", "1 0 0", "a 0 9", "-1 0 9"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
