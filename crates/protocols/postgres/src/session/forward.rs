//! Relaying a unit that was judged, and noting what is awaited for it.

use super::Session;
use super::awaited::{Awaited, What};
use super::extended::{portal_of, target_of};
use super::front::Message;
use super::registry::{Change, Portal, Registry};
use crate::wire::build;
use vestibule_core::{OpId, Side, Steps, WireError};

impl Session {
    /// Handles the bytes of a unit that has been judged.
    pub(super) fn act(&mut self, unit: &[u8], at: usize, out: &mut Steps) -> Result<(), WireError> {
        if let Some(no) = self.unit.no.take() {
            if self.unit.extended && !self.skipping {
                self.refuse_unit(no, out);
            } else if !self.unit.extended {
                self.refuse_query(no, out);
            }
            return Ok(());
        }
        if self.skipping {
            // An error came while the unit was being judged: the server would ignore it, so it is not sent.
            self.drop_unit(out);
            return Ok(());
        }
        if !self.unit.extended {
            let (first, last) = (self.unit.first, self.unit.last);
            out.relay(Side::Target, at..at.saturating_add(unit.len()), last);
            self.await_query(first, last);
            return Ok(());
        }
        let mut from = 0_usize;
        let parts = std::mem::take(&mut self.unit.parts);
        let count = parts.len();
        for (n, (kind, len)) in parts.iter().enumerate() {
            let end = from.saturating_add(*len);
            let frame = unit.get(from..end).unwrap_or_default();
            self.forward(
                Message { kind: *kind, frame, at: at.saturating_add(from) },
                n.saturating_add(1) == count,
                out,
            )?;
            from = end;
        }
        self.unit.parts = parts;
        Ok(())
    }

    fn drop_unit(&mut self, out: &mut Steps) {
        let (mut next, last) = (self.unit.first, self.unit.last);
        while let Some(id) = next.filter(|id| Some(*id) <= last) {
            if let Some(op) = self.ops.get_mut(id) {
                op.seen.tag = Some("not run".to_owned());
            }
            self.ops.done(id, out);
            next = id.0.checked_add(1).map(OpId);
        }
    }

    /// A Query is sent, whose statements are these operations.
    pub(super) fn await_query(&mut self, first: Option<OpId>, last: Option<OpId>) {
        let mut next = first;
        while let Some(id) = next.filter(|id| Some(*id) <= last) {
            self.ops.sent(id);
            next = id.0.checked_add(1).map(OpId);
        }
        // The server forgets the unnamed statement and portal.
        let change = self.registry.statement(b"").is_some().then(|| self.registry.set_statement(b"", None));
        self.unconfirmed = self.unconfirmed.saturating_add(usize::from(change.is_some()));
        self.segments = self.segments.saturating_add(1);
        self.awaited.push_back(Awaited { what: What::Query { last }, op: first, change, last: false });
    }

    /// Awaits a message that changes the registry.
    pub(super) fn await_named(&mut self, what: What, op: Option<OpId>, change: impl FnOnce(&mut Registry) -> Change) {
        let change = change(&mut self.registry);
        self.unconfirmed = self.unconfirmed.saturating_add(1);
        self.sent_extended();
        self.awaited.push_back(Awaited { what, op, change: Some(change), last: false });
    }

    fn forward(&mut self, message: Message<'_>, last: bool, out: &mut Steps) -> Result<(), WireError> {
        let op = self.unit.last;
        if let Some(id) = op {
            self.ops.sent(id);
        }
        match message.kind {
            b'P' => {
                let (name, subject) = (std::mem::take(&mut self.unit.statement), self.unit.subject.clone());
                self.await_named(What::Parse, op, |registry| registry.set_statement(&name, subject));
                self.unit.statement = name;
            }
            b'B' => {
                let portal = self.unit.portal.clone().unwrap_or_default();
                let bound =
                    self.unit.subject.clone().map(|prepared| Portal { prepared, op: None, segment: self.segments });
                let before = self.registry.portal(&portal).and_then(|p| p.op);
                let change = self.registry.set_portal(&portal, bound);
                self.unconfirmed = self.unconfirmed.saturating_add(1);
                self.awaited.push_back(Awaited {
                    what: What::Bind { suspended: before },
                    op,
                    change: Some(change),
                    last: false,
                });
            }
            b'D' => {
                let described = target_of(message.frame)?.0;
                let what =
                    if described == b'S' { What::DescribeStatement } else { What::DescribePortal { ours: false } };
                self.awaited.push_back(Awaited::new(what, op));
            }
            _ => {
                let name = portal_of(message.frame)?;
                self.describe_first(name, op, out);
                if let Some(portal) = self.registry.portal_mut(name) {
                    portal.op = op;
                }
                self.awaited.push_back(Awaited::new(What::Execute { portal: name.into() }, op));
            }
        }
        if op.is_none() && message.kind == b'B' {
            // An empty statement takes no parameters: whatever was written there is left out, as nobody was asked.
            let (portal, statement) = (self.unit.portal.as_deref().unwrap_or_default(), &self.unit.statement);
            out.write(Side::Target, None, |made| build::bind(made, portal, statement));
        } else {
            message.relay(op, out);
        }
        self.sent_extended();
        if last && message.kind != b'E' {
            // The operation only prepared: its last answer ends it.
            if let Some(awaited) = self.awaited.back_mut() {
                awaited.last = true;
            }
        }
        Ok(())
    }

    /// On a target with PHI rows are never relayed whose shape the target has not just told: names may mean something
    /// else than when the statement was described.
    fn describe_first(&mut self, portal: &[u8], op: Option<OpId>, out: &mut Steps) {
        let told = self
            .awaited
            .iter()
            .rev()
            .take(2)
            .any(|a| a.op == op && op.is_some() && matches!(a.what, What::DescribePortal { .. }));
        if !self.phi || told || op.is_none() {
            return;
        }
        out.write(Side::Target, op, |made| build::describe_portal(made, portal));
        self.awaited.push_back(Awaited::new(What::DescribePortal { ours: true }, op));
    }
}
