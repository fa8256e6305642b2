//! Cursors: named positions in the log, kept in one small file that is replaced whole (write aside, sync, rename, sync the
//! folder), so that a crash leaves the old positions or the new ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::{JournalError, segment};

const FILE: &str = "cursors";
const CURSORS_MAX: usize = 64;
const NAME_CHARS_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Cursors {
    dir: PathBuf,
    positions: BTreeMap<String, u64>,
}

impl Cursors {
    /// The cursors, and whether a damaged file was set aside: starting over repeats work, which is harmless (S-1); a wrong
    /// position would skip some.
    pub(crate) fn load(dir: &Path) -> Result<(Self, bool), JournalError> {
        let path = dir.join(FILE);
        let (text, dir) = (std::fs::read(&path), dir.to_owned());
        let text = match text {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((Self { dir, positions: BTreeMap::new() }, false));
            }
            Err(error) => return Err(JournalError::io("read journal cursors", &path)(error)),
        };
        if let Some(positions) = std::str::from_utf8(&text).ok().and_then(parse) {
            return Ok((Self { dir, positions }, false));
        }
        let aside = dir.join(format!("{FILE}.damaged"));
        std::fs::rename(&path, &aside).map_err(JournalError::io("set damaged journal cursors aside", &path))?;
        Ok((Self { dir, positions: BTreeMap::new() }, true))
    }

    pub(crate) fn get(&self, name: &str) -> Option<u64> {
        self.positions.get(name).copied()
    }

    pub(crate) fn set(&mut self, name: &str, t: u64) -> Result<(), JournalError> {
        let is_new = !self.positions.contains_key(name);
        if !is_valid(name) || (is_new && CURSORS_MAX <= self.positions.len()) {
            return Err(JournalError::CursorName { name: name.to_owned(), count: self.positions.len() });
        }
        let before = self.positions.insert(name.to_owned(), t);
        if before == Some(t) {
            return Ok(());
        }
        let stored = self.store();
        if stored.is_err() {
            match before {
                Some(before) => self.positions.insert(name.to_owned(), before),
                None => self.positions.remove(name),
            };
        }
        stored
    }

    fn store(&self) -> Result<(), JournalError> {
        let (path, aside) = (self.dir.join(FILE), self.dir.join(format!("{FILE}.new")));
        let text = print(&self.positions);
        let replace = || -> io::Result<()> {
            let mut file = File::create(&aside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&aside, &path)?;
            segment::sync_dir(&self.dir)
        };
        replace().map_err(JournalError::write("write journal cursors", &path))
    }
}

/// One line per cursor, and the checksum of those lines in front.
fn print(positions: &BTreeMap<String, u64>) -> String {
    let mut lines = String::new();
    for (name, t) in positions {
        writeln!(lines, "{name} {t}").expect("a String takes any text");
    }
    format!("{:08x}\n{lines}", crc32fast::hash(lines.as_bytes()))
}

fn parse(text: &str) -> Option<BTreeMap<String, u64>> {
    let (checksum, lines) = text.split_once('\n')?;
    if u32::from_str_radix(checksum, 16).ok()? != crc32fast::hash(lines.as_bytes()) {
        return None;
    }
    let position = |line: &str| {
        let (name, t) = line.split_once(' ')?;
        Some((name.to_owned(), t.parse().ok()?))
    };
    lines.lines().map(position).collect()
}

fn is_valid(name: &str) -> bool {
    let is_name_char = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '.' | '_' | ':' | '-');
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.chars().all(is_name_char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_and_print_as_one_checked_file() {
        let dir = tempfile::tempdir().unwrap();
        let (mut cursors, _) = Cursors::load(dir.path()).unwrap();
        cursors.set("history", 5).unwrap();
        cursors.set("bus", u64::MAX).unwrap();
        cursors.set("history", 7).unwrap();
        let (cursors, lost) = Cursors::load(dir.path()).unwrap();
        assert_eq!(
            (cursors.get("history"), cursors.get("bus"), cursors.get("x"), lost),
            (Some(7), Some(u64::MAX), None, false)
        );
    }

    #[test]
    fn every_cut_or_flip_of_the_file_is_found_and_set_aside() {
        let good = print(&BTreeMap::from([("history".to_owned(), 1234)]));
        let good = good.as_bytes();
        let mut cases: Vec<Vec<u8>> = (0..good.len()).map(|length| good[..length].to_vec()).collect();
        cases.extend((0..good.len()).map(|at| {
            let mut bytes = good.to_vec();
            bytes[at] ^= 1;
            bytes
        }));
        let dir = tempfile::tempdir().unwrap();
        for bytes in cases {
            std::fs::write(dir.path().join(FILE), &bytes).unwrap();
            let (cursors, lost) = Cursors::load(dir.path()).unwrap();
            assert!(lost, "{:?}", String::from_utf8_lossy(&bytes));
            assert_eq!(cursors.get("history"), None);
        }
    }

    #[test]
    fn names_and_their_number_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let (mut cursors, _) = Cursors::load(dir.path()).unwrap();
        for name in ["", "a b", "Ä", "a\n1", &"x".repeat(65)] {
            assert!(matches!(cursors.set(name, 1), Err(JournalError::CursorName { .. })), "{name:?}");
        }
        for index in 0..CURSORS_MAX {
            cursors.positions.insert(format!("c{index}"), 0);
        }
        assert!(matches!(cursors.set("one-more", 1), Err(JournalError::CursorName { count: 64, .. })));
        cursors.set("c0", 1).unwrap();
    }
}
