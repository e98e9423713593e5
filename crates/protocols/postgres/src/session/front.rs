//! The client's stream, cut into units: a unit is what one permission covers.
//!
//! The bytes of a unit stay where they were received until it has been judged; then they are relayed from there.

use super::Session;
use super::extended::Join;
use super::refuse::No;
use super::registry::Prepared;
use super::text::{Meant, Said};
use crate::wire::read::Reader;
use crate::wire::{Front, body, build, front, malformed};
use std::sync::Arc;
use vestibule_core::{OpId, Side, Steps, WireError};

/// A unit that grows beyond this is judged before it is whole.
const DEFERRED: usize = 256 << 10;

/// What the client's side is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Reading.
    Reading,
    /// Waiting for the ruling of the unit.
    Asking,
    /// The unit has been judged; its bytes are handled next.
    Ruled,
}

/// What one permission covers: a Query, or messages of the extended protocol up to an Execute, or up to where the
/// client waits for an answer.
#[derive(Debug, Default)]
pub(super) struct Unit {
    /// Its bytes, from the first unconsumed one.
    pub len: usize,
    pub extended: bool,
    /// Kind and length of each message.
    pub parts: Vec<(u8, usize)>,
    /// The statement's name; of use only in an extended unit.
    pub statement: Vec<u8>,
    /// The portal bound in it.
    pub portal: Option<Vec<u8>>,
    /// The statement that Parse makes, or that the other messages are about.
    pub subject: Option<Prepared>,
    /// It ends with Execute.
    pub runs: bool,
    /// The text of a Query and how many of its statements have been asked.
    pub said: Option<Arc<Said>>,
    pub asked: usize,
    pub first: Option<OpId>,
    pub last: Option<OpId>,
    pub no: Option<No>,
}

impl Unit {
    fn clear(&mut self) {
        let (mut parts, mut statement) = (std::mem::take(&mut self.parts), std::mem::take(&mut self.statement));
        parts.clear();
        statement.clear();
        *self = Self { parts, statement, ..Self::default() };
    }

    /// Takes a message in.
    pub fn push(&mut self, kind: u8, len: usize) {
        self.parts.push((kind, len));
        self.len = self.len.saturating_add(len);
    }

    /// What a statement of the unit means.
    pub fn meant(&self, at: usize) -> Option<&Arc<Meant>> {
        match &self.said {
            Some(said) => said.meant.get(at),
            None => self.subject.as_ref().map(|s| &s.meant),
        }
    }
}

/// Whether reading goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    On,
    Wait,
}

/// A message of the client: its kind, its length, and where it starts in what was received.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub kind: u8,
    pub frame: &'a [u8],
    pub at: usize,
}

impl Message<'_> {
    pub fn relay(&self, under: Option<OpId>, out: &mut Steps) {
        out.relay(Side::Target, self.at..self.at.saturating_add(self.frame.len()), under);
    }
}

impl Session {
    pub(super) fn receive_client(&mut self, bytes: &[u8], out: &mut Steps) -> Result<usize, WireError> {
        let mut at = 0_usize;
        while !self.gone {
            match self.phase {
                Phase::Asking => break,
                Phase::Ruled => {
                    let len = self.unit.len;
                    let end = at.saturating_add(len);
                    let Some(unit) = bytes.get(at..end) else {
                        return Err(malformed("a judged message was taken away"));
                    };
                    let done = self.act(unit, at, out);
                    self.reset_unit();
                    done?;
                    at = end;
                }
                Phase::Reading => {
                    if self.read_one(bytes, &mut at, out)? == Next::Wait {
                        break;
                    }
                }
            }
        }
        if self.gone {
            return Ok(bytes.len());
        }
        Ok(at)
    }

    pub(super) fn reset_unit(&mut self) {
        self.unit.clear();
        self.phase = Phase::Reading;
    }

    fn read_one(&mut self, bytes: &[u8], at: &mut usize, out: &mut Steps) -> Result<Next, WireError> {
        let start = at.saturating_add(self.unit.len);
        let rest = bytes.get(start..).unwrap_or_default();
        let (kind, len, whole) = match front(rest, self.limit)? {
            Front::Nothing => return Ok(Next::Wait),
            Front::Part { len } => (rest.first().copied().unwrap_or(0), len, false),
            Front::Frame { kind, len } => (kind, len, true),
        };
        if !self.unit.parts.is_empty() && self.unit.len.saturating_add(len) > DEFERRED {
            self.ask_unit(out);
            return Ok(Next::On);
        }
        let Some(frame) = rest.get(..len).filter(|_| whole) else { return Ok(Next::Wait) };
        let message = Message { kind, frame, at: start };
        if self.skipping {
            self.skip(message, out);
            *at = start.saturating_add(len);
            return Ok(Next::On);
        }
        if !self.unit.parts.is_empty() {
            match self.join(message)? {
                Join::Taken => {}
                Join::Last | Join::Boundary => self.ask_unit(out),
            }
            return Ok(Next::On);
        }
        match self.begin(message, out)? {
            Begin::Wait => return Ok(Next::Wait),
            Begin::Unit => {}
            Begin::Handled => *at = start.saturating_add(len),
        }
        Ok(Next::On)
    }

    /// After an error everything up to Sync is dropped, as the server does.
    fn skip(&mut self, message: Message<'_>, out: &mut Steps) {
        match message.kind {
            b'S' => {
                self.skipping = false;
                self.pass_sync(message, out);
            }
            b'X' => self.leave(message, out),
            _ => {}
        }
    }

    fn leave(&mut self, message: Message<'_>, out: &mut Steps) {
        message.relay(None, out);
        self.goodbye(out);
    }

    fn begin(&mut self, message: Message<'_>, out: &mut Steps) -> Result<Begin, WireError> {
        match message.kind {
            b'Q' => self.begin_query(message, out),
            b'P' | b'B' | b'D' | b'E' | b'C' | b'S' | b'H' => self.begin_extended(message, out),
            b'd' | b'c' | b'f' => Ok(self.copy_in(message, out)),
            b'F' => {
                let no = No::ours(
                    "0A000",
                    "refused: function call messages do not pass the gateway, which could not judge them",
                    "call the function with SELECT",
                );
                self.refuse_query(no, out);
                Ok(Begin::Handled)
            }
            b'X' => {
                self.leave(message, out);
                Ok(Begin::Handled)
            }
            b'p' => Err(malformed("a password message after the login")),
            _ => Err(malformed("a message of a kind that a client does not send")),
        }
    }

    fn begin_query(&mut self, message: Message<'_>, out: &mut Steps) -> Result<Begin, WireError> {
        if !self.can_read(out) {
            return Ok(Begin::Wait);
        }
        let mut reader = Reader::new(body(message.frame), "Query");
        let text = reader.string()?;
        reader.end()?;
        let said = self.read_text(text);
        if said.meant.is_empty() {
            // Whatever was written there, the target gets an empty statement.
            out.write(Side::Target, None, |made| build::query(made, ""));
            self.await_query(None, None);
            return Ok(Begin::Handled);
        }
        self.unit.push(message.kind, message.frame.len());
        self.unit.said = Some(said);
        self.ask_unit(out);
        Ok(Begin::Unit)
    }

    /// Data for `COPY … FROM STDIN`.
    fn copy_in(&mut self, message: Message<'_>, out: &mut Steps) -> Begin {
        match self.copying_in {
            Some(id) if self.ops.get(id).is_some() => {
                message.relay(Some(id), out);
                if message.kind != b'd' {
                    self.copying_in = None;
                }
                Begin::Handled
            }
            Some(_) => {
                // The copy failed in the meantime; the server ignores the rest as well.
                if message.kind != b'd' {
                    self.copying_in = None;
                }
                Begin::Handled
            }
            // The answer that begins the copy has not come yet.
            None if !self.awaited.is_empty() => {
                self.nudge(out);
                Begin::Wait
            }
            None => Begin::Handled,
        }
    }
}

/// What became of a message that begins something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// It cannot be handled yet.
    Wait,
    /// It is the first of a unit.
    Unit,
    /// It is done with.
    Handled,
}
