//! Operations that wait for a human: approved, denied, cancelled, expired; and what others notice of it.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use common::{ask, clinic, entries, guarded, json, of_kind, setup, token, wait_for};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use vestibule_e2e::gateway::{Gateway, Setup};
use vestibule_e2e::postgres::DATABASE;

const CHANGE: &str = "UPDATE patient SET city = 'Salem' WHERE id = 7";

/// psql with a statement that will be held, running beside the test.
fn held(gateway: &Gateway, token: &str, sql: &str) -> Child {
    let mut psql = gateway.psql(token, &["-c", sql]);
    psql.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn said(child: Child) -> String {
    let out = child.wait_with_output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

fn number(gateway: &Gateway, approver: &str) -> String {
    wait_for("a request", || {
        let requests = json(gateway, approver, &["requests"]);
        Some(requests.as_array()?.first()?["number"].as_str()?.to_owned())
    })
}

#[test]
fn a_held_operation_runs_once_somebody_else_said_yes_and_all_of_it_is_on_the_ledger() {
    let server = clinic(20);
    let mut gateway = guarded(&server);
    let (kim, rosa) = (token(&gateway, "kim", &["dba", "dba-approvers"]), token(&gateway, "rosa", &["dba-approvers"]));
    let waiting = held(&gateway, &kim, CHANGE);
    let request = number(&gateway, &rosa);
    let start = Instant::now();
    assert_eq!(ask(&gateway, &token(&gateway, "dana", &["analysts"]), "SELECT count(*) FROM patient").trim(), "20");
    assert!(start.elapsed() < Duration::from_secs(5), "another session was delayed");
    let view = json(&gateway, &rosa, &["requests", &request]);
    assert!(!view["statement"].as_str().unwrap().contains("Salem"), "the approver is shown a PHI literal: {view}");
    let own = gateway.cli(&kim, &["approve", &request, "--reason", "sure"]).unwrap();
    assert!(!own.success() && own.stderr.contains("own request"), "{}", own.stderr);
    let stranger = token(&gateway, "eve", &["analysts"]);
    assert!(!gateway.cli(&stranger, &["approve", &request, "--reason", "sure"]).unwrap().success());
    let silent = gateway.cli(&rosa, &["approve", &request, "--reason", " "]).unwrap();
    assert!(!silent.success(), "a ruling without a reason counts");
    assert!(gateway.cli(&rosa, &["approve", &request, "--reason", "ticket 1042"]).unwrap().success());
    let words = said(waiting);
    assert!(words.contains("UPDATE 1") && words.contains(&request) && words.contains("dba-approvers"), "{words}");
    assert_eq!(server.admin(DATABASE, "SELECT city FROM patient WHERE id = 7").unwrap().trim(), "Salem");
    let again = gateway.cli(&rosa, &["approve", &request, "--reason", "twice"]).unwrap();
    assert!(!again.success() && again.stderr.contains("already"), "{}", again.stderr);
    gateway.stop("TERM").unwrap();
    gateway.verify().unwrap();
    let entries = entries(&gateway);
    let ruling = of_kind(&entries, "op.ruling").into_iter().find(|entry| entry["body"]["action"] == "UPDATE").unwrap();
    assert_eq!(ruling["body"]["decision"], "permit");
    assert_eq!(ruling["body"]["approval"]["number"], *request);
    assert_eq!(ruling["body"]["approval"]["approvers"][0]["id"], "staff|rosa");
    assert_eq!(of_kind(&entries, "approval.requested").len(), 1);
    assert_eq!(of_kind(&entries, "approval.granted").len(), 1);
}

#[test]
fn a_no_a_cancel_and_the_end_of_time_reach_the_client_and_nothing_ran() {
    let server = clinic(10);
    let policy = common::POLICY.replace("@expires(\"30m\")", "@expires(\"10s\")");
    let gateway = Gateway::start(&server, &Setup { policy, ..setup() }).unwrap();
    let (kim, rosa) = (token(&gateway, "kim", &["dba"]), token(&gateway, "rosa", &["dba-approvers"]));
    let before = server.admin(DATABASE, "SELECT city FROM patient WHERE id = 7").unwrap();

    let denied = held(&gateway, &kim, CHANGE);
    let request = number(&gateway, &rosa);
    assert!(gateway.cli(&rosa, &["deny", &request, "--reason", "no ticket"]).unwrap().success());
    let words = said(denied);
    assert!(words.contains("denied by rosa") && words.contains("no ticket"), "{words}");

    let cancelled = held(&gateway, &kim, CHANGE);
    number(&gateway, &rosa);
    let id = cancelled.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    let words = said(cancelled);
    assert!(words.contains("cancel"), "{words}");

    let expired = held(&gateway, &kim, CHANGE);
    let words = said(expired);
    assert!(words.contains("nobody approved"), "{words}");

    let mut gone = held(&gateway, &kim, CHANGE);
    number(&gateway, &rosa);
    gone.kill().unwrap();
    gone.wait().unwrap();
    wait_for("the request of a client that is gone is withdrawn", || {
        json(&gateway, &rosa, &["requests"]).as_array().unwrap().is_empty().then_some(())
    });
    assert_eq!(server.admin(DATABASE, "SELECT city FROM patient WHERE id = 7").unwrap(), before);
    let states: Vec<String> = json(&gateway, &rosa, &["requests", "--all"])
        .as_array()
        .unwrap()
        .iter()
        .map(|request| request["state"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(states.len(), 4);
    assert_eq!(states.iter().filter(|state| *state == "denied").count(), 1, "{states:?}");
    assert!(states.iter().any(|state| state == "expired"), "{states:?}");
}
