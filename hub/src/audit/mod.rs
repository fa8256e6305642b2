//! Audit: the record of who changed which rule, silence or collector, in one file in the data folder that only grows.
//!
//! A line of JSON per deed, fsynced before the deed is done (U-1). A line that was cut off by a crash is the end of the file and is taken
//! away; a damaged one before it stops the start. Bounded: the newest `ENTRIES_MAX` are kept; the file holds twice as many at most and
//! is then replaced by the newest.

mod told;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use model::Timestamp;
use model::audit::{AuditError, AuditLog, Deed, Entry, Recorded};
use runtime::clock::SharedClock;
use runtime::telemetry::error_chain;
use thiserror::Error;
use tokio::sync::watch;
use tracing::error;

pub use told::{of_rule, of_silence};

use crate::config::Config;

const FILE_NAME: &str = "audit.jsonl";
/// A deed is at most some 1.5 KB, mostly a fifth of that.
pub(crate) const ENTRIES_MAX: usize = 5_000;
/// Twice the entries at their largest, and then some.
const FILE_BYTES_MAX: u64 = 32 << 20;

#[derive(Debug, Error)]
#[error("cannot use the audit record {}: {problem}; mend the file, or move it away to begin a new one", path.display())]
pub struct LoadError {
    path: PathBuf,
    problem: String,
}

/// The record of this hub.
pub struct Audit {
    kept: Arc<Mutex<Kept>>,
    /// Id of the newest entry.
    newest: Arc<watch::Sender<u64>>,
    clock: SharedClock,
}

struct Kept {
    path: PathBuf,
    file: File,
    /// Durable bytes of the file: what is beyond is a line that failed.
    bytes: u64,
    /// Lines of the file.
    lines: usize,
    /// Oldest first.
    entries: VecDeque<Arc<Entry>>,
    next_id: u64,
}

impl Audit {
    /// The record in the data folder.
    ///
    /// # Errors
    /// When it cannot be read or written, or is not what the hub wrote.
    pub fn of(config: &Config, clock: SharedClock) -> Result<Self, LoadError> {
        Self::open(&config.data_dir.join(FILE_NAME), clock)
    }

    /// # Errors
    /// As `of`.
    pub fn open(path: &Path, clock: SharedClock) -> Result<Self, LoadError> {
        let unusable = |problem: String| LoadError { path: path.to_owned(), problem };
        let kept = Kept::open(path).map_err(|error| unusable(error.to_string()))?;
        let newest = Arc::new(watch::Sender::new(kept.next_id - 1));
        Ok(Self { kept: Arc::new(Mutex::new(kept)), newest, clock })
    }

    /// Follows the id of the newest entry; 0 while there is none.
    pub(crate) fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }
}

impl AuditLog for Audit {
    fn record(&self, deed: Deed) -> Recorded<'_> {
        let (kept, time) = (Arc::clone(&self.kept), Timestamp::from_micros(self.clock.now_us()));
        // On its own thread: a slow disk would hold up every other task. Begun at once, so that nobody can take it back.
        let newest = Arc::clone(&self.newest);
        let writing = tokio::task::spawn_blocking(move || {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.append(time, deed)?;
            newest.send_replace(kept.next_id - 1);
            Ok(())
        });
        Box::pin(async move {
            let written = writing.await.map_err(io::Error::other).flatten();
            written.map_err(|failed| {
                error!(error = error_chain(&failed), "audit record not written");
                AuditError(failed.to_string())
            })
        })
    }

    fn entries(&self, before: Option<u64>, limit: usize) -> Vec<Arc<Entry>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = kept.entries.iter().rev().skip_while(|entry| before.is_some_and(|before| before <= entry.id));
        newest.take(limit).cloned().collect()
    }
}

impl Kept {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).create(true).append(true).open(path)?;
        if FILE_BYTES_MAX < file.metadata()?.len() {
            return Err(io::Error::other("it is longer than the hub writes it"));
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            // Nobody was told that it is kept.
            file.set_len(whole as u64)?;
            file.sync_all()?;
        }
        let mut entries = VecDeque::new();
        let lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut count = 0;
        for (index, line) in lines.enumerate() {
            let read = serde_json::from_slice(line);
            let entry: Entry = read.map_err(|error| io::Error::other(format!("line {}: {error}", index + 1)))?;
            entries.push_back(Arc::new(entry));
            count += 1;
        }
        let next_id = entries.back().map_or(1, |entry: &Arc<Entry>| entry.id + 1);
        let mut kept = Self { path: path.to_owned(), file, bytes: whole as u64, lines: count, entries, next_id };
        kept.forget();
        Ok(kept)
    }

    fn append(&mut self, time: Timestamp, deed: Deed) -> io::Result<()> {
        if 2 * ENTRIES_MAX <= self.lines {
            self.compact()?;
        }
        let entry = Entry { id: self.next_id, time, deed };
        let line = line_of(&entry)?;
        if let Err(failed) = self.file.write_all(&line).and_then(|()| self.file.sync_data()) {
            // Half a line in the middle would make the file unusable.
            self.file.set_len(self.bytes)?;
            return Err(failed);
        }
        self.bytes += line.len() as u64;
        self.lines += 1;
        self.next_id += 1;
        self.entries.push_back(Arc::new(entry));
        self.forget();
        Ok(())
    }

    fn forget(&mut self) {
        let gone = self.entries.len().saturating_sub(ENTRIES_MAX);
        self.entries.drain(..gone);
    }

    /// The newest entries take the place of all.
    fn compact(&mut self) -> io::Result<()> {
        let lines: Vec<Vec<u8>> = self.entries.iter().map(|entry| line_of(entry)).collect::<io::Result<_>>()?;
        let text = lines.concat();
        runtime::file::replace(&self.path, &text)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        (self.bytes, self.lines) = (text.len() as u64, lines.len());
        Ok(())
    }
}

fn line_of(entry: &Entry) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use model::audit::{Action, Actor, Door};
    use runtime::clock::ManualClock;
    use testkit::servers::private_dir;

    fn deed(subject: &str) -> Deed {
        let actor = Actor::new(Door::Http, " ana ", Some("::ffff:10.0.0.1".parse().unwrap()));
        Deed::new(actor, Action::RuleUpdated, subject, "threshold: 0.9 -> 0.8")
    }

    fn open(path: &Path) -> Result<Audit, LoadError> {
        Audit::open(path, ManualClock::at(7_000_000).shared())
    }

    fn subjects(audit: &Audit) -> Vec<(u64, String)> {
        let entries = audit.entries(None, usize::MAX);
        entries.iter().map(|entry| (entry.id, entry.deed.subject.clone())).collect()
    }

    #[tokio::test]
    async fn what_was_recorded_is_there_after_a_restart_newest_first() {
        let dir = private_dir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let audit = open(&path).unwrap();
        audit.record(deed("a")).await.unwrap();
        drop(audit.record(deed("b")));
        audit.record(deed("c").failing("the disk is full")).await.unwrap();
        let again = open(&path).unwrap();
        let entries = again.entries(None, 10);
        assert_eq!(entries.len(), 3, "a call that nobody waits for is made all the same");
        let newest = entries.iter().find(|entry| entry.deed.subject == "c").unwrap();
        assert!(newest.deed.failed && newest.deed.detail == "the disk is full");
        assert_eq!((newest.deed.actor.author.as_str(), newest.deed.actor.address.as_str()), ("ana", "10.0.0.1"));
        assert_eq!(newest.time, Timestamp::from_secs(7));
        let ids: Vec<u64> = entries.iter().map(|entry| entry.id).collect();
        assert_eq!(ids, [3, 2, 1]);
        assert_eq!(again.entries(Some(3), 1)[0].id, 2, "the page after");
    }

    #[tokio::test]
    async fn a_line_that_a_crash_cut_off_goes_and_the_next_takes_its_place() {
        let dir = private_dir().unwrap();
        let path = dir.path().join(FILE_NAME);
        open(&path).unwrap().record(deed("a")).await.unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"id\":2,\"ti").unwrap();
        let audit = open(&path).unwrap();
        audit.record(deed("b")).await.unwrap();
        assert_eq!(subjects(&open(&path).unwrap()), [(2, "b".to_owned()), (1, "a".to_owned())]);
    }

    #[test]
    fn a_damaged_line_is_an_error_that_says_what_to_do() {
        let dir = private_dir().unwrap();
        let path = dir.path().join(FILE_NAME);
        fs::write(&path, "{}\n").unwrap();
        let error = open(&path).err().unwrap().to_string();
        assert!(error.contains("line 1") && error.contains("move it away to begin a new one"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n", "left as it was");
    }

    #[test]
    fn the_file_and_the_memory_have_an_end() {
        let dir = private_dir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let lines: Vec<Vec<u8>> = (1..=2 * ENTRIES_MAX as u64)
            .map(|id| line_of(&Entry { id, time: Timestamp::EPOCH, deed: deed("x") }).unwrap())
            .collect();
        fs::write(&path, lines.concat()).unwrap();
        let mut kept = Kept::open(&path).unwrap();
        assert_eq!(kept.entries.len(), ENTRIES_MAX);
        kept.append(Timestamp::EPOCH, deed("newest")).unwrap();
        let again = Kept::open(&path).unwrap();
        assert_eq!((again.lines, again.next_id), (ENTRIES_MAX + 1, 2 * ENTRIES_MAX as u64 + 2));
        assert_eq!(again.entries.back().unwrap().deed.subject, "newest");
    }
}
