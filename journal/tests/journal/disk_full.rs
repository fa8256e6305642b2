//! A full disk, made of a file size limit: the kernel refuses the write in the middle, as a full disk does.

use std::process::Command;

use journal::{Journal, Options};
use tempfile::TempDir;

use crate::common::{read_on, ts};

const RECORD: [u8; 1000] = [7; 1000];

#[test]
fn a_write_that_no_longer_fits_loses_nothing_and_works_when_there_is_room() {
    let dir = TempDir::new().unwrap();
    // 64 blocks are 32 or 64 KiB, by the shell; the signal that would end the process is ignored.
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" --ignored --exact disk_full::child_that_fills_the_disk";
    let mut child = Command::new("sh");
    child.arg("-c").arg(script).arg(std::env::current_exe().unwrap());
    let output = child.current_dir(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let (mut journal, opened) = Journal::open(Options::new(dir.path())).unwrap();
    assert!(opened.torn.is_empty(), "the part that fitted was taken back");
    let newest = opened.newest_t.unwrap();
    journal.append(newest + 1, &RECORD).unwrap();
    journal.commit().unwrap();
    assert_eq!(ts(&read_on(&mut journal.reader_from(0))), (1..=newest + 1).collect::<Vec<_>>());
}

#[test]
#[ignore = "the body of the child process of the test above"]
fn child_that_fills_the_disk() {
    if std::fs::read_dir(".").unwrap().next().is_some() {
        // Run by hand, not in the empty folder and under the limit that its parent gives it.
        return;
    }
    let (mut journal, _) = Journal::open(Options::new(".")).unwrap();
    let refused = (1..1_000).find_map(|t| {
        journal.append(t, &RECORD).unwrap();
        journal.flush().err().map(|error| (t, error))
    });
    let (t, error) = refused.unwrap();
    assert!(error.is_retryable(), "{error}");
    assert!(journal.flush().unwrap_err().is_retryable(), "still full");
    assert_eq!(ts(&read_on(&mut journal.reader_from(0))), (1..t).collect::<Vec<_>>());
}
