//! Messages of the extended protocol: which unit they belong to, and what a unit asks.

use super::Session;
use super::awaited::{Awaited, What};
use super::front::{Begin, Message, Phase};
use super::ops::Reach;
use super::refuse::No;
use super::registry::Prepared;
use super::rows::Source;
use super::text::{Meant, Said};
use crate::wire::read::Reader;
use crate::wire::{body, build};
use std::sync::Arc;
use vestibule_core::{Effect, OpId, Operation, Reading, Side, Step, Steps, WireError, traits};
use vestibule_sql::Output;

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

    /// Asks for the unit, or goes on at once where there is nothing to ask.
    pub(super) fn ask_unit(&mut self, out: &mut Steps) {
        self.finish_ended(out);
        let Some(meant) = self.unit.meant(self.unit.asked).map(Arc::clone) else {
            self.phase = Phase::Ruled;
            return;
        };
        if meant.is_nothing() {
            self.phase = Phase::Ruled;
            return;
        }
        let (mut operation, source) = self.operation(&meant);
        let only_prepares = self.unit.extended && !self.unit.runs;
        let reach = if only_prepares { Reach::default() } else { Reach::of(&meant, self.names.touched) };
        if only_prepares {
            prepare_only(&mut operation);
        }
        let place = match (&self.unit.said, &self.unit.subject) {
            (Some(said), _) => (Arc::clone(said), self.unit.asked),
            (None, Some(subject)) => (Arc::clone(&subject.said), subject.index),
            (None, None) => return,
        };
        let id = self.ops.open(meant, place, source, reach);
        self.unit.first = self.unit.first.or(Some(id));
        self.unit.last = Some(id);
        self.unit.asked = self.unit.asked.saturating_add(1);
        self.phase = Phase::Asking;
        out.push(Step::Ask(id, Box::new(operation)));
    }

    /// What is asked for a statement, and where its rows come from. What runs a prepared statement or a cursor is
    /// judged as what it runs.
    fn operation(&self, meant: &Arc<Meant>) -> (Operation, Source) {
        let statement = &meant.statement;
        match &statement.output {
            Output::OfPrepared(name) => match self.registry.statement(name.as_bytes()) {
                Some(prepared) => {
                    let inner = &prepared.meant.statement.operation;
                    (merged(&statement.operation, inner, inner.effect), Source::Statement(Arc::clone(&prepared.meant)))
                }
                None => {
                    (obscured(&statement.operation, "it runs a prepared statement that is not known"), Source::Unknown)
                }
            },
            Output::OfCursor(name) => match self.registry.cursor(name) {
                Some(declared) => {
                    let inner = &declared.statement.operation;
                    (merged(&statement.operation, inner, Effect::Read), Source::Cursor(Arc::clone(declared)))
                }
                None => (obscured(&statement.operation, "it reads a cursor that is not known"), Source::Unknown),
            },
            _ => (statement.operation.clone(), Source::Statement(Arc::clone(meant))),
        }
    }

    /// The unit's operation may run. Its bytes are relayed when they are handed in again.
    pub(super) fn permitted(&mut self, id: OpId, out: &mut Steps) {
        if self.phase != Phase::Asking || self.unit.last != Some(id) {
            return;
        }
        let all = self.unit.said.as_ref().map_or(1, |said| said.meant.len());
        if self.unit.asked < all {
            self.ask_unit(out);
        } else {
            self.phase = Phase::Ruled;
        }
    }

    /// It may not. None of the unit is sent.
    pub(super) fn refused(&mut self, id: OpId, refusal: &vestibule_core::Refusal, out: &mut Steps) {
        let Some(op) = self.ops.get(id) else { return };
        let text = op.meant.statement.operation.text.as_deref().unwrap_or_default();
        let no = No::refusal(refusal, id, op.meant.unread.as_ref(), text);
        self.ops.forget(id);
        if self.phase != Phase::Asking || self.unit.last != Some(id) {
            return;
        }
        // Those of the same text that were permitted before are over without having run.
        let mut before = self.unit.first;
        while let Some(earlier) = before.filter(|e| *e < id) {
            if let Some(op) = self.ops.get_mut(earlier) {
                op.seen.tag = Some("not run".to_owned());
            }
            self.ops.done(earlier, out);
            before = earlier.0.checked_add(1).map(OpId);
        }
        self.unit.no = Some(no);
        self.phase = Phase::Ruled;
    }
}

/// `outer` runs `inner`.
fn merged(outer: &Operation, inner: &Operation, effect: Effect) -> Operation {
    let mut all = (*outer.traits).clone();
    for name in [
        traits::NO_WHERE,
        traits::BULK_EXPORT,
        traits::BULK_IMPORT,
        traits::DYNAMIC_CODE,
        traits::SERVER_FILE,
        traits::SERVER_PROGRAM,
        traits::DANGEROUS_FUNCTION,
        traits::UNKNOWN_FUNCTION,
        traits::DESTRUCTIVE,
        traits::RIGHTS,
        traits::SETTING,
        traits::CATALOG,
        traits::HIDDEN_WRITE,
        traits::LOCK,
    ] {
        if inner.traits.has(name) {
            all.insert(name);
        }
    }
    let reading = if inner.reading == Reading::Exact { outer.reading.clone() } else { inner.reading.clone() };
    Operation {
        effect: outer.effect.max(effect),
        resources: outer.resources.iter().chain(inner.resources.iter()).cloned().collect(),
        reading,
        traits: Arc::new(all),
        shape: None,
        ..outer.clone()
    }
}

/// What runs is not known.
fn obscured(outer: &Operation, why: &'static str) -> Operation {
    let mut all = (*outer.traits).clone();
    all.insert(traits::DYNAMIC_CODE);
    Operation {
        effect: outer.effect.max(Effect::Execute),
        reading: Reading::Partial(why.into()),
        traits: Arc::new(all),
        shape: None,
        ..outer.clone()
    }
}

/// Nothing runs yet. Judged by itself: a rule may let a statement be prepared and hold its run.
fn prepare_only(operation: &mut Operation) {
    let mut all = (*operation.traits).clone();
    all.insert(traits::PREPARE_ONLY);
    operation.traits = Arc::new(all);
    operation.shape = operation.shape.map(|mut shape| {
        for byte in &mut shape {
            *byte ^= 0x5a;
        }
        shape
    });
}
