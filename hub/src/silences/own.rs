//! Own: the silences, in one file in the data folder that the hub alone writes, as the rules made at run time are (ADR 0010).
//!
//! A change is computed on a copy, written beside the file, fsynced and renamed over it, and only then taken. Ended silences stay for
//! thirty days, so that a person can see what was silent; when there is no room, the one that ended longest ago goes first.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::command::{NewSilence, SilenceChange, SilenceError};
use model::silence::{SILENCES_MAX, Silence, SilenceSet, SilenceState};
use model::{Timestamp, ids};

use super::LoadError;
use crate::config::Config;

const FILE_NAME: &str = "silences.json";
/// A thousand silences as people write them are a quarter of it.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// How long an ended silence is kept.
const ENDED_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// The silences, as they are on disk.
#[derive(Debug, Clone)]
pub struct OwnSilences {
    path: PathBuf,
    silences: BTreeMap<String, Arc<Silence>>,
}

impl OwnSilences {
    /// Those in the data folder.
    ///
    /// # Errors
    /// As `open`.
    pub fn of(config: &Config) -> Result<Self, LoadError> {
        Self::open(config.data_dir.join(FILE_NAME))
    }

    /// Reads the file; without one there are none.
    ///
    /// # Errors
    /// When the file cannot be read or is not what the hub wrote.
    pub fn open(path: PathBuf) -> Result<Self, LoadError> {
        let unusable = |problem: String| LoadError { path: path.clone(), problem };
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => "[]".to_owned(),
            Err(error) => return Err(unusable(error.to_string())),
        };
        let list: Vec<Arc<Silence>> = serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
        // Nothing in it is trusted more than what a client sends: somebody may have edited it.
        let problems: Vec<String> = list.iter().flat_map(|silence| silence.problems()).collect();
        if !problems.is_empty() {
            return Err(unusable(problems.join("; ")));
        }
        if SILENCES_MAX < list.len() {
            return Err(unusable(format!("it has more than {SILENCES_MAX} silences")));
        }
        let silences = list.into_iter().map(|silence| (silence.id.clone(), silence)).collect();
        Ok(Self { path, silences })
    }

    /// The silences with one change, not yet on disk, and the silence that changed.
    pub(super) fn after(&self, change: SilenceChange, now: Timestamp) -> Result<(Self, Arc<Silence>), SilenceError> {
        let mut next = self.clone();
        next.silences.retain(|_, silence| now.since(silence.ends_at) < ENDED_KEPT);
        let changed = match change {
            SilenceChange::Create(new) => next.create(new, now)?,
            SilenceChange::End(id) => next.end(id, now)?,
        };
        Ok((next, changed))
    }

    fn create(&mut self, new: NewSilence, now: Timestamp) -> Result<Arc<Silence>, SilenceError> {
        let NewSilence { matchers, starts_at, ends_at, author, comment } = new;
        let id = self.free_id(now);
        let silence = Silence { id, matchers, starts_at, ends_at, author, comment, created: now };
        let mut problems = silence.problems();
        if silence.state(now) == SilenceState::Ended {
            problems.push(format!("a silence must end after now ({now})"));
        }
        if !problems.is_empty() {
            return Err(SilenceError::Invalid(problems));
        }
        if SILENCES_MAX <= self.silences.len() {
            self.forget_one(now)?;
        }
        let silence = Arc::new(silence);
        self.silences.insert(silence.id.clone(), Arc::clone(&silence));
        Ok(silence)
    }

    fn end(&mut self, id: String, now: Timestamp) -> Result<Arc<Silence>, SilenceError> {
        let Some(silence) = self.silences.get(&id).map(Arc::clone) else {
            return Err(SilenceError::NotFound(id));
        };
        match silence.state(now) {
            SilenceState::Ended => Ok(silence),
            SilenceState::Active if silence.starts_at < now => {
                let ended = Arc::new(Silence { ends_at: now, ..silence.as_ref().clone() });
                self.silences.insert(id, Arc::clone(&ended));
                Ok(ended)
            }
            // It has silenced nothing, so there is nothing to keep.
            SilenceState::Active | SilenceState::Pending => {
                self.silences.remove(&id);
                Ok(silence)
            }
        }
    }

    /// Makes room: the silence that ended longest ago goes.
    fn forget_one(&mut self, now: Timestamp) -> Result<(), SilenceError> {
        let ended = self.silences.values().filter(|silence| silence.state(now) == SilenceState::Ended);
        let oldest =
            ended.min_by_key(|silence| (silence.ends_at, silence.id.clone())).map(|silence| silence.id.clone());
        let oldest = oldest.ok_or(SilenceError::TooMany("1000 silences that have not ended".into()))?;
        self.silences.remove(&oldest);
        Ok(())
    }

    /// Unlike any that is kept, and hardly like one that was: made of the time.
    fn free_id(&self, now: Timestamp) -> String {
        let ids = (0_u64..).map(|salt| {
            let hash = ids::stable_hash(format!("{}\u{0}{salt}", now.micros()).as_bytes());
            format!("{:010x}", hash & 0xff_ffff_ffff)
        });
        let mut free = ids.filter(|id| !self.silences.contains_key(id));
        free.next().expect("fewer silences are kept than there are ids")
    }

    /// Puts the silences on disk; returns when they are durable.
    pub(super) fn save(&self) -> Result<(), SilenceError> {
        let silences: Vec<&Silence> = self.silences.values().map(AsRef::as_ref).collect();
        let text = serde_json::to_vec_pretty(&silences).map_err(|error| SilenceError::Store(error.to_string()))?;
        if FILE_BYTES_MAX < text.len() as u64 {
            return Err(SilenceError::TooMany("1 MiB of silences".into()));
        }
        runtime::file::replace(&self.path, &text)
            .map_err(|error| SilenceError::Store(format!("{}: {error}", self.path.display())))
    }

    /// What the graph is told.
    pub(super) fn set(&self, version: u64, now: Timestamp) -> SilenceSet {
        SilenceSet::new(version, self.silences.values().cloned(), now)
    }

    /// The one that ends last first.
    pub(super) fn list(&self) -> Vec<Arc<Silence>> {
        let mut list: Vec<Arc<Silence>> = self.silences.values().cloned().collect();
        list.sort_by(|a, b| (b.ends_at, &a.id).cmp(&(a.ends_at, &b.id)));
        list
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if FILE_BYTES_MAX < text.len() as u64 {
        return Err(io::Error::other("it is longer than the hub writes it"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::silence::Matchers;
    use std::fs;
    use testkit::servers::private_dir;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_secs(second)
    }

    fn new(from: i64, to: i64) -> SilenceChange {
        let matchers = Matchers { rules: vec!["*".into()], ..Matchers::default() };
        let (starts_at, ends_at) = (at(from), at(to));
        SilenceChange::Create(NewSilence { matchers, starts_at, ends_at, author: "ana".into(), comment: String::new() })
    }

    #[test]
    fn a_silence_is_there_after_a_restart_and_ends_when_it_is_told() {
        let dir = private_dir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let none = OwnSilences::open(path.clone()).unwrap();
        let (one, made) = none.after(new(10, 100), at(10)).unwrap();
        one.save().unwrap();
        let again = OwnSilences::open(path).unwrap();
        assert_eq!((again.list(), again.set(1, at(50)).silences.len()), (vec![Arc::clone(&made)], 1));
        let (ended, silence) = again.after(SilenceChange::End(made.id.clone()), at(50)).unwrap();
        assert_eq!((silence.ends_at, ended.set(2, at(50)).silences.len(), ended.list().len()), (at(50), 0, 1));
        let (twice, silence) = ended.after(SilenceChange::End(made.id.clone()), at(60)).unwrap();
        assert_eq!((silence.ends_at, twice.list().len()), (at(50), 1), "ended once");
        let kept = |now| twice.after(new(now, now + 1), at(now)).unwrap().0.list().len();
        let month = 30 * 86_400;
        assert_eq!((kept(49 + month), kept(50 + month)), (2, 1));
    }

    #[test]
    fn a_silence_that_has_not_begun_never_does() {
        let dir = private_dir().unwrap();
        let none = OwnSilences::open(dir.path().join(FILE_NAME)).unwrap();
        let (one, made) = none.after(new(20, 100), at(10)).unwrap();
        assert!(one.after(SilenceChange::End(made.id.clone()), at(15)).unwrap().0.list().is_empty());
        let unknown = one.after(SilenceChange::End("x".into()), at(15)).unwrap_err();
        assert_eq!(unknown, SilenceError::NotFound("x".into()));
    }

    #[test]
    fn what_makes_no_sense_or_is_over_is_refused() {
        let dir = private_dir().unwrap();
        let none = OwnSilences::open(dir.path().join(FILE_NAME)).unwrap();
        for (from, to, now) in [(10, 10, 5), (10, 20, 20), (10, 11 + 30 * 86_400, 10)] {
            assert!(matches!(none.after(new(from, to), at(now)), Err(SilenceError::Invalid(_))), "{from} {to} {now}");
        }
    }

    #[test]
    fn there_is_an_end_to_silences_and_ended_ones_make_room() {
        let dir = private_dir().unwrap();
        let mut own = OwnSilences::open(dir.path().join(FILE_NAME)).unwrap();
        for _ in 0..SILENCES_MAX {
            own = own.after(new(10, 100), at(10)).unwrap().0;
        }
        assert!(matches!(own.after(new(10, 100), at(10)), Err(SilenceError::TooMany(_))));
        let id = own.list()[0].id.clone();
        let (ended, _) = own.after(SilenceChange::End(id), at(20)).unwrap();
        assert_eq!(ended.after(new(30, 100), at(30)).unwrap().0.list().len(), SILENCES_MAX);
    }

    #[test]
    fn a_damaged_file_is_an_error_that_says_what_to_do_and_a_folder_that_cannot_be_written_changes_nothing() {
        let dir = private_dir().unwrap();
        let path = dir.path().join(FILE_NAME);
        for text in ["[{", "{}", r#"[{"id":"","matchers":{},"starts_at":1,"ends_at":2,"author":"a","created":1}]"#] {
            fs::write(&path, text).unwrap();
            let error = OwnSilences::open(path.clone()).unwrap_err().to_string();
            assert!(error.contains("move it away to start without them"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "left as it was");
        }
        let own = OwnSilences::open(dir.path().join("gone").join(FILE_NAME)).unwrap();
        let refused = own.after(new(10, 20), at(10)).unwrap().0.save().unwrap_err().to_string();
        assert!(refused.contains("free space or mend the data folder"), "{refused}");
    }
}
