//! The list of protocols: one line each. Not here: anything about any of them.

use vestibule_core::Protocol;
use vestibule_postgres::Postgres;

/// Every protocol this build speaks.
#[must_use]
pub fn all() -> &'static [&'static dyn Protocol] {
    &[&Postgres]
}
