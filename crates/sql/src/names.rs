//! What names mean at one place of a statement: PostgreSQL's own rules of visibility, level by level.

use crate::facts::Facts;
use crate::flow::{Flow, Named, Rows, column};
use crate::index::is_system;
use crate::literals::Literals;
use crate::{Catalog, ReadError, Relation, RelationKind, Scope};
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, RangeVar};
use std::sync::Arc;
use vestibule_core::{Access, Effect, traits};

/// How deep queries and expressions may nest in each other, function bodies included.
const MAX_DEPTH: u32 = 400;

/// The columns that every table has besides its own.
const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"];

/// What a FROM clause brings into view.
#[derive(Debug, Clone, Default)]
pub(crate) struct Item {
    /// The name under which it is known here.
    pub(crate) name: Option<Arc<str>>,
    /// Its schema, where it can be named with it.
    pub(crate) schema: Option<Arc<str>>,
    pub(crate) rows: Rows,
    /// Whether its columns can be named without it; those of a joined table are named through the join.
    pub(crate) columns_visible: bool,
    /// The table it is, with a table's system columns.
    pub(crate) table: Option<Arc<str>>,
}

/// A common table expression.
#[derive(Debug, Clone)]
pub(crate) struct Cte {
    pub(crate) name: Arc<str>,
    pub(crate) rows: Rows,
}

/// One level of query nesting.
#[derive(Debug, Default)]
pub(crate) struct Level {
    pub(crate) items: Vec<Item>,
    pub(crate) ctes: Vec<Cte>,
    /// Named windows, and what their rows are ordered by.
    pub(crate) windows: Vec<(String, Flow)>,
}

/// One call of `set_config`.
#[derive(Debug)]
pub(crate) struct Configured {
    /// The setting, where that is in the text.
    pub(crate) name: Option<String>,
    /// Its new value, likewise.
    pub(crate) value: Option<String>,
    /// Whether it may hold for the transaction only.
    pub(crate) local: bool,
}

/// Reads one statement.
pub(crate) struct Reader<'a> {
    pub(crate) catalog: Option<&'a Catalog>,
    pub(crate) scope: Scope<'a>,
    pub(crate) facts: Facts,
    pub(crate) levels: Vec<Level>,
    pub(crate) literals: Literals,
    /// Locations of the constants seen so far.
    pub(crate) constants: Vec<i32>,
    /// The columns into which the next query's columns are written.
    pub(crate) into: Option<Vec<Flow>>,
    /// Values of the parameters of a function whose body is being read.
    pub(crate) parameters: Option<Flow>,
    /// Views that were met before they have been read.
    pub(crate) unread_views: bool,
    /// How many function bodies this one is inside of.
    pub(crate) bodies: u32,
    /// How many names of columns have been met.
    pub(crate) names_met: u32,
    /// The relations met so far, each time they were, and whether it is a view.
    pub(crate) met: Vec<(Arc<str>, bool)>,
    /// Settings that `set_config` changes.
    pub(crate) settings: Vec<Configured>,
    /// The setting that `name` is in the query being read, if that is certain.
    pub(crate) setting: Option<String>,
    depth: u32,
    /// How many nodes may still be visited: queries that refer to themselves are visited more than once.
    steps: u32,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(scope: &Scope<'a>, literals: Literals, steps: u32) -> Self {
        Self {
            catalog: scope.catalog,
            scope: *scope,
            facts: Facts::new(),
            levels: Vec::new(),
            literals,
            constants: Vec::new(),
            into: None,
            parameters: None,
            unread_views: false,
            bodies: 0,
            names_met: 0,
            met: Vec::new(),
            settings: Vec::new(),
            setting: None,
            depth: 0,
            steps,
        }
    }

    /// Goes one level deeper; [`Reader::leave`] comes back.
    pub(crate) fn enter(&mut self) -> Result<(), ReadError> {
        self.depth += 1;
        self.steps = self.steps.saturating_sub(1);
        if self.depth > MAX_DEPTH || self.steps == 0 { Err(ReadError::TooComplex) } else { Ok(()) }
    }

    pub(crate) fn steps_left(&self) -> u32 {
        self.steps
    }

    /// Another reader has used up steps of this one's.
    pub(crate) fn spend(&mut self, left: u32) {
        self.steps = self.steps.min(left);
    }

    pub(crate) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Brings items into view at the innermost level, and says what was in view there before.
    pub(crate) fn show(&mut self, items: Vec<Item>) -> Vec<Item> {
        self.levels.last_mut().map(|level| std::mem::replace(&mut level.items, items)).unwrap_or_default()
    }

    pub(crate) fn add_cte(&mut self, name: &Arc<str>, rows: Rows) {
        if let Some(level) = self.levels.last_mut() {
            level.ctes.push(Cte { name: Arc::clone(name), rows });
        }
    }

    /// The common table expression of this name that is nearest.
    pub(crate) fn cte(&self, name: &str) -> Option<&Cte> {
        self.levels.iter().rev().find_map(|level| level.ctes.iter().rev().find(|cte| &*cte.name == name))
    }

    /// The catalog's relation that a name in the text means.
    pub(crate) fn relation(&self, range: &RangeVar) -> Option<&'a Relation> {
        let catalog = self.catalog?;
        if range.schemaname.is_empty() && self.bodies > 0 {
            // A function may have a search path of its own.
            return catalog.relation("pg_catalog", &range.relname);
        }
        if range.schemaname.is_empty() {
            catalog.resolve(&range.relname, self.scope.search_path)
        } else {
            catalog.relation(&range.schemaname, &range.relname)
        }
    }

    /// The name of a relation for the record: as the catalog has it, otherwise as it is written.
    pub(crate) fn relation_name(&self, range: &RangeVar) -> Arc<str> {
        match (self.relation(range), self.catalog) {
            (Some(relation), Some(catalog)) => catalog.qualified(relation),
            _ if range.schemaname.is_empty() => Arc::from(range.relname.as_str()),
            _ => Arc::from(format!("{}.{}", range.schemaname, range.relname)),
        }
    }

    /// The name that a relation will have once it is created.
    pub(crate) fn new_relation_name(&self, range: &RangeVar) -> Arc<str> {
        if !range.schemaname.is_empty() {
            return Arc::from(format!("{}.{}", range.schemaname, range.relname));
        }
        let schema = if range.relpersistence == "t" { Some("pg_temp") } else { None };
        match schema.or_else(|| self.scope.search_path.first().map(String::as_str)) {
            Some(schema) => Arc::from(format!("{schema}.{}", range.relname)),
            None => Arc::from(range.relname.as_str()),
        }
    }

    /// Touches a relation for another purpose than reading it.
    pub(crate) fn mark(&mut self, range: &RangeVar, access: Access, columns: &[Arc<str>]) -> Arc<str> {
        let name = self.relation_name(range);
        let kind = self.relation(range).map_or("table", |relation| kind_word(relation.kind));
        self.facts.resource(kind, &name, access);
        columns.iter().for_each(|column| self.facts.column(kind, &name, access, column));
        name
    }

    /// The rows of a relation that is read here, or (not `read`) written and perhaps read in passing. Its columns become
    /// resources only as they are named.
    pub(crate) fn relation_item(&mut self, range: &RangeVar, read: bool) -> Item {
        self.facts.at_least(Effect::Read);
        let name = self.relation_name(range);
        let Some((relation, catalog)) = self.relation(range).zip(self.catalog) else {
            let star = Arc::from("*");
            if read {
                self.facts.column("table", &name, Access::Read, &star);
                self.facts.touched_unknown = true;
            }
            self.facts.partial(format!("the relation {name} is not known"));
            return Item { rows: Rows::unknown(), columns_visible: true, table: Some(name), ..Item::default() };
        };
        let kind = kind_word(relation.kind);
        let view = matches!(relation.kind, RelationKind::View | RelationKind::MaterializedView);
        self.met.push((Arc::clone(&name), view));
        if read {
            self.facts.resource(kind, &name, Access::Read);
        }
        if is_system(&relation.schema) {
            self.facts.traits.insert(traits::CATALOG);
        } else if view {
            self.read_through(catalog, relation);
        }
        let columns = relation.columns.iter().enumerate().filter(|(_, column)| column.number > 0);
        let columns = columns.map(|(at, column)| {
            let flow = catalog.column_flow(relation, at);
            let own = matches!(&flow, Flow::Column(c) if c.relation == name);
            Named { name: Arc::clone(&column.name), flow, through: (!own).then(|| Arc::clone(&name)) }
        });
        let columns = columns.collect();
        let open = matches!(relation.kind, RelationKind::Other).then_some(Flow::Unknown);
        Item {
            schema: Some(Arc::clone(&relation.schema)),
            rows: Rows { columns, open },
            columns_visible: true,
            // A view has no system columns: the name then means a column of an outer level.
            table: (relation.kind != RelationKind::View).then_some(name),
            ..Item::default()
        }
    }

    /// A view does what its query does.
    fn read_through(&mut self, catalog: &Catalog, view: &Relation) {
        match catalog.view(view.oid) {
            // A materialised view ran its query when it was filled.
            Some(_) if view.kind == RelationKind::MaterializedView => {}
            Some(reading) => self.facts.absorb(&reading.facts),
            None => {
                self.unread_views = true;
                self.facts.touched_unknown = true;
                self.facts.partial(format!("the view {}.{} could not be read", view.schema, view.name));
            }
        }
    }

    /// Records that a column is used, and says where its value comes from.
    fn use_column(&mut self, column: &Named) -> Flow {
        self.facts.touch(&column.flow);
        if let Some(through) = &column.through {
            self.facts.column("view", through, Access::Read, &column.name);
        }
        column.flow.clone()
    }

    pub(crate) fn use_rows(&mut self, rows: &Rows) -> Flow {
        for column in &rows.columns {
            self.use_column(column);
        }
        if let Some(open) = &rows.open {
            self.facts.touch(open);
        }
        rows.whole().derived()
    }

    /// A name alone: a column of the nearest level that has one, otherwise a whole row.
    pub(crate) fn bare_name(&mut self, name: &str) -> Flow {
        match self.column_anywhere(name) {
            Some(flow) => flow,
            None => match self.item_named(name).map(|item| item.rows.clone()) {
                Some(rows) => self.use_rows(&rows),
                None => self.unknown_name(),
            },
        }
    }

    fn column_anywhere(&mut self, name: &str) -> Option<Flow> {
        let mut open: Option<Flow> = None;
        for at in (0..self.levels.len()).rev() {
            let (found, more) = self.column_of_level(at, name);
            if let Some(more) = more {
                Flow::gather(&mut open, &more);
            }
            if let Some(found) = found {
                let flow = self.use_column(&found);
                return Some(match open {
                    Some(open) => flow.and(open),
                    None => flow,
                });
            }
        }
        if let Some(open) = &open {
            self.facts.touch(open);
        }
        open
    }

    /// The column of this name at a level; and what it may be as well, where rows of that level are not known.
    fn column_of_level(&self, at: usize, name: &str) -> (Option<Named>, Option<Flow>) {
        let Some(level) = self.levels.get(at) else { return (None, None) };
        let visible = level.items.iter().filter(|item| item.columns_visible);
        let mut found: Option<Named> = None;
        let mut open: Option<Flow> = None;
        let mut table = None;
        for item in visible {
            table = table.or(item.table.as_ref());
            for column in item.rows.columns.iter().filter(|column| &*column.name == name) {
                found = Some(match found {
                    None => column.clone(),
                    Some(before) => Named { flow: before.flow.and(column.flow.clone()), ..before },
                });
            }
            if let Some(more) = &item.rows.open {
                Flow::gather(&mut open, more);
            }
        }
        match found {
            Some(found) => (Some(found), None),
            None => match table.filter(|_| SYSTEM_COLUMNS.contains(&name)) {
                Some(table) => (Some(Named::new(name, column(table, name))), open),
                None => (None, open),
            },
        }
    }

    /// The nearest item of this name.
    pub(crate) fn item_named(&self, name: &str) -> Option<&Item> {
        let levels = self.levels.iter().rev();
        levels.flat_map(|level| level.items.iter()).find(|item| item.name.as_deref() == Some(name))
    }

    /// `table.column`, `schema.table.column`; also `table.function`, which calls the function with the row.
    pub(crate) fn qualified_name(&mut self, names: &[&str]) -> Flow {
        let (item, column) = match names {
            [table, column] => (self.item_named(table), *column),
            [schema, table, column] | [_, schema, table, column] => {
                let levels = self.levels.iter().rev();
                let mut items = levels.flat_map(|level| level.items.iter());
                let found = items.find(|i| i.name.as_deref() == Some(*table) && i.schema.as_deref() == Some(*schema));
                (found, *column)
            }
            _ => (None, ""),
        };
        match item.cloned() {
            Some(item) => self.column_of(&item, column),
            None => self.unknown_name(),
        }
    }

    /// A column of one item, or the function of that name called with its row.
    pub(crate) fn column_of(&mut self, item: &Item, name: &str) -> Flow {
        if let Some(column) = item.rows.columns.iter().find(|column| &*column.name == name) {
            return self.use_column(column);
        }
        if let Some(table) = item.table.as_ref().filter(|_| SYSTEM_COLUMNS.contains(&name) && item.rows.open.is_none())
        {
            return column(table, name);
        }
        let whole = self.use_rows(&item.rows);
        self.call_by_attribute(name, whole)
    }

    /// Whether any level has a column of this name.
    pub(crate) fn has_column(&self, name: &str) -> bool {
        (0..self.levels.len()).any(|at| self.column_of_level(at, name).0.is_some())
    }

    fn unknown_name(&mut self) -> Flow {
        // In the body of a function, what is no column is a parameter.
        if let Some(parameters) = &self.parameters {
            return parameters.clone();
        }
        self.facts.touched_unknown = true;
        Flow::Unknown
    }
}

/// The protocol's word for a relation.
pub(crate) const fn kind_word(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::View => "view",
        RelationKind::MaterializedView => "materialized view",
        RelationKind::Sequence => "sequence",
        RelationKind::Composite => "type",
        RelationKind::Other => "relation",
        RelationKind::Table | RelationKind::Partitioned | RelationKind::Foreign => "table",
    }
}

/// The strings of a list of names.
pub(crate) fn strings(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().filter_map(string).collect()
}

/// The string that a node is.
pub(crate) fn string(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        NodeEnum::String(s) => Some(&s.sval),
        _ => None,
    }
}

/// Shared strings of a list of names.
pub(crate) fn shared(nodes: &[Node]) -> Vec<Arc<str>> {
    nodes.iter().filter_map(string).map(Arc::from).collect()
}
