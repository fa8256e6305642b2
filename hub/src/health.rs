//! Health: the commands that ask a running hub and turn its answer into an exit code.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::client::{self, Answer, AskError};
use crate::exit::Exit;
use crate::program::{complain, print};

/// Where a hub that listens on `address` is reached from its own machine.
#[must_use]
pub fn url_of(address: SocketAddr, path: &str) -> String {
    format!("http://{}{path}", own_address(address))
}

/// The address under which a machine reaches its own listener: one on all addresses is also on loopback.
#[must_use]
pub fn own_address(listener: SocketAddr) -> SocketAddr {
    let host = match listener.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        host => host,
    };
    SocketAddr::new(host, listener.port())
}

/// `sysmonstm health`: fine when the hub answers with a success. A URL without a path asks for `/health`.
#[must_use]
pub fn check(url: &str) -> Exit {
    let has_path = url.split_once("://").map_or(url, |(_, rest)| rest).contains('/');
    let url = if has_path { url.to_owned() } else { format!("{url}/health") };
    show(&url)
}

/// Prints what the hub answers; anything but a success is a failure.
#[must_use]
pub fn show(url: &str) -> Exit {
    tell(client::get(url), url)
}

/// Prints an answer; anything but a success is a failure.
#[must_use]
pub fn tell(answer: Result<Answer, AskError>, url: &str) -> Exit {
    match answer {
        Ok(Answer { status: 200..=299, body }) => {
            print(format_args!("{}\n", body.trim_end()));
            Exit::Fine
        }
        Ok(Answer { status, body }) => {
            complain(format_args!("{url} answers {status}: {}", body.trim_end()));
            Exit::Failed
        }
        Err(error) => {
            complain(error);
            Exit::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_on_all_addresses_is_asked_on_loopback() {
        let cases = [
            ("0.0.0.0:80", "http://127.0.0.1:80/health"),
            ("[::]:80", "http://[::1]:80/health"),
            ("10.0.0.7:8000", "http://10.0.0.7:8000/health"),
        ];
        for (address, url) in cases {
            assert_eq!(url_of(address.parse().unwrap(), "/health"), url);
        }
    }
}
