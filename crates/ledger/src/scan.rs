//! Reads the envelope of an entry, and picks entries of a period out of a ledger.
//!
//! What a body says is the reader's business; that it is canonical JSON is checked here.

use crate::canonical::{NotCanonical, Strict};
use crate::error::LedgerError;
use crate::reader::{Entries, Reader};
use crate::{Hash, parse_hex};
use std::ops::Range;
use thiserror::Error;
use vestibule_core::Timestamp;

/// Why bytes are not an entry of this ledger.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScanError {
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    Encoding,
    /// Not the canonical JSON of an envelope.
    #[error("it is not the canonical JSON of an envelope (docs/spec/ledger.md) from byte {0} on")]
    NotCanonical(usize),
}

impl From<NotCanonical> for ScanError {
    fn from(NotCanonical(at): NotCanonical) -> Self {
        Self::NotCanonical(at)
    }
}

/// The envelope of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// When it was written, by the gateway's clock.
    pub at: Timestamp,
    /// What it says, as canonical JSON.
    pub body: &'a str,
    /// The gateway's epoch.
    pub epoch: u64,
    /// The gateway's name.
    pub gateway: &'a str,
    /// What kind of entry it is.
    pub kind: &'a str,
    /// Leaf hash of the chain's entry before it.
    pub prev: Hash,
    /// Its number in the chain, from 0.
    pub seq: u64,
    /// The chain: a session's id, or [`GATEWAY`](crate::GATEWAY).
    pub sid: &'a str,
}

/// Reads an entry. Takes exactly what [`SessionChain::entry`](crate::SessionChain::entry) makes.
///
/// # Errors
/// It is anything else.
pub fn scan(entry: &[u8]) -> Result<Envelope<'_>, ScanError> {
    let text = std::str::from_utf8(entry).map_err(|_| ScanError::Encoding)?;
    let mut reader = Strict::new(text);
    reader.expect("{\"at\":")?;
    let at = Timestamp(reader.integer()?);
    reader.expect(",\"body\":")?;
    let body = reader.value(1)?;
    reader.expect(",\"epoch\":")?;
    let epoch = reader.unsigned()?;
    reader.expect(",\"gateway\":")?;
    let gateway = reader.plain()?;
    reader.expect(",\"kind\":")?;
    let kind = reader.plain()?;
    reader.expect(",\"prev\":")?;
    let from = reader.at();
    let prev = parse_hex(reader.plain()?).ok_or(ScanError::NotCanonical(from))?;
    reader.expect(",\"seq\":")?;
    let seq = reader.unsigned()?;
    reader.expect(",\"sid\":")?;
    let sid = reader.plain()?;
    reader.expect("}")?;
    reader.end()?;
    Ok(Envelope { at, body, epoch, gateway, kind, prev, seq, sid })
}

/// An entry that was picked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picked {
    /// Its place in the log.
    pub index: u64,
    /// Its bytes: [`scan`] reads them.
    pub entry: Vec<u8>,
}

impl Reader {
    /// The entries written within `period` for which `keep` is true, in the order of the log, one at a time.
    ///
    /// The whole log is read: a clock that was set back must not hide an entry.
    pub fn select<F>(&self, period: Range<Timestamp>, keep: F) -> Selection<F>
    where
        F: FnMut(u64, &Envelope<'_>) -> bool,
    {
        Selection { entries: self.entries(0), period, keep }
    }
}

/// Iterates over picked entries. Made by [`Reader::select`].
#[derive(Debug)]
pub struct Selection<F> {
    entries: Entries,
    period: Range<Timestamp>,
    keep: F,
}

impl<F: FnMut(u64, &Envelope<'_>) -> bool> Iterator for Selection<F> {
    /// An entry that cannot be read as one is an error, not left out.
    type Item = Result<Picked, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (index, entry) = match self.entries.next()? {
                Ok(found) => found,
                Err(error) => return Some(Err(error)),
            };
            match scan(&entry) {
                Ok(envelope) if self.period.contains(&envelope.at) && (self.keep)(index, &envelope) => {
                    return Some(Ok(Picked { index, entry }));
                }
                Ok(_) => {}
                Err(error) => return Some(Err(self.entries.damaged(format!("entry {index}: {error}")))),
            }
        }
    }
}
