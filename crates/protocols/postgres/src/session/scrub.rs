//! Errors, notices and notifications without the values that the server repeats in them.
//!
//! The code, the severity and the names of schema, table, column, type and constraint stay. The message stays where
//! PostgreSQL's own wording for that code is about the statement and not about data, and then without any quoted part
//! that is not in the client's own statement. Everything else becomes a general sentence.

use crate::wire::build::{message, string};
use crate::wire::read::error_fields;
use vestibule_core::WireError;

/// Codes whose messages are about the statement, the session or the server.
const ABOUT_THE_STATEMENT: &[&str] = &[
    "00000", "0A000", "25001", "25006", "25P01", "25P02", "25P03", "26000", "28000", "2BP01", "34000", "3B001",
    "3D000", "3F000", "40001", "40P01", "42501", "42601", "42602", "42611", "42622", "42701", "42702", "42703",
    "42704", "42710", "42712", "42723", "42725", "42803", "42804", "42809", "42830", "42846", "42883", "42939",
    "42P01", "42P02", "42P03", "42P04", "42P05", "42P06", "42P07", "42P09", "42P10", "42P18", "42P19", "42P20",
    "42P21", "42P22", "53100", "53200", "53300", "54000", "54001", "54011", "54023", "55000", "55006", "55P03",
    "57014", "57P01", "57P02", "57P03", "57P04", "57P05", "08P01", "55P02",
];

/// What stands in for a message, by the class of its code.
fn general(code: &str) -> &'static str {
    match code.get(..2).unwrap_or_default() {
        "22" => "a value does not fit (the gateway withholds which: the statement touches masked data)",
        "23" => "a constraint is violated (the gateway withholds by which value: the statement touches masked data)",
        "P0" => "a function raised an error (the gateway withholds its words: the statement touches masked data)",
        "00" | "01" | "02" => {
            "a notice was raised (the gateway withholds its words: the statement touches masked data)"
        }
        _ => "the statement failed (the gateway withholds the server's words: the statement touches masked data)",
    }
}

/// Appends the scrubbed form of an ErrorResponse or NoticeResponse of `kind`. `statement` is the client's own text.
pub(super) fn scrub(kind: u8, body: &[u8], statement: Option<&str>, out: &mut Vec<u8>) -> Result<(), WireError> {
    let fields = error_fields(body)?;
    let field = |wanted: u8| fields.iter().find(|(kind, _)| *kind == wanted).map(|(_, text)| *text);
    let code = field(b'C').and_then(|c| std::str::from_utf8(c).ok()).unwrap_or_default();
    // PL/pgSQL can raise any code with any words.
    let raised = field(b'R').is_some_and(|r| r.starts_with(b"exec_stmt_")) || field(b'F') == Some(b"pl_exec.c");
    let notice = kind == b'N' && !code.starts_with("42");
    message(out, kind, |out| {
        for (kind, text) in &fields {
            match kind {
                // What code raised, it worded: any of these may hold a value, the code as well.
                b's' | b't' | b'c' | b'd' | b'n' if raised => {}
                b'C' if raised => {
                    out.push(*kind);
                    string(out, b"P0001");
                }
                b'S' | b'V' | b'C' | b'P' | b's' | b't' | b'c' | b'd' | b'n' | b'F' | b'L' | b'R' => {
                    out.push(*kind);
                    string(out, text);
                }
                b'M' => {
                    out.push(b'M');
                    if !raised && !notice && ABOUT_THE_STATEMENT.contains(&code) {
                        string(out, without_values(text, statement).as_bytes());
                    } else {
                        string(out, general(code).as_bytes());
                    }
                }
                // Detail, hint, context, internal query and whatever may come: words that can hold values.
                _ => {}
            }
        }
        out.push(0);
    });
    Ok(())
}

/// The message, with quoted parts replaced unless they stand in the client's own statement.
fn without_values(text: &[u8], statement: Option<&str>) -> String {
    let text = String::from_utf8_lossy(text);
    let mut kept = String::with_capacity(text.len());
    let mut parts = text.split('"');
    kept.push_str(parts.next().unwrap_or_default());
    while let Some(quoted) = parts.next() {
        kept.push('"');
        let own = statement.is_some_and(|s| contains_folded(s, quoted));
        kept.push_str(if own { quoted } else { "…" });
        if let Some(after) = parts.next() {
            kept.push('"');
            kept.push_str(after);
        }
    }
    kept
}

/// Whether each part of a (possibly qualified) name stands in the statement, in either case.
fn contains_folded(statement: &str, name: &str) -> bool {
    let (statement, name) = (statement.to_lowercase(), name.to_lowercase());
    statement.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::scrub;
    use crate::wire::read::error_field;

    fn scrubbed(kind: u8, fields: &[(u8, &str)], statement: &str) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, text) in fields {
            body.push(*kind);
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        body.push(0);
        let mut out = Vec::new();
        scrub(kind, &body, Some(statement), &mut out).unwrap();
        out
    }

    #[test]
    fn values_go_and_codes_stay() {
        let secret = "078-05-1120";
        let cases: [&[(u8, &str)]; 6] = [
            &[(b'S', "ERROR"), (b'C', "22P02"), (b'M', "invalid input syntax for type integer: \"078-05-1120\"")],
            &[(b'S', "ERROR"), (b'C', "23505"), (b'M', "dup"), (b'D', "Key (ssn)=(078-05-1120) already exists.")],
            &[(b'S', "NOTICE"), (b'C', "00000"), (b'M', "ssn is 078-05-1120"), (b'R', "exec_stmt_raise")],
            &[(b'S', "ERROR"), (b'C', "42703"), (b'M', "column \"078-05-1120\" does not exist"), (b'H', secret)],
            &[(b'S', "ERROR"), (b'C', "42601"), (b'M', "078-05-1120"), (b'F', "pl_exec.c"), (b'W', secret)],
            &[(b'S', "ERROR"), (b'C', "22000"), (b'M', "x"), (b'R', "exec_stmt_raise"), (b'c', secret), (b't', secret)],
        ];
        for fields in cases {
            let out =
                scrubbed(if fields[0].1 == "NOTICE" { b'N' } else { b'E' }, fields, "SELECT ssn::int FROM patient");
            assert!(!out.windows(secret.len()).any(|w| w == secret.as_bytes()), "{fields:?}");
            let raised = fields.iter().any(|f| f.0 == b'R' || f.1 == "pl_exec.c");
            let code = if raised { "P0001" } else { fields[1].1 };
            assert_eq!(error_field(&out[5..], b'C'), Some(code.as_bytes()));
            assert!(error_field(&out[5..], b'M').is_some());
        }
    }

    #[test]
    fn words_about_the_users_own_statement_stay() {
        let fields = [(b'C', "42703"), (b'M', "column \"sssn\" does not exist"), (b'P', "8")];
        let out = scrubbed(b'E', &fields, "SELECT Sssn FROM patient");
        assert_eq!(error_field(&out[5..], b'M'), Some(&b"column \"sssn\" does not exist"[..]));
        assert_eq!(error_field(&out[5..], b'P'), Some(&b"8"[..]));
    }
}
