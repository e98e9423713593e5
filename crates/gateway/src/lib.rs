//! Where Vestibule is put together: configuration, listeners, the rules in force, reload and drain.
//!
//! [`Gateway::start`] opens what `vestibule init` made ([`init`]), recovers what the last run left, and listens.
//! Not here: the order of an access decision (`vestibule_session`), the HTTP API (`vestibule_api`), the command line.

mod catalogs;
pub mod config;
pub mod explain;
mod gateway;
mod index;
pub mod init;
mod listen;
pub mod logging;
pub mod metrics;
mod notary;
mod open;
mod reload;
mod revoked;
mod rules;

pub use gateway::{Gateway, NotReady};
pub use open::StartError;
pub use revoked::RevokeError;

use std::sync::Arc;
use vestibule_core::Timestamp;

/// The time, as every room that has a clock reads it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The system's wall clock.
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    })
}
