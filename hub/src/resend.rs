//! `sysmonstm dead-letters`: list what a running hub refused, and send it again, over its HTTP API.

use std::fmt::Write;
use std::io::{self, IsTerminal};

use clap::{Args, Subcommand};
use model::Timestamp;
use serde_json::Value;

use crate::client::{self, Answer};
use crate::exit::Exit;
use crate::health;
use crate::program::{complain, print};

/// Requests for all of them at most: far more letters than a hub keeps.
const REQUESTS_MAX: usize = 1_000;
/// Of the reason in a table.
const DETAIL_CHARS_MAX: usize = 100;

#[derive(Debug, Args)]
pub(crate) struct DeadLetters {
    #[command(subcommand)]
    action: Option<Action>,
    /// The hub [default: http://HTTP_ADDRESS]
    #[arg(long, global = true)]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List them, newest first: a table on a terminal, JSON otherwise
    List(List),
    /// Send them again: samples as any others, a row to the server that refused it
    Resend(Resend),
}

#[derive(Debug, Args)]
struct List {
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Only those refused for this reason
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, Args)]
struct Resend {
    /// The letter's id, from the list
    #[arg(required_unless_present = "all", conflicts_with_all = ["all", "reason"])]
    id: Option<String>,
    /// Every one that may be accepted now
    #[arg(long)]
    all: bool,
    /// Of all, only those refused for this reason
    #[arg(long, requires = "all")]
    reason: Option<String>,
}

/// Asks the hub at `base`, such as `http://localhost:8000`.
pub(crate) fn run(command: &DeadLetters, base: &str) -> Exit {
    let base = format!("{}/api/v1/dead-letters", base.trim_end_matches('/'));
    match &command.action {
        None => show(&list(&base, &command.list)),
        Some(Action::List(asked)) => show(&list(&base, asked)),
        Some(Action::Resend(Resend { id: Some(id), .. })) if !is_id(id) => {
            complain(format_args!("{id:?} is no id of a dead letter; `sysmonstm dead-letters` lists them"));
            Exit::Usage
        }
        Some(Action::Resend(Resend { id: Some(id), .. })) => {
            health::tell(client::post(&format!("{base}/{id}/resend")), &base)
        }
        Some(Action::Resend(Resend { reason, .. })) => resend_all(&base, reason.as_deref()),
    }
}

/// What can stand in a path as it is.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn with_reason(url: String, reason: Option<&str>) -> String {
    // A word with other letters is no reason, and the hub says which there are.
    let reason = reason.map(|word| word.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "_"));
    match reason {
        Some(reason) => format!("{url}{}reason={reason}", if url.contains('?') { '&' } else { '?' }),
        None => url,
    }
}

fn list(base: &str, asked: &List) -> String {
    with_reason(format!("{base}?limit={}", asked.limit), asked.reason.as_deref())
}

fn show(url: &str) -> Exit {
    match client::get(url) {
        Ok(Answer { status: 200, body }) if io::stdout().is_terminal() => {
            print(table(&serde_json::from_str(&body).unwrap_or_default()));
            Exit::Fine
        }
        other => health::tell(other, url),
    }
}

/// A line for each letter, and how to see the rest.
fn table(page: &Value) -> String {
    let letters = page["dead_letters"].as_array().map_or(&[][..], Vec::as_slice);
    let mut text = String::new();
    for letter in letters {
        let word = |name: &str| letter[name].as_str().unwrap_or_default();
        let time = Timestamp::from_millis(letter["time"].as_i64().unwrap_or(0));
        let detail: String = word("detail").chars().take(DETAIL_CHARS_MAX).collect();
        let state = match (&letter["resent"], &letter["obstacle"]) {
            (Value::Null, Value::Null) => "waits".to_owned(),
            (Value::Null, obstacle) => format!("stays: {}", obstacle.as_str().unwrap_or_default()),
            _ => "sent again".to_owned(),
        };
        let (id, machine, reason, source) = (word("id"), word("machine"), word("reason"), word("source"));
        let line = format!("{id}  {time}  {machine}  {reason} by {source}  {}  {state}  {detail}", letter["count"]);
        writeln!(text, "{line}").expect("a String takes any text");
    }
    text.push_str(match (letters.is_empty(), &page["next"]) {
        (true, _) => "no dead letters\n",
        (false, Value::Null) => "",
        (false, _) => "... and more; --limit shows up to 1000\n",
    });
    text
}

/// Asks until the hub has no more, and prints one line of all answers together.
fn resend_all(base: &str, reason: Option<&str>) -> Exit {
    let url = with_reason(format!("{base}/resend"), reason);
    let mut sums = [("letters", 0), ("samples", 0)];
    for _ in 0..REQUESTS_MAX {
        let report = match client::post(&url) {
            Ok(Answer { status: 200, body }) => serde_json::from_str::<Value>(&body).unwrap_or_default(),
            other => return health::tell(other, &url),
        };
        let of = |name: &str| report[name].as_u64().unwrap_or(0);
        sums.iter_mut().for_each(|(name, sum)| *sum += of(name));
        if report["more"] != true || of("letters") == 0 {
            let [(_, letters), (_, samples)] = sums;
            let refused = of("refused");
            print(format_args!("{letters} sent again ({samples} samples and rows), {refused} refused again\n"));
            for refusal in report["refusals"].as_array().into_iter().flatten() {
                let word = |name: &str| refusal[name].as_str().unwrap_or_default();
                complain(format_args!("{}: {}", word("id"), word("detail")));
            }
            return if refused == 0 { Exit::Fine } else { Exit::Failed };
        }
    }
    complain("the hub has more and more of them; ask again");
    Exit::Failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stands_in_a_path_as_it_is_and_nothing_else_does() {
        for (text, expected) in
            [("00af", true), ("old-7", true), ("", false), ("../x", false), ("a b", false), ("a?b", false)]
        {
            assert_eq!(is_id(text), expected, "{text}");
        }
        assert_eq!(with_reason("u?limit=1".to_owned(), Some("rate limited&x")), "u?limit=1&reason=rate_limited_x");
        assert_eq!(with_reason("u".to_owned(), Some("future")), "u?reason=future");
    }

    #[test]
    fn a_table_says_of_each_letter_what_becomes_of_it() {
        let letter = |id: &str, resent: Value, obstacle: Value| {
            serde_json::json!({"id": id, "machine": "db-1", "reason": "future", "source": "grpc_push", "count": 3,
                "kept": 3, "time": 0, "detail": "x".repeat(200), "resent": resent, "obstacle": obstacle})
        };
        let letters = [
            letter("1", Value::Null, Value::Null),
            letter("2", 5.into(), "it was sent again already".into()),
            letter("3", Value::Null, "its clock was ahead".into()),
        ];
        let text = table(&serde_json::json!({"dead_letters": letters, "next": "c"}));
        let start = "1970-01-01T00:00:00.000Z  db-1  future by grpc_push  3";
        let (x, lines) = ("x".repeat(100), text.lines().collect::<Vec<_>>());
        assert_eq!(lines[0], format!("1  {start}  waits  {x}"));
        assert_eq!(lines[1], format!("2  {start}  sent again  {x}"));
        assert_eq!(lines[2], format!("3  {start}  stays: its clock was ahead  {x}"));
        assert_eq!(lines[3], "... and more; --limit shows up to 1000");
        assert_eq!(table(&serde_json::json!({"dead_letters": [], "next": null})), "no dead letters\n");
    }
}
