//! The journal seen from outside: order, durability, repair, retention, locking, as its three users rely on them.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use journal::{Journal, JournalError, Opened, Options, Reader};
use tempfile::TempDir;

type Records = Vec<(u64, u32, Vec<u8>)>;

const SEGMENT_HEADER_BYTES: u64 = 24;
const RECORD_HEADER_BYTES: u64 = 20;

fn small(dir: &Path) -> Options {
    Options {
        segment_bytes: 200,
        quota_bytes: 1000,
        record_bytes_max: 100,
        ..Options::new(dir)
    }
}

fn open(dir: &Path) -> (Journal, Opened) {
    Journal::open(small(dir)).expect("the folder is free and whole")
}

fn read_on(reader: &mut Reader) -> Records {
    let mut records = Vec::new();
    while let Some(record) = reader.next().expect("every segment can be opened") {
        records.push((record.t, record.index, record.payload.to_vec()));
    }
    records
}

fn ts(records: &Records) -> Vec<u64> {
    records.iter().map(|(t, _, _)| *t).collect()
}

/// One T a segment, each with `count` records of 10 bytes.
fn fill(journal: &mut Journal, segments: std::ops::Range<u64>, count: usize) {
    for t in segments {
        for _ in 0..count {
            journal.append(t, b"0123456789").expect("the sequence grows");
        }
        journal.rotate().expect("the disk has room");
    }
}

fn segment_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir)
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|it| it == "journal"))
        .collect();
    files.sort();
    files
}

fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("the segment is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("inside the file");
    file.write_all_at(&[byte[0] ^ 0x10], offset).expect("inside the file");
}

#[test]
fn records_come_back_in_order_with_their_index_also_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let (mut journal, opened) = open(dir.path());
    assert_eq!(opened, Opened::default());
    assert_eq!(journal.append(5, b"a").unwrap(), 0);
    assert_eq!(journal.append(5, b"").unwrap(), 1);
    journal.append(9, b"c").unwrap();
    journal.commit().unwrap();
    let expected = vec![(5, 0, b"a".to_vec()), (5, 1, vec![]), (9, 0, b"c".to_vec())];
    assert_eq!(read_on(&mut journal.reader_from(0)), expected);
    assert_eq!(ts(&read_on(&mut journal.reader_from(6))), [9]);
    drop(journal);
    let (mut journal, opened) = open(dir.path());
    assert_eq!(
        (opened.oldest_t, opened.newest_t, opened.segments, opened.torn.len()),
        (Some(5), Some(9), 1, 0)
    );
    assert_eq!(journal.append(9, b"d").unwrap(), 1, "the index goes on where it was");
    journal.flush().unwrap();
    assert_eq!(read_on(&mut journal.reader_from(9)).len(), 2);
}

#[test]
fn j2_a_sequence_that_goes_back_or_spans_two_segments_is_refused() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    journal.append(5, b"a").unwrap();
    assert!(matches!(
        journal.append(4, b"b"),
        Err(JournalError::Sequence { t: 4, newest: 5 })
    ));
    journal.rotate().unwrap();
    assert!(matches!(
        journal.append(5, b"b"),
        Err(JournalError::Sequence { t: 5, newest: 5 })
    ));
    assert_eq!(journal.append(6, b"b").unwrap(), 0);
}

#[test]
fn j1_nothing_is_called_durable_before_it_is_flushed_and_synced() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    let syncer = journal.syncer();
    assert!(matches!(syncer.sync(1), Err(JournalError::NotFlushed { t: 1 })));
    journal.append(1, b"a").unwrap();
    journal.flush().unwrap();
    journal.append(2, b"b").unwrap();
    assert_eq!(syncer.durable_t(), None);
    assert_eq!(syncer.sync(1).unwrap(), 1);
    assert!(matches!(syncer.sync(2), Err(JournalError::NotFlushed { t: 2 })));
    journal.rotate().unwrap();
    assert_eq!(syncer.durable_t(), Some(2), "a rotation syncs what it ends");
}

#[test]
fn j1_a_group_written_in_part_because_the_buffer_was_full_is_not_durable() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = Journal::open(Options {
        buffer_bytes: 1,
        ..small(dir.path())
    })
    .unwrap();
    journal.append(1, b"a").unwrap();
    journal.flush().unwrap();
    for _ in 0..3 {
        journal.append(2, b"b").unwrap();
    }
    assert_eq!(journal.syncer().sync(1).unwrap(), 1);
    journal.commit().unwrap();
    assert_eq!(journal.syncer().durable_t(), Some(2));
}

#[test]
fn the_owner_puts_its_preamble_first_in_each_segment() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    for t in 1..=20 {
        if journal.segment_is_full() {
            journal.rotate().unwrap();
            journal.append(t, b"layout").unwrap();
        }
        journal.append(t, b"0123456789").unwrap();
        journal.flush().unwrap();
    }
    let files = segment_files(dir.path());
    assert!(files.len() > 2);
    for file in &files[1..] {
        let bytes = std::fs::read(file).unwrap();
        assert_eq!(bytes.get(44..50), Some(&b"layout"[..]));
    }
}

#[test]
fn a_reader_follows_the_writer_over_rotations_and_sees_only_what_is_flushed() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    let mut reader = journal.reader_from(0);
    assert!(read_on(&mut reader).is_empty());
    journal.append(1, b"a").unwrap();
    assert!(read_on(&mut reader).is_empty(), "appended is not flushed");
    journal.flush().unwrap();
    assert_eq!(ts(&read_on(&mut reader)), [1]);
    journal.append(2, b"b").unwrap();
    journal.rotate().unwrap();
    journal.append(3, b"c").unwrap();
    journal.flush().unwrap();
    assert_eq!(ts(&read_on(&mut reader)), [2, 3]);
    journal.rotate().unwrap();
    assert!(read_on(&mut reader).is_empty());
}

#[test]
fn a_reader_on_another_thread_sees_every_record_once_while_groups_are_synced_beside_it() {
    const GROUPS: u64 = 2_000;
    let dir = TempDir::new().unwrap();
    let options = Options {
        segment_bytes: 20_000,
        quota_bytes: 1 << 30,
        ..small(dir.path())
    };
    let (mut journal, _) = Journal::open(options).unwrap();
    let (mut reader, syncer) = (journal.reader_from(0), journal.syncer());
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let mut seen = Vec::new();
            while seen.last() != Some(&GROUPS) || seen.len() % 2 == 1 {
                seen.extend(ts(&read_on(&mut reader)));
                std::thread::yield_now();
            }
            seen
        });
        let (flushed, to_sync) = std::sync::mpsc::sync_channel::<u64>(1);
        let syncing = scope.spawn(move || {
            let mut durable = 0;
            while let Ok(t) = to_sync.recv() {
                let now_durable = syncer.sync(t).unwrap();
                assert!(t <= now_durable && durable <= now_durable);
                durable = now_durable;
            }
            durable
        });
        for t in 1..=GROUPS {
            if journal.segment_is_full() {
                journal.rotate().unwrap();
            }
            journal.append(t, &t.to_le_bytes()).unwrap();
            journal.append(t, b"second").unwrap();
            journal.flush().unwrap();
            if t % 50 == 0 {
                flushed.send(t).unwrap();
            }
        }
        drop(flushed);
        assert_eq!(syncing.join().unwrap(), GROUPS);
        let expected: Vec<u64> = (1..=GROUPS).flat_map(|t| [t, t]).collect();
        assert_eq!(reading.join().unwrap(), expected);
    });
}

#[test]
fn a_torn_tail_is_cut_saved_and_reported_and_the_log_goes_on() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 1..3, 2);
    drop(journal);
    let newest = segment_files(dir.path()).pop().unwrap();
    let length = std::fs::metadata(&newest).unwrap().len();
    OpenOptions::new()
        .write(true)
        .open(&newest)
        .unwrap()
        .set_len(length - 3)
        .unwrap();
    let (mut journal, opened) = open(dir.path());
    let [torn] = &opened.torn[..] else {
        panic!("one tail was cut, not {:?}", opened.torn)
    };
    let whole = SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + 10;
    assert_eq!(
        (torn.offset, torn.bytes, torn.records),
        (whole, RECORD_HEADER_BYTES + 7, 0)
    );
    assert_eq!(std::fs::metadata(&torn.saved_as).unwrap().len(), torn.bytes);
    assert!(torn.to_string().contains("it is cut short; saved as"), "{torn}");
    journal.append(2, b"again").unwrap();
    journal.flush().unwrap();
    assert_eq!(
        read_on(&mut journal.reader_from(2)),
        [(2, 0, b"0123456789".to_vec()), (2, 1, b"again".to_vec())]
    );
}

#[test]
fn good_records_behind_a_bad_one_are_told_from_a_plain_crash() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 1..2, 4);
    drop(journal);
    flip(
        &segment_files(dir.path())[0],
        SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + 10 + RECORD_HEADER_BYTES + 2,
    );
    let (_, opened) = open(dir.path());
    assert_eq!((opened.torn[0].records, opened.newest_t), (2, Some(1)));
    assert!(
        opened.torn[0].to_string().contains("2 good records were behind it"),
        "{}",
        opened.torn[0]
    );
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
        let [gap] = reader.gaps() else {
            panic!("one gap, not {:?}", reader.gaps())
        };
        let length = SEGMENT_HEADER_BYTES + 3 * record;
        assert_eq!(gap.offset + gap.bytes, length);
        assert!(
            gap.to_string().contains("reading goes on with the next segment"),
            "{gap}"
        );
    }
}

#[test]
fn a_segment_that_a_crash_left_empty_gives_its_place_to_the_one_before() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 1..4, 1);
    drop(journal);
    let files = segment_files(dir.path());
    OpenOptions::new()
        .write(true)
        .open(&files[2])
        .unwrap()
        .set_len(SEGMENT_HEADER_BYTES)
        .unwrap();
    OpenOptions::new()
        .write(true)
        .open(&files[1])
        .unwrap()
        .set_len(7)
        .unwrap();
    let (mut journal, opened) = open(dir.path());
    assert_eq!((opened.newest_t, opened.segments, opened.torn.len()), (Some(1), 1, 1));
    journal.append(2, b"x").unwrap();
    journal.flush().unwrap();
    assert_eq!(ts(&read_on(&mut journal.reader_from(0))), [1, 2]);
}

#[test]
fn segments_below_a_sequence_are_dropped_whole_and_the_newest_stays() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 1..5, 2);
    let dropped = journal.truncate_before(3).unwrap();
    assert_eq!(
        (dropped.segments, dropped.records, dropped.from_t, dropped.to_t),
        (2, 4, 1, 3)
    );
    assert_eq!(journal.truncate_before(u64::MAX).unwrap().segments, 1);
    assert_eq!(
        (journal.oldest_t(), journal.segments(), segment_files(dir.path()).len()),
        (Some(4), 1, 1)
    );
    drop(journal);
    assert_eq!(
        open(dir.path()).1.newest_t,
        Some(4),
        "J-2: the newest T survives an emptied log"
    );
}

#[test]
fn expiry_goes_by_age_and_is_off_without_one() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 1_000_000..1_000_004, 1);
    assert_eq!(journal.expire(u64::MAX).unwrap().segments, 0);
    drop(journal);
    let keep = Some(Duration::from_secs(1));
    let (mut journal, _) = Journal::open(Options {
        keep,
        ..small(dir.path())
    })
    .unwrap();
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
    assert_eq!(
        (rest[..2].to_vec(), rest[2], rest.last()),
        (vec![1, 1], dropped.to_t, Some(&20))
    );
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

#[test]
fn cursors_survive_a_restart_and_a_damaged_file_is_reported() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    journal.set_cursor("history", 7).unwrap();
    journal.set_cursor("history", 8).unwrap();
    drop(journal);
    let (journal, opened) = open(dir.path());
    assert_eq!(
        (journal.cursor("history"), journal.cursor("bus"), opened.cursors_lost),
        (Some(8), None, false)
    );
    drop(journal);
    flip(&dir.path().join("cursors"), 3);
    let (journal, opened) = open(dir.path());
    assert_eq!((journal.cursor("history"), opened.cursors_lost), (None, true));
}

#[test]
fn a_second_owner_is_refused_with_the_folder_named() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = open(dir.path());
    let error = Journal::open(small(dir.path())).unwrap_err();
    assert!(matches!(error, JournalError::Locked { .. }));
    let text = error.to_string();
    assert!(
        text.contains(&dir.path().display().to_string()) && text.contains("stop that process"),
        "{text}"
    );
    drop(journal);
    open(dir.path());
}

#[test]
fn a_folder_that_cannot_be_used_says_which_and_what_to_do() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let text = Journal::open(small(&file.join("journal"))).unwrap_err().to_string();
    assert!(
        text.contains("cannot create journal folder") && text.contains("check that it exists"),
        "{text}"
    );
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
    assert!(
        matches!(error, JournalError::Version { found: 2, known: 1, .. }),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn records_and_options_have_limits() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    assert!(matches!(
        journal.append(1, &[0; 101]),
        Err(JournalError::RecordTooLong {
            bytes: 101,
            bytes_max: 100
        })
    ));
    journal.append(1, &[0; 100]).unwrap();
    let tight = Options {
        quota_bytes: 399,
        ..small(dir.path())
    };
    assert!(
        Journal::open(tight)
            .unwrap_err()
            .to_string()
            .contains("must hold two segments")
    );
}
