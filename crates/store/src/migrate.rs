//! Numbered migrations, each in one transaction. A migration that was released is never edited.

use crate::StoreError;
use sqlx::{Row, SqlitePool};
use std::path::Path;

/// Every migration, in order; its number is its place, from 1.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_first.sql")];

/// `application_id` of the file's header, so that another program's database is never taken for ours.
const APPLICATION: i64 = 0x5653_5442;

/// `new`: the database may be empty. Otherwise an empty one has lost what it held, and is not taken for a new one.
pub(crate) async fn run(pool: &SqlitePool, path: &Path, new: bool) -> Result<(), StoreError> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let application: i64 = sqlx::query("PRAGMA application_id").fetch_one(&mut *tx).await?.try_get(0)?;
    let tables: i64 = sqlx::query("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *tx).await?.try_get(0)?;
    if application != APPLICATION && (application != 0 || tables != 0) {
        return Err(StoreError::Foreign(path.to_owned()));
    }
    if tables == 0 && !new {
        return Err(StoreError::Empty(path.to_owned()));
    }
    if tables == 0 {
        sqlx::raw_sql("PRAGMA application_id = 1448301634; CREATE TABLE schema_version (number INTEGER NOT NULL) STRICT; INSERT INTO schema_version VALUES (0);")
            .execute(&mut *tx)
            .await?;
    }
    let found: i64 = sqlx::query("SELECT number FROM schema_version").fetch_one(&mut *tx).await?.try_get(0)?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    let done = usize::try_from(found).map_err(|_| StoreError::Corrupt("schema_version"))?;
    for migration in MIGRATIONS.iter().copied().skip(done) {
        sqlx::raw_sql(migration).execute(&mut *tx).await?;
    }
    if found < known {
        sqlx::query("UPDATE schema_version SET number = $1").bind(known).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}
