//! What a crawl found: the content of this protocol's snapshots.

use aws_lc_rs::digest;
use vestibule_core::Snapshot;
use vestibule_sql::Catalog;

/// The structure of a target's database, and what its names mean to the gateway's account.
#[derive(Debug)]
pub(crate) struct Structure {
    /// Relations, functions, operators.
    pub catalog: Catalog,
    /// The schemas in which the account's sessions look for names, in order, as they are in force when a session brings
    /// no `search_path` of its own: those that exist and that the account may use, `$user` replaced, without what
    /// PostgreSQL adds in front.
    pub search_path: Vec<String>,
    /// The gateway's account.
    pub user: String,
    /// The database's own name.
    pub database: String,
    /// `server_version_num`.
    pub server_version: u32,
}

impl Structure {
    /// The content of a snapshot of this protocol.
    pub(crate) fn of(snapshot: &Snapshot) -> Option<&Self> {
        snapshot.content.downcast_ref()
    }

    /// SHA-256 of everything above, in hex.
    pub(super) fn digest(&self) -> String {
        let mut hash = digest::Context::new(&digest::SHA256);
        let mut part = |text: &str| {
            hash.update(&(text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        part(self.catalog.digest());
        part(&self.user);
        part(&self.database);
        part(&self.server_version.to_string());
        self.search_path.iter().for_each(|schema| part(schema));
        hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
