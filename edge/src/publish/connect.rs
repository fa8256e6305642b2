//! Connect: the way to the edge: its address, the encryption, the token.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{HeaderValue, Uri, header};
use runtime::BoxError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::failure::Failure;
use crate::protocol::PUBLISH_PATH;
use crate::relay::token::check_token;

/// Acknowledgements are short.
const ANSWER_BYTES_MAX: usize = 4 * 1024;
const READ_BUFFER_BYTES: usize = 4 * 1024;
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

pub(super) type Socket = WebSocketStream<Box<dyn Stream>>;

/// Plain or encrypted.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Where an edge is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeUrl {
    is_encrypted: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    uri: Uri,
}

/// What the edge wants to hear; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl EdgeUrl {
    /// Reads `wss://status.example`, with a port or a path before the edge's own if need be. A line without encryption carries the token
    /// for everybody to read, so `ws://` is for this machine only unless `is_insecure`.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str, is_insecure: bool) -> Result<Self, String> {
        let expected = || String::from("write wss://HOST, or ws://127.0.0.1:8080 on this machine");
        let uri: Uri = text.parse().map_err(|_error| expected())?;
        let is_encrypted = match uri.scheme_str() {
            Some("wss" | "https") => true,
            Some("ws" | "http") => false,
            Some(_) | None => return Err(expected()),
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(expected)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() || uri.query().is_some() {
            return Err(expected());
        }
        let is_here = host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
        if !is_encrypted && !is_here && !is_insecure {
            return Err(String::from(
                "would send the token without encryption; use wss://, or accept the risk with --insecure",
            ));
        }
        let port = authority.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/');
        let path = if path.ends_with(PUBLISH_PATH) { path.to_owned() } else { format!("{path}{PUBLISH_PATH}") };
        let scheme = if is_encrypted { "wss" } else { "ws" };
        let uri = format!("{scheme}://{}{path}", authority.as_str()).parse().map_err(|_error| expected())?;
        Ok(Self { is_encrypted, host, port, uri })
    }
}

impl fmt::Display for EdgeUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(out)
    }
}

impl Token {
    /// # Errors
    /// What makes it unfit, without showing it.
    pub fn parse(text: &str) -> Result<Self, String> {
        check_token(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token(***)")
    }
}

/// Opens the conversation.
pub(super) async fn connect(edge: &EdgeUrl, token: &Token, authority: Option<&PathBuf>) -> Result<Socket, Failure> {
    let unreachable = |error: &dyn fmt::Display| Failure::Unreachable(error.to_string());
    let stream = TcpStream::connect((edge.host.as_str(), edge.port)).await.map_err(|error| unreachable(&error))?;
    // Messages are small and must not wait for an acknowledgement of the one before; without it they are only later.
    drop(stream.set_nodelay(true));
    let stream: Box<dyn Stream> = if edge.is_encrypted {
        let config = client_config(authority.map(PathBuf::as_path)).map_err(|error| unreachable(&error))?;
        let name = ServerName::try_from(edge.host.clone()).map_err(|error| unreachable(&error))?;
        let connector = TlsConnector::from(Arc::new(config));
        Box::new(connector.connect(name, stream).await.map_err(|error| unreachable(&error))?)
    } else {
        Box::new(stream)
    };
    let mut request = (&edge.uri).into_client_request().map_err(|error| unreachable(&error))?;
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.0)).map_err(|error| unreachable(&error))?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    let config = WebSocketConfig::default()
        .max_message_size(Some(ANSWER_BYTES_MAX))
        .max_frame_size(Some(ANSWER_BYTES_MAX))
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES);
    match tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await {
        Ok((socket, _response)) => Ok(socket),
        Err(WsError::Http(response)) => Err(Failure::of_status(response.status())),
        Err(error) => Err(unreachable(&error)),
    }
}

/// rustls on ring. The authorities are read anew each time: one that was renewed counts from the next connection on.
fn client_config(authority: Option<&Path>) -> Result<ClientConfig, BoxError> {
    let mut roots = RootCertStore::empty();
    match authority {
        Some(path) => {
            let unusable = |error: &dyn fmt::Display| format!("edge.ca_file {}: {error}", path.display());
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))? {
                let certificate = certificate.map_err(|error| unusable(&error))?;
                roots.add(certificate).map_err(|error| unusable(&error))?;
            }
        }
        None => {
            // Of a hundred authorities some are often unreadable; they are left out.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err("no certificate authority is known; name a PEM file with edge.ca_file".into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_reached_by_its_name_under_any_path() {
        for (text, shown) in [
            ("wss://status.example", "wss://status.example/publish"),
            ("https://status.example:8443/", "wss://status.example:8443/publish"),
            ("wss://example.org/status", "wss://example.org/status/publish"),
            ("wss://example.org/status/publish/", "wss://example.org/status/publish"),
            ("ws://127.0.0.1:8080", "ws://127.0.0.1:8080/publish"),
            ("ws://[::1]:8080", "ws://[::1]:8080/publish"),
            ("http://localhost", "ws://localhost/publish"),
        ] {
            assert_eq!(EdgeUrl::parse(text, false).unwrap().to_string(), shown);
        }
        assert_eq!(EdgeUrl::parse("wss://a", false).unwrap().port, 443);
        assert_eq!(EdgeUrl::parse("ws://[::1]", false).unwrap().host, "::1");
    }

    #[test]
    fn a_token_is_not_sent_for_everybody_to_read() {
        let open = "ws://edge.example";
        assert!(EdgeUrl::parse(open, false).unwrap_err().contains("without encryption"));
        EdgeUrl::parse(open, true).unwrap();
        for bad in
            ["", "edge", "edge.example:80", "ftp://edge", "wss://", "wss://user:secret@edge", "wss://edge/?token=x"]
        {
            assert!(EdgeUrl::parse(bad, true).is_err(), "{bad}");
        }
        assert!(!format!("{:?}", Token::parse("0123456789abcdef").unwrap()).contains("0123"));
    }
}
