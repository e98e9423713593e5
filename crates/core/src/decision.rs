//! What was decided, and what an interpreter is told of it.

use crate::{ClassSet, Mask, Refusal};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What a policy set says of a request. Default is [`Decision::Deny`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may run, under these obligations.
    Permit(Obligations),
    /// It may run under these obligations once somebody else has said yes.
    Hold(Hold),
    /// It may not run.
    Deny(Denial),
}

/// What must be done while a permitted operation runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Obligations {
    /// Identifiers of the policies that determined the decision, sorted.
    pub policies: Vec<String>,
    /// SHA-256 of the policy set that decided, in hex.
    pub policy_version: Arc<str>,
    /// Classes shown in clear; every other class is masked.
    pub reveal: ClassSet,
    /// Name of the mask profile in the data map; `None`: the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Most rows (records, messages) the client may receive for this operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_limit: Option<u64>,
    /// Words for the user, shown as a notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// An operation that waits for a human.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// What holds once it is approved.
    pub obligations: Obligations,
    /// Groups whose members may approve.
    pub approvers: Vec<String>,
    /// How many distinct people must approve.
    pub quorum: u32,
    /// After this many seconds without a ruling, the answer is no.
    pub expires_after: u32,
    /// Why it is held, in the policy's words.
    pub reason: String,
}

/// A no, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// The policies that forbade it; empty: none permitted it.
    pub policies: Vec<String>,
    /// SHA-256 of the policy set that decided, in hex.
    pub policy_version: Arc<str>,
    /// The rule's own words, shown to the user.
    pub message: String,
    /// What the user can do next.
    pub remedy: String,
}

/// What an interpreter must obey for one operation.
#[derive(Clone)]
pub struct Terms {
    /// Plans the mask of each result shape.
    pub mask: Arc<dyn Mask>,
    /// Most rows the client may receive; the rest is withheld and the client told so.
    pub row_limit: Option<u64>,
    /// Shown to the client as a notice before the first row, if the protocol can.
    pub notice: Option<Arc<str>>,
    /// Whether error, notice and notification texts must be scrubbed: the operation touches masked PHI.
    pub scrub: bool,
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms").field("row_limit", &self.row_limit).field("scrub", &self.scrub).finish_non_exhaustive()
    }
}

/// The driver's answer to [`Step::Ask`](crate::Step::Ask).
#[derive(Debug, Clone)]
pub enum Ruling {
    /// Go ahead, under these terms.
    Permit(Terms),
    /// Answer the client with the protocol's own error; send nothing upstream.
    Refuse(Refusal),
    /// Still waiting for a human: show this line to the client if the protocol can. Another ruling follows.
    Waiting(String),
}
