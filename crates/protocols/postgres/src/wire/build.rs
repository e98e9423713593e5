//! Making messages.

/// Appends a message of `kind` whose body `make` appends.
pub(crate) fn message(out: &mut Vec<u8>, kind: u8, make: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    make(out);
    close(out, at);
}

/// Writes the length of the message whose length field is at `at` and which ends here.
pub(crate) fn close(out: &mut [u8], at: usize) {
    let len = u32::try_from(out.len().saturating_sub(at)).unwrap_or(u32::MAX);
    if let Some(slot) = out.get_mut(at..at.saturating_add(4)) {
        slot.copy_from_slice(&len.to_be_bytes());
    }
}

/// Appends a string and its zero byte; zero bytes inside are left out.
pub(crate) fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text.iter().filter(|b| **b != 0));
    out.push(0);
}

/// What an error or a notice says.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Words<'a> {
    pub severity: &'a str,
    pub code: &'a str,
    pub message: &'a str,
    pub detail: &'a str,
    pub hint: &'a str,
    /// Character position in the statement, from 1.
    pub position: Option<usize>,
}

fn words(out: &mut Vec<u8>, words: &Words<'_>) {
    let position = words.position.map(|p| p.to_string()).unwrap_or_default();
    let fields = [
        (b'S', words.severity),
        (b'V', words.severity),
        (b'C', words.code),
        (b'M', words.message),
        (b'D', words.detail),
        (b'H', words.hint),
        (b'P', &position),
    ];
    for (kind, text) in fields {
        if !text.is_empty() {
            out.push(kind);
            string(out, text.as_bytes());
        }
    }
    out.push(0);
}

/// ErrorResponse.
pub(crate) fn error(out: &mut Vec<u8>, say: &Words<'_>) {
    message(out, b'E', |out| words(out, say));
}

/// NoticeResponse.
pub(crate) fn notice(out: &mut Vec<u8>, text: &str, hint: &str) {
    let say = Words { severity: "NOTICE", code: "00000", message: text, hint, ..Words::default() };
    message(out, b'N', |out| words(out, &say));
}

/// ReadyForQuery.
pub(crate) fn ready(out: &mut Vec<u8>, status: u8) {
    message(out, b'Z', |out| out.push(status));
}

/// CommandComplete.
pub(crate) fn complete(out: &mut Vec<u8>, tag: &str) {
    message(out, b'C', |out| string(out, tag.as_bytes()));
}

/// Query.
pub(crate) fn query(out: &mut Vec<u8>, text: &str) {
    message(out, b'Q', |out| string(out, text.as_bytes()));
}

/// Parse, without parameter types.
pub(crate) fn parse(out: &mut Vec<u8>, name: &[u8], text: &str) {
    message(out, b'P', |out| {
        string(out, name);
        string(out, text.as_bytes());
        out.extend_from_slice(&[0, 0]);
    });
}

/// Bind, without parameters, results in text.
pub(crate) fn bind(out: &mut Vec<u8>, portal: &[u8], statement: &[u8]) {
    message(out, b'B', |out| {
        string(out, portal);
        string(out, statement);
        out.extend_from_slice(&[0; 6]);
    });
}

/// Describe of a portal.
pub(crate) fn describe_portal(out: &mut Vec<u8>, portal: &[u8]) {
    message(out, b'D', |out| {
        out.push(b'P');
        string(out, portal);
    });
}

/// Execute, to the end.
pub(crate) fn execute(out: &mut Vec<u8>, portal: &[u8]) {
    message(out, b'E', |out| {
        string(out, portal);
        out.extend_from_slice(&[0; 4]);
    });
}

/// Close of a statement (`S`) or portal (`P`).
pub(crate) fn close_name(out: &mut Vec<u8>, what: u8, name: &[u8]) {
    message(out, b'C', |out| {
        out.push(what);
        string(out, name);
    });
}

/// A message without a body: Sync, Flush, Terminate.
pub(crate) fn bare(out: &mut Vec<u8>, kind: u8) {
    message(out, kind, |_| ());
}

#[cfg(test)]
mod tests {
    use super::{Words, bare, error, message, query, ready};
    use crate::wire::read::error_field;

    #[test]
    fn lengths_count_themselves() {
        let mut out = vec![9];
        query(&mut out, "a\0b");
        ready(&mut out, b'I');
        bare(&mut out, b'S');
        message(&mut out, b'x', |out| out.extend_from_slice(&[1, 2]));
        assert_eq!(out, b"\x09Q\0\0\0\x07ab\0Z\0\0\0\x05IS\0\0\0\x04x\0\0\0\x06\x01\x02");
    }

    #[test]
    fn errors_leave_empty_fields_out() {
        let mut out = Vec::new();
        error(
            &mut out,
            &Words { severity: "ERROR", code: "42501", message: "no", position: Some(7), ..Words::default() },
        );
        let body = &out[5..];
        assert_eq!(error_field(body, b'M'), Some(&b"no"[..]));
        assert_eq!(error_field(body, b'P'), Some(&b"7"[..]));
        assert_eq!(error_field(body, b'H'), None);
    }
}
