//! `sessions`, `end`.

use crate::args::{End, Globals, Sessions};
use crate::failure::{Done, Failure, Kind};
use crate::output::{json, line, table};
use crate::signed::Known;
use std::collections::BTreeMap;
use vestibule_api::wire::{SessionQuery, SessionView};

/// `sessions`
pub async fn list(args: &Sessions, globals: &Globals) -> Done {
    let client = Known::find(globals)?.signed_in()?;
    let query = SessionQuery {
        identity: args.identity.clone(),
        target: args.target.clone(),
        from: args.from.clone(),
        to: args.to.clone(),
        open: args.open.then_some(true),
        limit: Some(args.limit),
    };
    let sessions: Vec<SessionView> = client.query("/v1/sessions", &query).await?;
    if globals.json {
        json(&sessions);
    } else if sessions.is_empty() {
        line("No session matches.");
    } else {
        line(listing(&sessions));
    }
    Ok(())
}

/// `end`
pub async fn end(args: &End, globals: &Globals) -> Done {
    let client = Known::find(globals)?.signed_in()?;
    client.delete(&format!("/v1/sessions/{}", sid(&args.sid)?), &[("reason", &args.reason)]).await?;
    line(format!("Session {} is being ended.", args.sid));
    Ok(())
}

/// A session's id; what goes into a path is nothing else.
pub fn sid(text: &str) -> Result<&str, Failure> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if plain && (1..=64).contains(&text.len()) {
        return Ok(text);
    }
    Err(Failure::new(
        Kind::Usage,
        format!("`{text}` is not the id of a session"),
        "",
        "take it from `vestibule sessions`",
    ))
}

fn listing(sessions: &[SessionView]) -> String {
    let rows: Vec<Vec<String>> = sessions
        .iter()
        .map(|s| {
            vec![
                s.sid.clone(),
                s.opened.clone(),
                s.closed.clone().unwrap_or_else(|| "open".into()),
                s.name.clone(),
                s.target.clone(),
                s.operations.to_string(),
                s.refused.to_string(),
                s.rows.to_string(),
                total(&s.masked).to_string(),
                total(&s.revealed).to_string(),
            ]
        })
        .collect();
    let headings = ["SESSION", "OPENED", "ENDED", "WHO", "TARGET", "OPS", "REFUSED", "ROWS", "MASKED", "REVEALED"];
    table(&headings, &rows)
}

fn total(counts: &BTreeMap<String, u64>) -> u64 {
    counts.values().fold(0, |sum, n| sum.saturating_add(*n))
}

#[cfg(test)]
mod tests {
    use super::{listing, sid};
    use vestibule_api::wire::SessionView;

    #[test]
    fn sessions_are_listed() {
        let session = SessionView {
            sid: "01JD".into(),
            identity: "staff|u-1".into(),
            name: "dana@clinic.example".into(),
            kind: "person".into(),
            target: "clinic".into(),
            protocol: "postgres".into(),
            source: "127.0.0.1:50000".into(),
            opened: "2026-11-24T15:55:42.123Z".into(),
            closed: None,
            reason: None,
            recorded: true,
            operations: 12,
            refused: 1,
            rows: 340,
            masked: [("ssn".into(), 300), ("name".into(), 40)].into(),
            revealed: [].into(),
        };
        insta::assert_snapshot!("sessions", listing(&[session]));
    }

    #[test]
    fn only_an_id_goes_into_a_path() {
        assert!(sid("01JD-x_2").is_ok());
        for bad in ["", "a/b", "..", "a?b", "a b", &"x".repeat(65)] {
            assert!(sid(bad).is_err(), "{bad}");
        }
    }
}
