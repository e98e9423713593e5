//! What ends a login: the welcome, or the refusal as PostgreSQL's own error.

use crate::handshake::{self, V3_2, auth};
use vestibule_core::{Refusal, RefusalKind, Welcome};

/// The SQLSTATE of a refusal at login.
pub(super) fn code(kind: RefusalKind) -> &'static str {
    match kind {
        // invalid_password: libpq then knows that another token may help.
        RefusalKind::Identity => "28P01",
        // invalid_authorization_specification
        RefusalKind::Policy | RefusalKind::Denied | RefusalKind::Expired => "28000",
        RefusalKind::Cancelled => "57014",
        // cannot_connect_now
        RefusalKind::Unrecorded => "57P03",
        RefusalKind::NotUnderstood => "0A000",
        // sqlserver_rejected_establishment_of_sqlconnection
        RefusalKind::Target => "08004",
    }
}

pub(super) fn refusal(out: &mut Vec<u8>, refusal: &Refusal, code: &str) {
    handshake::message(out, b'E', |body| {
        for (field, text) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', code), (b'M', &*refusal.message)] {
            body.push(field);
            handshake::string(body, text.as_bytes());
        }
        if !refusal.remedy.is_empty() {
            body.push(b'H');
            handshake::string(body, refusal.remedy.as_bytes());
        }
        body.push(0);
    });
}

/// What the target said of the account behind the gateway is no business of the client's, and would mislead it.
const WITHHELD: [&str; 2] = ["session_authorization", "is_superuser"];

pub(super) fn welcome(out: &mut Vec<u8>, welcome: &Welcome, version: u32) {
    handshake::authentication(out, auth::OK, &[]);
    for (name, value) in &welcome.established.parameters {
        if !WITHHELD.contains(&name.as_str()) {
            status(out, name, value);
        }
    }
    // Clients read these two to decide what to offer; the gateway's answer is that nobody is a superuser here.
    status(out, "is_superuser", "off");
    handshake::message(out, b'K', |body| body.extend_from_slice(projected(&welcome.cancel_key, version)));
    handshake::message(out, b'Z', |body| body.push(b'I'));
}

fn status(out: &mut Vec<u8>, name: &str, value: &str) {
    handshake::message(out, b'S', |body| {
        handshake::string(body, name.as_bytes());
        handshake::string(body, value.as_bytes());
    });
}

/// The part of the gateway's key that this client can hold: a process number of four bytes, and a secret of four bytes
/// or, since 3.2, all that is left.
fn projected(key: &[u8], version: u32) -> &[u8] {
    let short = key.get(..8).unwrap_or(key);
    if version >= V3_2 { key } else { short }
}
