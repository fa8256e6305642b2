//! Private: whether an address is one that only a private network reaches.
//!
//! What goes between the processes of a graph is neither encrypted nor behind a password, so a process does not listen
//! where strangers might reach it, unless its owner says so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Result, anyhow};

/// # Errors
/// When one of the addresses is, or may be, reachable from anywhere.
pub(crate) fn check(name: &str, addresses: &[SocketAddr]) -> Result<()> {
    let Some(public) = addresses.iter().find(|address| !is_private(address.ip())) else { return Ok(()) };
    let ip = public.ip();
    let found = if name.contains(&ip.to_string()) { String::new() } else { format!(" is {ip}, which") };
    let is = if ip.is_unspecified() { "is every address of this machine" } else { "is not a private address" };
    Err(anyhow!(
        "{name}{found} {is}: the connections between the processes have neither encryption nor a password, and whoever \
         reaches them reads and changes everything; put a private address (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, \
         100.64.0.0/10, fc00::/7) into the hosts file, such as WireGuard's, or say --insecure if the \
         network is yours alone"
    ))
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_private_v4(ip),
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or_else(|| is_private_v6(ip), is_private_v4),
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    // RFC 6598: between a provider and its customers, and what several overlay networks hand out.
    let is_shared = first == 100 && (64..128).contains(&second);
    ip.is_loopback() || ip.is_private() || ip.is_link_local() || is_shared
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_private_shared_and_link_local_addresses_are_private_and_no_others() {
        let private = [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "10.255.255.255",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.0",
            "100.127.255.255",
            "169.254.1.1",
            "::1",
            "fd00::1",
            "fc00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ];
        let public = [
            "0.0.0.0",
            "::",
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "192.169.0.1",
            "100.63.255.255",
            "100.128.0.0",
            "11.0.0.1",
            "2001:db8::1",
            "::ffff:8.8.8.8",
            "::ffff:0.0.0.0",
            "fec0::1",
            "224.0.0.1",
        ];
        for (texts, expected) in [(&private[..], true), (&public[..], false)] {
            for text in texts {
                assert_eq!(is_private(text.parse().unwrap()), expected, "{text}");
            }
        }
    }

    #[test]
    fn the_error_names_the_danger_the_flag_and_the_way_out() {
        let told = |name: &str, address: &str| check(name, &[address.parse().unwrap()]).unwrap_err().to_string();
        let literal = told("process 0 (8.8.8.8:1)", "8.8.8.8:1");
        assert!(literal.starts_with("process 0 (8.8.8.8:1) is not a private address: "), "{literal}");
        let resolved = told("process 0 (hub-a:1)", "8.8.8.8:1");
        assert!(resolved.starts_with("process 0 (hub-a:1) is 8.8.8.8, which is not a private address: "), "{resolved}");
        let every = told("process 0 (0.0.0.0:1)", "0.0.0.0:1");
        assert!(every.starts_with("process 0 (0.0.0.0:1) is every address of this machine: "), "{every}");
        for word in ["neither encryption nor a password", "--insecure", "WireGuard"] {
            assert!(literal.contains(word), "{literal}");
        }
        check("process 0 (localhost:1)", &["[::1]:1".parse().unwrap(), "127.0.0.1:1".parse().unwrap()]).unwrap();
    }
}
