//! Address: where to listen, as people write it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Reads `127.0.0.1:8000`, `[::1]:8000` or `localhost:8000`. No other names: what a hub listens on must not hang on a name server.
///
/// # Errors
/// What to write instead.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let expected =
        || String::from("expected an IP address and a port, like 127.0.0.1:8000, [::1]:8000 or localhost:8000");
    match text.strip_prefix("localhost:") {
        Some(port) => {
            let port = port.parse().map_err(|_error| expected())?;
            Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
        }
        None => text.parse().map_err(|_error| expected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_or_localhost_with_a_port() {
        let cases = [
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            ("localhost:0", "127.0.0.1:0"),
            ("[::1]:50051", "[::1]:50051"),
            ("0.0.0.0:80", "0.0.0.0:80"),
        ];
        for (text, address) in cases {
            assert_eq!(parse_address(text).unwrap().to_string(), address, "{text}");
        }
        for text in ["", "8000", ":8000", "localhost", "localhost:99999", "example.org:80", "127.0.0.1"] {
            assert!(parse_address(text).is_err(), "{text}");
        }
    }
}
