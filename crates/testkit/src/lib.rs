//! What every interpreter of a stream protocol must satisfy, written once.
//!
//! A [`Referee`] drives an interpreter as the real driver does and checks each step against the rules that the driver
//! relies on: no byte towards the target without a permit, spans that lie within what was consumed, each operation closed
//! once. [`Talk`] is a recorded or hand-built conversation; [`properties`] runs it in every way that must make no
//! difference, and in ways that must not break anything. Not here: anything that knows a protocol.

mod masks;
pub mod properties;
mod referee;
mod talk;

pub use masks::{Blackout, pass_terms, terms};
pub use referee::{Asked, Closed, Judge, Referee};
pub use talk::{Line, Talk};
