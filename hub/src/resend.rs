//! `sysmonstm dead-letters`: list what a running hub refused, and send it again, over its HTTP API.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::client::{self, Answer};
use crate::exit::Exit;
use crate::health;
use crate::program::{complain, print};

/// Requests for all of them at most: far more letters than a hub keeps.
const REQUESTS_MAX: usize = 1_000;

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
    /// List them, newest first, as JSON
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
#[group(required = true, multiple = false, args = ["id", "all"])]
struct Resend {
    /// The letter's id, from the list
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
        None => health::show(&list(&base, &command.list)),
        Some(Action::List(asked)) => health::show(&list(&base, asked)),
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
}
