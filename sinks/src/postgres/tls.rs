//! Encryption of connections: rustls on ring; the server's certificate is always checked, against the system's authorities or a given one.

use std::path::Path;
use std::sync::Arc;

use runtime::BoxError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Reads the authorities anew each time: a certificate that was renewed counts from the next connection on.
pub(super) fn connector(authority: Option<&Path>) -> Result<MakeRustlsConnect, BoxError> {
    let mut roots = RootCertStore::empty();
    match authority {
        Some(path) => {
            let unusable = |error: &dyn std::fmt::Display| format!("sslrootcert {}: {error}", path.display());
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
        return Err("no certificate authority is known; name a PEM file with sslrootcert".into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth()))
}
