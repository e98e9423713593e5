//! Result rows: where each column comes from, what is to be done with it, and doing it.

use super::text::Meant;
use crate::wire::build::close;
use crate::wire::read::{Described, Reader};
use crate::wire::value::{Scratch, decode, empty, encode};
use crate::wire::{HEADER, malformed, types};
use std::sync::Arc;
use vestibule_core::{
    Access, ColumnRef, Disclosure, Field, Mask, Masked, Origin, Plan, Reading, Treatment, ValueKind, WireError,
};
use vestibule_sql::{Catalog, Lineage, Output, SessionChange};

/// Which statement's output an operation's rows are.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// This one's own.
    Statement(Arc<Meant>),
    /// Those of the cursor that this one declared.
    Cursor(Arc<Meant>),
    /// It could not be told.
    Unknown,
}

impl Source {
    /// Where the columns come from.
    pub fn output(&self) -> &Output {
        match self {
            Self::Statement(meant) => &meant.statement.output,
            Self::Cursor(meant) => match &meant.statement.session {
                SessionChange::Declare(_, output) => output,
                _ => &Output::Unknown,
            },
            Self::Unknown => &Output::Unknown,
        }
    }

    /// Whether the server's word on a column can stand alone. It names the column that a value was read from, but also
    /// the column that a value was just written to (RETURNING), and that value may have come from anywhere. What was
    /// not read at all could be such a statement.
    fn only_reads(&self) -> bool {
        let Some(meant) = self.meant() else { return false };
        let operation = &meant.statement.operation;
        operation.reading != Reading::Opaque && operation.resources.iter().all(|r| r.access != Access::Write)
    }

    /// Where plans of these rows are remembered.
    pub fn meant(&self) -> Option<&Arc<Meant>> {
        match self {
            Self::Statement(meant) | Self::Cursor(meant) => Some(meant),
            Self::Unknown => None,
        }
    }
}

/// What happens to one column.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub treatment: Treatment,
    pub kind: ValueKind,
    pub oid: u32,
    pub binary: bool,
}

/// What happens to each row.
#[derive(Debug, Default)]
pub(super) struct RowPlan {
    pub cells: Vec<Cell>,
    /// How many columns from the left must be looked at.
    pub reach: usize,
    /// Whether anything is changed.
    pub changes: bool,
}

impl RowPlan {
    fn new(cells: Vec<Cell>) -> Self {
        let counts = |c: &Cell| !matches!(c.treatment, Treatment::Pass(None));
        let reach = cells.iter().rposition(counts).map_or(0, |last| last.saturating_add(1));
        let changes = cells.iter().any(|c| !matches!(c.treatment, Treatment::Pass(_)));
        Self { cells, reach, changes }
    }
}

/// A plan, and for what it was made.
#[derive(Debug)]
pub(super) struct Planned {
    description: Box<[u8]>,
    mask: usize,
    catalog: u64,
    shadowed: bool,
    opaque: bool,
    plan: Arc<RowPlan>,
    // Keeps the mask alive, so that no other can come to lie at its address.
    _mask: MaskHeld,
}

struct MaskHeld(#[expect(dead_code, reason = "held, not used")] Arc<dyn Mask>);

impl std::fmt::Debug for MaskHeld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mask")
    }
}

/// What is known besides the description itself.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub catalog: Option<&'a Catalog>,
    pub version: u64,
    pub shadowed: bool,
    /// Code ran that could put masked values where no table is read from: settings, locks, sequences.
    pub opaque: bool,
}

impl Known<'_> {
    /// After such code, what reads no table may still tell (`SHOW application_name`, `current_setting(…)`), and so may
    /// the server's list of settings.
    fn doubt(self, lineage: Lineage) -> Lineage {
        let settings = |column: &ColumnRef| &*column.relation == "pg_catalog.pg_settings";
        let doubtful = match &lineage {
            Lineage::Column(column) => settings(column),
            Lineage::Derived(columns) => columns.is_empty() || columns.iter().any(settings),
            Lineage::Unknown => false,
        };
        if self.opaque && doubtful { Lineage::Unknown } else { lineage }
    }
}

/// Plans the rows that a RowDescription announces. The OIDs of tables the catalog does not know go to `strange`.
pub(super) fn plan(
    description: &[u8],
    source: &Source,
    mask: &Arc<dyn Mask>,
    known: Known<'_>,
    strange: &mut Vec<u32>,
) -> Result<Arc<RowPlan>, WireError> {
    let address = Arc::as_ptr(mask).cast::<()>().addr();
    let slot = source.meant().map(|m| &m.planned);
    if let Some(Ok(planned)) = slot.map(|s| s.lock())
        && let Some(have) = &*planned
        && have.mask == address
        && have.catalog == known.version
        && have.shadowed == known.shadowed
        && have.opaque == known.opaque
        && *have.description == *description
    {
        return Ok(Arc::clone(&have.plan));
    }
    let columns = crate::wire::read::row_description(description)?;
    let lineages: Vec<Lineage> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| known.doubt(lineage(column, at, columns.len(), source, known, strange)))
        .collect();
    let names: Vec<_> = columns.iter().map(|c| String::from_utf8_lossy(c.name)).collect();
    let fields: Vec<Field<'_>> = columns
        .iter()
        .zip(&names)
        .zip(&lineages)
        .map(|((column, name), lineage)| Field { name, origin: origin(lineage), kind: types::kind_of(column.type_oid) })
        .collect();
    let cells = cells(mask.plan(&fields), columns.iter().map(|c| (c.type_oid, c.binary)));
    let plan = Arc::new(RowPlan::new(cells));
    if let Some(Ok(mut planned)) = slot.map(|s| s.lock()) {
        *planned = Some(Planned {
            description: description.into(),
            mask: address,
            catalog: known.version,
            shadowed: known.shadowed,
            opaque: known.opaque,
            plan: Arc::clone(&plan),
            _mask: MaskHeld(Arc::clone(mask)),
        });
    }
    Ok(plan)
}

/// Plans columns that no RowDescription announces, those of a COPY.
pub(super) fn plan_copy(
    count: usize,
    types_known: &[Option<u32>],
    binary: bool,
    source: &Source,
    mask: &Arc<dyn Mask>,
    known: Known<'_>,
) -> RowPlan {
    let lineages: Vec<Lineage> = (0..count)
        .map(|at| {
            let said = from_output(source.output(), at, count);
            known.doubt(if known.shadowed { distrust(said) } else { said })
        })
        .collect();
    let oid = |at: usize| {
        let said = types_known.get(at).copied().flatten();
        said.or_else(|| type_of(known.catalog?, lineages.get(at)?)).unwrap_or(0)
    };
    let fields: Vec<Field<'_>> = lineages
        .iter()
        .enumerate()
        .map(|(at, lineage)| Field { name: "", origin: origin(lineage), kind: types::kind_of(oid(at)) })
        .collect();
    RowPlan::new(cells(mask.plan(&fields), (0..count).map(|at| (oid(at), binary))))
}

/// The type of a column that passes unchanged.
fn type_of(catalog: &Catalog, lineage: &Lineage) -> Option<u32> {
    let Lineage::Column(column) = lineage else { return None };
    // A schema's name may hold a dot as well.
    let dots = column.relation.match_indices('.').map(|(at, _)| at);
    let relation = dots.filter_map(|at| {
        let (schema, name) = column.relation.split_at_checked(at)?;
        catalog.relation(schema, name.strip_prefix('.')?)
    });
    let found = relation.into_iter().find_map(|r| r.columns.iter().find(|c| c.name == column.column));
    found.map(|c| c.type_oid)
}

/// One cell a column; where the mask says nothing of a column, it is withheld.
fn cells(plan: Plan, columns: impl Iterator<Item = (u32, bool)>) -> Vec<Cell> {
    let mut treatments = plan.0.into_iter();
    columns
        .map(|(oid, binary)| Cell {
            treatment: treatments.next().unwrap_or(Treatment::Withhold(vestibule_core::PhiClass::Unclassified)),
            kind: types::kind_of(oid),
            oid,
            binary,
        })
        .collect()
}

fn origin(lineage: &Lineage) -> Origin<'_> {
    match lineage {
        Lineage::Column(column) => Origin::Column(column),
        Lineage::Derived(columns) => Origin::Derived(columns),
        Lineage::Unknown => Origin::Unknown,
    }
}

/// What the reading of the statement says of a column.
fn from_output(output: &Output, at: usize, count: usize) -> Lineage {
    match output {
        Output::Columns(columns) if columns.len() == count => columns.get(at).cloned().unwrap_or(Lineage::Unknown),
        Output::Within(columns) => Lineage::Derived(Arc::clone(columns)),
        _ => Lineage::Unknown,
    }
}

/// A temporary relation may stand where the reading saw another: only what needs no relation is believed.
fn distrust(lineage: Lineage) -> Lineage {
    match &lineage {
        Lineage::Derived(columns) if columns.is_empty() => lineage,
        _ => Lineage::Unknown,
    }
}

/// What the server and the reading together say of a column: the server's word where it names a table that is known,
/// joined with the reading's; nothing where it names one that is not. Neither stands alone where it can be wrong.
fn lineage(
    column: &Described<'_>,
    at: usize,
    count: usize,
    source: &Source,
    known: Known<'_>,
    strange: &mut Vec<u32>,
) -> Lineage {
    let read = from_output(source.output(), at, count);
    if column.table == 0 {
        return if known.shadowed { distrust(read) } else { read };
    }
    let said = known.catalog.map_or(Lineage::Unknown, |c| c.origin(column.table, column.column));
    match said {
        Lineage::Unknown => {
            if known.catalog.is_some_and(|c| c.relation_by_oid(column.table).is_none()) {
                strange.push(column.table);
            }
            Lineage::Unknown
        }
        said if source.only_reads() => match read {
            // Where the reading may have mistaken one table for another, both have to tell.
            Lineage::Unknown if known.shadowed => Lineage::Unknown,
            read => join(said, read),
        },
        // What a change returns is known by the reading alone, and a temporary table can mislead that.
        _ if known.shadowed => Lineage::Unknown,
        said => match read {
            Lineage::Unknown => Lineage::Unknown,
            read => join(said, read),
        },
    }
}

fn join(said: Lineage, read: Lineage) -> Lineage {
    if said == read {
        return said;
    }
    let (a, b) = (columns(&said), columns(&read));
    match (a, b) {
        // The server names a plain column; a reading that could not tell takes nothing from that.
        (_, None) => said,
        (Some(a), Some(b)) if b.is_empty() || a == b => {
            if a.is_empty() {
                read
            } else {
                said
            }
        }
        (Some([]), Some(_)) => read,
        (Some(a), Some(b)) => {
            let mut all = a.to_vec();
            all.extend(b.iter().filter(|c| !a.contains(c)).cloned());
            Lineage::Derived(all.into())
        }
        (None, _) => Lineage::Unknown,
    }
}

fn columns(lineage: &Lineage) -> Option<&[ColumnRef]> {
    match lineage {
        Lineage::Column(column) => Some(std::slice::from_ref(column)),
        Lineage::Derived(columns) => Some(columns),
        Lineage::Unknown => None,
    }
}

/// Counts the values of revealed classes in a row that passes.
pub(super) fn count_row(body: &[u8], plan: &RowPlan, tally: &mut [u64]) -> Result<(), WireError> {
    let mut reader = Reader::new(body, "DataRow");
    if reader.count()? != plan.cells.len() {
        return Err(malformed("a row has another number of columns than was announced"));
    }
    for slot in tally.iter_mut().take(plan.reach) {
        if reader.value()?.is_some() {
            *slot = slot.saturating_add(1);
        }
    }
    Ok(())
}

/// Appends the masked form of a whole DataRow frame. Runs of values that pass are copied in one go.
pub(super) fn mask_row(
    frame: &[u8],
    plan: &RowPlan,
    tally: &mut [u64],
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    let start = out.len();
    let body = crate::wire::body(frame);
    let mut reader = Reader::new(body, "DataRow");
    if reader.count()? != plan.cells.len() {
        return Err(malformed("a row has another number of columns than was announced"));
    }
    // Everything before this offset of the frame is already in `out`.
    let mut copied = 0;
    for (cell, slot) in plan.cells.iter().zip(tally.iter_mut()).take(plan.reach) {
        let before = frame.len().saturating_sub(reader.rest().len());
        let Some(raw) = reader.value()? else { continue };
        let after = frame.len().saturating_sub(reader.rest().len());
        match &cell.treatment {
            Treatment::Pass(None) => continue,
            Treatment::Pass(Some(_)) => {
                *slot = slot.saturating_add(1);
                continue;
            }
            Treatment::Apply(..) | Treatment::Withhold(_) => *slot = slot.saturating_add(1),
        }
        out.extend_from_slice(frame.get(copied..before).unwrap_or_default());
        mask_value(cell, raw, scratch, out);
        copied = after;
    }
    out.extend_from_slice(frame.get(copied..).unwrap_or_default());
    close_frame(out, start);
    Ok(())
}

/// Corrects the length of the frame that starts at `start` and ends here.
pub(super) fn close_frame(out: &mut [u8], start: usize) {
    if let Some(frame) = out.get_mut(start..) {
        close(frame, HEADER.saturating_sub(4));
    }
}

/// Appends the masked value with its length in front; NULL where nothing else can be.
pub(super) fn mask_value(cell: &Cell, raw: &[u8], scratch: &mut Scratch, out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    let from = out.len();
    let len = if mask_into(cell, raw, scratch, out) {
        u32::try_from(out.len().saturating_sub(from)).unwrap_or(0)
    } else {
        out.truncate(from);
        u32::MAX
    };
    if let Some(slot) = out.get_mut(at..from) {
        slot.copy_from_slice(&len.to_be_bytes());
    }
}

/// Appends the masked value; `false` is NULL. INVARIANT: `raw` itself is never appended.
pub(super) fn mask_into(cell: &Cell, raw: &[u8], scratch: &mut Scratch, out: &mut Vec<u8>) -> bool {
    let from = out.len();
    if let Treatment::Apply(_, transform) = &cell.treatment {
        let Scratch { text, bytes, masked } = scratch;
        masked.clear();
        let made = decode(cell.kind, cell.oid, cell.binary, raw, text, bytes)
            .and_then(|value| transform.apply(value, masked).ok());
        match made {
            Some(Masked::Null) => return false,
            Some(made) if encode(cell.kind, cell.oid, cell.binary, made, masked, out).is_some() => return true,
            _ => out.truncate(from),
        }
    }
    empty(cell.kind, cell.oid, cell.binary, out)
}

/// Adds the counts of a plan's columns to what was disclosed.
pub(super) fn fold(plan: &RowPlan, tally: &mut Vec<u64>, into: &mut Disclosure) {
    for (cell, count) in plan.cells.iter().zip(tally.iter()).filter(|(_, count)| **count > 0) {
        let (sums, class) = match &cell.treatment {
            Treatment::Pass(None) => continue,
            Treatment::Pass(Some(class)) => (&mut into.revealed, class),
            Treatment::Apply(class, _) | Treatment::Withhold(class) => (&mut into.masked, class),
        };
        let sum = sums.entry(*class).or_default();
        *sum = sum.saturating_add(*count);
    }
    tally.clear();
}
