//! Identities, validated where they enter and trusted everywhere after.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest machine id, in bytes.
pub const MACHINE_ID_BYTES_MAX: usize = 128;

/// A name from outside that breaks a naming rule; the message says which.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {given:?} is not valid: {rule}")]
pub struct InvalidName {
    pub what: &'static str,
    pub given: String,
    pub rule: &'static str,
}

impl InvalidName {
    /// Keeps at most 64 characters of what was given, so that an attacker's name does not fill the logs.
    pub fn new(what: &'static str, given: &str, rule: &'static str) -> Self {
        Self { what, given: given.chars().take(64).collect(), rule }
    }
}

/// A monitored host's name: 1 to 128 of `A-Z a-z 0-9 . _ : -`, starting with a letter or digit. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MachineId(Arc<str>);

impl MachineId {
    pub fn parse(raw: &str) -> Result<Self, InvalidName> {
        let rule = "use 1 to 128 of A-Z a-z 0-9 . _ : - and start with a letter or digit";
        let first_is_fine = raw.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let all_are_fine = raw.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b));
        if !first_is_fine || !all_are_fine || raw.len() > MACHINE_ID_BYTES_MAX {
            return Err(InvalidName::new("machine id", raw, rule));
        }
        Ok(Self(raw.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A stable hash (the same in every process and run), for routing a machine to its worker.
    pub fn mix(&self) -> u64 {
        stable_hash(self.0.as_bytes())
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl TryFrom<String> for MachineId {
    type Error = InvalidName;
    fn try_from(raw: String) -> Result<Self, InvalidName> {
        Self::parse(&raw)
    }
}

impl From<MachineId> for String {
    fn from(id: MachineId) -> Self {
        id.0.as_ref().to_owned()
    }
}

/// FNV-1a with a final avalanche: stable across runs and releases, which std's and foldhash's hashers are not.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // The low bits of FNV are weak, and `% workers` looks at nothing else.
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 29)
}

/// The identity of a collector's spool: drawn once, kept on its disk, the same after its restart. 0 means none
/// (the one-sample-per-message wire has no sessions).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u64);

impl SessionId {
    pub const NONE: Self = Self(0);
    /// Dead letters that are sent again: no collector stands behind them.
    pub const RESENT: Self = Self(u64::MAX);

    /// Whether its frames are numbered.
    pub fn is_numbered(self) -> bool {
        self != Self::NONE && self != Self::RESENT
    }
}

/// A series' dense index within its machine, on the worker that owns the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

impl Slot {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_id_is_a_plain_host_like_name() {
        for fine in ["a", "db-1", "10.0.0.7:9100", "Host_2.example"] {
            assert_eq!(MachineId::parse(fine).unwrap().as_str(), fine);
        }
        let long = "x".repeat(129);
        for bad in ["", "-a", ".", "a b", "a/b", "ü", "a\n", long.as_str()] {
            assert!(MachineId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_routing_hash_never_changes_between_releases() {
        assert_eq!(MachineId::parse("db-1").unwrap().mix(), MachineId::parse("db-1").unwrap().mix());
        let spread: std::collections::BTreeSet<u64> =
            (0..64).map(|n| MachineId::parse(&format!("m{n}")).unwrap().mix() % 4).collect();
        assert_eq!(spread.len(), 4);
    }
}
