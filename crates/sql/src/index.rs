//! The structure of one database, indexed for reading statements.

use crate::flow::Flow;
use crate::view::{self, ViewReading};
use crate::{Column, Function, FunctionKind, Lineage, Relation, RelationKind, Volatility};
use aws_lc_rs::digest;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use vestibule_core::ColumnRef;

/// The most parents that are followed from a child table to its root.
const MAX_ANCESTORS: usize = 64;

/// What a database is made of: its relations and the routines that are not the server's own.
pub struct Catalog {
    relations: Vec<Relation>,
    qualified: Vec<Arc<str>>,
    by_oid: HashMap<u32, usize>,
    by_name: HashMap<Arc<str>, HashMap<Arc<str>, usize>>,
    functions: Vec<Function>,
    functions_by_name: HashMap<Arc<str>, Vec<usize>>,
    operators: HashSet<Arc<str>>,
    views: HashMap<u32, Arc<ViewReading>>,
    digest: String,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog")
            .field("relations", &self.relations.len())
            .field("functions", &self.functions.len())
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl Catalog {
    /// Indexes what a crawl found. Every view is read here, once.
    #[must_use]
    pub fn new(relations: Vec<Relation>, functions: Vec<Function>) -> Self {
        Self::with_operators(relations, functions, Vec::new())
    }

    /// Like [`Catalog::new`], with the names of operators that are not the server's own: an expression that uses a
    /// name of these may run any function.
    #[must_use]
    pub fn with_operators(relations: Vec<Relation>, functions: Vec<Function>, operators: Vec<Arc<str>>) -> Self {
        let digest = content_digest(&relations, &functions, &operators);
        let qualified = relations.iter().map(|r| Arc::from(format!("{}.{}", r.schema, r.name))).collect();
        let by_oid = relations.iter().enumerate().map(|(at, r)| (r.oid, at)).collect();
        let mut by_name: HashMap<Arc<str>, HashMap<Arc<str>, usize>> = HashMap::new();
        for (at, relation) in relations.iter().enumerate() {
            by_name.entry(Arc::clone(&relation.name)).or_default().insert(Arc::clone(&relation.schema), at);
        }
        let mut functions_by_name: HashMap<Arc<str>, Vec<usize>> = HashMap::new();
        for (at, function) in functions.iter().enumerate() {
            functions_by_name.entry(Arc::clone(&function.name)).or_default().push(at);
        }
        let operators = operators.into_iter().collect();
        let views = HashMap::new();
        let mut catalog =
            Self { relations, qualified, by_oid, by_name, functions, functions_by_name, operators, views, digest };
        view::read_all(&mut catalog);
        catalog
    }

    /// The relation with this OID.
    #[must_use]
    pub fn relation_by_oid(&self, oid: u32) -> Option<&Relation> {
        self.relations.get(*self.by_oid.get(&oid)?)
    }

    /// The relation of this schema and name.
    #[must_use]
    pub fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        self.relations.get(*self.by_name.get(name)?.get(schema)?)
    }

    /// The relation that a name without a schema means: in `pg_catalog` unless the path names that later, then in the
    /// path's schemas in order. Temporary relations, which come before all of these, are not in a catalog.
    #[must_use]
    pub fn resolve(&self, name: &str, search_path: &[String]) -> Option<&Relation> {
        let schemas = self.by_name.get(name)?;
        let implicit = if search_path.iter().any(|s| s == "pg_catalog") { None } else { Some("pg_catalog") };
        let mut path = implicit.into_iter().chain(search_path.iter().map(String::as_str));
        self.relations.get(*path.find_map(|schema| schemas.get(schema))?)
    }

    /// Where the values of a result column come from that the server says is this column of this relation.
    #[must_use]
    pub fn origin(&self, oid: u32, attnum: i16) -> Lineage {
        let Some(relation) = self.relation_by_oid(oid) else { return Lineage::Unknown };
        if attnum < 0 {
            return Lineage::Derived(Arc::from([]));
        }
        match relation.columns.iter().position(|c| c.number == attnum) {
            Some(at) => self.column_flow(relation, at).lineage(),
            None => Lineage::Unknown,
        }
    }

    /// SHA-256 of the content, in hex. The same content in another order has another digest.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// All relations.
    #[must_use]
    pub fn relations(&self) -> &[Relation] {
        &self.relations
    }

    /// All routines that are not the server's own.
    #[must_use]
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// `schema.name` of a relation of this catalog.
    pub(crate) fn qualified(&self, relation: &Relation) -> Arc<str> {
        let at = self.by_oid.get(&relation.oid);
        at.and_then(|at| self.qualified.get(*at)).map_or_else(|| Arc::from(""), Arc::clone)
    }

    pub(crate) fn functions_named(&self, name: &str) -> impl Iterator<Item = &Function> {
        let all = self.functions_by_name.get(name).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter_map(|at| self.functions.get(*at))
    }

    pub(crate) fn is_own_operator(&self, name: &str) -> bool {
        self.operators.contains(name)
    }

    pub(crate) fn view(&self, oid: u32) -> Option<&Arc<ViewReading>> {
        self.views.get(&oid)
    }

    pub(crate) fn keep_view(&mut self, oid: u32, reading: ViewReading) {
        self.views.insert(oid, Arc::new(reading));
    }

    /// Where the values of the column at `at` come from.
    pub(crate) fn column_flow(&self, relation: &Relation, at: usize) -> Flow {
        let Some(column) = relation.columns.get(at) else { return Flow::Unknown };
        if is_system(&relation.schema) {
            return self.system_flow(relation, column);
        }
        let own = || Flow::Column(ColumnRef { relation: self.qualified(relation), column: Arc::clone(&column.name) });
        match relation.kind {
            RelationKind::View | RelationKind::MaterializedView => {
                // A view cannot lose a column, so its numbers are positions.
                let position = usize::try_from(column.number).ok().and_then(|number| number.checked_sub(1));
                let view = self.view(relation.oid).zip(position);
                let flow = view.and_then(|(view, position)| view.columns.get(position).cloned());
                match flow {
                    // Free only as long as the name means this view: it is the view's own.
                    Some(flow) if flow.is_free() => own(),
                    Some(flow) => flow,
                    None => Flow::Unknown,
                }
            }
            RelationKind::Sequence => own(),
            _ => {
                let root = self.root(relation, &column.name);
                Flow::Column(ColumnRef { relation: self.qualified(root), column: Arc::clone(&column.name) })
            }
        }
    }

    fn system_flow(&self, relation: &Relation, column: &Column) -> Flow {
        if holds_data(&relation.name, &column.name) {
            return Flow::Unknown;
        }
        Flow::Column(ColumnRef { relation: self.qualified(relation), column: Arc::clone(&column.name) })
    }

    /// The topmost table from which this one has the column: the one that a data map names.
    fn root<'c>(&'c self, relation: &'c Relation, column: &str) -> &'c Relation {
        let mut here = relation;
        for _ in 0..MAX_ANCESTORS {
            let parents = here.parents.iter().filter_map(|oid| self.relation_by_oid(*oid));
            match parents.into_iter().find(|p| p.columns.iter().any(|c| &*c.name == column)) {
                Some(parent) => here = parent,
                None => break,
            }
        }
        here
    }
}

/// Whether a schema is the server's own.
pub(crate) fn is_system(schema: &str) -> bool {
    matches!(schema, "pg_catalog" | "information_schema" | "pg_toast")
}

/// Columns of the server's own relations that hold values of user tables, texts of other people's statements, or
/// secrets. No data map can say which column they come from, so nothing is known of them.
fn holds_data(relation: &str, column: &str) -> bool {
    match relation {
        "pg_statistic" => column.starts_with("stavalues") || column.starts_with("stanumbers"),
        "pg_statistic_ext_data" => column.starts_with("stxd"),
        "pg_stats" => {
            matches!(
                column,
                "most_common_vals"
                    | "histogram_bounds"
                    | "most_common_elems"
                    | "most_common_freqs"
                    | "elem_count_histogram"
                    | "most_common_elem_freqs"
                    | "range_length_histogram"
                    | "range_bounds_histogram"
            )
        }
        "pg_stats_ext" | "pg_stats_ext_exprs" => {
            column.starts_with("most_common") || column.contains("histogram") || column == "dependencies"
        }
        "pg_attribute" => column == "attmissingval",
        "pg_stat_activity" | "pg_stat_statements" => column == "query",
        "pg_prepared_statements" | "pg_cursors" => column == "statement",
        "pg_prepared_xacts" => column == "gid",
        "pg_largeobject" => column == "data",
        "pg_authid" => column == "rolpassword",
        "pg_shadow" => column == "passwd",
        "pg_subscription" => column == "subconninfo",
        "pg_user_mapping" | "pg_user_mappings" => column == "umoptions",
        "user_mapping_options" | "_pg_user_mappings" => column == "option_value" || column == "umoptions",
        "pg_hba_file_rules" | "pg_ident_file_mappings" | "pg_file_settings" => true,
        _ => false,
    }
}

fn content_digest(relations: &[Relation], functions: &[Function], operators: &[Arc<str>]) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut text = |part: &str| {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    };
    for relation in relations {
        text(&format!("r{} {:?} {:?} {}", relation.oid, relation.kind, relation.parents, relation.runs_code));
        text(&relation.schema);
        text(&relation.name);
        text(relation.definition.as_deref().unwrap_or_default());
        for column in &relation.columns {
            text(&format!("c{} {}", column.number, column.type_oid));
            text(&column.name);
        }
    }
    for function in functions {
        let Function { kind, volatility, security_definer, returns_set, .. } = function;
        text(&format!("f{} {} {security_definer} {returns_set}", kind_word(*kind), volatility_word(*volatility)));
        for part in [&function.schema, &function.name, &function.language] {
            text(part);
        }
        text(function.extension.as_deref().unwrap_or_default());
        text(function.body.as_deref().unwrap_or_default());
    }
    operators.iter().for_each(|operator| text(operator));
    hex(hash.finish().as_ref())
}

const fn kind_word(kind: FunctionKind) -> &'static str {
    match kind {
        FunctionKind::Function => "f",
        FunctionKind::Procedure => "p",
        FunctionKind::Aggregate => "a",
        FunctionKind::Window => "w",
    }
}

const fn volatility_word(volatility: Volatility) -> &'static str {
    match volatility {
        Volatility::Immutable => "i",
        Volatility::Stable => "s",
        Volatility::Volatile => "v",
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
