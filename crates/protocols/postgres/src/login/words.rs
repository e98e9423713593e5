//! What is told to the operators when a login fails. Nothing of it reaches a client.

use crate::handshake::Fields;
use vestibule_core::{Refusal, RefusalKind};

/// A refusal for the operators.
pub(super) fn refuse(what: impl Into<String>, remedy: &str) -> Refusal {
    Refusal::new(RefusalKind::Target, what, remedy)
}

pub(super) fn unexpected(what: &str) -> Refusal {
    refuse(format!("the target does not speak PostgreSQL as it should: {what}"), "check the target's address")
}

pub(super) fn unbound() -> Refusal {
    refuse(
        "the target does not bind the login to the TLS connection, which `channel_binding` asks for",
        "let the gateway's account log in by scram-sha-256 over TLS, or set `channel_binding = \"prefer\"`",
    )
}

pub(super) const fn foreign(kind: u32) -> &'static str {
    match kind {
        2 => "Kerberos",
        7 | 8 => "GSSAPI",
        9 => "SSPI",
        _ => "operating-system credentials",
    }
}

/// The server's no, for the operators: its code and its words, cut to one line.
pub(super) fn denied(body: &[u8]) -> Refusal {
    let mut fields = Fields(body);
    let (mut code, mut words) = (String::new(), String::new());
    while let Some(field) = fields.byte().filter(|field| *field != 0) {
        let Some(value) = fields.string() else { break };
        match field {
            b'C' => code = shown(&String::from_utf8_lossy(value)),
            b'M' => words = shown(&String::from_utf8_lossy(value)),
            _ => {}
        }
    }
    refuse(
        format!("the target refused the login: {words} (SQLSTATE {code})"),
        "check the account, its credential and the target's pg_hba.conf",
    )
}

/// Another's words, made fit for a line of a log.
pub(super) fn shown(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}
