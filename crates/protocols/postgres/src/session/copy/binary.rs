//! The binary format of COPY.

use super::{Cut, Rows};
use crate::session::rows::mask_value;
use crate::wire::malformed;
use crate::wire::read::Reader;
use vestibule_core::{Treatment, WireError};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Finds the end of what is at the front.
pub(super) fn cut(bytes: &[u8], headed: bool) -> Result<Cut, WireError> {
    if !headed {
        return header(bytes);
    }
    let mut reader = Reader::new(bytes, "a copied row");
    let Ok(count) = reader.i16() else { return Ok(Cut::Part) };
    if count == -1 {
        return Ok(Cut::Other(2));
    }
    let count = usize::try_from(count).map_err(|_| malformed("a copied row has a negative count"))?;
    for _ in 0..count {
        let Ok(len) = reader.i32() else { return Ok(Cut::Part) };
        if len < -1 {
            return Err(malformed("a copied value has a negative length"));
        }
        if reader.take(usize::try_from(len).unwrap_or(0)).is_err() {
            return Ok(Cut::Part);
        }
    }
    Ok(Cut::Row(bytes.len().saturating_sub(reader.rest().len())))
}

fn header(bytes: &[u8]) -> Result<Cut, WireError> {
    let mut reader = Reader::new(bytes, "a copy header");
    let (Ok(signature), Ok(_flags), Ok(extra)) = (reader.take(SIGNATURE.len()), reader.i32(), reader.i32()) else {
        return Ok(Cut::Part);
    };
    if signature != SIGNATURE {
        return Err(malformed("a binary copy without its signature"));
    }
    let extra = usize::try_from(extra).map_err(|_| malformed("a copy header has a negative length"))?;
    if reader.take(extra).is_err() {
        return Ok(Cut::Part);
    }
    Ok(Cut::Other(bytes.len().saturating_sub(reader.rest().len())))
}

/// Appends the masked form of a row.
pub(super) fn mask(row: &[u8], rows: &mut Rows<'_>, out: &mut Vec<u8>) -> Result<(), WireError> {
    let mut reader = Reader::new(row, "a copied row");
    if reader.count()? != rows.plan.cells.len() {
        return Err(malformed("a copied row has another number of columns than was announced"));
    }
    out.extend_from_slice(row.get(..2).unwrap_or_default());
    for (cell, slot) in rows.plan.cells.iter().zip(rows.tally.iter_mut()) {
        let Some(raw) = reader.value()? else {
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            continue;
        };
        if !matches!(cell.treatment, Treatment::Pass(None)) {
            *slot = slot.saturating_add(1);
        }
        if matches!(cell.treatment, Treatment::Pass(_)) {
            out.extend_from_slice(&u32::try_from(raw.len()).unwrap_or(0).to_be_bytes());
            out.extend_from_slice(raw);
        } else {
            mask_value(cell, raw, rows.scratch, out);
        }
    }
    Ok(())
}
