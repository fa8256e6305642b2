//! Names in Redis: keys, channels, and how long keys live. A contract with other programs: docs/DASHBOARDS.md.

use std::time::Duration;

use model::MachineId;

use crate::bus::Topic;

/// A key that nobody renews is gone after this time: what Redis says of a machine is never older.
pub const KEPT: Duration = Duration::from_secs(300);

/// One hub's names in one Redis.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
    machines: String,
    channels: [String; Topic::ALL.len()],
}

impl Keys {
    /// Several hubs share a Redis under prefixes of their own; the usual one is empty.
    pub fn new(prefix: &str) -> Self {
        Self {
            machines: format!("{prefix}machines"),
            channels: Topic::ALL.map(|topic| format!("{prefix}{topic}")),
            prefix: prefix.to_owned(),
        }
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A string: the machine's latest state, one JSON document.
    pub fn machine(&self, machine: &MachineId) -> String {
        self.machine_named(machine.as_str())
    }

    pub fn machine_named(&self, machine: &str) -> String {
        let mut key = String::with_capacity(self.prefix.len() + 8 + machine.len());
        key.push_str(&self.prefix);
        key.push_str("machine:");
        key.push_str(machine);
        key
    }

    /// A sorted set: all machines by the time they were last seen, in milliseconds.
    pub fn machines(&self) -> &str {
        &self.machines
    }

    pub fn channel(&self, topic: Topic) -> &str {
        &self.channels[topic as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_contract_and_a_prefix_comes_before_each() {
        for prefix in ["", "eu:"] {
            let keys = Keys::new(prefix);
            assert_eq!(keys.machine(&MachineId::parse("db-1").unwrap()), format!("{prefix}machine:db-1"));
            assert_eq!(keys.machines(), format!("{prefix}machines"));
            for topic in Topic::ALL {
                assert_eq!(keys.channel(topic), format!("{prefix}{topic}"));
            }
        }
    }
}
