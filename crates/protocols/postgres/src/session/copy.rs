//! COPY: data out, masked by column; the beginning and end of data in.
//!
//! Frames of COPY data may cut rows anywhere, so what is incomplete is carried over, within the limit of a message. A
//! format that cannot be read is withheld whole.

mod binary;
mod lines;

use super::Session;
use super::awaited::What;
use super::back::Answer;
use super::rows::{Known, RowPlan, plan_copy};
use crate::wire::read::Reader;
use crate::wire::value::Scratch;
use crate::wire::{HEADER, body, build, malformed};
use std::sync::Arc;
use vestibule_core::{Side, Steps, WireError};
use vestibule_sql::{CopyFormat, CopyWay};

/// Data going out.
#[derive(Debug)]
pub(super) struct CopyOut {
    mode: Mode,
    /// The beginning of a row that has not arrived whole.
    carry: Vec<u8>,
    /// The header line or the file header has been passed.
    headed: bool,
}

#[derive(Debug)]
enum Mode {
    /// Relayed as it is.
    Pass,
    /// Each row is opened.
    Open(CopyFormat),
    /// It cannot be read: nothing of it is relayed.
    Withhold,
}

/// What became of the front of the carried bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// No whole row.
    Part,
    /// So many bytes that are no row: a header, a trailer.
    Other(usize),
    /// A row of so many bytes.
    Row(usize),
}

impl Session {
    /// CopyInResponse: what the client sends now belongs to the operation.
    pub(super) fn copy_in_begins(&mut self, answer: Answer<'_>, out: &mut Steps) -> Result<(), WireError> {
        let id = self.answered_op();
        match self.awaited.front().map(|a| &a.what) {
            Some(What::Query { .. }) => {}
            Some(What::Execute { .. }) => {
                // The server ignores a Sync that reaches it while it reads data.
                while matches!(self.awaited.get(1).map(|a| &a.what), Some(What::Sync { .. })) {
                    self.awaited.remove(1);
                    self.sync_over();
                    self.unsynced = true;
                }
            }
            _ => return Err(malformed("a copy that was not asked for")),
        }
        let Some(id) = id else { return Err(malformed("a copy that no operation asked for")) };
        self.show_notice(Some(id), out);
        self.copying_in = Some(id);
        self.relay(answer, Some(id), out);
        Ok(())
    }

    /// A Sync is answered or ignored.
    pub(super) fn sync_over(&mut self) {
        self.syncs = self.syncs.saturating_sub(1);
        self.segments_over = self.segments_over.saturating_add(1);
    }

    /// The copy succeeded: each Sync that was sent before its end was ignored.
    pub(super) fn copy_in_over(&mut self) {
        while self.awaited.front().is_some_and(|a| matches!(a.what, What::Sync { copying: true })) {
            self.awaited.pop_front();
            self.sync_over();
        }
    }

    /// CopyOutResponse.
    pub(super) fn copy_out_begins(&mut self, answer: Answer<'_>, out: &mut Steps) -> Result<(), WireError> {
        let what = self.awaited.front().map(|a| &a.what);
        if !matches!(what, Some(What::Query { .. } | What::Execute { .. })) {
            return Err(malformed("a copy that was not asked for"));
        }
        let id = self.answered_op();
        self.show_notice(id, out);
        let mut reader = Reader::new(body(answer.frame), "CopyOutResponse");
        let binary = reader.u8()? == 1;
        let count = reader.count()?;
        let known = Known {
            catalog: self.catalog.as_deref(),
            version: self.version,
            shadowed: self.names.shadowed,
            opaque: self.opaque,
        };
        let op =
            id.and_then(|id| self.ops.get_mut(id)).ok_or_else(|| malformed("a copy that no operation asked for"))?;
        let terms = op.terms.as_ref().ok_or_else(|| malformed("a copy without a permit"))?;
        let copy = op.meant.statement.copy.as_ref().filter(|c| c.way == CopyWay::Out);
        let types = copy.map_or(&[][..], |c| &c.types);
        let plan = plan_copy(count, types, binary, &op.source, &terms.mask, known);
        let format = copy.map(|c| &c.format).filter(|f| binary == matches!(f, CopyFormat::Binary));
        let mode = match format {
            _ if plan.reach == 0 && terms.row_limit.is_none() => Mode::Pass,
            Some(format) if self.names.readable || matches!(format, CopyFormat::Binary) => Mode::Open(format.clone()),
            _ => Mode::Withhold,
        };
        op.tally.clear();
        op.tally.resize(plan.cells.len(), 0);
        let withheld = matches!(mode, Mode::Withhold);
        op.plan = Some(Arc::new(plan));
        op.copy = Some(CopyOut { mode, carry: Vec::new(), headed: false });
        if withheld {
            let words = "vestibule: the rows of this COPY are withheld, as its format cannot be masked";
            out.write(Side::Client, id, |made| {
                build::notice(made, words, "use COPY … TO STDOUT in text, CSV or binary")
            });
        }
        self.relay(answer, id, out);
        Ok(())
    }

    /// CopyData of the target.
    pub(super) fn copy_data(&mut self, answer: Answer<'_>, out: &mut Steps) -> Result<(), WireError> {
        let id = self.answered_op();
        let Some(op) = id.and_then(|id| self.ops.get_mut(id)) else {
            return Err(malformed("copied data that no operation asked for"));
        };
        let Some(copy) = op.copy.as_mut() else { return Err(malformed("copied data before their beginning")) };
        match &copy.mode {
            Mode::Pass => {
                op.seen.rows = op.seen.rows.saturating_add(1);
                self.relay(answer, id, out);
                return Ok(());
            }
            Mode::Withhold => {
                op.seen.withheld = op.seen.withheld.saturating_add(1);
                return Ok(());
            }
            Mode::Open(_) => {}
        }
        if copy.carry.len().saturating_add(answer.frame.len()) > self.limit {
            let size = copy.carry.len().saturating_add(answer.frame.len()) as u64;
            return Err(WireError::TooLarge { size, limit: self.limit as u64 });
        }
        let start = out.made.len();
        out.made.push(b'd');
        out.made.extend_from_slice(&[0; 4]);
        let most = op.terms.as_ref().and_then(|t| t.row_limit).unwrap_or(u64::MAX);
        let Some(plan) = op.plan.as_ref().map(Arc::clone) else { return Ok(()) };
        let mut rows = Rows { plan: &plan, tally: &mut op.tally, scratch: &mut self.scratch, most, seen: &mut op.seen };
        copy.rows(body(answer.frame), &mut rows, &mut out.made)?;
        if out.made.len() == start.saturating_add(HEADER) {
            out.made.truncate(start);
            return Ok(());
        }
        super::rows::close_frame(&mut out.made, start);
        self.relay_made(start, id, out);
        Ok(())
    }
}

/// What the rows of a copy meet.
pub(super) struct Rows<'a> {
    pub plan: &'a RowPlan,
    pub tally: &'a mut [u64],
    pub scratch: &'a mut Scratch,
    pub most: u64,
    pub seen: &'a mut vestibule_core::Disclosure,
}

impl CopyOut {
    /// Appends the masked form of every whole row in what has arrived.
    fn rows(&mut self, data: &[u8], rows: &mut Rows<'_>, out: &mut Vec<u8>) -> Result<(), WireError> {
        let Mode::Open(format) = &self.mode else { return Ok(()) };
        // Servers send whole rows, so what is carried is nearly always nothing.
        let mut carry = std::mem::take(&mut self.carry);
        let carried = !carry.is_empty();
        if carried {
            carry.extend_from_slice(data);
        }
        let mut rest = if carried { carry.as_slice() } else { data };
        loop {
            let cut = match format {
                CopyFormat::Binary => binary::cut(rest, self.headed)?,
                CopyFormat::Text { header, .. } => lines::cut_text(rest, *header && !self.headed),
                CopyFormat::Csv { quote, escape, header, .. } => {
                    lines::cut_csv(rest, *quote, *escape, *header && !self.headed)
                }
            };
            let (len, row) = match cut {
                Cut::Part => break,
                Cut::Other(len) => (len, false),
                Cut::Row(len) => (len, true),
            };
            self.headed = true;
            let (this, after) = rest.split_at_checked(len).ok_or_else(|| malformed("a copied row without an end"))?;
            rest = after;
            if !row {
                out.extend_from_slice(this);
            } else if rows.seen.rows >= rows.most {
                rows.seen.withheld = rows.seen.withheld.saturating_add(1);
            } else {
                rows.seen.rows = rows.seen.rows.saturating_add(1);
                match format {
                    CopyFormat::Binary => binary::mask(this, rows, out)?,
                    CopyFormat::Text { delimiter, null, .. } => lines::mask_text(this, *delimiter, null, rows, out)?,
                    CopyFormat::Csv { delimiter, quote, escape, null, .. } => {
                        let style = lines::Csv { delimiter: *delimiter, quote: *quote, escape: *escape, null };
                        lines::mask_csv(this, &style, rows, out)?;
                    }
                }
            }
        }
        self.carry = rest.to_vec();
        Ok(())
    }
}
