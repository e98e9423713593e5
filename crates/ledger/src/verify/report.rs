//! What a verification found.

use crate::hex;
use crate::note::Checkpoint;
use std::fmt;
use vestibule_core::Timestamp;

/// Findings listed; the rest is only counted.
const LISTED: usize = 1_000;

/// What is wrong, in kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// The checkpoint is missing, malformed or not signed by the key.
    Checkpoint,
    /// The older checkpoint is not a beginning of this log.
    Older,
    /// An entry bundle is missing or has another form.
    Bundle,
    /// An entry is not the one that was logged.
    Entry,
    /// A tile is missing or is not the one of this log.
    Tile,
    /// The entries do not lead to the root that was signed.
    Root,
    /// An entry is not the canonical JSON of an envelope, or names another gateway.
    Envelope,
    /// An entry does not follow the one before it in its chain: one is missing, or out of place.
    Chain,
    /// A session has no beginning or end, or one that does not fit it.
    Session,
    /// The gateway's epochs have a gap or go back.
    Epoch,
    /// The write-ahead log is damaged or not of this log.
    WriteAhead,
}

impl FindingKind {
    /// A word for it, as reports use it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Older => "older-checkpoint",
            Self::Bundle => "bundle",
            Self::Entry => "entry",
            Self::Tile => "tile",
            Self::Root => "root",
            Self::Envelope => "envelope",
            Self::Chain => "chain",
            Self::Session => "session",
            Self::Epoch => "epoch",
            Self::WriteAhead => "write-ahead",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In kind.
    pub kind: FindingKind,
    /// At which entry, where it is at one.
    pub index: Option<u64>,
    /// In words.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.kind.name())?;
        if let Some(index) = self.index {
            write!(f, "entry {index}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// Gathers findings; a ledger that is wrong everywhere must not fill the memory.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    more: u64,
}

impl Findings {
    pub fn add(&mut self, kind: FindingKind, index: Option<u64>, what: String) {
        if self.list.len() < LISTED {
            self.list.push(Finding { kind, index, what });
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    pub fn into_parts(self) -> (Vec<Finding>, u64) {
        (self.list, self.more)
    }
}

/// Sessions, by how they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sessions {
    /// Begun.
    pub opened: u64,
    /// Ended in order.
    pub closed: u64,
    /// Ended by a death of the gateway.
    pub abandoned: u64,
    /// Not ended yet.
    pub open: u64,
}

/// The outcome of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The log's name: that of the key.
    pub origin: String,
    /// The checkpoint the walk was made against. Its signature is good unless a finding says otherwise.
    pub checkpoint: Option<Checkpoint>,
    /// Entries read below the checkpoint.
    pub entries: u64,
    /// Good entries after the checkpoint, in the write-ahead log: nobody has signed them yet.
    pub unsigned: u64,
    /// The sessions.
    pub sessions: Sessions,
    /// Operations of which it is not known what they disclosed, because the gateway died under them.
    pub extent_unknown: u64,
    /// How often the gateway was started.
    pub epochs: u64,
    /// Of these, how many did not end with a shutdown in order; the one under way is not counted.
    pub crashes: u64,
    /// The earliest and the latest time an entry bears.
    pub period: Option<(Timestamp, Timestamp)>,
    /// Size of the older checkpoint, once it proved to be a beginning of this log.
    pub since: Option<u64>,
    /// What is wrong, at most 1,000 of it.
    pub findings: Vec<Finding>,
    /// How much more is wrong than is listed.
    pub more: u64,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.checkpoint.is_some() && self.findings.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_whole() { "verified" } else { "DOES NOT VERIFY" };
        writeln!(f, "{}: {verdict}", self.origin)?;
        if let Some(checkpoint) = &self.checkpoint {
            writeln!(f, "  checkpoint over {} entries, root {}", checkpoint.size, hex(&checkpoint.root))?;
        }
        if let Some(since) = self.since {
            writeln!(f, "  continues the older checkpoint over {since} entries")?;
        }
        if let Some((first, last)) = self.period {
            writeln!(f, "  entries from {first} to {last}")?;
        }
        if self.unsigned > 0 {
            writeln!(f, "  {} newer entries that no checkpoint covers yet", self.unsigned)?;
        }
        let Sessions { opened, closed, abandoned, open } = self.sessions;
        writeln!(f, "  {opened} sessions: {closed} closed, {abandoned} abandoned, {open} open")?;
        writeln!(f, "  {} starts of the gateway, {} ends without shutdown", self.epochs, self.crashes)?;
        writeln!(f, "  {} operations of unknown extent", self.extent_unknown)?;
        for finding in &self.findings {
            writeln!(f, "  ! {finding}")?;
        }
        if self.more > 0 {
            writeln!(f, "  ! and {} more", self.more)?;
        }
        Ok(())
    }
}
