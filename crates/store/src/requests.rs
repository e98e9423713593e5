//! Requests for approval and the rulings on them.
//!
//! A request is `draft` until the ledger knows of it, then `pending`, then settled once and for ever. The rules
//! of who may rule are in the approval crate; what is kept here as a last line is that rulings on a request
//! that is not pending change nothing, one approver rules once, one no denies, and a request is approved
//! only by as many approvers as its quorum says.

use crate::{MAX_ROWS, Store, StoreError, count_in, count_out, json_in};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::collections::BTreeMap;
use std::fmt;
use vestibule_core::Timestamp;

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    /// Numbered, but not yet on the ledger: cannot be ruled on.
    Draft,
    /// Waiting for a ruling.
    Pending,
    /// As many as needed said yes.
    Approved,
    /// Somebody said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// The requester cancelled or went away, or the gateway restarted.
    Withdrawn,
}

impl RequestState {
    /// The name in the database and in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Whether nothing can change it any more.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Draft | Self::Pending)
    }

    /// From its name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Draft, Self::Pending, Self::Approved, Self::Denied, Self::Expired, Self::Withdrawn]
            .into_iter()
            .find(|s| s.name() == name)
    }
}

impl fmt::Display for RequestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a request ends without a ruling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nobody answered in time.
    Expired,
    /// The requester cancelled or went away, or the gateway restarted.
    Withdrawn,
}

impl From<Ending> for RequestState {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Expired => Self::Expired,
            Ending::Withdrawn => Self::Withdrawn,
        }
    }
}

/// A request to be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewRequest {
    /// The session that asks.
    pub sid: String,
    /// The operation's number in the session.
    pub op: u64,
    /// `issuer|subject` of who asks.
    pub requester_id: String,
    /// What people call who asks.
    pub requester_name: String,
    /// On whose behalf, as `issuer|subject`.
    pub acting_for: Vec<String>,
    /// The target's name.
    pub target: String,
    /// The operation's effect, by name.
    pub effect: String,
    /// The protocol's word for it.
    pub action: String,
    /// The statement, without PHI literals and safe to show.
    pub statement: String,
    /// SHA-256 of exactly what is approved, in hex.
    pub digest: String,
    /// Names of the PHI classes it touches.
    pub classes: Vec<String>,
    /// Groups whose members may rule.
    pub approver_groups: Vec<String>,
    /// How many distinct people must say yes; at least 1.
    pub quorum: u32,
    /// Why it is held, in the policy's words.
    pub reason: String,
    /// When it was asked.
    pub created: Timestamp,
    /// When the answer becomes no.
    pub expires: Timestamp,
}

/// A ruling, as kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredRuling {
    /// `issuer|subject`.
    pub approver_id: String,
    /// What people call the approver.
    pub approver_name: String,
    /// Yes or no.
    pub yes: bool,
    /// The approver's words.
    pub reason: String,
    /// When it was given.
    pub at: Timestamp,
}

/// A request, as kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    /// Shown to people as `R-number`.
    pub number: u64,
    /// What was asked.
    #[serde(flatten)]
    pub asked: NewRequest,
    /// Where it stands.
    pub state: RequestState,
    /// When it was settled.
    pub settled_at: Option<Timestamp>,
    /// Why it was withdrawn.
    pub settled_why: Option<String>,
    /// The rulings so far, oldest first.
    pub rulings: Vec<StoredRuling>,
}

/// Which requests to list; the default is the newest 100.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFilter {
    /// Only in this state.
    pub state: Option<RequestState>,
    /// Equal to the requester's id or name.
    pub requester: Option<String>,
    /// Equal to the target's name.
    pub target: Option<String>,
    /// Of this session.
    pub sid: Option<String>,
    /// Asked at or after this time.
    pub from: Option<Timestamp>,
    /// Asked before this time.
    pub to: Option<Timestamp>,
    /// Only with a smaller number: the page after the one that ended with it.
    pub below: Option<u64>,
    /// Most rows; never more than [`MAX_ROWS`].
    pub limit: u32,
}

impl Default for RequestFilter {
    fn default() -> Self {
        Self { state: None, requester: None, target: None, sid: None, from: None, to: None, below: None, limit: 100 }
    }
}

/// What became of a ruling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It counts; the request now stands so.
    Counted(RequestState),
    /// This approver has ruled on this request before; nothing changed.
    AlreadyVoted,
    /// The request is not pending; nothing changed. `None`: there is no such request.
    NotPending(Option<RequestState>),
}

impl Store {
    /// Keeps a new request as `draft` and numbers it.
    ///
    /// # Errors
    /// What SQLite says; a quorum of 0 is refused by the database.
    pub async fn add_request(&self, r: &NewRequest) -> Result<u64, StoreError> {
        let row = sqlx::query(
            "INSERT INTO requests (sid, op, requester_id, requester_name, acting_for, target, effect, action, statement,
                digest, classes, approver_groups, quorum, reason, created, expires, state)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 'draft') RETURNING number",
        )
        .bind(&r.sid)
        .bind(count_in(r.op))
        .bind(&r.requester_id)
        .bind(&r.requester_name)
        .bind(json_in(&r.acting_for)?)
        .bind(&r.target)
        .bind(&r.effect)
        .bind(&r.action)
        .bind(&r.statement)
        .bind(&r.digest)
        .bind(json_in(&r.classes)?)
        .bind(json_in(&r.approver_groups)?)
        .bind(i64::from(r.quorum))
        .bind(&r.reason)
        .bind(r.created.0)
        .bind(r.expires.0)
        .fetch_one(&self.writer)
        .await?;
        Ok(count_out(row.try_get(0)?))
    }

    /// The ledger knows of it: `draft` becomes `pending`. False if it was not a draft.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn publish_request(&self, number: u64) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE requests SET state = 'pending' WHERE number = $1 AND state = 'draft'")
            .bind(count_in(number))
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Settles a request without a ruling: expired or withdrawn. False if it was settled before or is unknown.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn settle_request(&self, number: u64, to: Ending, why: &str, now: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE requests SET state = $2, settled_at = $3, settled_why = $4 WHERE number = $1 AND settled_at IS NULL",
        )
        .bind(count_in(number))
        .bind(RequestState::from(to).name())
        .bind(now.0)
        .bind(why)
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Keeps a ruling on a pending request and settles the request if that decides it: one no, or as many
    /// yeses of different approvers as its quorum says. All or nothing.
    ///
    /// # Errors
    /// What SQLite says; then nothing changed.
    pub async fn record_ruling(&self, number: u64, r: &StoredRuling) -> Result<Recorded, StoreError> {
        let mut tx = self.begin().await?;
        let recorded = record(&mut tx, count_in(number), r).await?;
        if matches!(recorded, Recorded::Counted(_)) {
            tx.commit().await?;
        }
        Ok(recorded)
    }

    /// One request with its rulings.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn request(&self, number: u64) -> Result<Option<Request>, StoreError> {
        let row = sqlx::query("SELECT * FROM requests WHERE number = $1")
            .bind(count_in(number))
            .fetch_optional(&self.readers)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let mut request = request_row(&row)?;
        request.rulings = self.rulings(number, number).await?.remove(&number).unwrap_or_default();
        Ok(Some(request))
    }

    /// Requests with their rulings, newest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn requests(&self, f: &RequestFilter) -> Result<Vec<Request>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM requests
             WHERE (CAST($1 AS TEXT) IS NULL OR state = $1)
               AND (CAST($2 AS TEXT) IS NULL OR requester_id = $2 OR requester_name = $2)
               AND (CAST($3 AS TEXT) IS NULL OR target = $3)
               AND (CAST($4 AS TEXT) IS NULL OR sid = $4)
               AND (CAST($5 AS BIGINT) IS NULL OR created >= $5)
               AND (CAST($6 AS BIGINT) IS NULL OR created < $6)
               AND (CAST($7 AS BIGINT) IS NULL OR number < $7)
             ORDER BY number DESC LIMIT $8",
        )
        .bind(f.state.map(RequestState::name))
        .bind(f.requester.as_deref())
        .bind(f.target.as_deref())
        .bind(f.sid.as_deref())
        .bind(f.from.map(|t| t.0))
        .bind(f.to.map(|t| t.0))
        .bind(f.below.map(count_in))
        .bind(i64::from(f.limit.min(MAX_ROWS)))
        .fetch_all(&self.readers)
        .await?;
        let mut requests = rows.iter().map(request_row).collect::<Result<Vec<_>, _>>()?;
        let (Some(newest), Some(oldest)) = (requests.first(), requests.last()) else { return Ok(requests) };
        let mut rulings = self.rulings(oldest.number, newest.number).await?;
        for request in &mut requests {
            request.rulings = rulings.remove(&request.number).unwrap_or_default();
        }
        Ok(requests)
    }

    /// Numbers of the requests that are not settled, oldest first: at boot, what the last run left behind.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn unsettled_requests(&self) -> Result<Vec<u64>, StoreError> {
        self.numbers("SELECT number FROM requests WHERE settled_at IS NULL ORDER BY number", None).await
    }

    /// Numbers of the unsettled requests that had to be answered by `now`, oldest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn overdue_requests(&self, now: Timestamp) -> Result<Vec<u64>, StoreError> {
        let sql = "SELECT number FROM requests WHERE settled_at IS NULL AND expires <= $1 ORDER BY number";
        self.numbers(sql, Some(now)).await
    }

    /// How many requests of this identity wait for an answer.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn unsettled_of(&self, requester_id: &str) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT count(*) FROM requests WHERE requester_id = $1 AND settled_at IS NULL")
            .bind(requester_id)
            .fetch_one(&self.readers)
            .await?;
        Ok(count_out(row.try_get(0)?))
    }

    async fn numbers(&self, sql: &'static str, now: Option<Timestamp>) -> Result<Vec<u64>, StoreError> {
        let query = sqlx::query(sql);
        let query = match now {
            Some(now) => query.bind(now.0),
            None => query,
        };
        let rows = query.fetch_all(&self.readers).await?;
        rows.iter().map(|r| Ok(count_out(r.try_get(0)?))).collect()
    }

    /// The rulings on the requests from `first` to `last`, oldest ruling first.
    async fn rulings(&self, first: u64, last: u64) -> Result<BTreeMap<u64, Vec<StoredRuling>>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM rulings WHERE request BETWEEN $1 AND $2 ORDER BY request, ruled_at, approver_id",
        )
        .bind(count_in(first))
        .bind(count_in(last))
        .fetch_all(&self.readers)
        .await?;
        let mut found = BTreeMap::<u64, Vec<StoredRuling>>::new();
        for row in &rows {
            found.entry(count_out(row.try_get("request")?)).or_default().push(ruling_row(row)?);
        }
        Ok(found)
    }
}

async fn record(db: &mut SqliteConnection, number: i64, r: &StoredRuling) -> Result<Recorded, StoreError> {
    let Some(row) = sqlx::query("SELECT state, quorum FROM requests WHERE number = $1")
        .bind(number)
        .fetch_optional(&mut *db)
        .await?
    else {
        return Ok(Recorded::NotPending(None));
    };
    let state = state_of(&row)?;
    if state != RequestState::Pending {
        return Ok(Recorded::NotPending(Some(state)));
    }
    let added = sqlx::query(
        "INSERT INTO rulings (request, approver_id, approver_name, yes, reason, ruled_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (request, approver_id) DO NOTHING",
    )
    .bind(number)
    .bind(&r.approver_id)
    .bind(&r.approver_name)
    .bind(i64::from(r.yes))
    .bind(&r.reason)
    .bind(r.at.0)
    .execute(&mut *db)
    .await?;
    if added.rows_affected() == 0 {
        return Ok(Recorded::AlreadyVoted);
    }
    let counts = sqlx::query("SELECT count(*), coalesce(sum(yes), 0) FROM rulings WHERE request = $1")
        .bind(number)
        .fetch_one(&mut *db)
        .await?;
    let (all, yes): (i64, i64) = (counts.try_get(0)?, counts.try_get(1)?);
    let to = match yes {
        yes if yes < all => RequestState::Denied,
        yes if yes >= row.try_get::<i64, _>("quorum")? => RequestState::Approved,
        _ => return Ok(Recorded::Counted(RequestState::Pending)),
    };
    sqlx::query("UPDATE requests SET state = $2, settled_at = $3 WHERE number = $1 AND state = 'pending'")
        .bind(number)
        .bind(to.name())
        .bind(r.at.0)
        .execute(db)
        .await?;
    Ok(Recorded::Counted(to))
}

fn state_of(row: &SqliteRow) -> Result<RequestState, StoreError> {
    let name: &str = row.try_get("state")?;
    RequestState::parse(name).ok_or(StoreError::Corrupt("requests.state"))
}

fn request_row(row: &SqliteRow) -> Result<Request, StoreError> {
    let list = |column: &'static str| -> Result<Vec<String>, StoreError> {
        serde_json::from_str(row.try_get(column)?).map_err(|_| StoreError::Corrupt("a list of requests"))
    };
    Ok(Request {
        number: count_out(row.try_get("number")?),
        asked: NewRequest {
            sid: row.try_get("sid")?,
            op: count_out(row.try_get("op")?),
            requester_id: row.try_get("requester_id")?,
            requester_name: row.try_get("requester_name")?,
            acting_for: list("acting_for")?,
            target: row.try_get("target")?,
            effect: row.try_get("effect")?,
            action: row.try_get("action")?,
            statement: row.try_get("statement")?,
            digest: row.try_get("digest")?,
            classes: list("classes")?,
            approver_groups: list("approver_groups")?,
            quorum: u32::try_from(row.try_get::<i64, _>("quorum")?)
                .map_err(|_| StoreError::Corrupt("requests.quorum"))?,
            reason: row.try_get("reason")?,
            created: Timestamp(row.try_get("created")?),
            expires: Timestamp(row.try_get("expires")?),
        },
        state: state_of(row)?,
        settled_at: row.try_get::<Option<i64>, _>("settled_at")?.map(Timestamp),
        settled_why: row.try_get("settled_why")?,
        rulings: Vec::new(),
    })
}

fn ruling_row(row: &SqliteRow) -> Result<StoredRuling, StoreError> {
    Ok(StoredRuling {
        approver_id: row.try_get("approver_id")?,
        approver_name: row.try_get("approver_name")?,
        yes: row.try_get::<i64, _>("yes")? == 1,
        reason: row.try_get("reason")?,
        at: Timestamp(row.try_get("ruled_at")?),
    })
}
