//! What is known of a target before it is dialled.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;
use vestibule_core::{Credential, Fault, FaultKind, Secret};

/// How a target proves itself in TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Certificate chain and host name are checked.
    VerifyFull,
    /// The chain is checked, the name is not.
    VerifyCa,
}

/// TLS towards a target, ready to use.
#[derive(Clone)]
pub struct TargetTls {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) server_name: ServerName<'static>,
    /// TLS from the first byte with this ALPN protocol, instead of asking for it in the protocol.
    pub(crate) direct: bool,
}

impl std::fmt::Debug for TargetTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TargetTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

/// Why TLS towards a target cannot be set up.
#[derive(Debug, Error)]
pub enum TlsProblem {
    /// A certificate or key file cannot be used.
    #[error("{file}: {why}")]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The name is neither a host name nor an IP address.
    #[error("`{0}` is neither a host name nor an IP address")]
    Name(String),
    /// The parts do not fit together.
    #[error("{0}")]
    Config(String),
}

impl TargetTls {
    /// Reads the trust anchors (`ca_file`, PEM) and, if given, the client certificate and key (PEM).
    ///
    /// # Errors
    /// [`TlsProblem`], naming the file.
    pub fn load(
        mode: TlsMode,
        ca_file: &std::path::Path,
        server_name: &str,
        client: Option<(&std::path::Path, &std::path::Path)>,
        direct_alpn: Option<&str>,
    ) -> Result<Self, TlsProblem> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca_file)? {
            roots.add(certificate).map_err(|e| file_problem(ca_file, e))?;
        }
        if roots.is_empty() {
            return Err(file_problem(ca_file, "no certificate in it"));
        }
        let roots = Arc::new(roots);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| TlsProblem::Config(e.to_string()))?;
        let builder = match mode {
            TlsMode::VerifyFull => builder.with_root_certificates(roots),
            TlsMode::VerifyCa => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(ChainOnly::new(roots, &provider)?))
            }
        };
        let mut config = match client {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => builder
                .with_client_auth_cert(
                    certificates(cert)?,
                    PrivateKeyDer::from_pem_file(key).map_err(|e| file_problem(key, e))?,
                )
                .map_err(|e| file_problem(cert, e))?,
        };
        config.alpn_protocols = direct_alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        let server_name =
            ServerName::try_from(server_name.to_owned()).map_err(|_| TlsProblem::Name(server_name.to_owned()))?;
        Ok(Self { config: Arc::new(config), server_name, direct: direct_alpn.is_some() })
    }
}

fn file_problem(file: &std::path::Path, why: impl ToString) -> TlsProblem {
    TlsProblem::File { file: file.to_owned(), why: why.to_string() }
}

fn certificates(file: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, TlsProblem> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| file_problem(file, e))
}

/// `verify-ca`: the chain must end in a trust anchor; the name may differ.
#[derive(Debug)]
struct ChainOnly {
    roots: Arc<RootCertStore>,
    inner: Arc<WebPkiServerVerifier>,
    algorithms: rustls::crypto::WebPkiSupportedAlgorithms,
}

impl ChainOnly {
    fn new(roots: Arc<RootCertStore>, provider: &Arc<CryptoProvider>) -> Result<Self, TlsProblem> {
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider))
            .build()
            .map_err(|e| TlsProblem::Config(e.to_string()))?;
        Ok(Self { roots, inner, algorithms: provider.signature_verification_algorithms })
    }
}

impl ServerCertVerifier for ChainOnly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, self.algorithms.all)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Where a target's credential comes from. Read at each login, so that rotation needs no restart.
#[derive(Debug, Clone)]
pub enum CredentialSource {
    /// No secret (the target trusts the client certificate, or nothing is asked).
    None,
    /// The first line of a file.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

impl CredentialSource {
    /// Reads the credential.
    ///
    /// # Errors
    /// A fault of kind upstream that names the source, never the content.
    pub fn read(&self) -> Result<Credential, Fault> {
        match self {
            Self::None => Ok(Credential::None),
            Self::File(path) => {
                let bytes = std::fs::read(path).map_err(|e| {
                    Fault::new(FaultKind::Upstream, format_args!("credential file {}: {e}", path.display()))
                })?;
                let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                Ok(Credential::Password(Secret::new(line)))
            }
            Self::Env(name) => match std::env::var_os(name) {
                Some(value) => Ok(Credential::Password(Secret::new(value.into_encoded_bytes()))),
                None => Err(Fault::new(FaultKind::Upstream, format_args!("credential variable {name} is not set"))),
            },
        }
    }
}

/// A system that holds what people come for.
#[derive(Debug, Clone)]
pub struct Target {
    /// The name clients use.
    pub name: String,
    /// Host name or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The account at the target.
    pub user: String,
    /// Its secret.
    pub credential: CredentialSource,
    /// TLS; `None`: in the clear.
    pub tls: Option<TargetTls>,
    /// Protocol-specific settings.
    pub settings: BTreeMap<String, String>,
}
