//! From hold to ruling: an operation waits until enough distinct, eligible people have said yes.
//!
//! The order of things, which [`Approvals`] keeps for everybody:
//! 1. a request can be ruled on only once the ledger knows what was asked;
//! 2. a ruling takes effect only once the ledger knows who gave it, on exactly which digest, and why;
//! 3. a request is settled once and for ever: approved by a quorum of distinct people, denied by one no,
//!    expired, or withdrawn with the client that asked or the gateway that held it.
//!
//! What cannot be written to the ledger is not ruled. An answer that cannot be had is a no.
//!
//! Not here: what has to be approved and by which groups (policy), what an approval then permits (the session's
//! guard compares the digest and builds the permit), channels to approvers (they use [`Approvals::subscribe`],
//! [`Approvals::list`] and [`Approvals::rule`]), and proof of who the approver is (identity).

mod approvals;
mod notary;
mod number;
mod rules;
mod settle;
mod shown;

pub use approvals::{Approvals, Clock};
pub use approvals::{
    AskError, Event, Happened, MAX_REASON_CHARS, MAX_STATEMENT_BYTES, MAX_WAITING, NewRequest, Outcome, RuleError,
    Ruled, Ticket,
};
pub use notary::{Notary, NotaryError};
pub use number::{NotANumber, Number};
pub use rules::{Approver, Ineligible};
pub use settle::SettleError;
pub use shown::visible;
/// Requests as kept, their states and the filter of [`Approvals::list`].
pub use vestibule_store::{Request, RequestFilter, RequestState};
