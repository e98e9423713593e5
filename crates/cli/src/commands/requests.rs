//! `requests`, `approve`, `deny`.

use crate::args::{Globals, Requests, Rule};
use crate::failure::{Done, Failure, Kind};
use crate::output::{json, line, safe, safe_lines, short, table};
use crate::signed::Known;
use vestibule_api::wire::{RequestQuery, RequestView, RuledView, RulingBody};

/// `requests`
pub async fn list(args: &Requests, globals: &Globals) -> Done {
    let client = Known::find(globals)?.signed_in()?;
    if let Some(number) = &args.number {
        let request: RequestView = client.get(&format!("/v1/requests/{}", digits(number)?)).await?;
        if globals.json {
            json(&request)
        } else {
            line(describe(&request))
        }
        return Ok(());
    }
    let requests: Vec<RequestView> = client.query("/v1/requests", &RequestQuery { all: args.all, limit: None }).await?;
    if globals.json {
        json(&requests);
    } else if requests.is_empty() {
        line(if args.all { "There are no requests." } else { "No request waits." });
    } else {
        line(listing(&requests));
    }
    Ok(())
}

/// `approve`, `deny`
pub async fn rule(args: &Rule, yes: bool, globals: &Globals) -> Done {
    let client = Known::find(globals)?.signed_in()?;
    let verb = if yes { "approve" } else { "deny" };
    let path = format!("/v1/requests/{}/{verb}", digits(&args.number)?);
    let ruled: RuledView = client.post(&path, &RulingBody { reason: args.reason.clone() }).await?;
    if globals.json {
        json(&ruled);
        return Ok(());
    }
    let number = digits(&args.number)?;
    line(match ruled.state.as_str() {
        "pending" => format!("Recorded. R-{number} has {} of {} approvals and still waits.", ruled.yes, ruled.quorum),
        state => format!("Recorded. R-{number} is {}.", safe(state)),
    });
    Ok(())
}

/// `R-7`, `r-7` or `7` as digits: what goes into a path is nothing else.
fn digits(number: &str) -> Result<&str, Failure> {
    let digits = number.strip_prefix("R-").or_else(|| number.strip_prefix("r-")).unwrap_or(number);
    if (1..=19).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(digits);
    }
    Err(Failure::new(Kind::Usage, format!("`{number}` is not the number of a request"), "", "write `R-7` or `7`"))
}

fn listing(requests: &[RequestView]) -> String {
    let rows: Vec<Vec<String>> = requests
        .iter()
        .map(|r| {
            vec![
                r.number.clone(),
                r.state.clone(),
                r.requester_name.clone(),
                r.target.clone(),
                short(&r.statement, 60),
                r.approvers.join(", "),
                r.expires.clone(),
            ]
        })
        .collect();
    table(&["NUMBER", "STATE", "WHO", "TARGET", "STATEMENT", "APPROVERS", "EXPIRES"], &rows)
}

fn describe(r: &RequestView) -> String {
    let mut lines = vec![
        format!("Request    {} ({})", r.number, r.state),
        format!("Who        {} ({})", safe(&r.requester_name), safe(&r.requester)),
        format!("Target     {}", safe(&r.target)),
        format!("What       {} ({})", safe(&r.action), r.effect),
        format!("PHI        {}", if r.classes.is_empty() { "none known".into() } else { r.classes.join(", ") }),
        format!("Why held   {}", safe(&r.reason)),
        format!("Approvers  {} of {}", r.quorum, safe(&r.approvers.join(", "))),
        format!("Asked      {}, expires {}", r.asked, r.expires),
        format!("Session    {}", r.sid),
        format!("Digest     {}", r.digest),
    ];
    for ruling in &r.rulings {
        let word = if ruling.yes { "yes" } else { "no" };
        lines.push(format!("Ruling     {word}, {} at {}: {}", safe(&ruling.name), ruling.at, safe(&ruling.reason)));
    }
    lines.push(String::new());
    lines.push(safe_lines(&r.statement));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::{describe, digits, listing};
    use vestibule_api::wire::{RequestView, RulingView};

    fn request() -> RequestView {
        RequestView {
            number: "R-7".into(),
            state: "pending".into(),
            requester: "staff|u-1".into(),
            requester_name: "dana@clinic.example".into(),
            target: "clinic".into(),
            effect: "write".into(),
            action: "DELETE".into(),
            statement: "DELETE FROM visit\nWHERE id = '…'\u{1b}[2J".into(),
            classes: vec!["date".into()],
            reason: "deleting needs a second pair of eyes".into(),
            approvers: vec!["leads".into()],
            quorum: 1,
            asked: "2026-11-24T15:55:42.123Z".into(),
            expires: "2026-11-24T16:10:42.123Z".into(),
            sid: "s-1".into(),
            digest: "00".into(),
            rulings: vec![RulingView {
                by: "staff|u-2".into(),
                name: "lee".into(),
                yes: true,
                reason: "checked".into(),
                at: "2026-11-24T15:56:00.000Z".into(),
            }],
        }
    }

    #[test]
    fn requests_are_listed_and_described_without_driving_the_terminal() {
        insta::assert_snapshot!("request", format!("{}\n\n{}", listing(&[request()]), describe(&request())));
    }

    #[test]
    fn only_digits_go_into_a_path() {
        for good in ["R-7", "r-7", "7"] {
            assert_eq!(digits(good).unwrap(), "7");
        }
        for bad in ["", "R-", "7/approve", "../1", "-1", "R-R-7", "99999999999999999999"] {
            assert!(digits(bad).is_err(), "{bad}");
        }
    }
}
