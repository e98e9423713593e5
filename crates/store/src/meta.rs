//! Single named values: what the gateway remembers about itself.

use crate::{Store, StoreError};
use sqlx::Row;

impl Store {
    /// The value kept under `name`.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn meta(&self, name: &str) -> Result<Option<String>, StoreError> {
        let row =
            sqlx::query("SELECT value FROM meta WHERE name = $1").bind(name).fetch_optional(&self.readers).await?;
        Ok(row.map(|r| r.try_get(0)).transpose()?)
    }

    /// Sets `name` to `new` if it still is `expected` (`None`: not there yet). False: somebody else was first.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn set_meta(&self, name: &str, expected: Option<&str>, new: &str) -> Result<bool, StoreError> {
        let done = match expected {
            None => {
                sqlx::query("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
                    .bind(name)
                    .bind(new)
                    .execute(&self.writer)
                    .await?
            }
            Some(old) => {
                sqlx::query("UPDATE meta SET value = $3 WHERE name = $1 AND value = $2")
                    .bind(name)
                    .bind(old)
                    .bind(new)
                    .execute(&self.writer)
                    .await?
            }
        };
        Ok(done.rows_affected() == 1)
    }
}
