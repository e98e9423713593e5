//! Who is let in: proofs that are none are refused, the reason is the operator's, and the client learns nothing of it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails where it cannot go on"
)]

mod common;

use common::{ask, clinic, entries, guarded, of_kind, token};
use serde_json::{Value, json};
use std::time::Duration;
use vestibule_e2e::issuer::{AUDIENCE, ISSUER, base64url, now};

const QUESTION: &str = "SELECT 'let in'";

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "mallory", "iat": now(), "exp": now() + 600, "groups": ["analysts", "clinicians"],
    })
}

fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

#[test]
fn only_good_proofs_are_let_in() {
    let server = clinic(5);
    let gateway = guarded(&server);
    let issuer = gateway.issuer();
    let good = issuer.sign(&claims()).unwrap();
    assert_eq!(ask(&gateway, &good, QUESTION).trim(), "let in");
    let parts: Vec<&str> = good.split('.').collect();
    let none = base64url(br#"{"alg":"none","typ":"JWT"}"#);
    let hs256 = base64url(br#"{"alg":"HS256","kid":"test","typ":"JWT"}"#);
    let other = vestibule_e2e::issuer::Issuer::new().unwrap();
    let bad: Vec<(&str, String)> = vec![
        ("nothing", "x".to_owned()),
        ("a password", "only-for-tests-7Qx".to_owned()),
        ("expired", issuer.sign(&with(json!({ "exp": now() - 60 }))).unwrap()),
        ("without an end", issuer.sign(&with(json!({ "exp": null }))).unwrap()),
        ("of the future", issuer.sign(&with(json!({ "iat": now() + 3_600, "nbf": now() + 3_600 }))).unwrap()),
        ("for somebody else", issuer.sign(&with(json!({ "aud": "another" }))).unwrap()),
        ("of another issuer", issuer.sign(&with(json!({ "iss": "https://evil.example" }))).unwrap()),
        ("of another key", other.sign(&claims()).unwrap()),
        ("unsigned", format!("{}.{}.", parts[0], parts[1])),
        ("alg none", format!("{none}.{}.", parts[1])),
        ("alg none with a signature", format!("{none}.{}.{}", parts[1], parts[2])),
        ("alg HS256", format!("{hs256}.{}.{}", parts[1], parts[2])),
        (
            "other claims under the signature",
            format!("{}.{}.{}", parts[0], base64url(with(json!({ "sub": "root" })).to_string().as_bytes()), parts[2]),
        ),
        ("cut", good[..good.len() - 4].to_owned()),
    ];
    let mut told = std::collections::BTreeSet::new();
    for (what, token) in &bad {
        let said = ask(&gateway, token, QUESTION);
        assert!(!said.contains("let in"), "{what} is let in");
        let words = said.split("FATAL:").nth(1).unwrap_or_else(|| panic!("{what}: {said}")).trim().to_owned();
        told.insert(words);
    }
    assert_eq!(told.len(), 1, "the client is told which proof is how bad: {told:#?}");
    let log = gateway.log();
    assert!(log.matches("a proof was refused").count() >= bad.len(), "{log}");
    for (what, token) in &bad {
        assert!(token.len() < 12 || !log.contains(token.as_str()), "{what}: the token is in the log");
    }
    assert!(of_kind(&entries(&gateway), "session.refused").len() >= bad.len() - 1);
}

#[test]
fn a_token_for_one_target_is_good_for_nothing_else_and_ends_the_session_with_itself() {
    let server = clinic(5);
    let gateway = guarded(&server);
    let dana = token(&gateway, "dana", &["analysts"]);
    let narrow = gateway.cli(&dana, &["token", "clinic"]).unwrap();
    assert!(narrow.success(), "{}", narrow.stderr);
    let narrow = narrow.stdout.trim().to_owned();
    assert_eq!(ask(&gateway, &narrow, QUESTION).trim(), "let in");
    let wider = gateway.cli(&narrow, &["sessions"]).unwrap();
    assert_eq!(wider.status.and_then(|status| status.code()), Some(3), "{}{}", wider.stdout, wider.stderr);
    let short = gateway.issuer().sign(&with(json!({ "exp": now() + 4 }))).unwrap();
    let start = std::time::Instant::now();
    let words =
        ["-c", QUESTION, "-c", "SELECT count(*) FROM generate_series(1, 100000000000)", "-c", "SELECT 'still here'"];
    let ended = vestibule_e2e::run::run(&mut gateway.psql(&short, &words), Duration::from_secs(40)).unwrap();
    assert!(ended.stdout.contains("let in"), "{}{}", ended.stdout, ended.stderr);
    assert!(start.elapsed() < Duration::from_secs(12), "the session outlived its token");
    assert!(ended.stderr.contains("the token of this session has expired"), "{}", ended.stderr);
    assert!(!ended.stdout.contains("still here"));
}
