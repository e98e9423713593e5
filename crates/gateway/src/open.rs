//! Opening: ledger, state, keys, and what the last run left behind.

use crate::config::Resolved;
use crate::index::Index;
use crate::metrics::Metrics;
use crate::notary::LedgerNotary;
use crate::revoked::Revoked;
use crate::{Clock, rules};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::watch;
use vestibule_approval::{Approvals, SettleError};
use vestibule_identity::{Prover, TokenKeys, TokenLife};
use vestibule_ledger::{Durability, Journal, Ledger, LedgerError, Options, Recovery, SigningKey};
use vestibule_phi::MaskKeys;
use vestibule_record::{RecordingKey, Writer};
use vestibule_session::{House, LiveSessions, Rules};
use vestibule_store::{Store, StoreError};
use zeroize::Zeroizing;

/// Why a gateway did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("{0}")]
    Listen(String),
    /// A key cannot be used.
    #[error("the key {path} cannot be used: {why}; `vestibule init` makes it")]
    Key {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The ledger does not open, or cannot be written.
    #[error("the ledger: {0}")]
    Ledger(#[from] LedgerError),
    /// The state does not open.
    #[error("the state: {0}")]
    Store(#[from] StoreError),
    /// What waited for approval could not be ended.
    #[error("requests that the last run left: {0}")]
    Approvals(#[from] SettleError),
    /// The recordings' folder.
    #[error("the recordings: {0}")]
    Recordings(String),
    /// The issuers.
    #[error("the issuers: {0}")]
    Issuers(String),
    /// Something of ours died.
    #[error("starting failed inside the gateway: {0}")]
    Internal(String),
}

/// What was opened.
pub(crate) struct Opened {
    pub house: Arc<House>,
    pub store: Store,
    pub revoked: Arc<Revoked>,
    pub metrics: Arc<Metrics>,
    pub index: Arc<Index>,
    pub rules: watch::Sender<Arc<Rules>>,
    pub mask_keys: MaskKeys,
    pub recording_key: Arc<RecordingKey>,
}

pub(crate) async fn open(resolved: &Arc<Resolved>, clock: &Clock) -> Result<Opened, StartError> {
    let layout = &resolved.layout;
    let mask_keys = mask_keys(&layout.mask_key(), &resolved.name)?;
    let token_keys = token_keys(&layout.token_key())?;
    let recording_key =
        RecordingKey::read(&layout.recording_key()).map_err(|e| key_error(layout.recording_key(), e))?;
    let records = Writer::open(
        &layout.recordings(),
        recording_key.public(),
        resolved.recording.chunk_bytes,
        resolved.recording.chunk_age,
    )
    .map_err(|e| StartError::Recordings(e.to_string()))?;
    let (ledger, recovery) = open_ledger(resolved, clock).await?;
    let (epoch, journal) = (recovery.epoch, Journal::new(ledger.clone(), recovery.gateway.clone()));
    let store = Store::open(&layout.state()).await?;
    note_start(resolved, &journal, recovery).await?;
    let metrics = Arc::new(Metrics::default());
    let notary = LedgerNotary::new(journal.clone(), Arc::clone(&metrics));
    let approvals = Approvals::new(store.clone(), notary, Arc::clone(clock));
    approvals.recover((clock)()).await?;
    store.abandon_open_sessions((clock)()).await?;
    let revoked = Arc::new(Revoked::default());
    for revocation in store.revocations().await? {
        revoked.add(revocation.kind, &revocation.subject);
    }
    let prover =
        Prover::new(&resolved.name, token_keys, resolved.issuers.clone(), life(resolved), Arc::clone(&revoked) as _)
            .map_err(|e| StartError::Issuers(e.to_string()))?;
    let index = Index::new(Arc::clone(&metrics));
    let (rules, in_force) = watch::channel(Arc::new(rules::rules(resolved, &mask_keys, None)));
    let house = Arc::new(House {
        name: Arc::from(resolved.name.as_str()),
        epoch,
        ledger,
        journal,
        rules: in_force,
        approvals: Arc::new(approvals),
        records,
        prover: Arc::new(prover),
        live: Arc::new(LiveSessions::default()),
        clock: Arc::clone(clock),
        observer: Arc::clone(&index) as Arc<dyn vestibule_session::Observer>,
    });
    Ok(Opened { house, store, revoked, metrics, index, rules, mask_keys, recording_key: Arc::new(recording_key) })
}

fn key_error(path: PathBuf, why: impl std::fmt::Display) -> StartError {
    StartError::Key { path, why: why.to_string() }
}

async fn open_ledger(resolved: &Resolved, clock: &Clock) -> Result<(Ledger, Recovery), StartError> {
    let layout = &resolved.layout;
    let key = SigningKey::read(&layout.ledger_key())?;
    let mut options = Options::new(layout.ledger(), resolved.name.clone(), key, Arc::clone(clock));
    options.durability = if resolved.ledger.durable { Durability::Durable } else { Durability::Written };
    options.checkpoint_every = resolved.ledger.checkpoint;
    let opened = tokio::task::spawn_blocking(move || Ledger::open(options)).await;
    Ok(opened.map_err(|e| StartError::Internal(e.to_string()))??)
}

/// What this start finds and is, before the first session: on the ledger, durably.
async fn note_start(resolved: &Resolved, journal: &Journal, recovery: Recovery) -> Result<(), StartError> {
    if !recovery.clean {
        let open: Vec<&str> = recovery.open_sessions.iter().map(|session| session.chain.sid()).collect();
        tracing::warn!(
            dropped_bytes = recovery.dropped_bytes,
            sessions = open.len(),
            "the last run did not end in order"
        );
        let body = json!({
            "entries": recovery.entries, "dropped_bytes": recovery.dropped_bytes, "open_sessions": open,
        });
        journal.note("gateway.recovered", &body).await?;
    }
    // What was ruled and not closed may or may not have run, and may or may not have disclosed: said, not guessed.
    for session in recovery.open_sessions {
        journal.abandon(session).await?;
    }
    let body = json!({
        "version": env!("CARGO_PKG_VERSION"), "config": resolved.digest(),
        "policy_version": &**resolved.policies.version(), "clean": recovery.clean,
    });
    journal.note("gateway.started", &body).await?;
    Ok(())
}

fn token_keys(path: &Path) -> Result<TokenKeys, StartError> {
    let pem = Zeroizing::new(std::fs::read_to_string(path).map_err(|e| key_error(path.to_owned(), e))?);
    TokenKeys::from_pem(&pem).map_err(|e| key_error(path.to_owned(), e))
}

/// How long the gateway's tokens are good.
pub(crate) const fn life(resolved: &Resolved) -> TokenLife {
    TokenLife { ttl: resolved.tokens.ttl, max_ttl: resolved.tokens.max_ttl }
}

/// The keys of tokens in masked values: 32 bytes in hex.
fn mask_keys(path: &Path, tenant: &str) -> Result<MaskKeys, StartError> {
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|e| key_error(path.to_owned(), e))?);
    let digits = text.trim();
    let mut secret = [0_u8; 32];
    let good = digits.len() == 64
        && digits.bytes().all(|b| b.is_ascii_hexdigit())
        && secret.iter_mut().enumerate().all(|(at, byte)| {
            let pair = digits.get(at * 2..at * 2 + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
            pair.map(|value| *byte = value).is_some()
        });
    if !good {
        return Err(key_error(path.to_owned(), "it does not hold 64 hexadecimal digits"));
    }
    Ok(MaskKeys::derive(&secret, tenant))
}
