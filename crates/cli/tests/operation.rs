//! Running it: reload, drain, health, metrics, and the clear words of refusal.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use common::{ask, clinic, entries, guarded, json, of_kind, setup, token, wait_for};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use vestibule_e2e::gateway::Gateway;
use vestibule_e2e::run::run;

/// Takes long, and reads nothing.
const LONG: &str = "SELECT count(*) FROM generate_series(1, 100000000000)";

fn curl(gateway: &Gateway, path: &str) -> (u16, String) {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "10", "-w", "\n%{http_code}", "--cacert"]).arg(gateway.ca());
    let ended = run(curl.arg(format!("{}{path}", gateway.api())), Duration::from_secs(20)).unwrap();
    let (body, code) = ended.stdout.trim_end().rsplit_once('\n').unwrap_or(("", ended.stdout.trim_end()));
    (code.parse().unwrap_or(0), body.trim_end().to_owned())
}

#[test]
fn a_reload_takes_over_what_is_right_and_keeps_the_old_version_otherwise() {
    let server = clinic(5);
    let gateway = guarded(&server);
    let dana = token(&gateway, "dana", &["analysts"]);
    let question = "SELECT last_name FROM patient WHERE id = 1";
    let truth = server.admin("clinic", question).unwrap();
    assert_ne!(ask(&gateway, &dana, question), truth);
    gateway.write("policies/test.cedar", "permit (principal, action, resource", 0o644).unwrap();
    wait_for("the wrong version is refused", || gateway.log().contains("the old version stays in force").then_some(()));
    assert_ne!(ask(&gateway, &dana, question), truth, "a wrong version changed the rules");
    let wider = common::POLICY.replace("@mask(\"pseudonymised\")", "@reveal(\"name\")");
    gateway.write("policies/test.cedar", &wider, 0o644).unwrap();
    wait_for("the right version is in force", || (ask(&gateway, &dana, question) == truth).then_some(()));
    let entries = entries(&gateway);
    assert!(!of_kind(&entries, "config.refused").is_empty());
    let check = gateway.cli("", &["check"]).unwrap();
    assert!(check.success(), "{}", check.stderr);
    assert!(!check.stdout.contains("only-for-tests"), "a secret is printed");
}

#[test]
fn it_drains_on_sigterm_and_the_ledger_says_that_it_ended_in_order() {
    let server = clinic(5);
    let mut gateway = guarded(&server);
    let kim = token(&gateway, "kim", &["dba"]);
    let mut psql = gateway.psql(&kim, &["-c", "SELECT 'begun'", "-c", LONG]);
    let session = psql.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let carla = token(&gateway, "carla", &["auditors"]);
    wait_for("the session is open", || {
        json(&gateway, &carla, &["sessions", "--open"]).as_array().unwrap().first().map(|_| ())
    });
    let start = Instant::now();
    gateway.stop("TERM").unwrap();
    assert!(start.elapsed() < Duration::from_secs(15));
    let out = session.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(words.contains("shutting down"), "{words}");
    gateway.verify().unwrap();
    let entries = entries(&gateway);
    assert_eq!(of_kind(&entries, "gateway.shutdown").len(), 1);
    assert_eq!(of_kind(&entries, "session.open").len(), of_kind(&entries, "session.closed").len());
    gateway.run().unwrap();
    assert!(of_kind(&common::entries(&gateway), "gateway.recovered").is_empty());
}

#[test]
fn health_and_metrics_are_told() {
    let server = clinic(5);
    let gateway = guarded(&server);
    ask(&gateway, &token(&gateway, "dana", &["analysts"]), "SELECT ssn FROM patient");
    ask(&gateway, &token(&gateway, "kim", &["dba"]), "DROP TABLE patient");
    assert_eq!(curl(&gateway, "/healthz"), (200, "ok".to_owned()));
    assert_eq!(curl(&gateway, "/readyz"), (200, "ready".to_owned()));
    let (code, metrics) = curl(&gateway, "/metrics");
    assert_eq!(code, 200);
    for line in [
        "vestibule_values_masked_total{class=\"ssn\"} 5",
        "vestibule_operations_total{target=\"clinic\",effect=\"define\",decision=\"deny\"} 1",
        "vestibule_ledger_poisoned 0",
    ] {
        assert!(metrics.contains(line), "no `{line}` in\n{metrics}");
    }
    let (code, problem) = curl(&gateway, "/v1/sessions");
    assert_eq!(code, 401);
    assert!(problem.contains("urn:vestibule:problem:unauthenticated"), "{problem}");
    let _ = setup;
}

#[test]
fn an_operator_ends_a_session_and_its_client_is_told_why() {
    let server = clinic(5);
    let gateway = guarded(&server);
    let kim = token(&gateway, "kim", &["dba"]);
    let mut psql = gateway.psql(&kim, &["-c", LONG]);
    let session = psql.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let operator = token(&gateway, "olga", &["operators"]);
    let sid = wait_for("the session is open", || {
        let open = json(&gateway, &operator, &["sessions", "--open"]);
        Some(open.as_array()?.first()?["sid"].as_str()?.to_owned())
    });
    let start = Instant::now();
    let ended = gateway.cli(&operator, &["end", &sid, "--reason", "kim left the company"]).unwrap();
    assert!(ended.success(), "{}", ended.stderr);
    let out = session.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(words.contains("kim left the company"), "{words}");
    assert!(start.elapsed() < Duration::from_secs(3));
    let replay = gateway.cli(&operator, &["replay", &sid]).unwrap();
    assert!(!replay.success(), "operators read no recordings");
    assert_eq!(of_kind(&entries(&gateway), "session.end-asked").len(), 1);
}

#[test]
fn revoked_access_ends_sessions_and_tokens_until_it_is_restored() {
    let server = clinic(5);
    let mut gateway = guarded(&server);
    let (kim, olga) = (token(&gateway, "kim", &["dba"]), token(&gateway, "olga", &["operators"]));
    let whole = json(&gateway, &kim, &["whoami"])["id"].as_str().unwrap().to_owned();
    let mut psql = gateway.psql(&kim, &["-c", LONG]);
    let session = psql.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the session is open", || json(&gateway, &olga, &["sessions", "--open"]).as_array()?.first().cloned());
    let rule = |gateway: &Gateway, who: &str, words: &[&str]| gateway.cli(who, words).unwrap();
    for (who, identity, words) in [
        (&kim, "issuer|other", "this takes the role admin or operator"),
        (&olga, "kim", "issuer|subject"),
        (&olga, "nowhere|kim", "issuer|subject"),
        (&olga, json(&gateway, &olga, &["whoami"])["id"].as_str().unwrap(), "nobody revokes their own access"),
    ] {
        let refused = rule(&gateway, who, &["revoke", identity, "--reason", "a test"]);
        assert!(!refused.success() && refused.stderr.contains(words), "{identity}: {}", refused.stderr);
    }
    let start = Instant::now();
    let revoked = rule(&gateway, &olga, &["revoke", &whole, "--reason", "kim left the company"]);
    assert!(revoked.stdout.contains("being ended: 1"), "{}{}", revoked.stdout, revoked.stderr);
    let out = session.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(words.contains("revoked access") && words.contains("kim left the company"), "{words}");
    assert!(start.elapsed() < Duration::from_secs(3));
    // Neither the old token nor a new one, here or at the API; nor after a start.
    let again = token(&gateway, "kim", &["dba"]);
    for start in [false, true] {
        if start {
            gateway.stop("TERM").unwrap();
            gateway.run().unwrap();
        }
        for token in [&kim, &again] {
            assert!(!gateway.query(token, "SELECT 1").unwrap().success());
            assert!(!rule(&gateway, token, &["whoami"]).success());
        }
    }
    assert_eq!(json(&gateway, &olga, &["revocations"])[0]["reason"], "kim left the company");
    assert!(rule(&gateway, &olga, &["restore", &whole, "--reason", "it was another kim"]).success());
    assert!(!rule(&gateway, &olga, &["restore", &whole, "--reason", "twice"]).success());
    assert!(gateway.query(&kim, "SELECT 1").unwrap().success());
    for kind in ["access.revoked", "access.restored"] {
        assert_eq!(of_kind(&entries(&gateway), kind)[0]["body"]["identity"], *whole);
    }
}

#[test]
fn requests_for_approval_are_counted() {
    let server = clinic(5);
    let gateway = guarded(&server);
    let (kim, rosa) = (token(&gateway, "kim", &["dba"]), token(&gateway, "rosa", &["dba-approvers"]));
    let mut psql = gateway.psql(&kim, &["-c", "UPDATE patient SET city = 'Salem' WHERE id = 1"]);
    let session = psql.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let number = wait_for("a request", || {
        let requests = json(&gateway, &rosa, &["requests"]);
        Some(requests.as_array()?.first()?["number"].as_str()?.to_owned())
    });
    assert!(curl(&gateway, "/metrics").1.contains("vestibule_approvals_waiting 1"));
    assert!(gateway.cli(&rosa, &["approve", &number, "--reason", "a test"]).unwrap().success());
    assert!(String::from_utf8_lossy(&session.wait_with_output().unwrap().stdout).contains("UPDATE 1"));
    let (_, metrics) = curl(&gateway, "/metrics");
    for line in [
        "vestibule_approvals_waiting 0",
        "vestibule_approvals_total{outcome=\"approved\"} 1",
        "vestibule_approval_wait_seconds_count 1",
        "vestibule_operations_total{target=\"clinic\",effect=\"write\",decision=\"hold\"} 1",
    ] {
        assert!(metrics.contains(line), "no `{line}` in\n{metrics}");
    }
}

#[test]
fn a_second_signal_hurries_and_the_ledger_still_verifies() {
    let server = clinic(5);
    let mut gateway = guarded(&server);
    let config = std::fs::read_to_string(gateway.dir().join("vestibule.toml")).unwrap();
    gateway.stop("TERM").unwrap();
    gateway.write("vestibule.toml", &config.replace("drain = \"1s\"", "drain = \"60s\""), 0o644).unwrap();
    gateway.run().unwrap();
    let kim = token(&gateway, "kim", &["dba"]);
    let mut psql = gateway.psql(&kim, &["-c", LONG]);
    let session = psql.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let carla = token(&gateway, "carla", &["auditors"]);
    wait_for("the session is open", || {
        json(&gateway, &carla, &["sessions", "--open"]).as_array().unwrap().first().map(|_| ())
    });
    let signal = |name: &str| {
        let pid = gateway.pid().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    };
    let start = Instant::now();
    signal("TERM");
    wait_for("it drains", || gateway.log().contains("shutting down").then_some(()));
    signal("INT");
    wait_for("it is gone", || (!gateway.alive()).then_some(()));
    assert!(start.elapsed() < Duration::from_secs(25), "the second signal did not hurry it");
    let words = String::from_utf8_lossy(&session.wait_with_output().unwrap().stderr).into_owned();
    assert!(words.contains("shutting down"), "{words}");
    gateway.verify().unwrap();
    assert_eq!(of_kind(&entries(&gateway), "gateway.shutdown").len(), 2, "one a run");
    // Without anybody to wait for, the second comes while the ledger is being closed.
    gateway.run().unwrap();
    let pid = gateway.pid().unwrap().to_string();
    assert!(Command::new("sh").args(["-c", &format!("kill -TERM {pid}; kill -INT {pid}")]).status().unwrap().success());
    wait_for("it is gone", || (!gateway.alive()).then_some(()));
    gateway.verify().unwrap();
}
