//! What is remembered of a session between its first entry and its last.

use crate::body::Body;
use crate::cell::Cell;
use crate::recordings::Trail;
use std::collections::BTreeMap;
use vestibule_core::Timestamp;

/// Who, as a session's first entry names them.
#[derive(Debug, Default)]
pub(crate) struct Who {
    pub id: String,
    pub name: String,
    pub kind: String,
    pub groups: Vec<String>,
    pub acting_for: Vec<String>,
    pub methods: Vec<String>,
    pub token: String,
}

impl Who {
    pub fn of(body: Body<'_>) -> Self {
        Self {
            id: body.at("id").text(),
            name: body.at("name").text(),
            kind: body.at("kind").text(),
            groups: body.at("groups").list(),
            acting_for: body.at("acting_for").list(),
            methods: body.at("assurance").at("amr").list(),
            token: body.at("token_id").text(),
        }
    }
}

/// An operation that was ruled on, and about which more may follow.
pub(crate) struct Ruling {
    pub at: Timestamp,
    pub in_period: bool,
    pub permitted: bool,
    pub effect: String,
    /// The cells of its access up to the approvers.
    pub cells: Vec<Cell>,
    pub policies: Cell,
    pub index: u64,
}

/// A session.
#[derive(Default)]
pub(crate) struct Session {
    pub sid: String,
    pub opened: Option<Timestamp>,
    pub who: Who,
    pub target: String,
    pub protocol: String,
    pub source: String,
    pub client: String,
    pub tls: String,
    pub policy_version: String,
    pub recorded: bool,
    pub operations: u64,
    pub denied: u64,
    pub rows: u64,
    pub masked: u64,
    pub revealed: u64,
    pub running: BTreeMap<u64, Ruling>,
    pub trail: Trail,
    pub entries: u64,
    pub first: u64,
    pub last: u64,
    /// Whether an entry of it is of the period.
    pub touched: bool,
}

/// How a session ended.
pub(crate) struct End {
    pub at: Option<Timestamp>,
    pub how: &'static str,
    pub reason: String,
    pub recording: String,
}

impl Session {
    pub fn new(sid: &str, index: u64) -> Self {
        Self { sid: sid.to_owned(), first: index, ..Self::default() }
    }

    pub fn open(&mut self, at: Timestamp, body: Body<'_>) {
        self.opened = Some(at);
        self.who = Who::of(body.at("identity"));
        self.target = body.at("target").text();
        self.protocol = body.at("protocol").text();
        self.source = body.at("source").text();
        self.client = body.at("client").text();
        self.tls = body.at("tls").text();
        self.policy_version = body.at("policy_version").text();
        self.recorded = body.at("recorded").truth();
    }

    /// The row of the sessions' table.
    pub fn cells(&self, end: &End, recording: &'static str) -> Vec<Cell> {
        let who = &self.who;
        vec![
            Cell::text(&self.sid),
            Cell::time(self.opened),
            Cell::time(end.at),
            Cell::text(end.how),
            Cell::text(&end.reason),
            Cell::text(&who.id),
            Cell::text(&who.name),
            Cell::text(&who.kind),
            Cell::list(&who.groups),
            Cell::list(&who.acting_for),
            Cell::list(&who.methods),
            Cell::text(&who.token),
            Cell::text(&self.target),
            Cell::text(&self.protocol),
            Cell::text(&self.source),
            Cell::text(&self.client),
            Cell::text(&self.tls),
            Cell::text(&self.policy_version),
            Cell::Number(self.operations),
            Cell::Number(self.denied),
            Cell::Number(self.rows),
            Cell::Number(self.masked),
            Cell::Number(self.revealed),
            Cell::Flag(self.recorded),
            Cell::text(recording),
            Cell::Number(self.trail.count()),
            Cell::text(&end.recording),
            Cell::Number(self.entries),
            Cell::Number(self.first),
            Cell::Number(self.last),
        ]
    }
}
