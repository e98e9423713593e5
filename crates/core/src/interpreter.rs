//! How a stream protocol is read: two byte streams in, steps out, no socket, no clock, no policy.

use crate::{Operation, PhiClass, Ruling, WireError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// Whose bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client's.
    Client,
    /// The target's.
    Target,
}

/// Numbers the operations of one session, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpId(pub u64);

/// Bytes to write, as a span: nothing is copied to be relayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Of the bytes handed to the [`Interpreter::receive`] call that emitted the step.
    Received(Range<usize>),
    /// Of [`Steps::made`].
    Made(Range<usize>),
}

/// What the driver must do, in order.
#[derive(Debug, Clone)]
pub enum Step {
    /// Write bytes to a side. `under` names the operation they belong to: towards the target they leave only
    /// under its permit, towards the client only once its entry is durable. `None` is housekeeping that carries
    /// nothing of any operation.
    Write {
        /// To whom.
        to: Side,
        /// Which bytes.
        piece: Piece,
        /// On behalf of which operation.
        under: Option<OpId>,
    },
    /// An operation to be judged. The interpreter consumes nothing more of this client until it is settled.
    Ask(OpId, Box<Operation>),
    /// The operation is over (answered, failed, or cut).
    Done {
        /// Which.
        id: OpId,
        /// What the client received of it.
        disclosed: Disclosure,
    },
    /// The target's structure changed or is not what the snapshot says: fetch a new one.
    Stale,
    /// The client said goodbye; close both sides after what was written before.
    Goodbye,
}

/// What one operation disclosed to the client. Counts are of values (cells), not of rows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Disclosure {
    /// Rows (records, messages) that reached the client.
    pub rows: u64,
    /// Rows withheld by a row limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub withheld: u64,
    /// Bytes that reached the client.
    pub bytes: u64,
    /// Values masked, per class.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub masked: BTreeMap<PhiClass, u64>,
    /// Values shown in clear because policy reveals their class, per class.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revealed: BTreeMap<PhiClass, u64>,
    /// The target's error code, if it failed (for PostgreSQL: SQLSTATE).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The protocol's word for what was done: a command tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The steps of one call, and the bytes made for them. Reused from call to call.
#[derive(Debug, Default)]
pub struct Steps {
    list: Vec<Step>,
    /// Bytes that [`Piece::Made`] points into.
    pub made: Vec<u8>,
}

impl Steps {
    /// The steps, in order.
    #[must_use]
    pub fn list(&self) -> &[Step] {
        &self.list
    }

    /// Forgets the steps, keeps the memory.
    pub fn clear(&mut self) {
        self.list.clear();
        self.made.clear();
    }

    /// Takes the steps out; `made` stays until [`Steps::clear`].
    pub fn drain(&mut self) -> std::vec::Drain<'_, Step> {
        self.list.drain(..)
    }

    /// Any step that is not a write.
    pub fn push(&mut self, step: Step) {
        self.list.push(step);
    }

    /// Relays a span of the received bytes; adjoining spans of one operation become one.
    pub fn relay(&mut self, to: Side, span: Range<usize>, under: Option<OpId>) {
        if span.is_empty() {
            return;
        }
        if let Some(Step::Write { to: last, piece: Piece::Received(have), under: of }) = self.list.last_mut()
            && *last == to
            && *of == under
            && have.end == span.start
        {
            have.end = span.end;
            return;
        }
        self.list.push(Step::Write { to, piece: Piece::Received(span), under });
    }

    /// Writes bytes that `make` appends to the buffer; adjoining made spans of one operation become one.
    pub fn write(&mut self, to: Side, under: Option<OpId>, make: impl FnOnce(&mut Vec<u8>)) {
        let start = self.made.len();
        make(&mut self.made);
        let end = self.made.len();
        self.wrote(to, under, start..end);
    }

    /// Like [`Steps::write`], for bytes already appended to [`Steps::made`].
    pub fn wrote(&mut self, to: Side, under: Option<OpId>, span: Range<usize>) {
        if span.is_empty() {
            return;
        }
        if let Some(Step::Write { to: last, piece: Piece::Made(have), under: of }) = self.list.last_mut()
            && *last == to
            && *of == under
            && have.end == span.start
        {
            have.end = span.end;
            return;
        }
        self.list.push(Step::Write { to, piece: Piece::Made(span), under });
    }
}

/// One connection's two byte streams, after both logins.
///
/// INVARIANT: the steps and the consumed counts do not depend on how the streams are cut into calls.
pub trait Interpreter: Send {
    /// Reads what `from` sent and has not been consumed yet; `bytes` starts with the first unconsumed byte.
    /// Returns how many bytes are consumed. Unconsumed bytes are handed in again, with more behind them or after a
    /// [`settle`](Self::settle). [`Piece::Received`] spans point into `bytes` and lie within what is consumed.
    ///
    /// # Errors
    /// [`WireError`] ends the session; steps emitted before it in the same call still count.
    fn receive(&mut self, from: Side, bytes: &[u8], out: &mut Steps) -> Result<usize, WireError>;

    /// Answers [`Step::Ask`]. Only [`Piece::Made`] may be emitted. The driver then calls
    /// [`receive`](Self::receive) for the client again with what was left unconsumed.
    fn settle(&mut self, id: OpId, ruling: Ruling, out: &mut Steps);

    /// A newer snapshot of the target's catalog, in answer to [`Step::Stale`] or because the gateway made one.
    /// What was planned before stays; what is planned after uses it.
    fn refresh(&mut self, catalog: crate::Snapshot) {
        let _ = catalog;
    }

    /// The session ends from our side (expiry, revocation, drain): tell the client in the protocol's own words.
    /// Closes every open operation with a [`Step::Done`].
    fn close(&mut self, why: &crate::Refusal, out: &mut Steps);
}
