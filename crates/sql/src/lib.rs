//! SQL statement text to effects, relations and column lineage. Pure: no socket, no clock, no policy.
//!
//! [`read()`] takes what a client wrote and says, statement by statement, the worst it can do, what it touches, where its
//! literals are, which columns each output column comes from, and what it changes of the session. PostgreSQL's own
//! parser reads PostgreSQL. What cannot be told is said to be unknown, and whoever asks must treat it as the worst.
//!
//! Not here: what is permitted, which column holds which class of PHI, how a statement travels.

mod administer;
mod call;
mod catalog;
mod colname;
mod copy;
mod define;
mod dml;
mod document;
mod expr;
mod facts;
mod flow;
mod from;
mod functions;
mod index;
mod literals;
mod names;
mod read;
mod select;
mod settings;
mod statement;
mod utility;
mod view;

pub use catalog::{Column, Function, FunctionKind, Relation, RelationKind, Volatility};
pub use index::Catalog;
pub use read::read;
pub use statement::{Copy, CopyFormat, CopyWay, Lineage, Output, ReadError, Scope, Script, SessionChange, Statement};
