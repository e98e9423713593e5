//! The target's stream: answers, in the order in which they were asked for.

use super::Session;
use super::awaited::{Awaited, What};
use super::rows::{Known, count_row, mask_row, plan};
use crate::wire::read::error_field;
use crate::wire::{Front, body, build, front, malformed};
use vestibule_core::{OpId, Side, Steps, WireError};

/// Most tables for which a newer catalog is asked in one session.
const MOST_STRANGERS: usize = 4_096;

/// A message of the target, and where it starts in what was received.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer<'a> {
    pub kind: u8,
    pub frame: &'a [u8],
    pub at: usize,
}

impl Session {
    pub(super) fn receive_target(&mut self, bytes: &[u8], out: &mut Steps) -> Result<usize, WireError> {
        let mut at = 0_usize;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Front::Frame { kind, len } = front(rest, self.limit)? else { return Ok(at) };
            let frame = rest.get(..len).unwrap_or_default();
            let answer = Answer { kind, frame, at };
            if kind == b'D' && !matches!(self.awaited.front(), Some(Awaited { what: What::Scope { .. }, .. })) {
                self.data_row(answer, out)?;
            } else {
                self.answer(answer, out)?;
            }
            at = at.saturating_add(len);
        }
    }

    /// The operation that is being answered.
    pub(super) fn answered_op(&self) -> Option<OpId> {
        self.awaited.front().and_then(|a| a.op)
    }

    /// Relays an answer as it is.
    pub(super) fn relay(&mut self, answer: Answer<'_>, under: Option<OpId>, out: &mut Steps) {
        let under = self.count_bytes(under, answer.frame.len());
        out.relay(Side::Client, answer.at..answer.at.saturating_add(answer.frame.len()), under);
    }

    /// Writes an answer that was made, from this place of the buffer to its end.
    pub(super) fn relay_made(&mut self, start: usize, under: Option<OpId>, out: &mut Steps) {
        let end = out.made.len();
        let under = self.count_bytes(under, end.saturating_sub(start));
        out.wrote(Side::Client, under, start..end);
    }

    /// Counts bytes for an operation that is open; says whether it is.
    fn count_bytes(&mut self, under: Option<OpId>, len: usize) -> Option<OpId> {
        let op = under.and_then(|id| self.ops.get_mut(id))?;
        op.seen.bytes = op.seen.bytes.saturating_add(len as u64);
        Some(op.id)
    }

    fn answer(&mut self, answer: Answer<'_>, out: &mut Steps) -> Result<(), WireError> {
        if answer.kind != b'Z' {
            self.finish_ended(out);
        }
        match answer.kind {
            b'N' | b'A' | b'S' => return self.unasked(answer, out),
            b'E' if is_fatal(answer.frame) => return self.say_failed(answer, self.answered_op(), out),
            _ => {}
        }
        if matches!(self.awaited.front(), Some(Awaited { what: What::Scope { .. }, .. })) {
            return self.scope_answered(answer, out);
        }
        match answer.kind {
            b'T' | b'n' => self.described(answer, out),
            b'C' | b'I' => self.complete(answer, out),
            b'Z' => self.ready(answer, out),
            b'E' => self.failed(answer, out),
            b'1' | b'2' | b'3' => self.confirmed(answer, out),
            b't' if matches!(self.awaited.front(), Some(Awaited { what: What::DescribeStatement, .. })) => {
                self.relay(answer, self.answered_op(), out);
                Ok(())
            }
            b's' => self.suspended(answer, out),
            b'G' => self.copy_in_begins(answer, out),
            b'H' => self.copy_out_begins(answer, out),
            b'd' => self.copy_data(answer, out),
            b'c' => {
                self.relay(answer, self.answered_op(), out);
                Ok(())
            }
            b'W' => Err(WireError::Escape("replication".into())),
            _ => Err(malformed("an answer of a kind that was not asked for")),
        }
    }

    fn data_row(&mut self, answer: Answer<'_>, out: &mut Steps) -> Result<(), WireError> {
        if self.ended.is_some() {
            self.finish_ended(out);
        }
        let phi = self.phi;
        let op = self.awaited.front().and_then(|a| a.op).and_then(|id| self.ops.get_mut(id));
        let Some(op) = op else { return Err(malformed("rows that no operation asked for")) };
        let under = Some(op.id);
        if op.terms.as_ref().and_then(|t| t.row_limit).is_some_and(|most| op.seen.rows >= most) {
            op.seen.withheld = op.seen.withheld.saturating_add(1);
            return Ok(());
        }
        op.seen.rows = op.seen.rows.saturating_add(1);
        match &op.plan {
            Some(plan) if plan.changes => {
                let start = out.made.len();
                mask_row(answer.frame, plan, &mut op.tally, &mut self.scratch, &mut out.made)?;
                self.relay_made(start, under, out);
                return Ok(());
            }
            Some(plan) if plan.reach > 0 => count_row(body(answer.frame), plan, &mut op.tally)?,
            Some(_) => {}
            None if phi => return Err(malformed("rows that were not described")),
            None => {}
        }
        op.seen.bytes = op.seen.bytes.saturating_add(answer.frame.len() as u64);
        out.relay(Side::Client, answer.at..answer.at.saturating_add(answer.frame.len()), under);
        Ok(())
    }

    /// Shows the words that policy has for the user, once, before anything of the answer.
    pub(super) fn show_notice(&mut self, id: Option<OpId>, out: &mut Steps) {
        let Some(op) = id.and_then(|id| self.ops.get_mut(id)).filter(|op| !op.noticed) else { return };
        op.noticed = true;
        let words = op.terms.as_ref().and_then(|t| t.notice.clone());
        if let Some(words) = words {
            out.write(Side::Client, id, |made| build::notice(made, &words, ""));
        }
    }

    /// RowDescription or NoData.
    fn described(&mut self, answer: Answer<'_>, out: &mut Steps) -> Result<(), WireError> {
        let id = self.answered_op();
        let ours = match self.awaited.front().map(|a| &a.what) {
            Some(What::Query { .. }) if answer.kind == b'T' => {
                self.show_notice(id, out);
                self.plan_rows(answer, id)?;
                self.relay(answer, id, out);
                return Ok(());
            }
            Some(What::DescribeStatement) => false,
            Some(What::DescribePortal { ours }) => *ours,
            _ => return Err(malformed("a description that was not asked for")),
        };
        if answer.kind == b'T' && matches!(self.awaited.front().map(|a| &a.what), Some(What::DescribePortal { .. })) {
            self.plan_rows(answer, id)?;
        }
        if !ours {
            self.relay(answer, id, out);
        }
        self.pop(out);
        Ok(())
    }

    fn plan_rows(&mut self, answer: Answer<'_>, id: Option<OpId>) -> Result<(), WireError> {
        let Some(op) = id.and_then(|id| self.ops.get_mut(id)) else { return Ok(()) };
        let Some(terms) = &op.terms else { return Ok(()) };
        let known = Known {
            catalog: self.catalog.as_deref(),
            version: self.version,
            shadowed: self.names.shadowed,
            opaque: self.opaque,
        };
        let mut strange = Vec::new();
        let plan = plan(body(answer.frame), &op.source, &terms.mask, known, &mut strange)?;
        op.tally.clear();
        op.tally.resize(plan.cells.len(), 0);
        op.plan = Some(plan);
        for table in strange {
            if self.strangers.len() < MOST_STRANGERS && self.strangers.insert(table) {
                self.restructured = true;
            }
        }
        Ok(())
    }

    /// Takes the front of what is awaited off; an operation that only prepared may be over with it.
    pub(super) fn pop(&mut self, out: &mut Steps) {
        let Some(front) = self.awaited.pop_front() else { return };
        if front.change.is_some() {
            self.unconfirmed = self.unconfirmed.saturating_sub(1);
        }
        if let Some(id) = front.op.filter(|_| front.last) {
            self.finish_ended(out);
            self.ops.answered(id);
            self.ended = Some(id);
        }
    }

    /// ParseComplete, BindComplete, CloseComplete.
    fn confirmed(&mut self, answer: Answer<'_>, out: &mut Steps) -> Result<(), WireError> {
        let suspended = match (self.awaited.front().map(|a| &a.what), answer.kind) {
            (Some(What::Parse), b'1') => None,
            (Some(What::Bind { suspended }), b'2') | (Some(What::Close { suspended }), b'3') => *suspended,
            _ => return Err(malformed("a confirmation of something that was not asked for")),
        };
        self.relay(answer, self.answered_op(), out);
        if let Some(id) = suspended {
            self.ops.done(id, out);
        }
        self.pop(out);
        Ok(())
    }

    /// PortalSuspended: the operation stays open.
    fn suspended(&mut self, answer: Answer<'_>, out: &mut Steps) -> Result<(), WireError> {
        if !matches!(self.awaited.front().map(|a| &a.what), Some(What::Execute { .. })) {
            return Err(malformed("a suspension of something that does not run"));
        }
        let id = self.answered_op();
        if let Some(id) = id {
            self.ops.answered(id);
        }
        self.relay(answer, id, out);
        self.pop(out);
        Ok(())
    }

    /// CommandComplete or EmptyQueryResponse.
    fn complete(&mut self, answer: Answer<'_>, out: &mut Steps) -> Result<(), WireError> {
        let id = self.answered_op();
        self.show_notice(id, out);
        let tag = body(answer.frame).split(|b| *b == 0).next().unwrap_or_default();
        let tag = String::from_utf8_lossy(tag).into_owned();
        self.relay_tag(answer, id, &tag, out);
        if let Some(id) = id {
            self.note_changes(id, Some(&tag));
            if let Some(op) = self.ops.get_mut(id) {
                op.seen.tag = Some(tag);
                self.ended = Some(id);
            }
        }
        match self.awaited.front_mut() {
            Some(Awaited { what: What::Query { last }, op, .. }) => {
                *op = op.filter(|id| Some(*id) < *last).and_then(|id| id.0.checked_add(1)).map(OpId);
            }
            Some(Awaited { what: What::Execute { portal }, .. }) => {
                let portal = std::mem::take(portal);
                if let Some(portal) = self.registry.portal_mut(&portal)
                    && portal.op == id
                {
                    portal.op = None;
                }
                self.pop(out);
                self.copy_in_over();
            }
            _ => return Err(malformed("a completion of something that does not run")),
        }
        Ok(())
    }

    /// Relays a command tag; where rows were withheld it says how many were delivered.
    fn relay_tag(&mut self, answer: Answer<'_>, id: Option<OpId>, tag: &str, out: &mut Steps) {
        let seen = id.and_then(|id| self.ops.get(id)).map(|op| (op.seen.rows, op.seen.withheld));
        let Some((rows, withheld)) = seen.filter(|(_, withheld)| *withheld > 0) else {
            self.relay(answer, id, out);
            return;
        };
        let start = out.made.len();
        let words =
            format!("vestibule: {rows} rows are shown and {withheld} withheld, as policy limits this statement");
        build::notice(&mut out.made, &words, "");
        match tag.rsplit_once(' ') {
            Some((verb @ ("SELECT" | "FETCH" | "COPY"), _)) => {
                build::complete(&mut out.made, &format!("{verb} {rows}"))
            }
            _ => out.made.extend_from_slice(answer.frame),
        }
        self.relay_made(start, id, out);
    }

    fn ready(&mut self, answer: Answer<'_>, out: &mut Steps) -> Result<(), WireError> {
        let [status @ (b'I' | b'T' | b'E')] = body(answer.frame) else {
            return Err(malformed("a transaction status that does not exist"));
        };
        self.status = *status;
        match self.awaited.front().map(|a| &a.what) {
            Some(What::Query { .. }) => self.end_query(out),
            Some(What::Sync { .. }) => {
                self.sync_over();
                self.awaited.pop_front();
            }
            Some(What::Refused { simple: true, .. }) => {
                self.segments_over = self.segments_over.saturating_add(1);
                self.awaited.pop_front();
            }
            // The server took a Sync for real that was sent while data were copied in.
            None => {}
            Some(_) => return Err(malformed("the target is ready although answers are missing")),
        }
        let under = self.ended;
        self.relay(answer, under, out);
        self.finish_ended(out);
        if self.status == b'I' {
            self.transaction_over(out);
        }
        Ok(())
    }

    /// A Query is over; what of it did not run (after an error) is closed.
    fn end_query(&mut self, out: &mut Steps) {
        let Some(Awaited { what: What::Query { last }, op, change, .. }) = self.awaited.pop_front() else { return };
        self.segments_over = self.segments_over.saturating_add(1);
        self.unconfirmed = self.unconfirmed.saturating_sub(usize::from(change.is_some()));
        self.not_run(op, last, out);
    }

    /// Closes operations that were permitted and did not run.
    pub(super) fn not_run(&mut self, first: Option<OpId>, last: Option<OpId>, out: &mut Steps) {
        let mut next = first;
        while let Some(id) = next.filter(|id| Some(*id) <= last) {
            if let Some(op) = self.ops.get_mut(id) {
                op.seen.tag = Some("not run".to_owned());
            }
            self.ops.done(id, out);
            next = id.0.checked_add(1).map(OpId);
        }
    }

    fn failed(&mut self, answer: Answer<'_>, out: &mut Steps) -> Result<(), WireError> {
        let code = error_field(body(answer.frame), b'C').map(|c| String::from_utf8_lossy(c).into_owned());
        match self.awaited.front_mut() {
            Some(Awaited { what: What::Query { last }, op, .. }) => {
                let (id, last) = (op.take(), *last);
                self.say_failed(answer, id, out)?;
                if let Some(id) = id {
                    self.note_changes(id, None);
                    self.close_failed(id, code, out);
                    self.not_run(id.0.checked_add(1).map(OpId), last, out);
                }
            }
            Some(Awaited { what: What::Refused { no, simple }, .. }) => {
                let (no, simple) = ((**no).clone(), *simple);
                out.write(Side::Client, no.op, |made| no.write(made));
                if !simple {
                    self.skip_answers(None, out);
                }
            }
            Some(Awaited { what: What::Sync { .. }, .. }) | None => self.say_failed(answer, None, out)?,
            Some(Awaited { op, .. }) => {
                let id = *op;
                self.say_failed(answer, id, out)?;
                if let Some(id) = id {
                    self.note_changes(id, None);
                }
                self.skip_answers(code, out);
            }
        }
        Ok(())
    }

    fn close_failed(&mut self, id: OpId, code: Option<String>, out: &mut Steps) {
        if let Some(op) = self.ops.get_mut(id) {
            op.seen.error = code;
        }
        self.ops.done(id, out);
    }

    /// After an error the server answers nothing up to Sync. What was changed ahead of the answers is undone.
    pub(super) fn skip_answers(&mut self, code: Option<String>, out: &mut Steps) {
        let mut code = code;
        let mut changes = Vec::new();
        while let Some(next) = self.awaited.pop_front_if(|a| !matches!(a.what, What::Sync { .. })) {
            if matches!(next.what, What::Query { .. } | What::Refused { simple: true, .. }) {
                self.segments_over = self.segments_over.saturating_add(1);
            }
            if let What::Query { last } = next.what {
                self.not_run(next.op, last, out);
            } else if let Some(id) = next.op
                && self.ops.get(id).is_some()
            {
                match code.take() {
                    Some(code) => self.close_failed(id, Some(code), out),
                    None => self.not_run(Some(id), Some(id), out),
                }
            }
            changes.extend(next.change);
        }
        self.unconfirmed = self.unconfirmed.saturating_sub(changes.len());
        for change in changes.into_iter().rev() {
            self.registry.undo(change);
        }
        if self.awaited.is_empty() {
            self.skipping = true;
            self.copying_in = None;
            if self.phase == super::front::Phase::Reading {
                self.reset_unit();
            }
        }
    }
}

/// Whether the server hangs up after this error.
fn is_fatal(frame: &[u8]) -> bool {
    let body = body(frame);
    let severity = error_field(body, b'V').or_else(|| error_field(body, b'S'));
    matches!(severity, Some(b"FATAL" | b"PANIC"))
}
