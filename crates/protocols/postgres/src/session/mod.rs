//! The interpreter: everything between a client and a target after both logins.
//!
//! The client's side ([`front`], [`extended`], [`asks`], [`forward`]) cuts the stream into units, asks once for what each
//! unit does, and relays its bytes only when it may. The target's side ([`back`], [`aside`], [`copy`]) follows the answers
//! in the order in which they were asked for, opens rows only where a plan says so, and closes each operation. Between
//! them stand the list of what is awaited, the operations under way ([`ops`]), the names the server knows ([`registry`])
//! and what the texts mean ([`text`], [`scope`]).
//!
//! Not here: what a statement does (`vestibule-sql`), whether it may (the guard), what a mask is (`vestibule-phi`).

mod aside;
mod asks;
mod awaited;
mod back;
mod changes;
mod copy;
mod extended;
mod forward;
mod front;
mod likeness;
mod ops;
mod refuse;
mod registry;
mod rows;
mod scope;
mod scrub;
#[cfg(test)]
mod tests;
mod text;

use crate::wire::value::Scratch;
use awaited::Awaited;
use front::{Phase, Unit};
use ops::Ops;
use registry::Registry;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use text::{Names, Texts};
use vestibule_core::{Interpreter, Mask, OpId, OpenSession, Refusal, Ruling, Side, Snapshot, Step, Steps, WireError};
use vestibule_sql::Catalog;

/// Opens the interpreter of one session.
pub(crate) fn open(session: OpenSession) -> Box<dyn Interpreter> {
    Box::new(Session::new(session))
}

/// One session.
struct Session {
    phi: bool,
    limit: usize,
    catalog: Option<Arc<Catalog>>,
    version: u64,
    texts: Texts,
    names: Names,
    registry: Registry,
    ops: Ops,
    awaited: VecDeque<Awaited>,
    /// Sync messages among what is awaited.
    syncs: usize,
    /// Sync and Query messages sent, and those that were answered (or, as we know, ignored).
    segments: u64,
    segments_over: u64,
    /// Changes of the registry among what is awaited.
    unconfirmed: usize,
    /// Transaction status as the target last said it.
    status: u8,
    phase: Phase,
    unit: Unit,
    /// The client's messages are dropped up to its next Sync, as the server does after an error.
    skipping: bool,
    /// Something of the extended protocol was sent since the last Sync.
    unsynced: bool,
    /// A Flush or Sync was sent since.
    flushed: bool,
    /// The client's data for `COPY … FROM STDIN` belong to this operation.
    copying_in: Option<OpId>,
    /// The operation whose last answer was just relayed.
    ended: Option<OpId>,
    /// The structure of the database changed in the transaction under way.
    restructured: bool,
    /// Tables that a newer catalog was asked for.
    strangers: HashSet<u32>,
    /// Code ran here that could put masked values into the session's own settings.
    opaque: bool,
    /// The mask of the last permitted operation, for what arrives outside of any.
    last_mask: Option<Arc<dyn Mask>>,
    scratch: Scratch,
    gone: bool,
}

impl Session {
    fn new(session: OpenSession) -> Self {
        let parameters = &session.established.parameters;
        let user = parameters.get("session_authorization").map_or("", String::as_str);
        // Servers before 18 do not tell the path: it is asked before the first text is read.
        let mut names = Names::new(parameters.get("search_path").map(String::as_str), user);
        for key in ["standard_conforming_strings", "client_encoding"] {
            if let Some(value) = parameters.get(key) {
                names.parameter(key.as_bytes(), value.as_bytes());
            }
        }
        let mut opened = Self {
            phi: session.phi,
            limit: session.limits.max_message_bytes,
            catalog: None,
            version: 0,
            texts: Texts::default(),
            names,
            registry: Registry::default(),
            ops: Ops::default(),
            awaited: VecDeque::new(),
            syncs: 0,
            segments: 0,
            segments_over: 0,
            unconfirmed: 0,
            status: b'I',
            phase: Phase::Reading,
            unit: Unit::default(),
            skipping: false,
            unsynced: false,
            flushed: false,
            copying_in: None,
            ended: None,
            restructured: false,
            strangers: HashSet::new(),
            opaque: false,
            last_mask: None,
            scratch: Scratch::default(),
            gone: false,
        };
        if let Some(snapshot) = session.catalog {
            opened.take_catalog(snapshot);
        }
        opened
    }

    fn take_catalog(&mut self, snapshot: Snapshot) {
        // Another protocol's content would be a fault of the gateway; nothing is known then.
        self.catalog = snapshot.content.downcast::<Catalog>().ok();
        if self.version != snapshot.version {
            // What was understood by another catalog is not looked at again.
            self.texts = Texts::default();
        }
        self.version = snapshot.version;
        self.names.renumber();
    }

    fn goodbye(&mut self, out: &mut Steps) {
        self.gone = true;
        out.push(Step::Goodbye);
    }
}

impl Interpreter for Session {
    fn receive(&mut self, from: Side, bytes: &[u8], out: &mut Steps) -> Result<usize, WireError> {
        if self.gone && from == Side::Client {
            return Ok(bytes.len());
        }
        match from {
            Side::Client => self.receive_client(bytes, out),
            Side::Target => self.receive_target(bytes, out),
        }
    }

    fn settle(&mut self, id: OpId, ruling: Ruling, out: &mut Steps) {
        match ruling {
            Ruling::Waiting(line) => {
                out.write(Side::Client, None, |made| crate::wire::build::notice(made, &line, ""));
            }
            Ruling::Permit(terms) => {
                self.last_mask = Some(Arc::clone(&terms.mask));
                if let Some(op) = self.ops.get_mut(id) {
                    self.opaque |= self.phi && terms.scrub && op.reach.cursors;
                    op.noticed = terms.notice.is_none();
                    op.terms = Some(terms);
                }
                self.permitted(id, out);
            }
            Ruling::Refuse(refusal) => self.refused(id, &refusal, out),
        }
    }

    fn refresh(&mut self, catalog: Snapshot) {
        self.take_catalog(catalog);
    }

    fn close(&mut self, why: &Refusal, out: &mut Steps) {
        if !self.gone {
            out.write(Side::Client, None, |made| refuse::farewell(made, why));
        }
        self.gone = true;
        self.ended = None;
        while let Some(id) = self.ops.first() {
            // One that was never permitted has no permit to close.
            if self.ops.get(id).is_some_and(|op| op.terms.is_some()) {
                self.ops.done(id, out);
            } else {
                self.ops.forget(id);
            }
        }
    }
}
