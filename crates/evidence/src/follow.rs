//! Follows the ledger entry by entry and writes the tables. Remembers the sessions that are open and their operations
//! under way, nothing else.

use crate::body::Body;
use crate::cell::Cell;
use crate::error::EvidenceError;
use crate::pack::PackFile;
use crate::recordings;
use crate::rows::{approval, denial, named, ruled, unruled};
use crate::session::{End, Ruling, Session, Who};
use crate::summary::{RecordingState, Summary, count};
use crate::tables::{ACCESSES, APPROVALS, DENIALS, HOUSE, MASKS, SESSIONS, TableFiles};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use vestibule_core::Timestamp;
use vestibule_ledger::{Envelope, GATEWAY};

/// Writes the tables.
pub(crate) struct Follow<'a> {
    period: Range<Timestamp>,
    recordings: Option<&'a Path>,
    open: BTreeMap<String, Session>,
    sessions: TableFiles,
    accesses: TableFiles,
    approvals: TableFiles,
    denials: TableFiles,
    masks: TableFiles,
    house: TableFiles,
    pub summary: Summary,
}

/// The numbers, how many rows each table has, and the tables' files.
pub(crate) type Followed = (Summary, Vec<(&'static str, u64)>, Vec<PackFile>);

/// An entry under the hand.
pub(crate) struct Item<'a> {
    pub index: u64,
    pub at: Timestamp,
    pub kind: &'a str,
    pub text: &'a str,
    pub body: Body<'a>,
    pub in_period: bool,
}

/// What an operation disclosed, or that nobody knows.
struct Outcome<'a> {
    at: Option<Timestamp>,
    extent: &'static str,
    body: Option<Body<'a>>,
    index: Option<u64>,
}

impl<'a> Follow<'a> {
    pub fn new(dir: &Path, period: Range<Timestamp>, recordings: Option<&'a Path>) -> Result<Self, EvidenceError> {
        Ok(Self {
            period,
            recordings,
            open: BTreeMap::new(),
            sessions: TableFiles::create(dir, &SESSIONS)?,
            accesses: TableFiles::create(dir, &ACCESSES)?,
            approvals: TableFiles::create(dir, &APPROVALS)?,
            denials: TableFiles::create(dir, &DENIALS)?,
            masks: TableFiles::create(dir, &MASKS)?,
            house: TableFiles::create(dir, &HOUSE)?,
            summary: Summary::default(),
        })
    }

    /// Takes account of the next entry.
    pub fn entry(&mut self, index: u64, envelope: &Envelope<'_>) -> Result<(), EvidenceError> {
        let value: Value = serde_json::from_str(envelope.body).unwrap_or_default();
        let in_period = self.period.contains(&envelope.at);
        if in_period {
            self.summary.counts.entries = self.summary.counts.entries.saturating_add(1);
            count(&mut self.summary.counts.kinds, envelope.kind, 1);
            let first = self.summary.range.map_or(index, |(first, _)| first);
            self.summary.range = Some((first, index));
        }
        let body = Body::new(&value);
        let item = Item { index, at: envelope.at, kind: envelope.kind, text: envelope.body, body, in_period };
        if envelope.sid == GATEWAY { self.gateway(&item) } else { self.session(envelope.sid, &item) }
    }

    fn gateway(&mut self, item: &Item<'_>) -> Result<(), EvidenceError> {
        if !item.in_period {
            return Ok(());
        }
        if let Some(event) = item.kind.strip_prefix("approval.") {
            count(&mut self.summary.counts.approvals, event, 1);
            return self.approvals.row(&approval(event, item));
        }
        if item.kind == "session.refused" {
            return self.turned_away(item);
        }
        let by = [item.body.at("by"), item.body.at("identity")].map(Body::text);
        let by = by.iter().find(|by| !by.is_empty()).map(String::as_str).unwrap_or_default();
        self.house.row(&[
            Cell::Time(item.at),
            Cell::text(item.kind),
            Cell::text(by),
            Cell::text(item.body.at("sid").text()),
            Cell::text(item.text),
            Cell::Number(item.index),
        ])
    }

    fn turned_away(&mut self, item: &Item<'_>) -> Result<(), EvidenceError> {
        let (body, who) = (item.body, Who::of(item.body.at("identity")));
        self.summary.counts.turned_away = self.summary.counts.turned_away.saturating_add(1);
        count(&mut self.summary.refusals, &body.at("rule").text(), 1);
        self.denials.row(&[
            Cell::Time(item.at),
            Cell::text("session"),
            Cell::Empty,
            Cell::Empty,
            Cell::text(who.id),
            Cell::text(who.name),
            Cell::text(body.at("target").text()),
            Cell::text(body.at("source").text()),
            Cell::Empty,
            Cell::Empty,
            Cell::text(body.at("rule").text()),
            Cell::Empty,
            Cell::Number(item.index),
        ])
    }

    fn session(&mut self, sid: &str, item: &Item<'_>) -> Result<(), EvidenceError> {
        // Out of the map while it is worked on; back in unless it is over.
        let mut session = self.open.remove(sid).unwrap_or_else(|| Session::new(sid, item.index));
        session.entries = session.entries.saturating_add(1);
        session.last = item.index;
        session.touched |= item.in_period;
        match item.kind {
            "session.open" => session.open(item.at, item.body),
            "op.ruling" => self.ruling(&mut session, item)?,
            "op.done" => self.done(&mut session, item)?,
            "record.chunk" => {
                let (seq, bytes) = (item.body.at("seq").number(), item.body.at("bytes").number());
                let (sha256, previous) = (item.body.at("sha256").text(), item.body.at("prev").text());
                session.trail.note(seq.unwrap_or(u64::MAX), &sha256, bytes.unwrap_or(u64::MAX), &previous);
            }
            "session.closed" => return self.end(session, "closed", Some(item)),
            "session.abandoned" => return self.end(session, "abandoned", Some(item)),
            _ => {}
        }
        self.open.insert(sid.to_owned(), session);
        Ok(())
    }

    fn ruling(&mut self, session: &mut Session, item: &Item<'_>) -> Result<(), EvidenceError> {
        let body = item.body;
        let permitted = body.at("decision").text() == "permit";
        session.operations = session.operations.saturating_add(1);
        session.denied = session.denied.saturating_add(u64::from(!permitted));
        let ruling = Ruling {
            at: item.at,
            in_period: item.in_period,
            permitted,
            effect: body.at("effect").text(),
            cells: ruled(session, item),
            policies: Cell::list(&body.at("policies").list()),
            index: item.index,
        };
        if item.in_period && !permitted {
            count(&mut self.summary.refusals, &body.at("refusal").text(), 1);
            self.denials.row(&denial(session, item))?;
        }
        // Being let in discloses nothing and has no end of its own.
        if permitted && ruling.effect != "open" {
            let op = body.at("op").number().unwrap_or(u64::MAX);
            if let Some(other) = session.running.insert(op, ruling) {
                self.access(session, op, &other, &Outcome { at: None, extent: "unknown", body: None, index: None })?;
            }
            return Ok(());
        }
        let op = body.at("op").number().unwrap_or(u64::MAX);
        self.access(session, op, &ruling, &Outcome { at: None, extent: "none", body: None, index: None })
    }

    fn done(&mut self, session: &mut Session, item: &Item<'_>) -> Result<(), EvidenceError> {
        let body = item.body;
        let op = body.at("op").number().unwrap_or(u64::MAX);
        let sum = |counts: &BTreeMap<String, u64>| counts.values().fold(0, |sum: u64, n| sum.saturating_add(*n));
        session.rows = session.rows.saturating_add(body.at("rows").number().unwrap_or_default());
        session.masked = session.masked.saturating_add(sum(&body.at("masked").counts()));
        session.revealed = session.revealed.saturating_add(sum(&body.at("revealed").counts()));
        let ruling = session.running.remove(&op).unwrap_or_else(|| Ruling {
            at: item.at,
            in_period: item.in_period,
            permitted: true,
            effect: "unknown".to_owned(),
            cells: unruled(session, op, item.at),
            policies: Cell::Empty,
            index: item.index,
        });
        let ruling = Ruling { in_period: ruling.in_period || item.in_period, ..ruling };
        let outcome = Outcome { at: Some(item.at), extent: "known", body: Some(body), index: Some(item.index) };
        self.access(session, op, &ruling, &outcome)
    }

    /// The row of an operation, and its rows of masks.
    fn access(
        &mut self,
        session: &Session,
        op: u64,
        ruling: &Ruling,
        outcome: &Outcome<'_>,
    ) -> Result<(), EvidenceError> {
        if !ruling.in_period {
            return Ok(());
        }
        let nothing = Value::Null;
        let body = outcome.body.unwrap_or(Body::new(&nothing));
        let (masked, revealed) = (body.at("masked").counts(), body.at("revealed").counts());
        let mut cells = ruling.cells.clone();
        cells.extend([
            Cell::time(outcome.at),
            Cell::text(outcome.extent),
            Cell::number(body.at("rows").number()),
            Cell::number(body.at("withheld").number()),
            Cell::number(body.at("bytes").number()),
            Cell::counts(&masked),
            Cell::counts(&revealed),
            Cell::text(body.at("error").text()),
            Cell::text(body.at("tag").text()),
            Cell::number(body.at("us").number()),
            Cell::Number(ruling.index),
            Cell::number(outcome.index),
        ]);
        self.accesses.row(&cells)?;
        self.sum_up(session, ruling, outcome, body);
        let mut classes: Vec<&String> = masked.keys().chain(revealed.keys()).collect();
        classes.sort();
        classes.dedup();
        for class in classes {
            let of = |counts: &BTreeMap<String, u64>| Cell::Number(counts.get(class).copied().unwrap_or_default());
            self.masks.row(&[
                Cell::Time(outcome.at.unwrap_or(ruling.at)),
                Cell::text(&session.sid),
                Cell::Number(op),
                Cell::text(&session.who.id),
                Cell::text(&session.who.name),
                Cell::text(&session.target),
                Cell::text(class),
                of(&masked),
                of(&revealed),
                ruling.policies.clone(),
                Cell::Number(outcome.index.unwrap_or(ruling.index)),
            ])?;
        }
        Ok(())
    }

    fn sum_up(&mut self, session: &Session, ruling: &Ruling, outcome: &Outcome<'_>, body: Body<'_>) {
        let permitted = ruling.permitted;
        let (masked, revealed) = (body.at("masked").counts(), body.at("revealed").counts());
        let rows = body.at("rows").number().unwrap_or_default();
        let counts = &mut self.summary.counts;
        count(&mut counts.effects, &ruling.effect, 1);
        counts.permitted = counts.permitted.saturating_add(u64::from(permitted));
        counts.denied = counts.denied.saturating_add(u64::from(!permitted));
        counts.extent_unknown = counts.extent_unknown.saturating_add(u64::from(outcome.extent == "unknown"));
        counts.rows = counts.rows.saturating_add(rows);
        masked.iter().for_each(|(class, n)| count(&mut counts.masked, class, *n));
        revealed.iter().for_each(|(class, n)| count(&mut counts.revealed, class, *n));
        let sum = |counts: &BTreeMap<String, u64>| counts.values().fold(0, |sum: u64, n| sum.saturating_add(*n));
        self.summary.share(&session.target, &named(session), |share| {
            share.permitted = share.permitted.saturating_add(u64::from(permitted));
            share.denied = share.denied.saturating_add(u64::from(!permitted));
            share.rows = share.rows.saturating_add(rows);
            share.masked = share.masked.saturating_add(sum(&masked));
            share.revealed = share.revealed.saturating_add(sum(&revealed));
        });
    }

    /// The end of a session, or of the ledger while it is open.
    fn end(&mut self, mut session: Session, how: &'static str, item: Option<&Item<'_>>) -> Result<(), EvidenceError> {
        let extent = if item.is_some() { "unknown" } else { "under way" };
        for (op, ruling) in std::mem::take(&mut session.running) {
            let ruling = Ruling { in_period: ruling.in_period || item.is_some_and(|i| i.in_period), ..ruling };
            self.access(&session, op, &ruling, &Outcome { at: None, extent, body: None, index: None })?;
        }
        if !session.touched {
            return Ok(());
        }
        let end = End {
            at: item.map(|item| item.at),
            how,
            reason: item.map(|item| item.body.at("reason").text()).unwrap_or_default(),
            recording: item.map(|item| item.body.at("recording").text()).unwrap_or_default(),
        };
        let state = if session.recorded {
            recordings::check(self.recordings, &session.sid, &session.trail, &end.recording, item.is_some())
        } else {
            RecordingState::Off
        };
        let counts = &mut self.summary.counts;
        counts.sessions = counts.sessions.saturating_add(1);
        let found = counts.recordings.entry(state).or_default();
        *found = found.saturating_add(1);
        self.summary
            .share(&session.target, &named(&session), |share| share.sessions = share.sessions.saturating_add(1));
        self.sessions.row(&session.cells(&end, state.name()))
    }

    /// Ends what is open, and closes the tables.
    pub fn finish(mut self) -> Result<Followed, EvidenceError> {
        for (_, session) in std::mem::take(&mut self.open) {
            self.end(session, "open", None)?;
        }
        let tables = [self.sessions, self.accesses, self.approvals, self.denials, self.masks, self.house];
        let (mut rows, mut files) = (Vec::new(), Vec::new());
        for (files_of, table) in tables.into_iter().zip(crate::tables::ALL) {
            rows.push((table.id, files_of.rows));
            files.extend(files_of.finish()?);
        }
        Ok((self.summary, rows, files))
    }
}
