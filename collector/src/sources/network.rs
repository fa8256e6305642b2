//! Network: traffic per interface from /proc/net/dev, and the machine's TCP connections from /proc/net/snmp.
//!
//! Loopback and the inner ends of containers and bridges are left out: their traffic is counted at the outer interface.

use std::collections::BTreeMap;

use super::root::Root;
use super::{Source, SourceError};
use crate::rate::{Last, bytes_per_second, exact, per_second};
use crate::readings::Readings;

const EXCLUDED: [&str; 6] = ["veth", "docker", "br-", "virbr", "ifb", "dummy"];
/// (metric, column of /proc/net/dev).
const COLUMNS: [(&str, usize); 8] = [
    ("system.network.receive.bytes_rate", 0),
    ("system.network.receive.packets_rate", 1),
    ("system.network.receive.errors_rate", 2),
    ("system.network.receive.dropped_rate", 3),
    ("system.network.transmit.bytes_rate", 8),
    ("system.network.transmit.packets_rate", 9),
    ("system.network.transmit.errors_rate", 10),
    ("system.network.transmit.dropped_rate", 11),
];

/// Columns that count bytes.
const BYTES: [usize; 2] = [0, 8];

type Counters = [u64; 16];

pub(super) struct Network {
    root: Root,
    last: Last<BTreeMap<String, Counters>>,
}

impl Network {
    pub(super) fn new(root: Root) -> Self {
        Self { root, last: Last::default() }
    }
}

impl Source for Network {
    fn name(&self) -> &'static str {
        "network"
    }

    fn read(&mut self, at_us: u64, out: &mut Readings) -> Result<(), SourceError> {
        let now = parse(&self.root.read("proc/net/dev")?);
        let earlier = self.last.replace(at_us, now.clone());
        for (device, now) in now {
            for (metric, column) in COLUMNS {
                let rate = earlier.as_ref().and_then(|earlier| {
                    let before = earlier.reading.get(&device)?;
                    let per_second = if BYTES.contains(&column) { bytes_per_second } else { per_second };
                    per_second(before[column], now[column], earlier.elapsed_us)
                });
                out.put(metric, &[("device", &device)], rate);
            }
        }
        if let Some(count) = self.root.read_optional("proc/net/snmp").and_then(|text| connections(&text)) {
            out.plain("system.network.connection.count", exact(count));
        }
        Ok(())
    }
}

/// Two lines of headings hold no colon followed by sixteen numbers, so they fall out like any odd line.
fn parse(dev: &str) -> BTreeMap<String, Counters> {
    dev.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<(String, Counters)> {
    // The last colon ends the name: an alias (eth0:1) holds one.
    let (device, numbers) = line.rsplit_once(':')?;
    let device = device.trim();
    let mut words = numbers.split_ascii_whitespace();
    let mut counters = [0; 16];
    for counter in &mut counters {
        *counter = words.next()?.parse().ok()?;
    }
    let is_wanted = !device.is_empty() && device != "lo" && !EXCLUDED.iter().any(|prefix| device.starts_with(prefix));
    is_wanted.then(|| (device.to_owned(), counters))
}

/// Established connections (with those the other side has closed), of IPv4 and IPv6. The kernel keeps this number, while
/// listing every connection takes it milliseconds on a busy server.
fn connections(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Tcp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split_ascii_whitespace().zip(values.split_ascii_whitespace());
    pairs.find(|(name, _)| *name == "CurrEstab")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::sources::testing::{Machine, read};

    const HEADINGS: &str =
        "Inter-|   Receive |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes\n";
    const SNMP: &str = "Ip: Forwarding\nIp: 1\nTcp: RtoAlgorithm MaxConn CurrEstab InSegs\nTcp: 1 -1 42 9\n";

    fn dev(received: u64, sent: u64) -> String {
        format!(
            "{HEADINGS}    lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n  eth0:{received} 20 0 5 0 0 0 0 {sent} 10 1 0 0 0 0 0\n"
        )
    }

    #[test]
    fn traffic_is_per_second_and_loopback_is_left_out() {
        let machine = Machine::with(&[("proc/net/dev", &dev(1_000, 500)), ("proc/net/snmp", SNMP)]);
        let mut source = Network::new(machine.root());
        assert_eq!(read(&mut source, 0).lines().filter(|line| line.ends_with(" -")).count(), 8);
        machine.write("proc/net/dev", &dev(6_000, 400));
        expect![[r#"
            system.network.connection.count 42
            system.network.receive.bytes_rate{device="eth0"} 1000
            system.network.receive.dropped_rate{device="eth0"} 0
            system.network.receive.errors_rate{device="eth0"} 0
            system.network.receive.packets_rate{device="eth0"} 0
            system.network.transmit.bytes_rate{device="eth0"} -
            system.network.transmit.dropped_rate{device="eth0"} 0
            system.network.transmit.errors_rate{device="eth0"} 0
            system.network.transmit.packets_rate{device="eth0"} 0
        "#]]
        .assert_eq(&read(&mut source, 5_000_000));
    }

    #[test]
    fn inner_interfaces_and_odd_lines_are_passed_over() {
        let line = |name: &str| format!("{name}: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16");
        for name in ["lo", "veth12ab", "docker0", "br-9f", "virbr0", "ifb1", ""] {
            assert!(parse(&line(name)).is_empty(), "{name}");
        }
        for odd in ["", "eth0", "eth0:", "eth0: 1 2 3", "eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 x"] {
            assert!(parse(odd).is_empty(), "{odd:?}");
        }
        assert!(parse(&line("eth0:1")).contains_key("eth0:1"));
        assert!(parse(&line("bridge0")).contains_key("bridge0"));
    }

    #[test]
    fn the_count_of_connections_is_found_by_its_name() {
        assert_eq!(connections(SNMP), Some(42));
        for odd in ["", "Tcp: CurrEstab\n", "Tcp: CurrEstab\nTcp:\n", "Tcp: CurrEstab\nTcp: x\n", "Tcp: A\nTcp: 1\n"] {
            assert_eq!(connections(odd), None, "{odd:?}");
        }
    }
}
