//! Views: read once, when the catalog is built.

use crate::facts::Facts;
use crate::flow::Flow;
use crate::index::is_system;
use crate::literals::Literals;
use crate::names::Reader;
use crate::{Catalog, RelationKind, Scope};
use pg_query::ParseResult;

/// How many nodes may be visited for one view.
const MAX_STEPS: u32 = 200_000;

/// What a view's query says.
#[derive(Debug)]
pub(crate) struct ViewReading {
    /// Where the column of each number comes from.
    pub(crate) columns: Vec<Flow>,
    /// What its query does.
    pub(crate) facts: Facts,
}

/// Reads every view: those that stand on tables first, then those that stand on what has been read.
pub(crate) fn read_all(catalog: &mut Catalog) {
    let views = catalog.relations().iter().filter(|relation| {
        matches!(relation.kind, RelationKind::View | RelationKind::MaterializedView) && !is_system(&relation.schema)
    });
    let parsed = views.filter_map(|view| {
        let definition = view.definition.as_deref()?;
        Some((view.oid, pg_query::parse(definition, 0).ok()?))
    });
    let mut waiting: Vec<(u32, ParseResult)> = parsed.collect();
    loop {
        let before = waiting.len();
        waiting.retain(|(oid, parsed)| match read_one(catalog, parsed) {
            Some(reading) => {
                catalog.keep_view(*oid, reading);
                false
            }
            None => true,
        });
        // What still waits stands on something that cannot be read, or on itself.
        if waiting.len() == before || waiting.is_empty() {
            return;
        }
    }
}

/// Reads one view; `None` while it stands on a view that has not been read.
fn read_one(catalog: &Catalog, parsed: &ParseResult) -> Option<ViewReading> {
    let query = parsed.protobuf.stmts.first()?.stmt.as_deref()?;
    let scope = Scope { catalog: Some(catalog), search_path: &[], standard_strings: true };
    let mut reader = Reader::new(&scope, Literals::default(), MAX_STEPS);
    let rows = reader.query(query).ok()?;
    if reader.unread_views {
        return None;
    }
    let columns = match rows.open {
        Some(_) => Vec::new(),
        None => rows.columns.into_iter().map(|column| column.flow).collect(),
    };
    Some(ViewReading { columns, facts: reader.facts })
}
