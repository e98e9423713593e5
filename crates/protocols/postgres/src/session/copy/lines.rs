//! The text and CSV formats of COPY.

use super::{Cut, Rows};
use crate::session::rows::mask_into;
use crate::wire::malformed;
use vestibule_core::{Treatment, WireError};

/// Finds the end of a line of text format: a line end inside a value is always escaped.
pub(super) fn cut_text(bytes: &[u8], header: bool) -> Cut {
    match bytes.iter().position(|b| *b == b'\n') {
        None => Cut::Part,
        Some(at) if header => Cut::Other(at.saturating_add(1)),
        Some(at) => Cut::Row(at.saturating_add(1)),
    }
}

/// Finds the end of a CSV record: a line end counts only outside of quotes.
pub(super) fn cut_csv(bytes: &[u8], quote: u8, escape: u8, header: bool) -> Cut {
    let mut quoted = false;
    let mut bytes_left = bytes.iter().enumerate();
    while let Some((at, byte)) = bytes_left.next() {
        if quoted && *byte == escape && escape != quote {
            bytes_left.next();
        } else if *byte == quote {
            // Two quotes in a row leave and enter again, which comes to the same.
            quoted = !quoted;
        } else if *byte == b'\n' && !quoted {
            let end = at.saturating_add(1);
            return if header { Cut::Other(end) } else { Cut::Row(end) };
        }
    }
    Cut::Part
}

/// The line end of a row.
fn split_end(row: &[u8]) -> (&[u8], &[u8]) {
    let len = if row.ends_with(b"\r\n") { 2 } else { usize::from(row.ends_with(b"\n")) };
    row.split_at_checked(row.len().saturating_sub(len)).unwrap_or((row, b""))
}

/// Appends the masked form of a line of text format.
pub(super) fn mask_text(
    row: &[u8],
    delimiter: u8,
    null: &str,
    rows: &mut Rows<'_>,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    let (line, end) = split_end(row);
    let mut rest = Some(line);
    let mut value = Vec::new();
    for (at, (cell, slot)) in rows.plan.cells.iter().zip(rows.tally.iter_mut()).enumerate() {
        let all = rest.ok_or_else(|| malformed("a copied row has too few columns"))?;
        let len = text_field(all, delimiter);
        let (raw, after) = all.split_at_checked(len).unwrap_or((all, b""));
        rest = after.split_first().map(|(_, rest)| rest);
        if at > 0 {
            out.push(delimiter);
        }
        if raw == null.as_bytes() {
            out.extend_from_slice(raw);
            continue;
        }
        if !matches!(cell.treatment, Treatment::Pass(None)) {
            *slot = slot.saturating_add(1);
        }
        if matches!(cell.treatment, Treatment::Pass(_)) {
            out.extend_from_slice(raw);
            continue;
        }
        unescape(raw, &mut value);
        let from = out.len();
        if mask_into(cell, &value, rows.scratch, out) {
            value.clear();
            value.extend(out.drain(from..));
            escape_text(&value, delimiter, out);
        } else {
            out.truncate(from);
            out.extend_from_slice(null.as_bytes());
        }
    }
    if rest.is_some() && !rows.plan.cells.is_empty() {
        return Err(malformed("a copied row has too many columns"));
    }
    out.extend_from_slice(end);
    Ok(())
}

fn text_field(line: &[u8], delimiter: u8) -> usize {
    let mut bytes = line.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        if *byte == b'\\' {
            bytes.next();
        } else if *byte == delimiter {
            return at;
        }
    }
    line.len()
}

fn unescape(raw: &[u8], value: &mut Vec<u8>) {
    value.clear();
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        value.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 11,
                Some(other) => other,
                None => b'\\',
            },
            other => other,
        });
    }
}

fn escape_text(value: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    for byte in value.iter().copied() {
        let short = match byte {
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            11 => b'v',
            b'\\' => b'\\',
            other if other == delimiter => other,
            other => {
                out.push(other);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
}

/// How a CSV is written.
pub(super) struct Csv<'a> {
    pub delimiter: u8,
    pub quote: u8,
    pub escape: u8,
    pub null: &'a str,
}

impl Csv<'_> {
    /// The length of the field at the front, and whether it has quotes.
    fn field(&self, line: &[u8]) -> (usize, bool) {
        let (mut quoted, mut had) = (false, false);
        let mut bytes = line.iter().enumerate();
        while let Some((at, byte)) = bytes.next() {
            if quoted && *byte == self.escape && self.escape != self.quote {
                bytes.next();
            } else if *byte == self.quote {
                quoted = !quoted;
                had = true;
            } else if *byte == self.delimiter && !quoted {
                return (at, had);
            }
        }
        (line.len(), had)
    }

    fn unquote(&self, raw: &[u8], value: &mut Vec<u8>) {
        value.clear();
        let mut quoted = false;
        let mut bytes = raw.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            let protected = quoted
                && byte == self.escape
                && bytes.peek().is_some_and(|next| *next == self.quote || *next == self.escape);
            if protected {
                value.extend(bytes.next());
            } else if byte == self.quote {
                quoted = !quoted;
            } else {
                value.push(byte);
            }
        }
    }

    fn write(&self, value: &[u8], out: &mut Vec<u8>) {
        let special = |b: &u8| [self.delimiter, self.quote, self.escape, b'\n', b'\r'].contains(b);
        if !value.is_empty() && value != self.null.as_bytes() && value != b"\\." && !value.iter().any(special) {
            out.extend_from_slice(value);
            return;
        }
        out.push(self.quote);
        for byte in value {
            if *byte == self.quote || *byte == self.escape {
                out.push(self.escape);
            }
            out.push(*byte);
        }
        out.push(self.quote);
    }
}

/// Appends the masked form of a CSV record.
pub(super) fn mask_csv(row: &[u8], style: &Csv<'_>, rows: &mut Rows<'_>, out: &mut Vec<u8>) -> Result<(), WireError> {
    let (line, end) = split_end(row);
    let mut rest = Some(line);
    let mut value = Vec::new();
    for (at, (cell, slot)) in rows.plan.cells.iter().zip(rows.tally.iter_mut()).enumerate() {
        let all = rest.ok_or_else(|| malformed("a copied row has too few columns"))?;
        let (len, quoted) = style.field(all);
        let (raw, after) = all.split_at_checked(len).unwrap_or((all, b""));
        rest = after.split_first().map(|(_, rest)| rest);
        if at > 0 {
            out.push(style.delimiter);
        }
        if !quoted && raw == style.null.as_bytes() {
            out.extend_from_slice(raw);
            continue;
        }
        if !matches!(cell.treatment, Treatment::Pass(None)) {
            *slot = slot.saturating_add(1);
        }
        if matches!(cell.treatment, Treatment::Pass(_)) {
            out.extend_from_slice(raw);
            continue;
        }
        style.unquote(raw, &mut value);
        let from = out.len();
        if mask_into(cell, &value, rows.scratch, out) {
            value.clear();
            value.extend(out.drain(from..));
            style.write(&value, out);
        } else {
            out.truncate(from);
            out.extend_from_slice(style.null.as_bytes());
        }
    }
    if rest.is_some() && !rows.plan.cells.is_empty() {
        return Err(malformed("a copied row has too many columns"));
    }
    out.extend_from_slice(end);
    Ok(())
}
