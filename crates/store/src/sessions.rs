//! The index of sessions: what `vestibule sessions` lists. The ledger, not this table, is the evidence.

use crate::{MAX_ROWS, Store, StoreError, count_in, count_out, json_in};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::collections::BTreeMap;
use vestibule_core::{IdentityKind, PhiClass, Timestamp};

/// A session that has just been opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// The session's id, as on the ledger.
    pub sid: String,
    /// `issuer|subject`.
    pub identity_id: String,
    /// What people call the identity.
    pub identity_name: String,
    /// Person, service or agent.
    pub identity_kind: IdentityKind,
    /// The target's name in the configuration.
    pub target: String,
    /// The protocol's id.
    pub protocol: String,
    /// Where the client came from, `address:port`.
    pub source: String,
    /// Where the recording is, relative to the recordings folder.
    pub recording: Option<String>,
    /// When it was opened.
    pub opened: Timestamp,
}

/// What has happened in a session so far. Totals, not increments: writing them twice does no harm.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SessionCounts {
    /// Operations asked.
    pub ops: u64,
    /// Rows that reached the client.
    pub rows: u64,
    /// Operations refused.
    pub denied: u64,
    /// Values masked, per class.
    pub masked: BTreeMap<PhiClass, u64>,
    /// Values shown in clear, per class.
    pub revealed: BTreeMap<PhiClass, u64>,
}

/// One session, as listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionRow {
    /// The session's id.
    pub sid: String,
    /// `issuer|subject`.
    pub identity_id: String,
    /// What people call the identity.
    pub identity_name: String,
    /// Person, service or agent.
    pub identity_kind: IdentityKind,
    /// The target's name.
    pub target: String,
    /// The protocol's id.
    pub protocol: String,
    /// Where the client came from.
    pub source: String,
    /// Where the recording is.
    pub recording: Option<String>,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it ended; `None`: it is open.
    pub closed: Option<Timestamp>,
    /// Why it ended.
    pub reason: Option<String>,
    /// What happened in it.
    #[serde(flatten)]
    pub counts: SessionCounts,
}

/// Which sessions to list; the default is the newest 100.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFilter {
    /// Equal to the identity's id or name.
    pub identity: Option<String>,
    /// Equal to the target's name.
    pub target: Option<String>,
    /// Still open at this time, or opened later.
    pub from: Option<Timestamp>,
    /// Opened before this time.
    pub to: Option<Timestamp>,
    /// Only open (`true`) or only ended (`false`) sessions.
    pub open: Option<bool>,
    /// Only sessions listed after this one (`opened`, `sid` of the last row of the page before).
    pub after: Option<(Timestamp, String)>,
    /// Most rows; never more than [`MAX_ROWS`].
    pub limit: u32,
}

impl Default for SessionFilter {
    fn default() -> Self {
        Self { identity: None, target: None, from: None, to: None, open: None, after: None, limit: 100 }
    }
}

/// One change of the index, for [`Store::apply_sessions`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionChange {
    /// It was opened.
    Open(NewSession),
    /// It went on.
    Touch(String, SessionCounts),
    /// It ended.
    Close {
        /// The session's id.
        sid: String,
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
        /// The last totals.
        counts: SessionCounts,
    },
}

impl Store {
    /// Adds a session. False if it is there already.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn open_session(&self, s: &NewSession) -> Result<bool, StoreError> {
        open(&mut *self.writer.acquire().await?, s).await
    }

    /// Updates the totals of an open session. False if it has ended, is unknown, or has later totals already.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn touch_session(&self, sid: &str, counts: &SessionCounts) -> Result<bool, StoreError> {
        touch(&mut *self.writer.acquire().await?, sid, counts).await
    }

    /// Ends an open session with its last totals. False if it had ended before or is unknown.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn close_session(
        &self,
        sid: &str,
        at: Timestamp,
        reason: &str,
        counts: &SessionCounts,
    ) -> Result<bool, StoreError> {
        close(&mut *self.writer.acquire().await?, sid, at, reason, counts).await
    }

    /// Applies many changes in order, in one transaction: one flush of the disk for all of them.
    ///
    /// # Errors
    /// What SQLite says; then none of them was applied.
    pub async fn apply_sessions(&self, changes: &[SessionChange]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for change in changes {
            match change {
                SessionChange::Open(s) => open(&mut tx, s).await?,
                SessionChange::Touch(sid, counts) => touch(&mut tx, sid, counts).await?,
                SessionChange::Close { sid, at, reason, counts } => close(&mut tx, sid, *at, reason, counts).await?,
            };
        }
        tx.commit().await?;
        Ok(())
    }

    /// At boot: ends every session the last run left open. Returns their ids.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn abandon_open_sessions(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query(
            "UPDATE sessions SET closed = $1, reason = 'abandoned: the gateway stopped' WHERE closed IS NULL RETURNING sid",
        )
        .bind(now.0)
        .fetch_all(&self.writer)
        .await?;
        let mut sids = rows.iter().map(|r| r.try_get(0)).collect::<Result<Vec<String>, _>>()?;
        sids.sort_unstable();
        Ok(sids)
    }

    /// One session.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn session(&self, sid: &str) -> Result<Option<SessionRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM sessions WHERE sid = $1").bind(sid).fetch_optional(&self.readers).await?;
        row.as_ref().map(session_row).transpose()
    }

    /// Sessions, newest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn sessions(&self, f: &SessionFilter) -> Result<Vec<SessionRow>, StoreError> {
        let (after_at, after_sid) = f.after.as_ref().map(|(at, sid)| (at.0, sid.as_str())).unzip();
        let rows = sqlx::query(
            "SELECT * FROM sessions
             WHERE (CAST($1 AS TEXT) IS NULL OR identity_id = $1 OR identity_name = $1)
               AND (CAST($2 AS TEXT) IS NULL OR target = $2)
               AND (CAST($3 AS BIGINT) IS NULL OR closed IS NULL OR closed >= $3)
               AND (CAST($4 AS BIGINT) IS NULL OR opened < $4)
               AND (CAST($5 AS BIGINT) IS NULL OR (closed IS NULL AND $5 = 1) OR (closed IS NOT NULL AND $5 = 0))
               AND (CAST($6 AS BIGINT) IS NULL OR opened < $6 OR (opened = $6 AND sid < $7))
             ORDER BY opened DESC, sid DESC LIMIT $8",
        )
        .bind(f.identity.as_deref())
        .bind(f.target.as_deref())
        .bind(f.from.map(|t| t.0))
        .bind(f.to.map(|t| t.0))
        .bind(f.open.map(i64::from))
        .bind(after_at)
        .bind(after_sid)
        .bind(i64::from(f.limit.min(MAX_ROWS)))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(session_row).collect()
    }
}

async fn open(db: &mut SqliteConnection, s: &NewSession) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "INSERT INTO sessions (sid, identity_id, identity_name, identity_kind, target, protocol, source, recording, opened)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (sid) DO NOTHING",
    )
    .bind(&s.sid)
    .bind(&s.identity_id)
    .bind(&s.identity_name)
    .bind(kind_name(s.identity_kind))
    .bind(&s.target)
    .bind(&s.protocol)
    .bind(&s.source)
    .bind(s.recording.as_deref())
    .bind(s.opened.0)
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn touch(db: &mut SqliteConnection, sid: &str, c: &SessionCounts) -> Result<bool, StoreError> {
    // Totals only grow, so that an update that was overtaken cannot set them back.
    let done = sqlx::query(
        "UPDATE sessions SET ops = $2, row_count = $3, denied = $4, masked = $5, revealed = $6
         WHERE sid = $1 AND closed IS NULL AND ops <= $2 AND row_count <= $3",
    )
    .bind(sid)
    .bind(count_in(c.ops))
    .bind(count_in(c.rows))
    .bind(count_in(c.denied))
    .bind(json_in(&c.masked)?)
    .bind(json_in(&c.revealed)?)
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn close(
    db: &mut SqliteConnection,
    sid: &str,
    at: Timestamp,
    reason: &str,
    c: &SessionCounts,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE sessions SET closed = $2, reason = $3, ops = $4, row_count = $5, denied = $6, masked = $7, revealed = $8
         WHERE sid = $1 AND closed IS NULL",
    )
    .bind(sid)
    .bind(at.0)
    .bind(reason)
    .bind(count_in(c.ops))
    .bind(count_in(c.rows))
    .bind(count_in(c.denied))
    .bind(json_in(&c.masked)?)
    .bind(json_in(&c.revealed)?)
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

const fn kind_name(kind: IdentityKind) -> &'static str {
    match kind {
        IdentityKind::Person => "person",
        IdentityKind::Service => "service",
        IdentityKind::Agent => "agent",
    }
}

fn session_row(row: &SqliteRow) -> Result<SessionRow, StoreError> {
    let kind: String = row.try_get("identity_kind")?;
    let identity_kind = [IdentityKind::Person, IdentityKind::Service, IdentityKind::Agent]
        .into_iter()
        .find(|k| kind_name(*k) == kind)
        .ok_or(StoreError::Corrupt("sessions.identity_kind"))?;
    Ok(SessionRow {
        sid: row.try_get("sid")?,
        identity_id: row.try_get("identity_id")?,
        identity_name: row.try_get("identity_name")?,
        identity_kind,
        target: row.try_get("target")?,
        protocol: row.try_get("protocol")?,
        source: row.try_get("source")?,
        recording: row.try_get("recording")?,
        opened: Timestamp(row.try_get("opened")?),
        closed: row.try_get::<Option<i64>, _>("closed")?.map(Timestamp),
        reason: row.try_get("reason")?,
        counts: SessionCounts {
            ops: count_out(row.try_get("ops")?),
            rows: count_out(row.try_get("row_count")?),
            denied: count_out(row.try_get("denied")?),
            masked: classes(row.try_get("masked")?, "sessions.masked")?,
            revealed: classes(row.try_get("revealed")?, "sessions.revealed")?,
        },
    })
}

fn classes(text: &str, column: &'static str) -> Result<BTreeMap<PhiClass, u64>, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Corrupt(column))
}
