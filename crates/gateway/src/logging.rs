//! The operator's log: JSON lines or text on standard error.
//!
//! What goes in is words of ours and numbers: no statement text, no value of a result, no token, no secret. Secrets
//! are of type [`Secret`](vestibule_core::Secret), which does not print itself. What other libraries log below
//! `warn` is left out, since it may hold bytes of conversations.
//!
//! Not here: what was done by whom. That is the ledger's, and cannot be turned off.

use crate::config::LogConfig;
use std::io;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Starts the log of this process, on standard error.
///
/// # Errors
/// In words, if a log was started before.
pub fn start(config: LogConfig) -> Result<(), String> {
    tracing::subscriber::set_global_default(subscriber(config, io::stderr)).map_err(|e| e.to_string())
}

/// A log that writes to `to`.
pub fn subscriber<W>(config: LogConfig, to: W) -> Box<dyn tracing::Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter(config.level)).with_writer(to);
    if config.json {
        Box::new(builder.json().flatten_event(true).with_current_span(false).finish())
    } else {
        Box::new(builder.with_ansi(false).finish())
    }
}

/// Ours at the configured level, everybody else's from `warn`.
fn filter(level: &str) -> EnvFilter {
    let rooms = [
        "vestibule",
        "vestibule_api",
        "vestibule_approval",
        "vestibule_evidence",
        "vestibule_gateway",
        "vestibule_identity",
        "vestibule_ledger",
        "vestibule_record",
        "vestibule_session",
        "vestibule_store",
        "vestibule_upstream",
    ];
    let others = if level == "error" { "error" } else { "warn" };
    let ours = rooms.iter().map(|room| format!(",{room}={level}"));
    EnvFilter::new(ours.fold(others.to_owned(), |all, one| all + &one))
}

#[cfg(test)]
mod tests {
    use super::subscriber;
    use crate::config::LogConfig;
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use vestibule_core::Secret;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool, level: &'static str) -> String {
        let sink = Sink::default();
        let to = sink.clone();
        tracing::subscriber::with_default(subscriber(LogConfig { json, level }, move || to.clone()), || {
            tracing::info!(target: "vestibule_gateway", sid = "s1", secret = ?Secret::new("hunter2"), "session opened");
            tracing::debug!(target: "vestibule_gateway", "a detail");
            tracing::info!(target: "rustls", bytes = "hunter2", "somebody else's");
        });
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn writes_json_without_secrets_and_without_others_chatter() {
        let log = logged(true, "info");
        let line: serde_json::Value = serde_json::from_str(log.trim()).expect("one JSON line");
        assert_eq!(line["message"], "session opened");
        assert_eq!(line["sid"], "s1");
        assert!(!log.contains("hunter2"));
    }

    #[test]
    fn writes_text_and_details_if_asked() {
        let log = logged(false, "debug");
        assert_eq!(log.lines().count(), 2);
        assert!(log.contains("session opened") && log.contains("a detail"));
        assert!(logged(false, "error").is_empty());
    }
}
