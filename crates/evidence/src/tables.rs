//! The tables of a pack: what each is, and what each column means. The page, the README and the files are all made
//! from this.

use crate::cell::Cell;
use crate::error::EvidenceError;
use crate::pack::HashedFile;
use std::path::Path;

/// A column.
pub(crate) struct Column {
    pub name: &'static str,
    pub means: &'static str,
}

/// A table.
pub(crate) struct Table {
    pub id: &'static str,
    pub title: &'static str,
    pub about: &'static str,
    pub columns: &'static [Column],
}

const fn column(name: &'static str, means: &'static str) -> Column {
    Column { name, means }
}

const AT: Column = column("at", "when, in UTC by the gateway's clock");
const SESSION: Column = column("session", "the session's id");
const OPERATION: Column = column("operation", "number of the operation in its session; 0 is being let in");
const IDENTITY: Column = column("identity", "who, as issuer|subject: unique, decides");
const NAME: Column = column("name", "who, as people call them: for display only");
const TARGET: Column = column("target", "the system that was reached");
const ENTRY: Column = column("entry", "index of the ledger entry this row is taken from");
const POLICIES: Column = column("policies", "the policies that decided");
const STATEMENT: Column =
    column("statement", "the text as sent, literals of PHI masked, cut at 16 KiB; whole in the recording");

/// Sessions.
pub(crate) static SESSIONS: Table = Table {
    id: "sessions",
    title: "Sessions",
    about: "Every session that has an entry in the period, whenever it began. One row a session.",
    columns: &[
        SESSION,
        column("opened", "when it was let in"),
        column("closed", "when it ended; empty: still open at the checkpoint"),
        column("end", "closed, abandoned (the gateway died under it) or open"),
        column("reason", "why it ended"),
        IDENTITY,
        NAME,
        column("kind", "person, service or agent"),
        column("groups", "groups at the time of the login"),
        column("acting_for", "on whose behalf, nearest first"),
        column("methods", "how the identity provider says it was proven (amr)"),
        column("token", "identifier of the token (not the token)"),
        TARGET,
        column("protocol", "the protocol spoken"),
        column("source", "network address the client came from"),
        column("client", "the client's own words about itself; not proven"),
        column("tls", "how the client's connection was encrypted; empty: not"),
        column("policy_version", "SHA-256 of the policies in force at the opening"),
        column("operations", "operations ruled on, being let in included"),
        column("denied", "of these, refused"),
        column("rows", "rows that reached the client"),
        column("masked", "values masked, all classes"),
        column("revealed", "values of PHI shown in clear because policy reveals them"),
        column("recorded", "whether the session was recorded"),
        column("recording", "what was found of the recording: see the list of states"),
        column("recording_chunks", "chunks of the recording noted on the ledger"),
        column("recording_sha256", "digest that covers the whole recording, from the session's last entry"),
        column("entries", "entries of the session up to the checkpoint"),
        column("first_entry", "index of its first ledger entry"),
        column("last_entry", "index of its last ledger entry up to the checkpoint"),
    ],
};

/// Accesses.
pub(crate) static ACCESSES: Table = Table {
    id: "accesses",
    title: "Accesses",
    about: "Every operation ruled on or finished in the period: what was asked, what was decided and by which \
            policies, and what the client received. In the order in which they ended.",
    columns: &[
        AT,
        SESSION,
        OPERATION,
        IDENTITY,
        NAME,
        TARGET,
        column("effect", "the worst it can do: open, read, write, define, execute, administer"),
        column("action", "the protocol's own word for it"),
        STATEMENT,
        column("resources", "what it touches, and how: name (access) columns"),
        column("classes", "classes of PHI it touches"),
        column("traits", "facts about it that policies can name"),
        column("reading", "how well it was understood: exact, partial or opaque"),
        column("decision", "permit or deny"),
        column("refusal", "why it was refused"),
        POLICIES,
        column("policy_version", "SHA-256 of the policies that decided"),
        column("reveal", "classes that policy shows in clear for this operation"),
        column("row_limit", "most rows policy lets through"),
        column("request", "number of the approval it ran under"),
        column("approvers", "who approved"),
        column("finished", "when it was over"),
        column("extent", "known; unknown (the gateway died under it); under way; none (refused, or discloses nothing)"),
        column("rows", "rows that reached the client"),
        column("withheld", "rows withheld by the limit"),
        column("bytes", "bytes that reached the client"),
        column("masked", "values masked, by class"),
        column("revealed", "values of PHI shown in clear, by class"),
        column("error", "the target's error code, if it failed there"),
        column("tag", "the protocol's word for what was done"),
        column("microseconds", "how long it took"),
        column("ruling_entry", "index of the ledger entry with the ruling"),
        column("done_entry", "index of the ledger entry with what was disclosed"),
    ],
};

/// Approvals.
pub(crate) static APPROVALS: Table = Table {
    id: "approvals",
    title: "Approvals",
    about: "Everything that happened to requests for approval in the period. One row an event.",
    columns: &[
        AT,
        column("request", "the request's number"),
        column("event", "requested, granted, denied, expired, withdrawn"),
        SESSION,
        OPERATION,
        column("requester", "who asked, as issuer|subject"),
        column("requester_name", "who asked, as people call them"),
        column("approver", "who ruled, as issuer|subject"),
        column("approver_name", "who ruled, as people call them"),
        column("reason", "the words: of the policy when requested, of the approver when ruled on"),
        TARGET,
        column("effect", "the operation's effect"),
        STATEMENT,
        column("digest", "SHA-256 of exactly what was approved"),
        column("yes", "how many have said yes by then"),
        column("quorum", "how many must"),
        column("state", "how the request stands afterwards"),
        ENTRY,
    ],
};

/// Denials.
pub(crate) static DENIALS: Table = Table {
    id: "denials",
    title: "Denials",
    about: "Every connection turned away and every operation refused in the period.",
    columns: &[
        AT,
        column("what", "session (not let in) or operation (refused)"),
        SESSION,
        OPERATION,
        IDENTITY,
        NAME,
        TARGET,
        column("source", "network address the client came from"),
        column("effect", "the operation's effect"),
        STATEMENT,
        column("refusal", "why, in the words the client was given"),
        POLICIES,
        ENTRY,
    ],
};

/// Masks.
pub(crate) static MASKS: Table = Table {
    id: "masks",
    title: "Masks",
    about: "For every access and every class of PHI in its answer: how many values were masked, and how many were \
            shown because policy reveals the class.",
    columns: &[
        AT,
        SESSION,
        OPERATION,
        IDENTITY,
        NAME,
        TARGET,
        column("class", "class of PHI"),
        column("masked", "values masked"),
        column("revealed", "values shown in clear"),
        column("policies", "the policies that decided"),
        column("entry", "index of the ledger entry with the counts"),
    ],
};

/// The gateway's own entries.
pub(crate) static HOUSE: Table = Table {
    id: "gateway",
    title: "The gateway itself",
    about: "Every other entry of the period: starts and ends, configurations and policies put in force or refused, \
            tokens issued, recordings read, evidence exported, sessions ended by an operator.",
    columns: &[
        AT,
        column("kind", "kind of entry"),
        column("by", "who did it, where somebody did"),
        SESSION,
        column("body", "what the entry says, as JSON"),
        ENTRY,
    ],
};

/// All of them, in the order of the page.
pub(crate) static ALL: [&Table; 6] = [&SESSIONS, &ACCESSES, &APPROVALS, &DENIALS, &MASKS, &HOUSE];

/// The two files of a table.
pub(crate) struct TableFiles {
    table: &'static Table,
    csv: HashedFile,
    json: HashedFile,
    line: String,
    /// How many rows it has.
    pub rows: u64,
}

impl TableFiles {
    pub fn create(dir: &Path, table: &'static Table) -> Result<Self, EvidenceError> {
        let mut csv = HashedFile::create(dir, &format!("{}.csv", table.id))?;
        let json = HashedFile::create(dir, &format!("{}.jsonl", table.id))?;
        let names: Vec<&str> = table.columns.iter().map(|c| c.name).collect();
        csv.write(format!("{}\r\n", names.join(",")).as_bytes())?;
        Ok(Self { table, csv, json, line: String::new(), rows: 0 })
    }

    /// Writes a row: one cell a column.
    pub fn row(&mut self, cells: &[Cell]) -> Result<(), EvidenceError> {
        if cells.len() != self.table.columns.len() {
            return Err(EvidenceError::Internal("a row has not as many cells as its table has columns"));
        }
        self.line.clear();
        let mut object = serde_json::Map::new();
        for (number, (cell, column)) in cells.iter().zip(self.table.columns).enumerate() {
            if number > 0 {
                self.line.push(',');
            }
            cell.csv(&mut self.line);
            if *cell != Cell::Empty {
                object.insert(column.name.to_owned(), cell.json());
            }
        }
        self.line.push_str("\r\n");
        self.csv.write(self.line.as_bytes())?;
        let mut json = serde_json::Value::Object(object).to_string();
        json.push('\n');
        self.json.write(json.as_bytes())?;
        self.rows = self.rows.saturating_add(1);
        Ok(())
    }

    pub fn finish(self) -> Result<[crate::PackFile; 2], EvidenceError> {
        Ok([self.csv.finish()?, self.json.finish()?])
    }
}
