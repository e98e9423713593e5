//! The vocabulary of Vestibule.
//!
//! Everything that two folders must agree on is a type here: who asks ([`Identity`]), what is asked
//! ([`Operation`]), what was decided ([`Decision`], [`Ruling`]), what a result is made of ([`Field`],
//! [`Value`], [`Plan`]), what was disclosed ([`Disclosure`]), and how a protocol is read
//! ([`Interpreter`], [`Protocol`], [`Manifest`]).
//!
//! Not here: sockets, clocks, randomness, policy, the ledger. Time and random bytes are arguments, so
//! that a decision can be replayed years later and come out the same.

mod decision;
mod error;
mod field;
mod identity;
mod interpreter;
mod literal;
mod manifest;
mod operation;
mod phi;
mod problem;
mod protocol;
mod secret;
mod time;

pub use decision::{Decision, Denial, Hold, Obligations, Ruling, Terms};
pub use error::{Fault, FaultKind, Refusal, RefusalKind, WireError};
pub use field::{CannotMask, ColumnRef, Field, Mask, Masked, Origin, Plan, Transform, Treatment, Value, ValueKind};
pub use identity::{Assurance, Identity, IdentityKind};
pub use interpreter::{Disclosure, Interpreter, OpId, Piece, Side, Step, Steps};
pub use literal::{Literal, redact_literals};
pub use manifest::{Capability, Manifest, Setting, Shape};
pub use operation::{Access, Effect, OpTraits, Operation, Reading, Resource, traits};
pub use phi::{ClassSet, PhiClass};
pub use problem::Problem;
pub use protocol::{
    Chosen, Crawl, Credential, Established, Greet, Greeting, Limits, Login, LoginRequest, Nonce, OpenSession, Protocol,
    Snapshot, TargetLogin, Transcript, TranscriptLine, Welcome,
};
pub use secret::Secret;
pub use time::{NotATime, Timestamp};
