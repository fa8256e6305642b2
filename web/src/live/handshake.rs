//! Handshake: from a `GET` with `Upgrade: websocket` to the bare connection (RFC 6455, section 4.2).
//!
//! By hand instead of axum's, whose socket hides the connection: what all clients are sent is framed once and written past it (`viewer`).

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::error::Problem;

/// A client that asks for a WebSocket and may have one.
pub struct Opening {
    accept: HeaderValue,
    upgrade: OnUpgrade,
}

impl<S: Sync> FromRequestParts<S> for Opening {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let key = parts.headers.get(header::SEC_WEBSOCKET_KEY);
        if let (Some(upgrade), Some(key), true) = (upgrade, key, asks(&parts.method, &parts.headers)) {
            let accept = derive_accept_key(key.as_bytes());
            let accept = HeaderValue::from_str(&accept).expect("base64 is plain ASCII");
            return Ok(Self { accept, upgrade });
        }
        let detail = "this path speaks WebSocket only; docs/LIVE_PROTOCOL.md describes it";
        Err(Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", detail))
    }
}

impl Opening {
    /// The answer, and the bare connection that is there once it has been sent.
    #[must_use]
    pub fn accept(self) -> (Response, OnUpgrade) {
        let headers = [
            (header::CONNECTION, HeaderValue::from_static("upgrade")),
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::SEC_WEBSOCKET_ACCEPT, self.accept),
        ];
        ((StatusCode::SWITCHING_PROTOCOLS, headers).into_response(), self.upgrade)
    }
}

fn asks(method: &Method, headers: &HeaderMap) -> bool {
    let has = |name: HeaderName, wanted: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(wanted))
    };
    *method == Method::GET
        && has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && has(header::SEC_WEBSOCKET_VERSION, "13")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_get_with_all_of_the_words_asks_for_a_websocket() {
        let headers = |connection: &str, upgrade: &str, version: &str| {
            let pairs = [
                (header::CONNECTION, connection.to_owned()),
                (header::UPGRADE, upgrade.to_owned()),
                (header::SEC_WEBSOCKET_VERSION, version.to_owned()),
            ];
            pairs.into_iter().map(|(name, value)| (name, HeaderValue::from_str(&value).unwrap())).collect::<HeaderMap>()
        };
        let good = headers("keep-alive, Upgrade", "WebSocket", "13");
        assert!(asks(&Method::GET, &good));
        assert!(!asks(&Method::POST, &good));
        for bad in [
            headers("keep-alive", "websocket", "13"),
            headers("upgrade", "h2c", "13"),
            headers("upgrade", "websocket", "8"),
        ] {
            assert!(!asks(&Method::GET, &bad), "{bad:?}");
        }
    }
}
