//! Params: the query part of a request, read strictly. A name nobody knows, a name given twice or a value out of range is answered
//! with the parameter's name and what to write instead: a mistyped `form=` must not silently mean the default.

use axum::extract::Query;
use http::Uri;
use model::{MachineId, Timestamp};

use crate::error::Problem;
use crate::moment;

/// Largest page.
pub(crate) const LIMIT_MAX: usize = 1_000;
/// Rows that a cursor may skip: a store walks over them one by one.
pub(crate) const OFFSET_MAX: usize = 100_000;
/// Pairs in one query string.
const PAIRS_MAX: usize = 256;

#[derive(Debug)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// An empty value counts as absent.
    pub(crate) fn read(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let Ok(Query(mut pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
            return Err(Problem::bad_query("the query is not of the form name=value&name=value"));
        };
        if PAIRS_MAX < pairs.len() {
            let detail = format!("{} parameters are too many; send at most {PAIRS_MAX}", pairs.len());
            return Err(Problem::bad_query(detail));
        }
        if let Some((unknown, _)) = pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            let known = match known {
                [] => "nothing here".to_owned(),
                names => names.join(", "),
            };
            let detail = format!("`{}` is not a parameter; possible: {known}", shortened(unknown));
            return Err(Problem::bad_query(detail));
        }
        pairs.retain(|(_, value)| !value.is_empty());
        Ok(Self { pairs })
    }

    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        let first = values.next();
        match values.next() {
            Some(_) => Err(Problem::bad_query(format!("`{name}` is given twice; give it once"))),
            None => Ok(first),
        }
    }

    pub(crate) fn count(&self, name: &str, max: usize, default: usize) -> Result<usize, Problem> {
        let Some(text) = self.one(name)? else {
            return Ok(default);
        };
        match text.parse() {
            Ok(count) if (1..=max).contains(&count) => Ok(count),
            _ => Err(wrong(name, "a whole number in range", text, &format!("use 1 to {max}"))),
        }
    }

    pub(crate) fn limit(&self, default: usize) -> Result<usize, Problem> {
        self.count("limit", LIMIT_MAX, default)
    }

    /// The cursor of a list that is paged by position.
    pub(crate) fn offset(&self) -> Result<usize, Problem> {
        let Some(text) = self.one("cursor")? else { return Ok(0) };
        match text.parse() {
            Ok(offset) if offset <= OFFSET_MAX => Ok(offset),
            _ => {
                let hint =
                    format!("use the `next` of the page before; lists end after {OFFSET_MAX} rows, narrow the query");
                Err(wrong("cursor", "a cursor", text, &hint))
            }
        }
    }

    pub(crate) fn time(&self, name: &str, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        match moment::parse(text, now) {
            Some(time) => Ok(Some(time)),
            None => Err(wrong(name, "a time", text, moment::HOW_TO)),
        }
    }

    /// `[from, to)`; `to` is now where absent, `from` the given span before `to`'s default.
    pub(crate) fn range(&self, now: Timestamp, span: std::time::Duration) -> Result<(Timestamp, Timestamp), Problem> {
        let to = self.time("to", now)?.unwrap_or(now);
        let from = self.time("from", now)?.unwrap_or(now - span);
        if to <= from {
            let detail = format!("`from` ({from}) must be before `to` ({to})");
            return Err(Problem::bad_query(detail));
        }
        Ok((from, to))
    }

    /// One of some words.
    pub(crate) fn choice<T: Copy>(&self, name: &str, words: &[(&str, T)], default: T) -> Result<T, Problem> {
        let Some(text) = self.one(name)? else {
            return Ok(default);
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let possible: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Err(wrong(name, "known", text, &format!("use {}", possible.join(", "))))
    }

    pub(crate) fn machine(&self, name: &str) -> Result<Option<MachineId>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        match MachineId::parse(text) {
            Ok(id) => Ok(Some(id)),
            Err(invalid) => Err(wrong(name, "a machine id", text, invalid.rule)),
        }
    }
}

/// `` `from` is not a time: "yesterday"; use … ``
pub(crate) fn wrong(name: &str, what: &str, given: &str, hint: &str) -> Problem {
    Problem::bad_query(format!("`{name}` is not {what}: {:?}; {hint}", shortened(given)))
}

/// The cursor of the next page, if there is one: `found` was asked for one row more than fits.
pub(crate) fn next_offset(offset: usize, limit: usize, found: usize) -> Option<String> {
    (limit < found).then(|| (offset + limit).to_string())
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["limit", "cursor", "from", "to", "status", "machine"];

    fn read(query: &str) -> Result<Params, Problem> {
        Params::read(&format!("/x?{query}").parse().unwrap(), KNOWN)
    }

    #[test]
    fn every_bad_parameter_is_named_with_what_to_write_instead() {
        let now = Timestamp::from_secs(1_763_700_000);
        let detail = |query: &str| {
            let refused = read(query).and_then(|params| {
                params.limit(100)?;
                params.offset()?;
                params.range(now, std::time::Duration::from_secs(3_600))?;
                params.choice("status", &[("up", 1), ("down", 2)], 0)?;
                params.machine("machine")
            });
            refused.map_or_else(|problem| problem.detail, |_| "fine".to_owned())
        };
        expect_test::expect![[r#"
            limit=5&status=up            fine
            limit=&from=                 fine
            limit=0                      `limit` is not a whole number in range: "0"; use 1 to 1000
            limit=1001                   `limit` is not a whole number in range: "1001"; use 1 to 1000
            limit=ten                    `limit` is not a whole number in range: "ten"; use 1 to 1000
            limit=1&limit=2              `limit` is given twice; give it once
            cursor=-1                    `cursor` is not a cursor: "-1"; use the `next` of the page before; lists end after 100000 rows, narrow the query
            from=yesterday               `from` is not a time: "yesterday"; use RFC 3339, unix seconds, or now-1h
            from=now&to=now-1h           `from` (2025-11-21T04:40:00.000Z) must be before `to` (2025-11-21T03:40:00.000Z)
            status=fine                  `status` is not known: "fine"; use up, down
            machine=a%2Fb                `machine` is not a machine id: "a/b"; use 1 to 128 of A-Z a-z 0-9 . _ : - and start with a letter or digit
            form=now-1h                  `form` is not a parameter; possible: limit, cursor, from, to, status, machine
        "#]]
        .assert_eq(
            &[
                "limit=5&status=up",
                "limit=&from=",
                "limit=0",
                "limit=1001",
                "limit=ten",
                "limit=1&limit=2",
                "cursor=-1",
                "from=yesterday",
                "from=now&to=now-1h",
                "status=fine",
                "machine=a%2Fb",
                "form=now-1h",
            ]
            .map(|query| format!("{query:<28} {}\n", detail(query)))
            .concat(),
        );
    }

    #[test]
    fn a_page_that_is_full_names_the_next_one() {
        assert_eq!(next_offset(200, 100, 101).as_deref(), Some("300"));
        assert_eq!(next_offset(200, 100, 100), None);
    }
}
