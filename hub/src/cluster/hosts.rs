//! Hosts: the file that says which processes one graph runs on, `host:port` a line; line I is process I.
//!
//! In: text; `#` starts a comment, empty lines count for nothing. Out: the list and its digest, or every problem with
//! its line.
//! Bounds: 2 to [`PROCESSES_MAX`] processes. The order matters, for it says who is who: two files with the same lines
//! in another order have different digests, and their processes do not join.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv6Addr;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use model::ids::stable_hash;

/// Each process has two connections to each other one, and each worker a channel to each other worker.
pub const PROCESSES_MAX: usize = 100;

/// Where each process listens, by index. Valid by construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts {
    addresses: Vec<HostPort>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// A name or an address, an IPv6 one without its brackets; in small letters.
    pub host: String,
    pub port: u16,
}

impl Hosts {
    /// # Errors
    /// When the file cannot be read; else all problems of it, a line each.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read the hosts file {}", path.display()))?;
        Self::parse(&text).map_err(|problems| {
            anyhow!("the hosts file {} cannot be used:\n  {}", path.display(), problems.join("\n  "))
        })
    }

    /// # Errors
    /// Every problem, with the number of its line and what to do.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let (mut addresses, mut problems, mut seen) = (Vec::new(), Vec::new(), HashMap::new());
        for (number, line) in (1..).zip(text.lines()) {
            let entry = line.split_once('#').map_or(line, |(entry, _comment)| entry).trim();
            if entry.is_empty() {
                continue;
            }
            match HostPort::parse(entry) {
                Ok(address) => {
                    if let Some(first) = seen.insert(address.clone(), number) {
                        problems.push(format!(
                            "line {number}: {address} is on line {first} already; each process has its own"
                        ));
                    }
                    addresses.push(address);
                }
                Err(problem) => problems.push(format!("line {number}: {problem}")),
            }
        }
        problems.extend(wrong_count(addresses.len(), &problems));
        if problems.is_empty() { Ok(Self { addresses }) } else { Err(problems) }
    }

    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there are at least two")]
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    #[must_use]
    pub fn get(&self, process: usize) -> Option<&HostPort> {
        self.addresses.get(process)
    }

    /// The same for the same processes in the same order, whatever the comments say.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let lines: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        stable_hash(lines.join("\n").as_bytes())
    }

    /// As people are told of it: `process 1 (10.0.0.2:7080)`.
    pub(crate) fn name(&self, process: usize) -> String {
        self.get(process)
            .map_or_else(|| format!("process {process}"), |address| format!("process {process} ({address})"))
    }
}

impl HostPort {
    fn parse(entry: &str) -> Result<Self, String> {
        let expected =
            || format!("{} is not host:port; write it like 10.0.0.2:7080, hub-b:7080 or [fd00::2]:7080", quoted(entry));
        let (host, port) = entry.rsplit_once(':').ok_or_else(expected)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => {
                let address = rest.strip_suffix(']').ok_or_else(expected)?;
                address.parse::<Ipv6Addr>().map_err(|_error| expected())?.to_string()
            }
            None => host.to_ascii_lowercase(),
        };
        if !(is_name(&host) || host.contains(':') && entry.starts_with('[')) {
            return Err(expected());
        }
        match port.parse() {
            Ok(0) => Err(format!("{entry} has port 0, which no other process could find; choose one from 1 to 65535")),
            Ok(port) => Ok(Self { host, port }),
            Err(_no_port) => Err(expected()),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(out, "[{host}]:{port}") } else { write!(out, "{host}:{port}") }
    }
}

fn is_name(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

/// A line may be anything, also a whole file of something else.
fn quoted(entry: &str) -> String {
    const SHOWN_MAX: usize = 60;
    let shown: String = entry.chars().take(SHOWN_MAX).collect();
    if shown.len() < entry.len() { format!("{shown:?}...") } else { format!("{shown:?}") }
}

fn wrong_count(count: usize, problems: &[String]) -> Option<String> {
    if count > PROCESSES_MAX {
        return Some(format!(
            "it names {count} processes, and {PROCESSES_MAX} are the most; use larger machines instead"
        ));
    }
    // A line that cannot be read may well be the second process.
    (count < 2 && problems.is_empty()).then(|| {
        format!("it names {count} of at least 2 processes; write host:port of each, one a line, or leave --hosts away")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        match Hosts::parse(text) {
            Ok(hosts) => hosts.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(problems) => problems.join("\n"),
        }
    }

    #[test]
    fn a_line_is_a_process_and_comments_and_empty_lines_are_none() {
        let cases = [
            ("10.0.0.1:7080\n10.0.0.2:7080\n", "10.0.0.1:7080 10.0.0.2:7080"),
            ("# first\n\n  a:1  # in Bern\r\n\t\nB-2.lan:2", "a:1 b-2.lan:2"),
            ("[fd00::1]:7080\n[FD00:0::2]:7080", "[fd00::1]:7080 [fd00::2]:7080"),
            ("localhost:1\nlocalhost:2", "localhost:1 localhost:2"),
        ];
        for (text, expected) in cases {
            assert_eq!(parsed(text), expected);
        }
    }

    #[test]
    fn every_problem_is_told_with_its_line_and_what_to_do() {
        let text = "a:1\nb\n# c\nd:0\nA:1\n[::1:5\n::1:5\ne:99999\nf f:1\n:7\n";
        expect_test::expect![[r#"
            line 2: "b" is not host:port; write it like 10.0.0.2:7080, hub-b:7080 or [fd00::2]:7080
            line 4: d:0 has port 0, which no other process could find; choose one from 1 to 65535
            line 5: a:1 is on line 1 already; each process has its own
            line 6: "[::1:5" is not host:port; write it like 10.0.0.2:7080, hub-b:7080 or [fd00::2]:7080
            line 7: "::1:5" is not host:port; write it like 10.0.0.2:7080, hub-b:7080 or [fd00::2]:7080
            line 8: "e:99999" is not host:port; write it like 10.0.0.2:7080, hub-b:7080 or [fd00::2]:7080
            line 9: "f f:1" is not host:port; write it like 10.0.0.2:7080, hub-b:7080 or [fd00::2]:7080
            line 10: ":7" is not host:port; write it like 10.0.0.2:7080, hub-b:7080 or [fd00::2]:7080"#]]
        .assert_eq(&parsed(text));
    }

    #[test]
    fn there_are_at_least_two_processes_and_at_most_a_hundred() {
        assert!(parsed("").starts_with("it names 0 of at least 2 processes"));
        assert!(parsed("a:1").starts_with("it names 1 of at least 2 processes"));
        let lines = |count: usize| (1..=count).map(|port| format!("a:{port}\n")).collect::<String>();
        assert_eq!(Hosts::parse(&lines(PROCESSES_MAX)).unwrap().len(), PROCESSES_MAX);
        assert!(parsed(&lines(PROCESSES_MAX + 1)).starts_with("it names 101 processes"));
    }

    #[test]
    fn the_digest_is_of_the_processes_in_their_order() {
        let digest = |text| Hosts::parse(text).unwrap().digest();
        assert_eq!(digest("a:1\nb:2"), digest("# x\nA:1\n\nb:2 # y"));
        assert_ne!(digest("a:1\nb:2"), digest("b:2\na:1"));
        assert_ne!(digest("a:1\nb:2"), digest("a:1\nb:2\nc:3"));
    }

    #[test]
    fn the_file_is_named_in_what_is_wrong_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts");
        assert!(Hosts::read(&path).unwrap_err().to_string().contains("read the hosts file"));
        std::fs::write(&path, "a\nb\n").unwrap();
        let told = Hosts::read(&path).unwrap_err().to_string();
        assert!(told.contains("hosts cannot be used:\n  line 1: ") && told.contains("\n  line 2: "), "{told}");
        std::fs::write(&path, "a:1\nb:1\n").unwrap();
        assert_eq!(Hosts::read(&path).unwrap().name(1), "process 1 (b:1)");
    }
}
