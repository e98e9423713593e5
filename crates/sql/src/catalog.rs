//! What a database is made of, as far as reading a statement needs it. Filled by the protocol's crawl.

use std::sync::Arc;

/// What kind of relation it is (`pg_class.relkind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RelationKind {
    /// An ordinary table.
    Table,
    /// A partitioned table.
    Partitioned,
    /// A view.
    View,
    /// A materialised view.
    MaterializedView,
    /// A foreign table.
    Foreign,
    /// A sequence.
    Sequence,
    /// A composite type.
    Composite,
    /// Anything else (index, TOAST table).
    Other,
}

/// A column of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// `pg_attribute.attnum`; system columns are negative.
    pub number: i16,
    /// Its name.
    pub name: Arc<str>,
    /// OID of its type.
    pub type_oid: u32,
}

/// A relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// `pg_class.oid`.
    pub oid: u32,
    /// Its schema.
    pub schema: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What it is.
    pub kind: RelationKind,
    /// Its columns that are not dropped, by number.
    pub columns: Vec<Column>,
    /// For views and materialised views: the query, as `pg_get_viewdef` gives it.
    pub definition: Option<Arc<str>>,
    /// OIDs of the tables it inherits from or is a partition of.
    pub parents: Vec<u32>,
    /// Whether rules other than a view's own, or user triggers, run code when it is written.
    pub runs_code: bool,
}

/// What kind of routine it is (`pg_proc.prokind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FunctionKind {
    /// A function.
    Function,
    /// A procedure.
    Procedure,
    /// An aggregate.
    Aggregate,
    /// A window function.
    Window,
}

/// `pg_proc.provolatile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Volatility {
    /// The same arguments always give the same result.
    Immutable,
    /// No change within a statement; may read tables.
    Stable,
    /// May do anything.
    Volatile,
}

/// A routine that is not the server's own: those of `pg_catalog` are known by name to the reading itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its schema.
    pub schema: Arc<str>,
    /// Its name; several routines can have the same one.
    pub name: Arc<str>,
    /// What it is.
    pub kind: FunctionKind,
    /// What it may do.
    pub volatility: Volatility,
    /// `sql`, `plpgsql`, `c`, `internal`, …
    pub language: Arc<str>,
    /// Whether it runs with its owner's rights.
    pub security_definer: bool,
    /// Whether it returns a set.
    pub returns_set: bool,
    /// The extension it belongs to.
    pub extension: Option<Arc<str>>,
    /// For `sql` functions with a body in text: the body.
    pub body: Option<Arc<str>>,
}
