//! Crashes and damage of every kind: whatever happens to the files, a reader gives back what was appended, in order and
//! without garbage, and never panics (J-1, J-2).

use std::path::Path;

use journal::{Journal, Options};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tempfile::TempDir;

use crate::common::{Records, read_on, segment_files};

/// One step of an owner.
#[derive(Debug, Clone)]
enum Step {
    /// A record under a T that much above the newest.
    Append {
        above: u64,
        payload: Vec<u8>,
    },
    Flush,
    Rotate,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let append = (0_u64..3, vec(any::<u8>(), 0..60)).prop_map(|(above, payload)| Step::Append { above, payload });
    vec(prop_oneof![8 => append, 2 => Just(Step::Flush), 1 => Just(Step::Rotate), 1 => Just(Step::Reopen)], 1..60)
}

fn options(dir: &Path) -> Options {
    Options { segment_bytes: 400, quota_bytes: 1 << 20, record_bytes_max: 64, buffer_bytes: 150, ..Options::new(dir) }
}

/// Does the steps, closes cleanly, and returns what was appended.
fn run(dir: &Path, steps: &[Step]) -> Records {
    let (mut journal, _) = Journal::open(options(dir)).expect("a new folder");
    let (mut appended, mut newest, mut needs_new_t) = (Vec::new(), 1, false);
    for step in steps {
        match step {
            Step::Append { above, payload } => {
                if journal.segment_is_full() {
                    journal.rotate().expect("the disk has room");
                    needs_new_t = true;
                }
                newest += (*above).max(u64::from(needs_new_t));
                needs_new_t = false;
                let index = journal.append(newest, payload).expect("the sequence grows");
                appended.push((newest, index, payload.clone()));
            }
            Step::Flush => journal.flush().expect("the disk has room"),
            Step::Rotate => {
                journal.rotate().expect("the disk has room");
                needs_new_t = true;
            }
            Step::Reopen => {
                journal.commit().expect("the disk has room");
                drop(journal);
                let (again, opened) = Journal::open(options(dir)).expect("closed cleanly");
                assert!(opened.torn.is_empty(), "a clean end leaves nothing to cut");
                assert_eq!(opened.newest_t, appended.last().map(|(t, _, _)| *t));
                journal = again;
            }
        }
    }
    journal.commit().expect("the disk has room");
    appended
}

fn read(dir: &Path) -> (Records, usize) {
    let (journal, _) = Journal::open(options(dir)).expect("damage is repaired, not refused");
    let mut reader = journal.reader_from(0);
    let records = read_on(&mut reader);
    (records, reader.gaps().len())
}

/// Whether `part` is `whole` with some runs of records left out, never reordered, doubled or changed.
fn is_subsequence(part: &Records, whole: &Records) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|record| rest.any(|candidate| candidate == record))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn j2_a_replay_gives_exactly_what_was_appended(steps in steps()) {
        let dir = TempDir::new().unwrap();
        let appended = run(dir.path(), &steps);
        prop_assert_eq!(read(dir.path()), (appended, 0));
    }

    #[test]
    fn j1_a_crash_at_any_byte_of_the_tail_leaves_a_prefix(steps in steps(), garbage in vec(any::<u8>(), 0..40)) {
        let dir = TempDir::new().unwrap();
        let appended = run(dir.path(), &steps);
        let Some(newest) = segment_files(dir.path()).pop() else { return Ok(()) };
        let whole = std::fs::read(&newest).unwrap();
        let tail = &whole[whole.len().saturating_sub(180)..];
        let mut count_before = 0;
        for cut in (0..=tail.len()).map(|left| whole.len() - tail.len() + left) {
            // What follows the cut is what the disk happened to hold: nothing, zeros, or anything.
            let after = [&b""[..], &[0; 30], &garbage][cut % 3];
            std::fs::write(&newest, [&whole[..cut], after].concat()).unwrap();
            let (records, gaps) = read(dir.path());
            prop_assert!(appended.starts_with(&records), "cut at {}", cut);
            prop_assert_eq!(gaps, 0);
            prop_assert!(count_before <= records.len(), "a later cut loses no more");
            // Zeros may be just what was cut off there; such a longer prefix is no measure for the next cut.
            if after.is_empty() {
                count_before = records.len();
            }
        }
        std::fs::write(&newest, &whole).unwrap();
        prop_assert_eq!(read(dir.path()).0, appended);
    }

    #[test]
    fn j2_a_flipped_bit_anywhere_loses_records_but_never_changes_one(
        steps in steps(),
        hits in vec((any::<Index>(), any::<Index>(), 0_u32..8), 1..4),
    ) {
        let dir = TempDir::new().unwrap();
        let appended = run(dir.path(), &steps);
        let files = segment_files(dir.path());
        if files.is_empty() {
            return Ok(());
        }
        for (file, byte, bit) in hits {
            let path = file.get(&files);
            let mut bytes = std::fs::read(path).unwrap();
            let at = byte.index(bytes.len());
            bytes[at] ^= 1 << bit;
            std::fs::write(path, bytes).unwrap();
        }
        let (records, _) = read(dir.path());
        prop_assert!(is_subsequence(&records, &appended));
        prop_assert_eq!(read(dir.path()).0, records, "a second opening finds the same");
    }
}
