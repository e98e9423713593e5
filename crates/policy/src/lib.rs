//! Request to decision, with Cedar: what the policies in force say of an operation.
//!
//! A [`PolicySet`] is loaded from a directory of `*.cedar` files, strictly: an unknown word, a dangling name or a rule
//! that a protocol cannot enforce is a [`Problem`](vestibule_core::Problem) and nothing of the directory is put in force.
//! [`PolicySet::decide`] is total and synchronous and knows no clock: the same request always comes out the same.
//! What annotations oblige to and how several policies combine is `docs/spec/policy.md`.
//!
//! Not here: statements and protocols (an [`Operation`](vestibule_core::Operation) comes in), who approves what is held
//! (approval), which column is which class (phi), where files are watched (gateway).

mod complaint;
mod duties;
mod expect;
mod explain;
mod facts;
mod fit;
mod load;
mod schema;
mod scope;
mod set;
mod source;
mod uses;
mod vocabulary;
mod weigh;
mod words;

pub use expect::{Ask, Asked, Checked, Expectations};
pub use explain::{Considered, Explanation, Verdict, Waits};
pub use facts::{Known, KnownTarget, Request, TargetFacts};
pub use schema::SCHEMA;
pub use scope::Miss;
pub use set::PolicySet;
pub use source::Source;
