//! The keys of one issuer over time: fetched, kept fresh, replaced when the issuer rotates them, kept for a while when
//! it is down.

use crate::config::IssuerConfig;
use crate::error::{ProofError, ProofKind, SetupError};
use crate::fetch::{Fetcher, Roots};
use crate::jose::Parts;
use crate::jwks::KeySet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use vestibule_core::Timestamp;

/// Keys are asked for again after this time, in seconds.
const FRESH: i64 = 600;
/// Least time between two attempts, whatever the reason: nobody can make the gateway flood an issuer by inventing keys.
const RETRY: i64 = 10;
/// Keys that could not be renewed for so long are not used any more: the issuer may have withdrawn one.
const KEEP: i64 = 4 * 3_600;
/// Largest key file.
const MAX_FILE: u64 = 1 << 20;

/// Where an issuer's keys come from, and those it had last.
#[derive(Debug)]
pub(crate) struct KeyStore {
    source: Source,
    state: Mutex<State>,
    /// One attempt at a time.
    gate: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
enum Source {
    Discovery { issuer: String, fetcher: Fetcher },
    File { path: PathBuf, svid: bool },
}

#[derive(Debug, Clone, Default)]
struct State {
    keys: Option<Arc<KeySet>>,
    /// POSIX seconds.
    fetched: i64,
    tried: Option<i64>,
}

impl KeyStore {
    pub(crate) fn new(config: &IssuerConfig) -> Result<Self, SetupError> {
        let source = match &config.jwks_file {
            Some(path) => Source::File { path: path.clone(), svid: config.trust_domain().is_some() },
            None if config.trust_domain().is_some() => {
                return Err(SetupError(format!(
                    "issuer {}: the keys of a trust domain must be in a file",
                    config.name
                )));
            }
            None => Source::Discovery { issuer: config.issuer.clone(), fetcher: fetcher(config)? },
        };
        Ok(Self { source, state: Mutex::default(), gate: tokio::sync::Mutex::new(()) })
    }

    /// Whether one of the issuer's keys made the signature.
    pub(crate) async fn verify(&self, token: &Parts<'_>, now: Timestamp) -> Result<(), ProofError> {
        let keys = self.keys(now).await?;
        let kid = token.header.kid.as_deref();
        if keys.knows(kid) {
            return keys.verify(token);
        }
        // Perhaps the issuer has a new key.
        self.renew(now, true).await;
        let unknown = || ProofError::new(ProofKind::Key, "its key is none of its issuer's");
        self.usable(now).filter(|newer| newer.knows(kid)).ok_or_else(unknown)?.verify(token)
    }

    async fn keys(&self, now: Timestamp) -> Result<Arc<KeySet>, ProofError> {
        let state = self.state();
        let fresh = state.keys.is_some() && (0..FRESH).contains(&now.seconds().saturating_sub(state.fetched));
        if !fresh {
            self.renew(now, false).await;
        }
        self.usable(now).ok_or_else(|| {
            ProofError::new(ProofKind::Unavailable, "the keys of its issuer are not known; the log says why")
        })
    }

    /// What can be used now: the last good keys, unless they are too old.
    fn usable(&self, now: Timestamp) -> Option<Arc<KeySet>> {
        let state = self.state();
        state.keys.filter(|_| now.seconds().saturating_sub(state.fetched) < KEEP)
    }

    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for the keys, unless that was just tried. `wanted`: wait for an attempt that is under way, because what is
    /// there will not do; otherwise go on with it.
    async fn renew(&self, now: Timestamp, wanted: bool) {
        let before = self.state();
        let _one = match self.gate.try_lock() {
            Ok(gate) => gate,
            Err(_) if !wanted && self.usable(now).is_some() => return,
            Err(_) => self.gate.lock().await,
        };
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            // Somebody else was quicker, or it was tried a moment ago.
            let renewed = state.tried != before.tried;
            let just_tried = state.tried.is_some_and(|at| (0..RETRY).contains(&now.seconds().saturating_sub(at)));
            if renewed || just_tried {
                return;
            }
            state.tried = Some(now.seconds());
        }
        match self.source.load().await {
            Ok(keys) => {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.keys = Some(Arc::new(keys));
                state.fetched = now.seconds();
            }
            Err(why) => tracing::warn!(source = %self.source.name(), %why, "the keys of an issuer cannot be had"),
        }
    }
}

fn fetcher(config: &IssuerConfig) -> Result<Fetcher, SetupError> {
    let named = |e: SetupError| SetupError(format!("issuer {}: {}", config.name, e.0));
    match &config.ca_file {
        None => Fetcher::new(Roots::System).map_err(named),
        Some(path) => {
            let pem = std::fs::read(path)
                .map_err(|e| SetupError(format!("issuer {}: {} cannot be read: {e}", config.name, path.display())))?;
            Fetcher::new(Roots::Only(&pem)).map_err(named)
        }
    }
}

impl Source {
    fn name(&self) -> String {
        match self {
            Self::Discovery { issuer, .. } => issuer.clone(),
            Self::File { path, .. } => path.display().to_string(),
        }
    }

    async fn load(&self) -> Result<KeySet, String> {
        match self {
            Self::Discovery { issuer, fetcher } => {
                let metadata = fetcher.discover(issuer).await?;
                let url = metadata.jwks_uri.ok_or("its discovery document names no `jwks_uri`")?;
                KeySet::parse(&fetcher.get(&url).await?, false).map_err(|e| format!("its key set: {e}"))
            }
            Self::File { path, svid } => {
                let length = tokio::fs::metadata(path).await.map_err(|e| e.to_string())?.len();
                if length > MAX_FILE {
                    return Err("the file is too long".into());
                }
                KeySet::parse(&tokio::fs::read(path).await.map_err(|e| e.to_string())?, *svid)
            }
        }
    }
}
