//! Completeness: numbers without gaps in every session, an end to every session, epochs without gaps.
//!
//! Held in memory: the sessions that are open, and the operations that are under way in them.

use super::report::{FindingKind, Findings, Report, Sessions};
use crate::kinds::{ABANDONED, Ending, OPEN, OpenOperations, SHUTDOWN, STARTED, ends_session};
use crate::{Envelope, GATEWAY, Hash, NO_PREVIOUS, scan};
use std::collections::HashMap;
use vestibule_core::Timestamp;

/// Where a chain stands.
#[derive(Debug)]
struct Link {
    seq: u64,
    last: Hash,
    epoch: u64,
    /// Index of its first entry seen.
    since: u64,
    operations: OpenOperations,
}

impl Link {
    fn new(epoch: u64, since: u64) -> Self {
        Self { seq: 0, last: NO_PREVIOUS, epoch, since, operations: OpenOperations::default() }
    }

    /// Takes an entry as the next one, saying what does not fit.
    fn step(&mut self, envelope: &Envelope<'_>, leaf: Hash, index: u64, findings: &mut Findings) {
        let sid = envelope.sid;
        if envelope.seq > self.seq {
            let gap = if envelope.seq - self.seq == 1 {
                format!("entry {} of chain {sid} is missing", self.seq)
            } else {
                format!("entries {} to {} of chain {sid} are missing", self.seq, envelope.seq - 1)
            };
            findings.add(FindingKind::Chain, Some(index), gap);
        } else if envelope.seq < self.seq {
            let what = format!("number {} of chain {sid} comes where {} was to come", envelope.seq, self.seq);
            findings.add(FindingKind::Chain, Some(index), what);
        } else if envelope.prev != self.last {
            let what = format!("number {} of chain {sid} names another entry as the one before it", envelope.seq);
            findings.add(FindingKind::Chain, Some(index), what);
        }
        self.seq = envelope.seq.saturating_add(1);
        self.last = leaf;
    }
}

/// Follows all chains of a log.
#[derive(Debug)]
pub(super) struct Chains {
    origin: String,
    epoch: u64,
    /// The epoch ended in order.
    shut: bool,
    crashes: u64,
    gateway: Link,
    open: HashMap<Box<str>, Link>,
    sessions: Sessions,
    extent_unknown: u64,
    period: Option<(Timestamp, Timestamp)>,
    entries: u64,
}

impl Chains {
    pub fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            epoch: 0,
            shut: true,
            crashes: 0,
            gateway: Link::new(1, 0),
            open: HashMap::new(),
            sessions: Sessions::default(),
            extent_unknown: 0,
            period: None,
            entries: 0,
        }
    }

    /// Counts an entry below the checkpoint.
    pub fn count(&mut self) {
        self.entries = self.entries.saturating_add(1);
    }

    /// Takes the next entry of the log.
    pub fn follow(&mut self, index: u64, entry: &[u8], leaf: Hash, findings: &mut Findings) {
        let envelope = match scan(entry) {
            Ok(envelope) => envelope,
            Err(error) => return findings.add(FindingKind::Envelope, Some(index), error.to_string()),
        };
        if envelope.gateway != self.origin {
            let what = format!("it names the gateway `{}`", envelope.gateway);
            findings.add(FindingKind::Envelope, Some(index), what);
        }
        let (first, last) = self.period.unwrap_or((envelope.at, envelope.at));
        self.period = Some((first.min(envelope.at), last.max(envelope.at)));
        self.follow_epoch(&envelope, index, findings);
        if envelope.sid == GATEWAY {
            self.gateway.step(&envelope, leaf, index, findings);
            self.shut |= envelope.kind == SHUTDOWN;
            if envelope.kind == STARTED {
                self.all_ended(index, findings);
            }
        } else {
            self.follow_session(&envelope, leaf, index, findings);
        }
    }

    fn follow_epoch(&mut self, envelope: &Envelope<'_>, index: u64, findings: &mut Findings) {
        let mut wrong = |what: String| findings.add(FindingKind::Epoch, Some(index), what);
        if envelope.epoch < self.epoch {
            return wrong(format!("epoch {} comes after epoch {}", envelope.epoch, self.epoch));
        }
        if envelope.epoch == self.epoch {
            // Sessions may still be ending when the gateway says that it does.
            if self.shut && envelope.sid == GATEWAY {
                wrong(format!("it follows the shutdown that ended epoch {}", self.epoch));
            }
            return;
        }
        if envelope.epoch - self.epoch > 1 {
            wrong(format!("epoch {} follows epoch {}: those between are missing", envelope.epoch, self.epoch));
        }
        self.crashes = self.crashes.saturating_add(u64::from(!self.shut));
        self.epoch = envelope.epoch;
        self.shut = false;
    }

    /// A gateway that is up has ended the sessions it found open.
    fn all_ended(&mut self, index: u64, findings: &mut Findings) {
        let epoch = self.epoch;
        let mut left: Vec<_> = self.open.extract_if(|_, link| link.epoch != epoch).collect();
        left.sort_by_key(|(_, link)| link.since);
        for (sid, link) in left {
            let what = format!("session {sid}, open since entry {}, has no end", link.since);
            findings.add(FindingKind::Session, Some(index), what);
        }
    }

    fn follow_session(&mut self, envelope: &Envelope<'_>, leaf: Hash, index: u64, findings: &mut Findings) {
        let (sid, kind) = (envelope.sid, envelope.kind);
        let wrong = |findings: &mut Findings, what: String| findings.add(FindingKind::Session, Some(index), what);
        let known = self.open.contains_key(sid);
        if !known {
            self.sessions.opened = self.sessions.opened.saturating_add(1);
            if kind != OPEN {
                wrong(findings, format!("session {sid} begins with {kind}, not with {OPEN}"));
            }
            self.open.insert(sid.into(), Link::new(envelope.epoch, index));
        } else if kind == OPEN {
            wrong(findings, format!("session {sid} is opened twice"));
        }
        let Some(link) = self.open.get_mut(sid) else { return };
        link.step(envelope, leaf, index, findings);
        link.operations.follow(envelope);
        if envelope.epoch != link.epoch && kind != ABANDONED {
            wrong(findings, format!("session {sid} of epoch {} goes on in epoch {}", link.epoch, envelope.epoch));
        }
        if ends_session(kind) {
            self.end(envelope, index, findings);
        }
    }

    fn end(&mut self, envelope: &Envelope<'_>, index: u64, findings: &mut Findings) {
        let sid = envelope.sid;
        match serde_json::from_str::<Ending>(envelope.body) {
            Ok(ending) if ending.n == envelope.seq.saturating_add(1) => {}
            Ok(ending) => {
                let have = envelope.seq.saturating_add(1);
                let what = format!("session {sid} ends with {have} entries but says it has {}", ending.n);
                findings.add(FindingKind::Session, Some(index), what);
            }
            Err(_) => {
                let what = format!("the end of session {sid} does not say how many entries it has");
                findings.add(FindingKind::Session, Some(index), what);
            }
        }
        let left = self.open.remove(sid).map_or(0, |link| link.operations.len());
        if envelope.kind == ABANDONED {
            self.sessions.abandoned = self.sessions.abandoned.saturating_add(1);
            self.extent_unknown = self.extent_unknown.saturating_add(left as u64);
        } else {
            self.sessions.closed = self.sessions.closed.saturating_add(1);
        }
    }

    pub fn fill(self, report: &mut Report) {
        report.entries = self.entries;
        report.sessions = Sessions { open: self.open.len() as u64, ..self.sessions };
        report.extent_unknown = self.extent_unknown;
        report.epochs = self.epoch;
        report.crashes = self.crashes;
        report.period = self.period;
    }
}
