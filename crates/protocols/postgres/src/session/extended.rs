//! Messages of the extended protocol: which unit they belong to, and what a unit asks.

use super::Session;
use super::awaited::{Awaited, What};
use super::front::{Begin, Message};
use super::refuse::No;
use super::registry::Prepared;

use super::text::{Meant, Said};
use crate::wire::read::Reader;
use crate::wire::{body, build};
use std::sync::Arc;
use vestibule_core::{OpId, Side, Steps, WireError};

/// What became of a message that may belong to the unit before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    /// It belongs to it.
    Taken,
    /// It belongs to it and is its last.
    Last,
    /// It does not; the unit is complete without it.
    Boundary,
}

/// The names in Parse, Bind, Describe, Execute and Close.
fn two_names<'a>(message: &Message<'a>) -> Result<(&'a [u8], &'a [u8]), WireError> {
    let mut reader = Reader::new(body(message.frame), "Parse or Bind");
    Ok((reader.string()?, reader.string()?))
}

pub(super) fn target_of(frame: &[u8]) -> Result<(u8, &[u8]), WireError> {
    let mut reader = Reader::new(body(frame), "Describe or Close");
    let named = (reader.u8()?, reader.string()?);
    reader.end()?;
    Ok(named)
}

pub(super) fn portal_of(frame: &[u8]) -> Result<&[u8], WireError> {
    let mut reader = Reader::new(body(frame), "Execute");
    let name = reader.string()?;
    reader.i32()?;
    reader.end()?;
    Ok(name)
}

/// Whether a name means the same to the server as to us: it cuts longer ones off, and others depend on the encoding.
const fn is_plain(name: &[u8]) -> bool {
    name.len() < 64 && name.is_ascii()
}

fn not_plain() -> No {
    No::ours(
        "42622",
        "refused: names of prepared statements and portals must be ASCII and at most 63 bytes long",
        "use a shorter name",
    )
}

fn no_statement(name: &[u8]) -> No {
    let name = String::from_utf8_lossy(name);
    No::ours("26000", format!("prepared statement \"{name}\" does not exist"), "")
}

fn no_portal(name: &[u8]) -> No {
    let name = String::from_utf8_lossy(name);
    No::ours("34000", format!("portal \"{name}\" does not exist"), "")
}

impl Session {
    /// A message that follows others of an extended unit.
    pub(super) fn join(&mut self, message: Message<'_>) -> Result<Join, WireError> {
        let unit = &mut self.unit;
        let joins = match message.kind {
            b'B' => {
                let (portal, statement) = two_names(&message)?;
                let joins = unit.portal.is_none() && statement == unit.statement.as_slice() && is_plain(portal);
                if joins {
                    unit.portal = Some(portal.to_vec());
                }
                joins
            }
            b'D' => match target_of(message.frame)? {
                (b'S', name) => name == unit.statement.as_slice(),
                (_, name) => unit.portal.as_deref() == Some(name),
            },
            b'E' => {
                unit.runs = unit.portal.as_deref() == Some(portal_of(message.frame)?);
                unit.runs
            }
            _ => false,
        };
        if !joins {
            return Ok(Join::Boundary);
        }
        unit.push(message.kind, message.frame.len());
        Ok(if message.kind == b'E' { Join::Last } else { Join::Taken })
    }

    pub(super) fn begin_extended(&mut self, message: Message<'_>, out: &mut Steps) -> Result<Begin, WireError> {
        match message.kind {
            b'S' => {
                self.pass_sync(message, out);
                Ok(Begin::Handled)
            }
            b'H' => {
                message.relay(self.last_open(), out);
                self.flushed = true;
                Ok(Begin::Handled)
            }
            // What a name means is settled only when an earlier Sync has been answered.
            _ if self.syncs > 0 && self.unconfirmed > 0 => Ok(Begin::Wait),
            b'P' => self.begin_parse(message, out),
            b'B' => self.begin_bind(message, out),
            b'E' => self.begin_execute(message, out),
            b'D' => self.pass_describe(message, out),
            _ => self.pass_close(message, out),
        }
    }

    /// Refuses a message outright: nobody is asked.
    fn refuse_message(&mut self, no: No, out: &mut Steps) -> Begin {
        self.refuse_unit(no, out);
        Begin::Handled
    }

    fn begin_parse(&mut self, message: Message<'_>, out: &mut Steps) -> Result<Begin, WireError> {
        if !self.can_read(out) {
            return Ok(Begin::Wait);
        }
        let (name, text) = two_names(&message)?;
        if !is_plain(name) {
            return Ok(self.refuse_message(not_plain(), out));
        }
        let said = self.read_text(text);
        let scope = self.scope_number();
        let Some(meant) = said.meant.first().map(Arc::clone) else {
            return Ok(self.parse_nothing(name, said, out));
        };
        if said.meant.len() > 1 {
            let words = "cannot insert multiple commands into a prepared statement";
            return Ok(self.refuse_message(No::ours("42601", words, ""), out));
        }
        if self.registry.is_full() {
            let no = No::ours(
                "54000",
                "refused: the session has more prepared statements or portals than the gateway keeps",
                "close those that are not needed",
            );
            return Ok(self.refuse_message(no, out));
        }
        self.unit.statement.extend_from_slice(name);
        self.take_first(message, Prepared { said, meant, scope, index: 0, inner: false });
        Ok(Begin::Unit)
    }

    /// An empty statement asks nothing. The target gets it without what was written there.
    fn parse_nothing(&mut self, name: &[u8], said: Arc<Said>, out: &mut Steps) -> Begin {
        out.write(Side::Target, None, |made| build::parse(made, name, ""));
        let scope = self.scope_number();
        let prepared = Prepared { said, meant: Meant::nothing(), scope, index: 0, inner: false };
        self.await_named(What::Parse, None, |registry| registry.set_statement(name, Some(prepared)));
        Begin::Handled
    }

    fn take_first(&mut self, message: Message<'_>, subject: Prepared) {
        self.unit.extended = true;
        self.unit.subject = Some(subject);
        self.unit.push(message.kind, message.frame.len());
    }

    fn begin_bind(&mut self, message: Message<'_>, out: &mut Steps) -> Result<Begin, WireError> {
        if !self.can_read(out) {
            return Ok(Begin::Wait);
        }
        let (portal, name) = two_names(&message)?;
        if !is_plain(portal) || !is_plain(name) {
            return Ok(self.refuse_message(not_plain(), out));
        }
        let Some(prepared) = self.registry.statement(name).cloned() else {
            return Ok(self.refuse_message(no_statement(name), out));
        };
        let prepared = self.current(prepared);
        self.unit.statement.extend_from_slice(name);
        self.unit.portal = Some(portal.to_vec());
        self.take_first(message, prepared);
        Ok(Begin::Unit)
    }

    fn begin_execute(&mut self, message: Message<'_>, out: &mut Steps) -> Result<Begin, WireError> {
        let name = portal_of(message.frame)?;
        // A portal of before a Sync may be gone when that Sync has been answered.
        if self.syncs > 0 || !self.can_read(out) {
            return Ok(Begin::Wait);
        }
        let Some(portal) = self.registry.portal(name).cloned() else {
            return Ok(self.refuse_message(no_portal(name), out));
        };
        if let Some(id) = portal.op.filter(|id| self.ops.get(*id).is_some()) {
            // More rows of an operation that was permitted.
            message.relay(Some(id), out);
            self.sent_extended();
            self.awaited.push_back(Awaited::new(What::Execute { portal: name.into() }, Some(id)));
            return Ok(Begin::Handled);
        }
        let prepared = self.current(portal.prepared);
        self.unit.runs = true;
        self.take_first(message, prepared);
        self.ask_unit(out);
        Ok(Begin::Unit)
    }

    fn pass_describe(&mut self, message: Message<'_>, out: &mut Steps) -> Result<Begin, WireError> {
        let (kind, name) = target_of(message.frame)?;
        let what = if kind == b'S' {
            if self.registry.statement(name).is_none() {
                return Ok(self.refuse_message(no_statement(name), out));
            }
            What::DescribeStatement
        } else {
            // A cursor of SQL is a portal as well.
            let cursor = std::str::from_utf8(name).ok().and_then(|name| self.registry.cursor(name));
            if self.registry.portal(name).is_none() && cursor.is_none() {
                return Ok(self.refuse_message(no_portal(name), out));
            }
            What::DescribePortal { ours: false }
        };
        message.relay(None, out);
        self.sent_extended();
        self.awaited.push_back(Awaited::new(what, None));
        Ok(Begin::Handled)
    }

    fn pass_close(&mut self, message: Message<'_>, out: &mut Steps) -> Result<Begin, WireError> {
        let (kind, name) = target_of(message.frame)?;
        if !is_plain(name) {
            return Ok(self.refuse_message(not_plain(), out));
        }
        message.relay(None, out);
        self.sent_extended();
        let suspended = if kind == b'P' { self.registry.portal(name).and_then(|p| p.op) } else { None };
        let what = What::Close { suspended };
        self.await_named(what, None, |registry| {
            if kind == b'S' { registry.set_statement(name, None) } else { registry.set_portal(name, None) }
        });
        Ok(Begin::Handled)
    }

    /// Sync: the answer belongs to the operation before it, if that is still open.
    pub(super) fn pass_sync(&mut self, message: Message<'_>, out: &mut Steps) {
        message.relay(self.last_open(), out);
        self.syncs = self.syncs.saturating_add(1);
        self.segments = self.segments.saturating_add(1);
        self.unsynced = false;
        self.flushed = true;
        let copying = self.copying_in.is_some_and(|id| self.ops.get(id).is_some());
        self.awaited.push_back(Awaited::new(What::Sync { copying }, None));
    }

    fn last_open(&self) -> Option<OpId> {
        let last = self.awaited.back().and_then(|a| a.op)?;
        self.ops.get(last).map(|op| op.id)
    }

    pub(super) fn sent_extended(&mut self) {
        self.unsynced = true;
        self.flushed = false;
    }
}
