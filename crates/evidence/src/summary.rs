//! The numbers of a pack. Bounded: names beyond a number are counted together.

use serde::Serialize;
use std::collections::BTreeMap;

/// Most names listed in one breakdown.
const NAMES: usize = 2_000;
/// What stands for the rest.
pub(crate) const OTHERS: &str = "(others)";

/// What was found of a session's recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordingState {
    /// Closed, and every byte is what the ledger noted.
    Whole,
    /// The session is open; what the ledger has noted so far is there.
    Open,
    /// What was noted is there, but the session ended before its recording was closed.
    Incomplete,
    /// The ledger noted a recording, and there is none.
    Missing,
    /// The recording is not what the ledger noted.
    Differs,
    /// It could not be read.
    Unreadable,
    /// No recordings were given to look at.
    NotChecked,
    /// The session was not recorded.
    Off,
}

impl RecordingState {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Whole,
        Self::Open,
        Self::Incomplete,
        Self::Missing,
        Self::Differs,
        Self::Unreadable,
        Self::NotChecked,
        Self::Off,
    ];

    /// The word in the sessions' table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Open => "open",
            Self::Incomplete => "incomplete",
            Self::Missing => "missing",
            Self::Differs => "differs",
            Self::Unreadable => "unreadable",
            Self::NotChecked => "not-checked",
            Self::Off => "off",
        }
    }

    pub(crate) const fn means(self) -> &'static str {
        match self {
            Self::Whole => "closed, and every byte is what the ledger noted",
            Self::Open => "the session was open at the checkpoint; what was noted by then is there",
            Self::Incomplete => {
                "what was noted is there, but the gateway died or failed before the recording was closed"
            }
            Self::Missing => "the ledger noted a recording, and there is none",
            Self::Differs => "the recording is not what the ledger noted: it was changed, cut or replaced",
            Self::Unreadable => "the recording could not be read",
            Self::NotChecked => "no recordings were at hand when the pack was made",
            Self::Off => "the session was not recorded",
        }
    }

    /// Whether somebody has to look into it.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Missing | Self::Differs | Self::Unreadable)
    }
}

/// What happened, in numbers, within the period.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Ledger entries that bear a time of the period.
    pub entries: u64,
    /// Of these, by kind.
    pub kinds: BTreeMap<String, u64>,
    /// Sessions with an entry in the period.
    pub sessions: u64,
    /// Connections turned away.
    pub turned_away: u64,
    /// Operations, by effect.
    pub effects: BTreeMap<String, u64>,
    /// Operations permitted.
    pub permitted: u64,
    /// Operations refused.
    pub denied: u64,
    /// Operations of which it is not known what they disclosed.
    pub extent_unknown: u64,
    /// Rows that reached clients.
    pub rows: u64,
    /// Values masked, by class.
    pub masked: BTreeMap<String, u64>,
    /// Values of PHI shown because policy reveals them, by class.
    pub revealed: BTreeMap<String, u64>,
    /// Approval events.
    pub approvals: BTreeMap<String, u64>,
    /// Recordings of the sessions, by what was found.
    pub recordings: BTreeMap<RecordingState, u64>,
}

/// The numbers of one target or identity.
#[derive(Debug, Clone, Default)]
pub(crate) struct Share {
    pub sessions: u64,
    pub permitted: u64,
    pub denied: u64,
    pub rows: u64,
    pub masked: u64,
    pub revealed: u64,
}

/// All numbers of a pack.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub counts: Counts,
    pub targets: BTreeMap<String, Share>,
    pub identities: BTreeMap<String, Share>,
    pub refusals: BTreeMap<String, u64>,
    /// First and last entry of the period.
    pub range: Option<(u64, u64)>,
    /// Entries that are none.
    pub unreadable: u64,
    /// From which entry on nothing could be read, and why.
    pub stopped: Option<(u64, String)>,
}

/// Adds up, under the name or, once there are too many, under [`OTHERS`].
pub(crate) fn entry<'a, T: Default>(map: &'a mut BTreeMap<String, T>, name: &str) -> &'a mut T {
    let known = map.contains_key(name) || map.len() < NAMES;
    map.entry(if known { name.to_owned() } else { OTHERS.to_owned() }).or_default()
}

/// Adds one.
pub(crate) fn count(map: &mut BTreeMap<String, u64>, name: &str, by: u64) {
    let sum = entry(map, name);
    *sum = sum.saturating_add(by);
}

impl Summary {
    /// Both shares of an access or session.
    pub fn share(&mut self, target: &str, identity: &str, add: impl Fn(&mut Share)) {
        add(entry(&mut self.targets, target));
        add(entry(&mut self.identities, identity));
    }
}
