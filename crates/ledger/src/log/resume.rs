//! Where the chains of entries stand at the end of the log: what a gateway that starts must go on with.

use super::OpenSession;
use crate::error::LedgerError;
use crate::kinds::{OpenOperations, SHUTDOWN, STARTED, ends_session};
use crate::{GATEWAY, Reader, SessionChain, leaf_hash, scan};
use std::collections::BTreeMap;
use std::path::Path;

/// The chains at the end of the log.
pub(super) struct State {
    /// Epoch of the last entry; 0 if there is none.
    pub epoch: u64,
    pub gateway: SessionChain,
    /// Sessions opened and neither closed nor abandoned.
    pub open: Vec<OpenSession>,
    pub clean: bool,
}

/// First look at so many entries, then at twice as many.
const FIRST_WINDOW: u64 = 4096;

/// Reads back to the last start of the gateway, before which every older session was ended, and forward from there.
/// A shutdown is no such place: a session may have been open when the gateway lost patience with it.
pub(super) fn resume(dir: &Path, size: u64) -> Result<State, LedgerError> {
    let reader = Reader::open(dir)?;
    let (mut to, mut window) = (size, FIRST_WINDOW);
    let start = loop {
        let from = to.saturating_sub(window);
        if let Some(at) = last_start(&reader, from, to)? {
            break at;
        }
        if from == 0 {
            break 0;
        }
        (to, window) = (from, window.saturating_mul(2));
    };
    forward(&reader, start, size)
}

/// The last start of the gateway within the window.
fn last_start(reader: &Reader, from: u64, to: u64) -> Result<Option<u64>, LedgerError> {
    let mut found = None;
    for item in reader.entries(from) {
        let (index, entry) = item?;
        if index >= to {
            break;
        }
        if scan(&entry).is_ok_and(|e| e.kind == STARTED && e.sid == GATEWAY) {
            found = Some(index);
        }
    }
    Ok(found)
}

fn forward(reader: &Reader, from: u64, size: u64) -> Result<State, LedgerError> {
    let mut state = State { epoch: 0, gateway: SessionChain::new(GATEWAY), open: Vec::new(), clean: true };
    let mut open: BTreeMap<String, Open> = BTreeMap::new();
    for item in reader.entries(from) {
        let (index, entry) = item?;
        if index >= size {
            break;
        }
        let Ok(envelope) = scan(&entry) else { continue };
        state.epoch = state.epoch.max(envelope.epoch);
        let chain = SessionChain::resume(envelope.sid, envelope.seq.saturating_add(1), leaf_hash(&entry));
        if envelope.sid == GATEWAY {
            state.gateway = chain;
            state.clean = envelope.kind == SHUTDOWN;
        } else if ends_session(envelope.kind) {
            open.remove(envelope.sid);
        } else {
            let operations = open.remove(envelope.sid).map(|o| o.operations).unwrap_or_default();
            let mut session = Open { chain, operations };
            session.operations.follow(&envelope);
            open.insert(envelope.sid.to_owned(), session);
        }
    }
    let ended = |o: Open| OpenSession { chain: o.chain, operations: o.operations.into_list() };
    state.open = open.into_values().map(ended).collect();
    Ok(state)
}

struct Open {
    chain: SessionChain,
    operations: OpenOperations,
}
