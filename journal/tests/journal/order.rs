//! Order and durability: what goes in comes out, J-1 only what is synced counts, J-2 the sequence grows; cursors and the lock.

use journal::{Journal, JournalError, Opened, Options};
use tempfile::TempDir;

use crate::common::{flip, open, read_on, segment_files, small, ts};

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
    assert_eq!((opened.oldest_t, opened.newest_t, opened.segments, opened.torn.len()), (Some(5), Some(9), 1, 0));
    assert_eq!(journal.append(9, b"d").unwrap(), 1, "the index goes on where it was");
    journal.flush().unwrap();
    assert_eq!(read_on(&mut journal.reader_from(9)).len(), 2);
}

#[test]
fn j2_a_sequence_that_goes_back_or_spans_two_segments_is_refused() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    journal.append(5, b"a").unwrap();
    assert!(matches!(journal.append(4, b"b"), Err(JournalError::Sequence { t: 4, newest: 5 })));
    journal.rotate().unwrap();
    assert!(matches!(journal.append(5, b"b"), Err(JournalError::Sequence { t: 5, newest: 5 })));
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
    let (mut journal, _) = Journal::open(Options { buffer_bytes: 1, ..small(dir.path()) }).unwrap();
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
    let options = Options { segment_bytes: 20_000, quota_bytes: 1 << 30, ..small(dir.path()) };
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
fn cursors_survive_a_restart_and_a_damaged_file_is_reported() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    journal.set_cursor("history", 7).unwrap();
    journal.set_cursor("history", 8).unwrap();
    drop(journal);
    let (journal, opened) = open(dir.path());
    assert_eq!((journal.cursor("history"), journal.cursor("bus"), opened.cursors_lost), (Some(8), None, false));
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
    assert!(text.contains(&dir.path().display().to_string()) && text.contains("stop that process"), "{text}");
    drop(journal);
    open(dir.path());
}

#[test]
fn a_folder_that_cannot_be_used_says_which_and_what_to_do() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let text = Journal::open(small(&file.join("journal"))).unwrap_err().to_string();
    assert!(text.contains("cannot create journal folder") && text.contains("check that it exists"), "{text}");
}

#[test]
fn records_and_options_have_limits() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(dir.path());
    assert!(matches!(journal.append(1, &[0; 101]), Err(JournalError::RecordTooLong { bytes: 101, bytes_max: 100 })));
    journal.append(1, &[0; 100]).unwrap();
    let tight = Options { quota_bytes: 399, ..small(dir.path()) };
    assert!(Journal::open(tight).unwrap_err().to_string().contains("must hold two segments"));
}
