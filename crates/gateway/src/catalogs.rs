//! Keeps the catalog of each target fresh: at the start, when a session saw that it changed, and on a timer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use vestibule_core::{Crawl, Fault, FaultKind, Limits, Protocol, Snapshot};
use vestibule_session::Place;
use vestibule_upstream::Target;

/// Without anybody asking, a catalog is read again after this time.
const AGE: Duration = Duration::from_secs(300);
/// After a failure, the next try.
const RETRY: Duration = Duration::from_secs(5);
/// Two readings of a catalog are at least so far apart.
const PAUSE: Duration = Duration::from_millis(200);
/// A catalog that takes longer to read is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most bytes kept of an answer that is not yet understood.
const MOST_PENDING: usize = 64 << 20;

/// The tasks that read catalogs, by target.
#[derive(Default)]
pub(crate) struct Crawlers(BTreeMap<String, JoinHandle<()>>);

impl Crawlers {
    /// Reads the catalogs of these targets from now on, and of no others.
    pub fn follow(&mut self, places: &BTreeMap<String, Arc<Place>>) {
        for task in std::mem::take(&mut self.0).into_values() {
            task.abort();
        }
        for (name, place) in places {
            if place.protocol.crawl().is_some() {
                self.0.insert(name.clone(), tokio::spawn(keep_fresh(Arc::clone(place))));
            }
        }
    }

    pub fn stop(&mut self) {
        self.follow(&BTreeMap::new());
    }
}

async fn keep_fresh(place: Arc<Place>) {
    loop {
        let next = match read(&place.target, place.protocol).await {
            Ok(read) => {
                let known = place.catalogs.watch().borrow().clone();
                place.catalogs.publish(newer(known, read));
                AGE
            }
            Err(error) => {
                tracing::warn!(%error, "its sessions are refused until it can, if it holds PHI");
                RETRY
            }
        };
        tokio::time::sleep(PAUSE).await;
        let _ = tokio::time::timeout(next, place.catalogs.rung()).await;
    }
}

/// What was read, as the next version of what was known. Where nothing has changed it stays the same version, so that
/// sessions go on with what they have understood; they are told all the same, for they may wait for it.
fn newer(known: Option<Snapshot>, (content, digest): Content) -> Snapshot {
    match known {
        Some(known) if *known.digest == *digest => known,
        known => {
            let version = known.map_or(0, |known| known.version).saturating_add(1);
            Snapshot { version, digest: digest.into(), content }
        }
    }
}

/// Reads a catalog once; `None` where the protocol has none.
pub(crate) async fn read_once(target: &Target, protocol: &dyn Protocol) -> Result<Option<Snapshot>, Fault> {
    if protocol.crawl().is_none() {
        return Ok(None);
    }
    let (content, digest) = read(target, protocol).await?;
    Ok(Some(Snapshot { version: 1, digest: digest.into(), content }))
}

type Content = (Arc<dyn std::any::Any + Send + Sync>, String);

async fn read(target: &Target, protocol: &dyn Protocol) -> Result<Content, Fault> {
    let fault = |what: &dyn std::fmt::Display| {
        Fault::new(FaultKind::Upstream, format_args!("the catalog of target `{}` cannot be read: {what}", target.name))
    };
    let Some(mut crawl) = protocol.crawl() else { return Err(fault(&"this protocol has no catalog")) };
    let mut nonce = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| fault(&"the system gave no random bytes"))?;
    let conversation = async {
        let dialled = vestibule_upstream::connect(target, protocol, BTreeMap::new(), nonce, Limits::default()).await;
        let upstream = dialled.map_err(|error| error.to_string())?;
        let mut transport = upstream.transport;
        let content = converse(&mut *crawl, &mut transport, upstream.rest).await?;
        let _ = transport.shutdown().await;
        Ok(content)
    };
    match tokio::time::timeout(PATIENCE, conversation).await {
        Ok(read) => read.map_err(|error: String| fault(&error)),
        Err(_) => Err(fault(&format_args!("it took longer than {} s", PATIENCE.as_secs()))),
    }
}

async fn converse(
    crawl: &mut dyn Crawl,
    transport: &mut vestibule_upstream::Transport,
    mut received: Vec<u8>,
) -> Result<Content, String> {
    let mut out = Vec::new();
    crawl.start(&mut out);
    loop {
        if !out.is_empty() {
            transport.write_all(&out).await.map_err(|e| e.to_string())?;
            transport.flush().await.map_err(|e| e.to_string())?;
            out.clear();
        }
        let (used, done) = crawl.receive(&received, &mut out).map_err(|refusal| refusal.message)?;
        received.drain(..used.min(received.len()));
        if let Some(content) = done {
            return Ok(content);
        }
        if !out.is_empty() || (used > 0 && !received.is_empty()) {
            continue;
        }
        if received.len() > MOST_PENDING {
            return Err("a part of the catalog is too long".to_owned());
        }
        if transport.read_buf(&mut received).await.map_err(|e| e.to_string())? == 0 {
            return Err("the target closed the connection".to_owned());
        }
    }
}
