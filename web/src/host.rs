//! Host: under which names the hub may be asked.
//!
//! A web page that somebody visits can point its own name at 127.0.0.1 (DNS rebinding) and would then read the dashboard of a hub that
//! trusts its loopback; and a page of any origin may open a WebSocket. So a hub on the loopback answers to its own names only, and a
//! browser's socket must come from the page that this hub served.

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri, header};

use crate::error::Problem;

const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPolicy {
    answers_to_all: bool,
    /// Without a port, in any case.
    names: Vec<String>,
}

impl HostPolicy {
    /// For an address that others reach: their names for it are not ours to know.
    #[must_use]
    pub fn any() -> Self {
        Self { answers_to_all: true, names: Vec::new() }
    }

    /// For the address that the hub listens on, with further names it may be asked under (a reverse proxy's, say).
    #[must_use]
    pub fn for_address(address: IpAddr, names: &[String]) -> Self {
        let is_loopback = address.to_canonical().is_loopback();
        let own = is_loopback.then_some(LOOPBACK_NAMES).into_iter().flatten();
        Self { answers_to_all: !is_loopback, names: own.map(str::to_owned).chain(names.iter().cloned()).collect() }
    }

    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        if self.answers_to_all {
            return Ok(());
        }
        let host = asked_host(uri, headers);
        if host.as_ref().is_some_and(|host| self.knows(host.host())) {
            return Ok(());
        }
        let asked = host.map_or_else(|| "no name".to_owned(), |host| host.host().to_owned());
        let detail = format!(
            "this hub listens on the loopback and does not answer to {asked}; use localhost, or configure the name"
        );
        Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", detail))
    }

    /// For a WebSocket: programs send no `Origin`; a browser's page must come from the host that it asks, or from a name of ours
    /// (a proxy may ask under another one than the page was loaded from).
    pub(crate) fn check_origin(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return Ok(());
        };
        let page = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok());
        let page = page.as_ref().and_then(Uri::authority);
        let is_same = page.is_some() && page == asked_host(uri, headers).as_ref();
        if is_same || page.is_some_and(|page| self.knows(page.host())) {
            return Ok(());
        }
        let detail = "the page that asks was not served by this hub; open the dashboard at the hub's own address";
        Err(Problem::new(StatusCode::FORBIDDEN, "foreign_origin", detail))
    }

    fn knows(&self, host: &str) -> bool {
        self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }
}

fn asked_host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    named.and_then(|host| host.parse().ok()).or_else(|| uri.authority().cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_hub_on_the_loopback_answers_to_its_own_names_only() {
        let names = ["hub.example".to_owned()];
        let loopback = HostPolicy::for_address([127, 0, 0, 1].into(), &names);
        for (host, is_fine) in [
            ("localhost:8000", true),
            ("LOCALHOST", true),
            ("127.0.0.1:9", true),
            ("[::1]:8000", true),
            ("Hub.Example", true),
            ("evil.example:8000", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            let verdict = loopback.check(&Uri::from_static("/"), &asked(host, None));
            assert_eq!(verdict.is_ok(), is_fine, "{host}");
        }
        let open = HostPolicy::for_address([0, 0, 0, 0].into(), &names);
        assert!(open.check(&Uri::from_static("/"), &asked("any.example", None)).is_ok());
    }

    #[test]
    fn a_socket_comes_from_our_own_page_or_from_a_program() {
        let policy = HostPolicy::for_address([0, 0, 0, 0].into(), &["mon.example".to_owned()]);
        for (origin, is_fine) in [
            (None, true),
            (Some("http://hub:8000"), true),
            (Some("https://hub:8000"), true),
            (Some("https://mon.example"), true),
            (Some("http://localhost:3000"), false),
            (Some("http://evil.example"), false),
            (Some("http://hub:8001"), false),
            (Some("null"), false),
        ] {
            let verdict = policy.check_origin(&Uri::from_static("/ws"), &asked("hub:8000", origin));
            assert_eq!(verdict.is_ok(), is_fine, "{origin:?}");
        }
    }
}
