//! Listen: takes a port, and says in plain words why it cannot.

use std::io::ErrorKind;
use std::net::SocketAddr;

use anyhow::{Result, anyhow};
use tokio::net::TcpListener;

/// `key` is the setting that the address came from.
///
/// # Errors
/// Why the address cannot be had, and what to do.
pub(crate) async fn on(address: SocketAddr, key: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let flag = key.replace('.', "-");
        let advice = advice(error.kind());
        anyhow!("cannot listen on {address}: {error}; {advice} (--{flag}, setting {key})")
    })
}

/// What a person can do about it.
pub(crate) fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::AddrInUse => {
            "another program, perhaps another sysmonstm, listens there: stop it, or choose another port"
        }
        ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose a higher one",
        ErrorKind::AddrNotAvailable => "this machine does not have that address: choose one that it has",
        _ => "choose another address",
    }
}

/// Two handles of one listening socket, so that one server can follow another without the port ever being closed.
///
/// # Errors
/// When the system gives no more descriptors.
pub(crate) fn twice(listener: TcpListener) -> Result<(TcpListener, TcpListener)> {
    let first = listener.into_std()?;
    let second = first.try_clone()?;
    Ok((TcpListener::from_std(first)?, TcpListener::from_std(second)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_named_with_its_setting() {
        let first = on(SocketAddr::from(([127, 0, 0, 1], 0)), "http.address").await.unwrap();
        let address = first.local_addr().unwrap();
        let message = on(address, "http.address").await.unwrap_err().to_string();
        assert!(message.starts_with(&format!("cannot listen on {address}: ")), "{message}");
        assert!(
            message.contains("another program") && message.ends_with("(--http-address, setting http.address)"),
            "{message}"
        );
    }
}
