//! What the reading of a statement says.

use crate::Catalog;
use std::ops::Range;
use std::sync::Arc;
use thiserror::Error;
use vestibule_core::{ColumnRef, Operation};

/// What names mean where a statement is read.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The database's structure; `None`: not known, so nothing of an output is known either.
    pub catalog: Option<&'a Catalog>,
    /// The schemas in which names without a schema are looked for, in order, without `pg_temp` and `pg_catalog`, which
    /// PostgreSQL adds in front. `$user` is already replaced.
    pub search_path: &'a [String],
    /// `standard_conforming_strings`: whether a backslash in `'…'` is itself.
    pub standard_strings: bool,
}

/// Everything that one text says.
#[derive(Debug, Clone)]
pub struct Script {
    /// The statements, in order; none for an empty query.
    pub statements: Vec<Statement>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its bytes in the text, without the semicolon.
    pub span: Range<usize>,
    /// What it asks. `text` is the span's own; literals are relative to it. `shape` is set.
    pub operation: Operation,
    /// Where each column of its result comes from.
    pub output: Output,
    /// What it changes of the session.
    pub session: SessionChange,
    /// For `COPY … TO STDOUT` and `COPY … FROM STDIN`.
    pub copy: Option<Copy>,
}

/// Where the columns of a result come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// It returns no rows.
    None,
    /// These, in order.
    Columns(Vec<Lineage>),
    /// It returns rows, and all that is known is that they come from these columns at most.
    Within(Arc<[ColumnRef]>),
    /// It returns rows of which nothing is known.
    Unknown,
    /// Those of a prepared statement, which runs now (`EXECUTE name`).
    OfPrepared(String),
    /// Those of a cursor (`FETCH`).
    OfCursor(String),
}

/// Where one column comes from: the owned form of [`vestibule_core::Origin`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lineage {
    /// This column, unchanged.
    Column(ColumnRef),
    /// Computed from these; none: free of data (a constant, the clock, `count(*)`).
    Derived(Arc<[ColumnRef]>),
    /// It cannot be told.
    Unknown,
}

/// What a statement changes of the session, for whoever tracks the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionChange {
    /// Nothing that matters to reading.
    None,
    /// `search_path` is now this (`None`: back to what it was at login). Takes effect when the statement has succeeded.
    SearchPath(Option<Vec<String>>),
    /// `standard_conforming_strings` is now this.
    StandardStrings(bool),
    /// Settings are reset to those of the login (`RESET ALL`, `DISCARD ALL`).
    Reset,
    /// The role changed: names and rights may mean something else; what is known no longer holds.
    Role,
    /// Names may have changed: a relation was created, altered or dropped.
    Structure,
    /// `PREPARE name AS …`: the inner statement as it will run.
    Prepare(String, Box<Statement>),
    /// `DEALLOCATE name`, or all.
    Deallocate(Option<String>),
    /// `DECLARE name CURSOR FOR …`: where the cursor's columns come from.
    Declare(String, Output),
    /// `CLOSE name`, or all.
    CloseCursor(Option<String>),
    /// A transaction ends in failure or by `ROLLBACK` (also to a savepoint): settings fall back to what they were.
    Rollback,
}

/// Which way a COPY goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyWay {
    /// `TO STDOUT`.
    Out,
    /// `FROM STDIN`.
    In,
}

/// How the rows of a COPY are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyFormat {
    /// Tab-separated text.
    Text {
        /// Between columns.
        delimiter: u8,
        /// What stands for NULL.
        null: String,
        /// Whether the first line names the columns.
        header: bool,
    },
    /// CSV.
    Csv {
        /// Between columns.
        delimiter: u8,
        /// Around values.
        quote: u8,
        /// Before a quote inside a value.
        escape: u8,
        /// What stands for NULL.
        null: String,
        /// Whether the first line names the columns.
        header: bool,
    },
    /// PostgreSQL's binary format.
    Binary,
}

/// A COPY from or to the client. The columns of `TO STDOUT` are the statement's [`Output`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Which way.
    pub way: CopyWay,
    /// How rows are written.
    pub format: CopyFormat,
    /// OIDs of the columns' types, where they are known; for masking by kind.
    pub types: Vec<Option<u32>>,
}

/// The text is no statement that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The parser does not accept it.
    #[error("the statement could not be parsed: {message}")]
    Syntax {
        /// The parser's words. They may repeat a token of the text.
        message: String,
        /// Byte offset in the text, where the parser gave one.
        at: Option<usize>,
    },
    /// It nests deeper, or is longer, than is read.
    #[error("the statement is nested too deeply or too long to be read")]
    TooComplex,
}
