//! Certificates for a test: one authority, one server, one client.

use crate::run::output;
use crate::temp::TempDir;
use crate::{Doing, Outcome};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A certificate authority made for one run, with a server certificate for `localhost` and `127.0.0.1`.
#[derive(Debug)]
pub struct Authority {
    dir: TempDir,
}

impl Authority {
    /// Makes the authority (P-256, two days).
    ///
    /// # Errors
    /// When `openssl` is missing or refuses.
    pub fn new() -> Outcome<Self> {
        let authority = Self { dir: TempDir::new("tls")? };
        let (key, cert) = (authority.file("ca.key"), authority.file("ca.crt"));
        let mut make = Command::new("openssl");
        make.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
        make.args(["-subj", "/CN=Vestibule test authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
        output(make.arg("-keyout").arg(key).arg("-out").arg(cert))?;
        authority.issue("server", "localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1")?;
        Ok(authority)
    }

    /// Issues `NAME.crt` and `NAME.key` for this common name.
    ///
    /// # Errors
    /// When `openssl` refuses.
    pub fn issue(&self, name: &str, common: &str, extension: &str) -> Outcome<(PathBuf, PathBuf)> {
        let (key, request) = (self.file(&format!("{name}.key")), self.file(&format!("{name}.csr")));
        let (cert, extensions) = (self.file(&format!("{name}.crt")), self.file(&format!("{name}.ext")));
        let mut ask = Command::new("openssl");
        ask.args(["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        output(ask.arg("-subj").arg(format!("/CN={common}")).arg("-keyout").arg(&key).arg("-out").arg(&request))?;
        std::fs::write(&extensions, extension).doing("cannot write a certificate's extensions")?;
        let mut sign = Command::new("openssl");
        sign.args(["x509", "-req", "-days", "2", "-CAcreateserial"]);
        sign.arg("-in").arg(&request).arg("-CA").arg(self.ca()).arg("-CAkey").arg(self.file("ca.key"));
        output(sign.arg("-extfile").arg(&extensions).arg("-out").arg(&cert))?;
        Ok((cert, key))
    }

    /// The authority's certificate: what a client trusts.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.file("ca.crt")
    }

    /// The server's certificate and key.
    #[must_use]
    pub fn server(&self) -> (PathBuf, PathBuf) {
        (self.file("server.crt"), self.file("server.key"))
    }

    /// Where the files are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}
