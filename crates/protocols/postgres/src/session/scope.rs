//! Knowing what names mean: waiting for answers that may change it, and asking the target for its search path.

use super::Session;
use super::awaited::{Awaited, What};
use super::registry::Prepared;
use super::text::{Meant, Said, array};
use crate::wire::build;
use crate::wire::read::Reader;
use std::sync::Arc;
use vestibule_core::{Side, Steps};

/// Names of our own question; a client that takes them only makes the question fail, and then nothing is known.
const NAME: &[u8] = b"_vestibule_scope";
const QUESTION: &str = "SELECT pg_catalog.current_schemas(false)::pg_catalog.text";
/// ParseComplete, BindComplete, DataRow, CommandComplete, two times CloseComplete.
const ANSWERS: u8 = 6;
/// With more than this unanswered, nothing more is read.
const MOST_AWAITED: usize = 32_768;

impl Session {
    /// Whether a text can be read now. If not, what is needed has been asked for, and the client's bytes wait.
    pub(super) fn can_read(&mut self, out: &mut Steps) -> bool {
        if self.ops.waiting_for > 0 || self.awaited.len() > MOST_AWAITED {
            self.nudge(out);
            return false;
        }
        // A failed transaction answers nothing; what it accepts needs no names.
        if self.names.path.is_some() || self.catalog.is_none() || self.status == b'E' {
            return true;
        }
        if self.awaited.is_empty() {
            self.ask_scope(out);
        } else {
            self.nudge(out);
        }
        false
    }

    /// Makes the target answer what it was asked in a pipeline without a Sync.
    pub(super) fn nudge(&mut self, out: &mut Steps) {
        if self.unsynced && !self.flushed && !self.awaited.is_empty() {
            out.write(Side::Target, None, |made| build::bare(made, b'H'));
            self.flushed = true;
        }
    }

    fn ask_scope(&mut self, out: &mut Steps) {
        // Inside a pipeline a Sync would commit what the client has not finished.
        let sync = !self.unsynced;
        out.write(Side::Target, None, |made| {
            build::parse(made, NAME, QUESTION);
            build::bind(made, NAME, NAME);
            build::execute(made, NAME);
            build::close_name(made, b'P', NAME);
            build::close_name(made, b'S', NAME);
            build::bare(made, if sync { b'S' } else { b'H' });
        });
        self.flushed = true;
        self.awaited.push_back(Awaited::new(What::Scope { step: ANSWERS, simple_sync: sync }, None));
    }

    /// The target's answer to our question.
    pub(super) fn learn_scope(&mut self, row: &[u8]) {
        let mut reader = Reader::new(row, "DataRow");
        let value = reader.count().ok().filter(|n| *n == 1).and_then(|_| reader.value().ok().flatten());
        let path = value.and_then(|v| std::str::from_utf8(v).ok()).and_then(array);
        self.names.learn(path.unwrap_or_default());
    }

    /// What `text` says now.
    pub(super) fn read_text(&mut self, text: &[u8]) -> Arc<Said> {
        let key = self.names.number(self.version);
        let scope = self.names.scope(self.catalog.as_deref());
        self.texts.read(key, text, &scope, self.names.readable)
    }

    /// The number of the scope in force.
    pub(super) fn scope_number(&mut self) -> u32 {
        self.names.number(self.version)
    }

    /// The statement as it is to be understood now: names may mean something else than when it was prepared.
    pub(super) fn current(&mut self, prepared: Prepared) -> Prepared {
        let scope = self.scope_number();
        if prepared.scope == scope {
            return prepared;
        }
        let said = self.read_text(&prepared.said.bytes);
        let found = said.meant.get(prepared.index);
        let meant = if prepared.inner { found.and_then(|m| m.inner.as_ref()) } else { found }.map(Arc::clone);
        // The same text cannot say less than before; if it does, nothing is known of it.
        let meant = meant.unwrap_or_else(|| Meant::opaque(&said.bytes));
        Prepared { said, meant, scope, index: prepared.index, inner: prepared.inner }
    }
}
