//! The running gateway: what the API asks of it, and how it ends.

use crate::catalogs::Crawlers;
use crate::config::{Config, Resolved};
use crate::index::Index;
use crate::metrics::Metrics;
use crate::open::{self, StartError};
use crate::revoked::Revoked;
use crate::{Clock, listen, rules};
use serde_json::json;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use vestibule_approval::Approvals;
use vestibule_core::{FaultKind, Problem, Refusal, RefusalKind};
use vestibule_ledger::LedgerError;
use vestibule_phi::MaskKeys;
use vestibule_record::RecordingKey;
use vestibule_session::{House, Rules};
use vestibule_store::{SessionCounts, Store};

/// How long sessions that were told to end may take to do so.
const LAST_WORDS: Duration = Duration::from_secs(12);

/// A running gateway.
pub struct Gateway {
    /// What sessions share.
    pub house: Arc<House>,
    /// Lists of sessions and requests.
    pub store: Store,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Opens recordings, for replay.
    pub recording_key: Arc<RecordingKey>,
    pub(crate) index: Arc<Index>,
    pub(crate) config: watch::Sender<Arc<Resolved>>,
    pub(crate) rules: watch::Sender<Arc<Rules>>,
    pub(crate) mask_keys: MaskKeys,
    pub(crate) crawlers: Mutex<Crawlers>,
    pub(crate) revoked: Arc<Revoked>,
    pub(crate) turn: tokio::sync::Mutex<()>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// Why the gateway should get no new connections.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotReady {
    /// The ledger cannot be written; everything is refused.
    #[error("the ledger cannot write: {0}")]
    Ledger(String),
    /// It is about to end.
    #[error("the gateway is shutting down")]
    Draining,
}

impl Gateway {
    /// Opens what `vestibule init` made, recovers what the last run left, binds every listener, and serves.
    ///
    /// # Errors
    /// [`StartError`]; nothing is listening then.
    pub async fn start(resolved: Resolved, clock: Clock) -> Result<Arc<Self>, StartError> {
        let resolved = Arc::new(resolved);
        let mut bound = Vec::new();
        for listener in &resolved.listeners {
            bound.push(listen::bind(listener.clone()).await.map_err(StartError::Listen)?);
        }
        let opened = open::open(&resolved, &clock).await?;
        let (stop, stopped) = watch::channel(false);
        let gateway = Arc::new(Self {
            house: opened.house,
            store: opened.store,
            metrics: opened.metrics,
            recording_key: opened.recording_key,
            index: opened.index,
            config: watch::Sender::new(Arc::clone(&resolved)),
            rules: opened.rules,
            mask_keys: opened.mask_keys,
            crawlers: Mutex::default(),
            revoked: opened.revoked,
            turn: tokio::sync::Mutex::new(()),
            stop,
            tasks: Mutex::default(),
        });
        gateway.follow_catalogs();
        let mut tasks: Vec<_> = bound
            .into_iter()
            .map(|bound| tokio::spawn(listen::accept(bound, Arc::clone(&gateway.house), stopped.clone())))
            .collect();
        tasks.push(tokio::spawn(Arc::clone(&gateway.index).run(gateway.store.clone())));
        tasks.push(tokio::spawn(Self::housekeeping(Arc::downgrade(&gateway))));
        gateway.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend(tasks);
        Ok(gateway)
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<Resolved> {
        Arc::clone(&self.config.borrow())
    }

    /// The requests for approval.
    #[must_use]
    pub fn approvals(&self) -> &Arc<Approvals> {
        &self.house.approvals
    }

    /// What an open session came to so far.
    #[must_use]
    pub fn counts(&self, sid: &str) -> Option<SessionCounts> {
        self.index.counts(sid)
    }

    /// Whether new connections are welcome.
    ///
    /// # Errors
    /// Why they are not.
    pub fn ready(&self) -> Result<(), NotReady> {
        if *self.stop.borrow() {
            return Err(NotReady::Draining);
        }
        match self.house.ledger.poisoned() {
            Some(why) => Err(NotReady::Ledger(why.to_string())),
            None => Ok(()),
        }
    }

    /// Applies changes to the list of sessions that have not been applied yet, before the list is read.
    pub async fn settle_index(&self) {
        self.index.apply(&self.store).await;
    }

    /// Takes the configuration file, policies and data map over, if they are right and changed. Whether they changed.
    ///
    /// # Errors
    /// Everything that is wrong; the old version stays in force.
    pub async fn reload(&self) -> Result<bool, Vec<Problem>> {
        let _turn = self.turn.lock().await;
        let file = self.config().file.clone();
        match load(&file).await {
            Ok(new) if new.digest() == self.config().digest() => Ok(false),
            Ok(new) => self.put_in_force(new, &file).await.map(|()| true),
            Err(problems) => {
                self.metrics.reloaded(false);
                for problem in &problems {
                    tracing::error!(%problem, "the configuration is wrong; the old version stays in force");
                }
                let body = json!({ "in_force": self.config().digest(), "problems": problems });
                if let Err(error) = self.house.journal.note("config.refused", &body).await {
                    self.unwritten(&error);
                }
                Err(problems)
            }
        }
    }

    /// Ledger first: a version that is not on it is not in force.
    async fn put_in_force(&self, new: Resolved, file: &Path) -> Result<(), Vec<Problem>> {
        let old = self.config();
        let failed = |what: String, mend: &str| vec![Problem::new(file.display().to_string(), 0, what, mend)];
        self.house
            .prover
            .reload(new.issuers.clone(), open::life(&new))
            .map_err(|e| failed(format!("the issuers cannot be used: {e}"), "correct them"))?;
        let body = json!({
            "digest": new.digest(), "before": old.digest(), "policy_version": &**new.policies.version(),
        });
        if let Err(error) = self.house.journal.note("config.loaded", &body).await {
            self.unwritten(&error);
            return Err(failed(
                "the new version cannot be recorded, so it is not in force".to_owned(),
                "see the gateway's log; it can write no ledger entry",
            ));
        }
        for what in needs_restart(&old, &new) {
            tracing::warn!(what, "this change takes effect when the gateway is started again");
        }
        let rules = rules::rules(&new, &self.mask_keys, Some(&self.rules.borrow()));
        self.rules.send_replace(Arc::new(rules));
        tracing::info!(digest = new.digest(), "a new version of the configuration is in force");
        self.config.send_replace(Arc::new(new));
        self.metrics.reloaded(true);
        self.follow_catalogs();
        Ok(())
    }

    fn follow_catalogs(&self) {
        let places = self.rules.borrow().places.clone();
        self.crawlers.lock().unwrap_or_else(PoisonError::into_inner).follow(&places);
    }

    pub(crate) fn unwritten(&self, error: &LedgerError) {
        tracing::error!(%error, "an entry of the gateway's own could not be written");
        self.metrics.fault(FaultKind::Ledger);
    }

    /// Ends every session now, with words: cuts the grace of a [`drain`](Self::drain) under way short.
    pub fn hurry(&self) {
        let why = Refusal::new(RefusalKind::Cancelled, "the gateway is shutting down", "connect again in a moment");
        self.house.live.close(&why);
    }

    /// Stops listening, lets sessions end by themselves for `grace`, ends the rest, and closes the ledger.
    ///
    /// Once, and to its end: a second entry of the shutdown would make the ledger one that does not verify.
    ///
    /// # Errors
    /// The ledger could not be closed in order; the next start says what was lost.
    pub async fn drain(&self, grace: Duration) -> Result<(), LedgerError> {
        self.stop.send_replace(true);
        tracing::info!(sessions = self.house.live.len(), grace_s = grace.as_secs(), "shutting down");
        let _ = tokio::time::timeout(grace, self.house.live.drained()).await;
        self.hurry();
        if tokio::time::timeout(LAST_WORDS, self.house.live.drained()).await.is_err() {
            tracing::warn!(sessions = self.house.live.len(), "sessions did not end in time");
        }
        self.crawlers.lock().unwrap_or_else(PoisonError::into_inner).stop();
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
        self.index.apply(&self.store).await;
        self.house.journal.note("gateway.shutdown", &json!({ "sessions_left": self.house.live.len() })).await?;
        self.house.ledger.shutdown().await?;
        self.store.close().await;
        Ok(())
    }
}

/// Reads a configuration without holding up other work.
pub(crate) async fn load(file: &Path) -> Result<Resolved, Vec<Problem>> {
    let path = file.to_owned();
    match tokio::task::spawn_blocking(move || Config::load(&path)).await {
        Ok(loaded) => loaded,
        Err(_) => {
            let shown = file.display().to_string();
            Err(vec![Problem::new(shown, 0, "reading it failed inside the gateway", "report this as a defect")])
        }
    }
}

/// What of a new version is not taken over while the gateway runs.
fn needs_restart(old: &Resolved, new: &Resolved) -> Vec<&'static str> {
    let listeners = |r: &Resolved| r.listeners.iter().map(|l| format!("{l:?}")).collect::<Vec<_>>();
    [
        ("gateway.name", old.name != new.name),
        ("gateway.data", old.layout != new.layout),
        ("api.listen", old.api.listen != new.api.listen || old.api.tls != new.api.tls),
        ("listener", listeners(old) != listeners(new)),
        ("ledger", old.ledger != new.ledger),
        ("recording", old.recording != new.recording),
        ("log", old.log != new.log),
    ]
    .into_iter()
    .filter_map(|(what, changed)| changed.then_some(what))
    .collect()
}
