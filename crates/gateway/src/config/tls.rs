//! Certificates and keys that clients see.

use super::model::TlsFiles;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// Whether certificate and key can be read and belong together.
pub(super) fn pair(files: &TlsFiles) -> Result<(), String> {
    server(files, &[]).map(drop)
}

/// The TLS configuration of a listener or of the API: TLS 1.2 and 1.3, no client certificates.
///
/// # Errors
/// In words, naming the file; never its content.
pub fn server(files: &TlsFiles, alpn: &[&str]) -> Result<Arc<ServerConfig>, String> {
    let shown = files.cert.display();
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| format!("{shown}: {e}"))?;
    if chain.is_empty() {
        return Err(format!("{shown}: no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| format!("{}: {e}", files.key.display()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| format!("{shown}: {e}"))?;
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}
