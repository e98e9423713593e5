//! Where things are in the data directory. `vestibule init` makes them; `serve` uses them.

use std::path::{Path, PathBuf};

/// The data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout of the data directory `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// State: sessions, approval requests, revocations.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join("state.db")
    }

    /// The ledger in tlog-tiles layout. May be copied to anybody who verifies.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger")
    }

    /// Recordings.
    #[must_use]
    pub fn recordings(&self) -> PathBuf {
        self.root.join("recordings")
    }

    /// Private keys: nobody but the gateway's account reads here.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// The ledger's signing key.
    #[must_use]
    pub fn ledger_key(&self) -> PathBuf {
        self.keys().join("ledger.key")
    }

    /// The ledger's verifier key (C2SP signed-note vkey), for auditors.
    #[must_use]
    pub fn ledger_vkey(&self) -> PathBuf {
        self.root.join("ledger.vkey")
    }

    /// The key that signs Vestibule's tokens.
    #[must_use]
    pub fn token_key(&self) -> PathBuf {
        self.keys().join("token.key")
    }

    /// The key that opens recordings.
    #[must_use]
    pub fn recording_key(&self) -> PathBuf {
        self.keys().join("recording.key")
    }

    /// The key of keyed-token masks.
    #[must_use]
    pub fn mask_key(&self) -> PathBuf {
        self.keys().join("mask.key")
    }

    /// The certificate authority's certificate: what clients trust.
    #[must_use]
    pub fn ca_cert(&self) -> PathBuf {
        self.root.join("ca").join("ca.crt")
    }

    /// The certificate authority's key. Not needed to run; may be taken off the machine.
    #[must_use]
    pub fn ca_key(&self) -> PathBuf {
        self.root.join("ca").join("ca.key")
    }

    /// The gateway's own certificate chain.
    #[must_use]
    pub fn server_cert(&self) -> PathBuf {
        self.root.join("ca").join("server.crt")
    }

    /// Its key.
    #[must_use]
    pub fn server_key(&self) -> PathBuf {
        self.root.join("ca").join("server.key")
    }
}
