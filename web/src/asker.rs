//! Asker: who asks for a change: the name that they give in a header, and the other end of their connection.
//!
//! Nothing of it is proved; behind a proxy the address is the proxy's. It is for the audit record, not for a decision.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use http::request::Parts;
use model::audit::{Actor, Door};

use crate::error::Problem;
use crate::serve::Peer;

/// Free text: how the person or program wants to be called.
const HEADER: &str = "x-author";

/// Whoever sent the request.
pub(crate) struct Asker(pub(crate) Actor);

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let address: Option<IpAddr> = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
        let given = parts.headers.get(HEADER).map(|author| String::from_utf8_lossy(author.as_bytes()).into_owned());
        Ok(Self(Actor::new(Door::Http, &given.unwrap_or_default(), address)))
    }
}
