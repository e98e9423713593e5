//! Saying no, in PostgreSQL's own words and at the right place among the answers.
//!
//! Whoever gets an error inside a transaction expects that the transaction is then aborted, and one who pipelines
//! expects everything up to Sync undone. If we only wrote an error, a script that goes on would commit half of its
//! work. So the refusal is made real: in the place of the refused message the target gets one that fails, and its error is
//! replaced by ours. Only where nothing is open and nothing is awaited is the error simply written.

use super::Session;
use super::awaited::{Awaited, What};
use crate::wire::build::{Words, error, parse, query, ready};
use vestibule_core::{OpId, Refusal, RefusalKind, Side, Steps};
use vestibule_sql::ReadError;

/// No statement: it fails wherever it is sent, and says in the target's log what happened.
const FAILS: &str = "refused by vestibule";
/// Never successfully prepared.
const NAME: &[u8] = b"_vestibule_refused";

/// What the client is told.
#[derive(Debug, Clone)]
pub(super) struct No {
    pub code: &'static str,
    pub message: String,
    pub detail: String,
    pub hint: String,
    pub position: Option<usize>,
    /// The operation that was refused, so that the recording shows the error with it.
    pub op: Option<OpId>,
}

impl No {
    pub fn ours(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: String::new(), hint: hint.into(), position: None, op: None }
    }

    /// A refusal by the guard. Where the statement could not even be parsed, the user learns where.
    pub fn refusal(refusal: &Refusal, id: OpId, unread: Option<&ReadError>, text: &str) -> Self {
        let (detail, position) = match unread {
            Some(error @ ReadError::Syntax { at, .. }) => {
                let position = at.and_then(|at| text.get(..at)).map(|before| before.chars().count().saturating_add(1));
                (error.to_string(), position)
            }
            Some(error @ ReadError::TooComplex) => (error.to_string(), None),
            None => (String::new(), None),
        };
        Self {
            code: code(refusal.kind),
            message: refusal.message.clone(),
            detail,
            hint: refusal.remedy.clone(),
            position,
            op: Some(id),
        }
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        let say = Words {
            severity: "ERROR",
            code: self.code,
            message: &self.message,
            detail: &self.detail,
            hint: &self.hint,
            position: self.position,
        };
        error(out, &say);
    }
}

/// SQLSTATE of a refusal.
const fn code(kind: RefusalKind) -> &'static str {
    match kind {
        RefusalKind::Policy | RefusalKind::Denied | RefusalKind::NotUnderstood => "42501",
        RefusalKind::Expired | RefusalKind::Cancelled => "57014",
        RefusalKind::Identity => "28000",
        RefusalKind::Unrecorded => "58000",
        RefusalKind::Target => "08006",
    }
}

/// The last words of a session that we end.
pub(super) fn farewell(out: &mut Vec<u8>, why: &Refusal) {
    let code = match why.kind {
        RefusalKind::Identity => "28000",
        RefusalKind::NotUnderstood => "08P01",
        RefusalKind::Target => "08006",
        RefusalKind::Unrecorded => "58000",
        RefusalKind::Policy | RefusalKind::Denied | RefusalKind::Expired | RefusalKind::Cancelled => "57P01",
    };
    let say = Words { severity: "FATAL", code, message: &why.message, hint: &why.remedy, ..Words::default() };
    error(out, &say);
}

impl Session {
    /// Whether nothing is under way that an error would have to undo.
    fn is_quiet(&self) -> bool {
        self.awaited.is_empty() && !self.unsynced && self.status != b'T'
    }

    /// Refuses a Query (or what is answered like one).
    pub(super) fn refuse_query(&mut self, no: No, out: &mut Steps) {
        if self.is_quiet() {
            let status = self.status;
            out.write(Side::Client, no.op, |made| {
                no.write(made);
                ready(made, status);
            });
            return;
        }
        out.write(Side::Target, None, |made| query(made, FAILS));
        self.segments = self.segments.saturating_add(1);
        self.awaited.push_back(Awaited::new(What::Refused { no: Box::new(no), simple: true }, None));
    }

    /// Refuses a unit of the extended protocol: nothing is read any more up to Sync.
    pub(super) fn refuse_unit(&mut self, no: No, out: &mut Steps) {
        self.skipping = true;
        if self.is_quiet() {
            out.write(Side::Client, no.op, |made| no.write(made));
            return;
        }
        out.write(Side::Target, None, |made| parse(made, NAME, FAILS));
        self.unsynced = true;
        self.flushed = false;
        self.awaited.push_back(Awaited::new(What::Refused { no: Box::new(no), simple: false }, None));
    }
}
