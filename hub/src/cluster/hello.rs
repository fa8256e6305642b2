//! Hello: the first bytes on a connection between two processes, in both directions: who speaks, and what must be the
//! same.
//!
//! In and out: [`HELLO_BYTES`] bytes, so that a stranger costs no more than that. Magic, wire, index and version keep
//! their places for ever: whatever else changes, another version can be told by its name. Nothing of it is a secret or
//! a proof.

use model::ids::stable_hash;

use super::hosts::Hosts;
use super::refusal::Refusal;

pub(super) const HELLO_BYTES: usize = 96;
/// The first byte is no text, so that no other protocol begins so.
pub(super) const MAGIC: [u8; 8] = *b"\x93sysmon\n";
/// Raise it when what follows the hello changes.
const WIRE: u16 = 1;
const VERSION_BYTES_MAX: usize = 40;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Timely's own.
    Data = 1,
    /// Messages of the hub.
    Talk = 2,
}

/// What an answer says beside who answers. Of what differs each side finds the words itself, from the other's hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Welcome = 0,
    Refused = 1,
    /// Somebody else has this index.
    Twice = 2,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) wire: u16,
    pub(super) from: usize,
    pub(super) version: String,
    pub(super) processes: usize,
    pub(super) to: usize,
    pub(super) kind: Kind,
    pub(super) verdict: Verdict,
    pub(super) hosts: u64,
    pub(super) settings: u64,
    /// Drawn at each start, so that what a killed process left on the way is not taken for its successor's.
    pub(super) incarnation: u64,
}

/// What all hellos of a process have in common.
#[derive(Debug, Clone)]
pub(super) struct Card {
    pub(super) process: usize,
    pub(super) hosts: Hosts,
    pub(super) version: String,
    pub(super) settings: u64,
    pub(super) incarnation: u64,
}

impl Card {
    pub(super) fn hello(&self, to: usize, kind: Kind, verdict: Verdict) -> Hello {
        Hello {
            wire: WIRE,
            from: self.process,
            version: self.version.chars().filter(char::is_ascii_graphic).take(VERSION_BYTES_MAX).collect(),
            processes: self.hosts.len(),
            to,
            kind,
            verdict,
            hosts: self.hosts.digest(),
            settings: self.settings,
            incarnation: self.incarnation,
        }
    }

    /// What stands against one graph with whoever said this. `dialled` is who was expected; none on a connection that
    /// came in.
    pub(super) fn judge(&self, theirs: &Hello, dialled: Option<usize>) -> Result<(), Refusal> {
        let ours = self.hello(theirs.from, theirs.kind, Verdict::Welcome);
        let process = theirs.from;
        if (theirs.wire, &theirs.version) != (ours.wire, &ours.version) {
            let (theirs, ours) = (theirs.version_with(ours.wire), ours.version_with(theirs.wire));
            return Err(Refusal::Version { process, theirs, ours });
        }
        if theirs.incarnation == self.incarnation {
            return Err(Refusal::Itself { name: self.hosts.name(dialled.unwrap_or(theirs.to)), process: self.process });
        }
        if (theirs.hosts, theirs.processes) != (ours.hosts, ours.processes) {
            return Err(Refusal::Hosts { process });
        }
        if theirs.settings != self.settings {
            return Err(Refusal::Settings { process });
        }
        match dialled {
            Some(wanted) if wanted != process => Err(Refusal::WrongDoor { name: self.hosts.name(wanted), process }),
            None if theirs.to != self.process => {
                Err(Refusal::WrongDoor { name: self.hosts.name(theirs.to), process: self.process })
            }
            // The higher dials the lower, so nobody of a lower index comes in.
            None if process <= self.process || self.hosts.len() <= process => Err(Refusal::Twice { process }),
            Some(_) if theirs.verdict == Verdict::Twice => Err(Refusal::Twice { process: self.process }),
            Some(_) if theirs.verdict == Verdict::Refused => Err(Refusal::Unsaid { process }),
            Some(_) | None => Ok(()),
        }
    }
}

impl Hello {
    pub(super) fn encode(&self) -> [u8; HELLO_BYTES] {
        let mut bytes = [0; HELLO_BYTES];
        let version = self.version.as_bytes();
        let index = |process: usize| u16::try_from(process).unwrap_or(u16::MAX).to_le_bytes();
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&self.wire.to_le_bytes());
        bytes[10..12].copy_from_slice(&index(self.from));
        bytes[12] = u8::try_from(version.len()).expect("a version is cut to its place");
        bytes[13..13 + version.len()].copy_from_slice(version);
        bytes[56..58].copy_from_slice(&index(self.processes));
        bytes[58..60].copy_from_slice(&index(self.to));
        bytes[60] = self.kind as u8;
        bytes[61] = self.verdict as u8;
        bytes[64..72].copy_from_slice(&self.hosts.to_le_bytes());
        bytes[72..80].copy_from_slice(&self.settings.to_le_bytes());
        bytes[80..88].copy_from_slice(&self.incarnation.to_le_bytes());
        bytes
    }

    /// None when it is not of this program, or not whole. Of another wire only what keeps its place for ever is read.
    pub(super) fn decode(bytes: &[u8; HELLO_BYTES]) -> Option<Self> {
        let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let long = |at: usize| bytes[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
        let version = bytes.get(13..13 + usize::from(bytes[12]).min(VERSION_BYTES_MAX + 1))?;
        let is_ours = bytes.starts_with(&MAGIC) && version.len() <= VERSION_BYTES_MAX;
        if !is_ours || !version.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let wire = short(8);
        let is_known = wire == WIRE;
        let kind = match bytes[60] {
            2 if is_known => Kind::Talk,
            1 => Kind::Data,
            _ if !is_known => Kind::Data,
            _ => return None,
        };
        let verdict = match bytes[61] {
            _ if !is_known => Verdict::Refused,
            0 => Verdict::Welcome,
            1 => Verdict::Refused,
            2 => Verdict::Twice,
            _ => return None,
        };
        Some(Self {
            wire,
            from: usize::from(short(10)),
            version: String::from_utf8_lossy(version).into_owned(),
            processes: usize::from(short(56)),
            to: usize::from(short(58)),
            kind,
            verdict,
            hosts: long(64),
            settings: long(72),
            incarnation: long(80),
        })
    }

    /// The wire is named only where it is what differs.
    fn version_with(&self, other_wire: u16) -> String {
        if self.wire == other_wire { self.version.clone() } else { format!("{} (wire {})", self.version, self.wire) }
    }
}

/// One number for who exactly has joined; the same at every process, and another one after each start.
pub(super) fn start_of(incarnations: &[u64]) -> u64 {
    let bytes: Vec<u8> = incarnations.iter().flat_map(|incarnation| incarnation.to_le_bytes()).collect();
    stable_hash(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(process: usize) -> Card {
        let hosts = Hosts::parse("a:1\nb:2\nc:3").unwrap();
        let incarnation = 1_000 + u64::try_from(process).unwrap();
        Card { process, hosts, version: String::from("0.4.0"), settings: 7, incarnation }
    }

    #[test]
    fn a_hello_comes_back_as_it_was_said() {
        for (kind, verdict) in
            [(Kind::Data, Verdict::Welcome), (Kind::Talk, Verdict::Refused), (Kind::Talk, Verdict::Twice)]
        {
            let hello = card(2).hello(1, kind, verdict);
            assert_eq!(Hello::decode(&hello.encode()), Some(hello));
        }
    }

    #[test]
    fn what_is_not_of_this_program_is_not_read() {
        let good = card(2).hello(0, Kind::Talk, Verdict::Welcome).encode();
        // Magic, length of the version, a version that is no text, kind, verdict.
        for (at, byte) in [(0, b'G'), (7, 0), (12, 41), (12, 255), (13, b'\n'), (14, 0xff), (60, 0), (60, 3), (61, 3)] {
            let mut bytes = good;
            bytes[at] = byte;
            assert_eq!(Hello::decode(&bytes), None, "byte {at} is {byte}");
        }
        let mut http = [b' '; HELLO_BYTES];
        http[..14].copy_from_slice(b"GET / HTTP/1.1");
        assert_eq!((Hello::decode(&http), Hello::decode(&[0; HELLO_BYTES])), (None, None));
    }

    #[test]
    fn any_bytes_are_read_without_harm() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..10_000 {
            let mut bytes = card(2).hello(0, Kind::Data, Verdict::Welcome).encode();
            for _ in 0..rng.usize(1..8) {
                bytes[rng.usize(8..HELLO_BYTES)] = rng.u8(..);
            }
            if let Some(hello) = Hello::decode(&bytes) {
                drop(card(0).judge(&hello, None));
            }
        }
    }

    #[test]
    fn another_wire_is_told_by_its_version_whatever_follows() {
        let mut bytes = card(2).hello(0, Kind::Talk, Verdict::Welcome).encode();
        bytes[8] = 9;
        bytes[56..].fill(0xee);
        let told = card(0).judge(&Hello::decode(&bytes).unwrap(), None).unwrap_err().to_string();
        assert_eq!(
            told,
            "process 2 runs 0.4.0 (wire 9) and this is 0.4.0 (wire 1): install the same version everywhere"
        );
    }

    #[test]
    fn each_side_says_what_differs_and_what_to_do() {
        type Change = fn(&mut Card);
        let cases: [(Change, &str, &str); 4] = [
            (
                |card| card.version = String::from("0.4.1"),
                "process 2 runs 0.4.1 and this is 0.4.0: install the same version everywhere",
                "process 0 runs 0.4.0 and this is 0.4.1: install the same version everywhere",
            ),
            (
                |card| card.hosts = Hosts::parse("b:2\na:1\nc:3").unwrap(),
                "process 2 has another hosts file: put the same one everywhere; the order of its lines counts, too",
                "process 0 has another hosts file: put the same one everywhere; the order of its lines counts, too",
            ),
            (
                |card| card.settings = 8,
                "process 2 has other settings, and some must be the same everywhere: compare what \
                 `sysmonstm config print` shows there and here",
                "process 0 has other settings, and some must be the same everywhere: compare what \
                 `sysmonstm config print` shows there and here",
            ),
            (
                |card| card.incarnation = 1_000,
                "the address of process 0 (a:1) leads to this process itself, process 0: give each line of the \
                 hosts file its own address",
                "the address of process 0 (a:1) leads to this process itself, process 2: give each line of the \
                 hosts file its own address",
            ),
        ];
        for (change, at_the_door, at_the_dial) in cases {
            let (door, mut dial) = (card(0), card(2));
            change(&mut dial);
            let asked = dial.hello(0, Kind::Data, Verdict::Welcome);
            assert_eq!(door.judge(&asked, None).unwrap_err().to_string(), at_the_door);
            let answered = door.hello(2, Kind::Data, Verdict::Refused);
            assert_eq!(dial.judge(&answered, Some(0)).unwrap_err().to_string(), at_the_dial);
        }
    }

    #[test]
    fn who_comes_to_the_wrong_door_or_twice_is_told_so() {
        let (zero, one, two) = (card(0), card(1), card(2));
        let hello = |card: &Card, to, verdict| card.hello(to, Kind::Talk, verdict);
        let told = |result: Result<(), Refusal>| result.map_or_else(|refusal| refusal.to_string(), |()| String::new());
        let lost = told(zero.judge(&hello(&two, 1, Verdict::Welcome), None));
        assert_eq!(lost, "the address of process 1 (b:2) leads to process 0: correct the hosts file");
        let found = told(two.judge(&hello(&zero, 2, Verdict::Refused), Some(1)));
        assert_eq!(found, "the address of process 1 (b:2) leads to process 0: correct the hosts file");
        let twice = told(two.judge(&hello(&zero, 2, Verdict::Twice), Some(0)));
        assert!(twice.starts_with("there is another process 2: "), "{twice}");
        assert!(told(one.judge(&hello(&zero, 1, Verdict::Welcome), None)).starts_with("there is another process 0: "));
        assert_eq!(told(zero.judge(&hello(&two, 0, Verdict::Welcome), None)), "");
        assert_eq!(told(two.judge(&hello(&zero, 2, Verdict::Welcome), Some(0))), "");
    }
}
