//! Retention: by sequence, by age, by quota; whole segments, oldest first, with a count.

use std::time::Duration;

use journal::{Journal, Options};
use tempfile::TempDir;

use crate::common::{RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, fill, open, read_on, segment_files, small, ts};

#[test]
fn segments_below_a_sequence_are_dropped_whole_and_the_newest_stays() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 1..5, 2);
    let dropped = journal.truncate_before(3).unwrap();
    assert_eq!((dropped.segments, dropped.records, dropped.from_t, dropped.to_t), (2, 4, 1, 3));
    assert_eq!(journal.truncate_before(u64::MAX).unwrap().segments, 1);
    assert_eq!((journal.oldest_t(), journal.segments(), segment_files(dir.path()).len()), (Some(4), 1, 1));
    drop(journal);
    assert_eq!(open(dir.path()).1.newest_t, Some(4), "J-2: the newest T survives an emptied log");
}

#[test]
fn expiry_goes_by_age_and_is_off_without_one() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 1_000_000..1_000_004, 1);
    assert_eq!(journal.expire(u64::MAX).unwrap().segments, 0);
    drop(journal);
    let keep = Some(Duration::from_secs(1));
    let (mut journal, _) = Journal::open(Options { keep, ..small(dir.path()) }).unwrap();
    assert_eq!(journal.expire(2_000_002).unwrap().segments, 2);
}

#[test]
fn the_quota_drops_the_oldest_with_a_count_also_of_an_earlier_run_and_under_a_reader() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 1..21, 3);
    drop(journal);
    let (mut journal, opened) = open(dir.path());
    let mut reader = journal.reader_from(0);
    assert_eq!(reader.next().unwrap().unwrap().t, 1);
    let dropped = journal.enforce_quota().unwrap();
    let segment = SEGMENT_HEADER_BYTES + 3 * (RECORD_HEADER_BYTES + 10);
    assert!(journal.bytes() <= 1000 && 1000 - segment < journal.bytes());
    assert_eq!(dropped.bytes + journal.bytes(), opened.bytes);
    assert_eq!((dropped.records, dropped.from_t), (3 * dropped.segments as u64, 1));
    assert_eq!(journal.oldest_t(), Some(dropped.to_t));
    let rest = ts(&read_on(&mut reader));
    assert_eq!((rest[..2].to_vec(), rest[2], rest.last()), (vec![1, 1], dropped.to_t, Some(&20)));
    assert_eq!(journal.enforce_quota().unwrap().segments, 0);
}

#[test]
fn saved_tails_give_way_to_the_quota_before_any_segment_does() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("00000000000000000001-24.torn"), [0; 900]).unwrap();
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 1..4, 3);
    assert_eq!(journal.enforce_quota().unwrap().segments, 0);
    assert!(!dir.path().join("00000000000000000001-24.torn").exists());
}
