//! What happens now and then: files are looked at, requests run out, numbers are taken.

use crate::Gateway;
use crate::config::Resolved;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::{Duration, SystemTime};

/// How often.
const TICK: Duration = Duration::from_secs(1);

/// What a file looks like from outside.
type Look = (SystemTime, u64);

impl Gateway {
    /// Runs until the gateway is gone.
    pub(crate) async fn housekeeping(gateway: Weak<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut seen: Option<BTreeMap<PathBuf, Look>> = None;
        loop {
            ticks.tick().await;
            let Some(gateway) = gateway.upgrade() else { return };
            let now = look(&gateway.config());
            // A file that is being written is read once it has stayed the same for a tick.
            match &mut seen {
                Some(before) if *before != now => {
                    *before = now;
                    tokio::time::sleep(TICK / 4).await;
                    // What is wrong with it has been logged and is on the ledger.
                    let _ = gateway.reload().await;
                }
                Some(_) => {}
                None => seen = Some(now),
            }
            if let Err(error) = gateway.house.approvals.sweep().await {
                tracing::warn!(%error, "requests that ran out could not be settled; trying again");
            }
            gateway.take_numbers();
        }
    }

    fn take_numbers(&self) {
        let ledger = &self.house.ledger;
        self.metrics.ledger(ledger.size(), ledger.poisoned().is_some());
        if let Some((_, at)) = ledger.last_checkpoint() {
            self.metrics.checkpoint(at.seconds());
        }
    }
}

/// The files of a configuration, as they look from outside.
fn look(resolved: &Resolved) -> BTreeMap<PathBuf, Look> {
    let mut looks = BTreeMap::new();
    let mut add = |path: &Path| {
        if let Ok(meta) = std::fs::metadata(path) {
            looks.insert(path.to_owned(), (meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), meta.len()));
        }
    };
    add(&resolved.file);
    add(&resolved.data_map_file);
    for entry in std::fs::read_dir(&resolved.policy_dir).into_iter().flatten().flatten() {
        add(&entry.path());
    }
    looks
}
