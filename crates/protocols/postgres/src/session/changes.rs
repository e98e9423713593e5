//! What an operation that has been answered changes of the session.

use super::Session;
use super::registry::Prepared;
use std::sync::Arc;
use vestibule_core::{OpId, Steps};
use vestibule_sql::SessionChange;

impl Session {
    /// Takes note of what an answered operation changed. `tag`: its command tag, if it succeeded.
    pub(super) fn note_changes(&mut self, id: OpId, tag: Option<&str>) {
        self.ops.answered(id);
        let Some(op) = self.ops.get(id) else { return };
        let (reach, meant) = (op.reach, Arc::clone(&op.meant));
        let place = (Arc::clone(&op.said), op.index);
        // A procedure may have committed some of its work before it failed.
        if reach.path {
            self.names.doubt();
            self.names.touched = true;
        }
        if reach.cursors {
            self.registry.close_cursor(None);
        }
        self.names.shadowed |= reach.shadows;
        self.restructured |= reach.structure;
        let Some(tag) = tag else { return };
        match &meant.statement.session {
            SessionChange::Prepare(name, _) => {
                if let Some(inner) = &meant.inner {
                    let scope = self.scope_number();
                    let prepared =
                        Prepared { said: place.0, meant: Arc::clone(inner), scope, index: place.1, inner: true };
                    drop(self.registry.set_statement(name.as_bytes(), Some(prepared)));
                }
            }
            SessionChange::Deallocate(name) => self.registry.deallocate(name.as_deref()),
            SessionChange::Declare(name, _) => self.registry.declare(name, Arc::clone(&meant)),
            SessionChange::CloseCursor(name) => self.registry.close_cursor(name.as_deref()),
            SessionChange::Reset if tag.starts_with("DISCARD") => {
                self.registry.deallocate(None);
                self.registry.close_cursor(None);
            }
            _ => {}
        }
    }

    /// Closes the operation whose last answer has been relayed.
    pub(super) fn finish_ended(&mut self, out: &mut Steps) {
        if let Some(id) = self.ended.take() {
            self.ops.done(id, out);
        }
    }

    /// The target is ready and no transaction is open.
    pub(super) fn transaction_over(&mut self, out: &mut Steps) {
        let ops = &mut self.ops;
        self.registry.transaction_over(self.segments_over, |suspended| {
            ops.done(suspended, out);
        });
        if std::mem::take(&mut self.names.touched) {
            self.names.doubt();
        }
        if std::mem::take(&mut self.restructured) {
            out.push(vestibule_core::Step::Stale);
        }
    }
}
