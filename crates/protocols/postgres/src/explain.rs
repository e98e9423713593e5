//! Reading a statement by itself, as a session would at its start. Nothing is sent anywhere.

use std::sync::Arc;
use vestibule_core::{OpenSession, Operation, Refusal, RefusalKind};
use vestibule_sql::{Catalog, Scope};

/// What a text asks, one operation a statement.
pub(crate) fn read(text: &str, session: &OpenSession) -> Result<Vec<Operation>, Refusal> {
    let catalog: Option<Arc<Catalog>> =
        session.catalog.as_ref().and_then(|snapshot| Arc::clone(&snapshot.content).downcast::<Catalog>().ok());
    // PostgreSQL's own default; a session asks the server for what it has.
    let path = ["public".to_owned()];
    let scope = Scope { catalog: catalog.as_deref(), search_path: &path, standard_strings: true };
    let script = vestibule_sql::read(text, &scope)
        .map_err(|error| Refusal::new(RefusalKind::NotUnderstood, error.to_string(), "correct the statement"))?;
    Ok(script.statements.into_iter().map(|statement| statement.operation).collect())
}
