//! Prepared statements, portals and cursors, as the server has them.
//!
//! The client may send ahead of the answers. Each change is therefore made at once and can be undone: the server
//! skips everything between an error and the next Sync, and so do we.

use super::text::{Meant, Said};
use std::collections::HashMap;
use std::sync::Arc;
use vestibule_core::OpId;

/// Most statements and portals of one session.
pub(super) const MOST_NAMES: usize = 16_384;

/// A prepared statement.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub said: Arc<Said>,
    pub meant: Arc<Meant>,
    /// The scope it was read in.
    pub scope: u32,
    /// Which statement of its text it is.
    pub index: usize,
    /// Prepared by SQL: it is what the text's `PREPARE` prepares.
    pub inner: bool,
}

/// A portal.
#[derive(Debug, Clone)]
pub(super) struct Portal {
    pub prepared: Prepared,
    /// The operation that runs it and was suspended.
    pub op: Option<OpId>,
    /// How many Sync and Query messages had been sent when it was bound.
    pub segment: u64,
}

/// A change that can be undone.
#[derive(Debug)]
pub(super) enum Change {
    /// The statement of this name was this.
    Statement(Box<[u8]>, Option<Prepared>),
    /// The portal of this name was this.
    Portal(Box<[u8]>, Option<Portal>),
}

/// What has a name.
#[derive(Debug, Default)]
pub(super) struct Registry {
    statements: HashMap<Box<[u8]>, Prepared>,
    portals: HashMap<Box<[u8]>, Portal>,
    cursors: HashMap<String, Arc<Meant>>,
}

impl Registry {
    pub fn statement(&self, name: &[u8]) -> Option<&Prepared> {
        self.statements.get(name)
    }

    pub fn portal(&self, name: &[u8]) -> Option<&Portal> {
        self.portals.get(name)
    }

    pub fn portal_mut(&mut self, name: &[u8]) -> Option<&mut Portal> {
        self.portals.get_mut(name)
    }

    pub fn cursor(&self, name: &str) -> Option<&Arc<Meant>> {
        self.cursors.get(name)
    }

    pub fn is_full(&self) -> bool {
        self.statements.len() >= MOST_NAMES || self.portals.len() >= MOST_NAMES || self.cursors.len() >= MOST_NAMES
    }

    /// Names, renames or (with `None`) forgets a statement.
    pub fn set_statement(&mut self, name: &[u8], prepared: Option<Prepared>) -> Change {
        let before = match prepared {
            Some(prepared) => match self.statements.get_mut(name) {
                Some(have) => Some(std::mem::replace(have, prepared)),
                None => self.statements.insert(name.into(), prepared),
            },
            None => self.statements.remove(name),
        };
        Change::Statement(name.into(), before)
    }

    /// The same for a portal.
    pub fn set_portal(&mut self, name: &[u8], portal: Option<Portal>) -> Change {
        let before = match portal {
            Some(portal) => match self.portals.get_mut(name) {
                Some(have) => Some(std::mem::replace(have, portal)),
                None => self.portals.insert(name.into(), portal),
            },
            None => self.portals.remove(name),
        };
        Change::Portal(name.into(), before)
    }

    /// Undoes a change. Later changes must have been undone before.
    pub fn undo(&mut self, change: Change) {
        match change {
            Change::Statement(name, Some(before)) => {
                self.statements.insert(name, before);
            }
            Change::Statement(name, None) => {
                self.statements.remove(&name);
            }
            Change::Portal(name, Some(before)) => {
                self.portals.insert(name, before);
            }
            Change::Portal(name, None) => {
                self.portals.remove(&name);
            }
        }
    }

    /// `DEALLOCATE`.
    pub fn deallocate(&mut self, name: Option<&str>) {
        match name {
            Some(name) => drop(self.statements.remove(name.as_bytes())),
            None => self.statements.clear(),
        }
    }

    /// `DECLARE`.
    pub fn declare(&mut self, name: &str, meant: Arc<Meant>) {
        self.cursors.insert(name.to_owned(), meant);
    }

    /// `CLOSE`, or a reason to know no cursor any more.
    pub fn close_cursor(&mut self, name: Option<&str>) {
        match name {
            Some(name) => drop(self.cursors.remove(name)),
            None => self.cursors.clear(),
        }
    }

    /// The transaction is over with the Sync or Query of this number: portals of before it are gone, and cursors that
    /// were not declared to be held.
    pub fn transaction_over(&mut self, segment: u64, mut suspended: impl FnMut(OpId)) {
        self.portals.retain(|_, portal| {
            let stays = portal.segment >= segment;
            if let Some(op) = portal.op.filter(|_| !stays) {
                suspended(op);
            }
            stays
        });
        self.cursors.retain(|_, meant| is_held(meant));
    }
}

/// Whether the text may say `WITH HOLD`. A cursor kept in vain is one the server no longer has.
fn is_held(meant: &Meant) -> bool {
    let text = meant.statement.operation.text.as_deref().unwrap_or_default();
    text.as_bytes().windows(4).any(|w| w.eq_ignore_ascii_case(b"hold"))
}
