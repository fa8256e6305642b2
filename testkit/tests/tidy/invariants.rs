//! Invariants: docs/INVARIANTS.md and the code name the same ids, and the tests it names exist.

use std::collections::BTreeSet;

use crate::tree::{TextFile, Tree};

/// The letters of STYLE section 5: journal, time, windows, alerts, queues, sinks, counts.
const LETTERS: [char; 7] = ['J', 'T', 'W', 'A', 'Q', 'S', 'C'];

pub(crate) fn breaches(tree: &Tree) -> Vec<String> {
    let page = tree.files().iter().find(|file| file.path == "docs/INVARIANTS.md").expect("docs/INVARIANTS.md is there");
    let rows: Vec<Vec<&str>> = page.text.lines().filter(|line| line.starts_with("| ")).map(cells).collect();
    let listed: BTreeSet<&str> = rows.iter().map(|row| row[0]).collect();
    let mut breaches = Vec::new();
    for file in tree.with_extensions(&["rs"]) {
        for id in cited(&file.text) {
            if !listed.contains(id.as_str()) {
                breaches.push(format!("{}: cites {id}, which docs/INVARIANTS.md does not list", file.path));
            }
        }
    }
    let sources: Vec<&TextFile> = tree.with_extensions(&["rs"]).collect();
    for row in &rows {
        for name in code_spans(row.last().expect("a row has cells")) {
            let is_there = if name.contains('/') {
                tree.root.join(name).exists()
            } else {
                sources.iter().any(|file| file.text.contains(&format!("fn {name}(")))
            };
            if !is_there {
                breaches.push(format!("docs/INVARIANTS.md: {}: there is no test {name}", row[0]));
            }
        }
    }
    breaches
}

fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

fn code_spans(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Words such as W-2, whatever brackets or commas stand around them.
fn cited(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    words.filter(|word| is_id(word)).map(str::to_owned).collect()
}

fn is_id(word: &str) -> bool {
    let Some((letter, number)) = word.split_once('-') else {
        return false;
    };
    let is_letter = LETTERS.iter().any(|known| letter == known.to_string());
    is_letter && number.len() <= 2 && !number.is_empty() && number.chars().all(|c| c.is_ascii_digit())
}

#[test]
fn ids_are_found_among_other_words() {
    let found = cited("keeps (W-1), S-2: UTF-8, sha-256, T-shirt, a J-1/J-2 pair, B-1, C-123");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["J-1", "J-2", "S-2", "W-1"]);
}
