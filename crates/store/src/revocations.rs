//! What may no longer be used. A revocation is kept until the thing it names would have ended anyway.

use crate::{Store, StoreError};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use vestibule_core::Timestamp;

/// What a revocation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevocationKind {
    /// A token, by its id.
    Token,
    /// An identity, as `issuer|subject`.
    Identity,
    /// A session, by its id.
    Session,
}

impl RevocationKind {
    /// The name in the database and in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Identity => "identity",
            Self::Session => "session",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Token, Self::Identity, Self::Session].into_iter().find(|k| k.name() == name)
    }
}

/// One thing that may no longer be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// What `subject` is.
    pub kind: RevocationKind,
    /// The token's, identity's or session's id.
    pub subject: String,
    /// When it was revoked.
    pub at: Timestamp,
    /// Who revoked it, as `issuer|subject`.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it can be forgotten, because what it names has expired; `None`: never.
    pub until: Option<Timestamp>,
}

impl Store {
    /// Revokes. Revoking again keeps the first revocation, but forgets it no sooner than the later of the two
    /// says. True if it was not revoked before.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn revoke(&self, r: &Revocation) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let new = sqlx::query(
            "INSERT INTO revocations (kind, subject, revoked_at, revoked_by, reason, until)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (kind, subject) DO NOTHING",
        )
        .bind(r.kind.name())
        .bind(&r.subject)
        .bind(r.at.0)
        .bind(&r.by)
        .bind(&r.reason)
        .bind(r.until.map(|t| t.0))
        .execute(&mut *tx)
        .await?
        .rows_affected()
            == 1;
        sqlx::query(
            "UPDATE revocations SET until = $3
             WHERE kind = $1 AND subject = $2 AND until IS NOT NULL AND (CAST($3 AS BIGINT) IS NULL OR until < $3)",
        )
        .bind(r.kind.name())
        .bind(&r.subject)
        .bind(r.until.map(|t| t.0))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(new)
    }

    /// Takes a revocation back. False if there was none.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn restore(&self, kind: RevocationKind, subject: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM revocations WHERE kind = $1 AND subject = $2")
            .bind(kind.name())
            .bind(subject)
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether it was revoked.
    ///
    /// # Errors
    /// What SQLite says; take an error for a yes.
    pub async fn is_revoked(&self, kind: RevocationKind, subject: &str) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM revocations WHERE kind = $1 AND subject = $2")
            .bind(kind.name())
            .bind(subject)
            .fetch_optional(&self.readers)
            .await?;
        Ok(row.is_some())
    }

    /// Every revocation in force: the gateway loads them at boot.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn revocations(&self) -> Result<Vec<Revocation>, StoreError> {
        let rows = sqlx::query(
            "SELECT kind, subject, revoked_at, revoked_by, reason, until FROM revocations ORDER BY revoked_at, kind, subject",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(revocation).collect()
    }

    /// Forgets what would have expired by `now` anyway. Returns how many.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn forget_revocations(&self, now: Timestamp) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM revocations WHERE until IS NOT NULL AND until <= $1")
            .bind(now.0)
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected())
    }
}

fn revocation(row: &SqliteRow) -> Result<Revocation, StoreError> {
    let kind: String = row.try_get("kind")?;
    Ok(Revocation {
        kind: RevocationKind::parse(&kind).ok_or(StoreError::Corrupt("revocations.kind"))?,
        subject: row.try_get("subject")?,
        at: Timestamp(row.try_get("revoked_at")?),
        by: row.try_get("revoked_by")?,
        reason: row.try_get("reason")?,
        until: row.try_get::<Option<i64>, _>("until")?.map(Timestamp),
    })
}
