//! What is awaited of the target, in the order in which it was asked for.

use super::refuse::No;
use super::registry::Change;
use vestibule_core::OpId;

/// One message sent to the target whose answer has not come.
#[derive(Debug)]
pub(super) struct Awaited {
    pub what: What,
    /// The operation it belongs to; of a Query with several statements, the one under way.
    pub op: Option<OpId>,
    /// A change of the registry that its success confirms.
    pub change: Option<Change>,
    /// The operation is over with this answer, although it ran nothing.
    pub last: bool,
}

/// Which message.
#[derive(Debug)]
pub(super) enum What {
    /// Query, whose last statement is this operation.
    Query {
        last: Option<OpId>,
    },
    Parse,
    /// Bind. `suspended`: the operation of the portal that it replaces, if any.
    Bind {
        suspended: Option<OpId>,
    },
    /// Describe of a statement.
    DescribeStatement,
    /// Describe of a portal; `ours`: the client did not ask and does not see the answer.
    DescribePortal {
        ours: bool,
    },
    /// Execute of this portal.
    Execute {
        portal: Box<[u8]>,
    },
    /// Close. `suspended`: the operation it ends, if any.
    Close {
        suspended: Option<OpId>,
    },
    Sync {
        /// Sent while data were copied in, when the server may ignore it.
        copying: bool,
    },
    /// A message that must fail, in the place of one that was refused.
    Refused {
        no: Box<No>,
        simple: bool,
    },
    /// Our question for the settings that reading needs: how many of its answers came, and the path among them.
    Scope {
        answers: u8,
        path: Option<String>,
        sync: bool,
    },
}

impl Awaited {
    pub const fn new(what: What, op: Option<OpId>) -> Self {
        Self { what, op, change: None, last: false }
    }
}
