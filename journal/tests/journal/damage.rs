//! Damage: torn tails are cut, saved and reported; what is broken further back is a gap; nothing is silent.

use std::fs::OpenOptions;

use journal::{Journal, JournalError};
use tempfile::TempDir;

use crate::common::{RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, fill, flip, open, read_on, segment_files, small, ts};

#[test]
fn a_torn_tail_is_cut_saved_and_reported_and_the_log_goes_on() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 1..3, 2);
    drop(journal);
    let newest = segment_files(dir.path()).pop().unwrap();
    let length = std::fs::metadata(&newest).unwrap().len();
    OpenOptions::new().write(true).open(&newest).unwrap().set_len(length - 3).unwrap();
    let (mut journal, opened) = open(dir.path());
    let [torn] = &opened.torn[..] else { panic!("one tail was cut, not {:?}", opened.torn) };
    let whole = SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + 10;
    assert_eq!((torn.offset, torn.bytes, torn.records), (whole, RECORD_HEADER_BYTES + 7, 0));
    assert_eq!(std::fs::metadata(&torn.saved_as).unwrap().len(), torn.bytes);
    assert_eq!(std::fs::metadata(&newest).unwrap().len(), whole);
    assert!(torn.to_string().contains("it is cut short; saved as"), "{torn}");
    journal.append(2, b"again").unwrap();
    journal.flush().unwrap();
    assert_eq!(read_on(&mut journal.reader_from(2)), [(2, 0, b"0123456789".to_vec()), (2, 1, b"again".to_vec())]);
}

#[test]
fn good_records_behind_a_bad_one_are_told_from_a_plain_crash() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 1..2, 4);
    drop(journal);
    flip(&segment_files(dir.path())[0], SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + 10 + RECORD_HEADER_BYTES + 2);
    let (_, opened) = open(dir.path());
    assert_eq!((opened.torn[0].records, opened.newest_t), (2, Some(1)));
    assert!(opened.torn[0].to_string().contains("2 good records were behind it"), "{}", opened.torn[0]);
}

#[test]
fn damage_in_an_older_segment_is_a_gap_and_reading_goes_on_behind_it() {
    let record = RECORD_HEADER_BYTES + 10;
    let cases = [
        (0, vec![2, 3, 3]),
        (SEGMENT_HEADER_BYTES, vec![2, 3, 3]),
        (SEGMENT_HEADER_BYTES + record + 4, vec![1, 2, 3, 3]),
    ];
    for (offset, expected) in cases {
        let dir = TempDir::new().unwrap();
        let (mut journal, _) = open(dir.path());
        fill(&mut journal, 1..2, 3);
        fill(&mut journal, 2..3, 1);
        fill(&mut journal, 3..4, 2);
        drop(journal);
        flip(&segment_files(dir.path())[0], offset);
        let (journal, opened) = open(dir.path());
        assert!(opened.torn.is_empty());
        let mut reader = journal.reader_from(0);
        assert_eq!(ts(&read_on(&mut reader)), expected, "offset {offset}");
        let [gap] = reader.gaps() else { panic!("one gap, not {:?}", reader.gaps()) };
        let length = SEGMENT_HEADER_BYTES + 3 * record;
        assert_eq!(gap.offset + gap.bytes, length);
        assert!(gap.to_string().contains("reading goes on with the next segment"), "{gap}");
    }
}

#[test]
fn a_record_that_is_missing_or_in_another_place_is_damage_however_good_its_checksum() {
    let record = usize::try_from(RECORD_HEADER_BYTES + 10).unwrap();
    let start = usize::try_from(SEGMENT_HEADER_BYTES).unwrap();
    let cases: [(&str, [usize; 2]); 3] = [("first missing", [1, 2]), ("middle missing", [0, 2]), ("swapped", [1, 0])];
    for (what, order) in cases {
        let dir = TempDir::new().unwrap();
        let (mut journal, _) = open(dir.path());
        fill(&mut journal, 1..2, 3);
        fill(&mut journal, 2..3, 1);
        drop(journal);
        let path = &segment_files(dir.path())[0];
        let whole = std::fs::read(path).unwrap();
        let mut moved = whole[..start].to_vec();
        for at in order {
            moved.extend_from_slice(&whole[start + at * record..][..record]);
        }
        std::fs::write(path, moved).unwrap();
        let (journal, _) = open(dir.path());
        let mut reader = journal.reader_from(0);
        let expected = if order[0] == 0 { vec![1, 2] } else { vec![2] };
        assert_eq!(ts(&read_on(&mut reader)), expected, "{what}");
        assert_eq!(reader.gaps()[0].reason, "it does not follow the record before it", "{what}");
    }
}

#[test]
fn a_segment_that_a_crash_left_empty_gives_its_place_to_the_one_before() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 1..4, 1);
    drop(journal);
    let files = segment_files(dir.path());
    OpenOptions::new().write(true).open(&files[2]).unwrap().set_len(SEGMENT_HEADER_BYTES).unwrap();
    OpenOptions::new().write(true).open(&files[1]).unwrap().set_len(7).unwrap();
    let (mut journal, opened) = open(dir.path());
    assert_eq!((opened.newest_t, opened.segments, opened.torn.len()), (Some(1), 1, 1));
    journal.append(2, b"x").unwrap();
    journal.flush().unwrap();
    assert_eq!(ts(&read_on(&mut journal.reader_from(0))), [1, 2]);
}

#[test]
fn a_segment_of_another_version_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 1..2, 1);
    drop(journal);
    // A whole header of version 2, with its checksum, as a later program would write it.
    let path = segment_files(dir.path()).remove(0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 2;
    bytes[12..16].fill(0);
    let checksum = crc32fast::hash(&bytes[..24]);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let error = Journal::open(small(dir.path())).unwrap_err();
    assert!(matches!(error, JournalError::Version { found: 2, known: 1, .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}
