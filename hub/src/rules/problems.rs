//! Problems: what is wrong in a rule file, with the line, gathered so that one run reports everything.

use std::fmt;
use std::ops::Range;

/// One thing wrong, or odd, in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Counted from 1; none for what concerns the whole file.
    pub line: Option<usize>,
    pub message: String,
}

/// Gathers notes by their place in the text.
#[derive(Debug)]
pub(super) struct Notes<'t> {
    text: &'t str,
    pub(super) problems: Vec<Note>,
    /// Not wrong, but probably not meant.
    pub(super) warnings: Vec<Note>,
}

impl<'t> Notes<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, problems: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn problem(&mut self, at: Option<Range<usize>>, message: impl Into<String>) {
        let note = self.note(at, message);
        self.problems.push(note);
    }

    pub(super) fn warning(&mut self, at: Option<Range<usize>>, message: impl Into<String>) {
        let note = self.note(at, message);
        self.warnings.push(note);
    }

    fn note(&self, at: Option<Range<usize>>, message: impl Into<String>) -> Note {
        let line = at.map(|span| {
            let before = self.text.as_bytes().iter().take(span.start);
            1 + before.filter(|byte| **byte == b'\n').count()
        });
        Note { line, message: message.into() }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(out, "line {line}: {}", self.message),
            None => out.write_str(&self.message),
        }
    }
}

/// `; did you mean "x"?`, or nothing when no known name is near.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    // Below this likeness a hint misleads more often than it helps.
    const LIKENESS_MIN: f64 = 0.8;
    let scored = known.into_iter().map(|other| (strsim::jaro_winkler(name, other), other));
    match scored.max_by(|one, other| one.0.total_cmp(&other.0)) {
        Some((likeness, other)) if LIKENESS_MIN <= likeness => format!("; did you mean {other:?}?"),
        Some(_) | None => String::new(),
    }
}
