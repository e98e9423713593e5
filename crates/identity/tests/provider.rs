//! Against a real, certified OpenID Provider: every way to log in, key rotation, and the provider going away.

#![cfg(test)]

mod common;

use common::{GATEWAY, LIFE, Revoked};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vestibule_core::{IdentityKind, Timestamp};
use vestibule_identity::{
    ExchangeRequest, IssuerConfig, LoginClient, LoginError, LoginTokens, Loopback, ProofKind, Prover, TokenKeys,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oidc")
}

/// Why the test cannot run here; says so where the project's door collects it.
fn skipped(name: &str) -> bool {
    let node = Command::new("node").arg("--version").output().is_ok_and(|o| o.status.success());
    let reason = match node {
        false => "node is not installed",
        true if !folder().join("node_modules/oidc-provider").is_dir() => "tests/oidc has no packages: run setup",
        true => return false,
    };
    if let Some(file) = std::env::var_os("VESTIBULE_SKIPS") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
        writeln!(file, "{name}: {reason}").unwrap();
    }
    println!("{name}: {reason}");
    true
}

struct Server {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    issuer: String,
    dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const USERS: &str = r#"{
  "people": [{"login": "alice", "password": "correct horse", "name": "Alice Ash", "email": "alice@clinic.example",
              "groups": ["care", "research"]}],
  "workloads": [{"client_id": "etl", "client_secret": "a-secret-of-a-job", "groups": ["jobs"]}]
}"#;

impl Server {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(at("key.pem"), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(at("users.json"), USERS).unwrap();
        // Node itself has been seen to hang while it starts: what says nothing for so long is started again.
        let (child, lines, issuer) =
            (0..3).find_map(|_| Self::started(dir.path())).expect("the provider did not start");
        Self { child, lines, issuer, dir }
    }

    fn started(dir: &std::path::Path) -> Option<(Child, std::io::Lines<BufReader<std::process::ChildStdout>>, String)> {
        let mut command = Command::new("node");
        command.arg(folder().join("server.mjs")).args(["--ttl", "86400"]);
        for (option, file) in [("--cert", "cert.pem"), ("--key", "key.pem"), ("--users", "users.json")] {
            command.arg(option).arg(dir.join(file));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (said, ready) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let line = lines.next();
            let _ = said.send((lines, line));
        });
        let Ok((lines, Some(Ok(line)))) = ready.recv_timeout(Duration::from_secs(30)) else {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        };
        let issuer = line.strip_prefix("ready ").expect("the provider is not ready").to_owned();
        Some((child, lines, issuer))
    }

    fn ca(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    fn rotate(&mut self) {
        let signal = Command::new("kill").arg("-USR2").arg(self.child.id().to_string()).status().unwrap();
        assert!(signal.success());
        assert_eq!(self.lines.next().unwrap().unwrap(), "rotated");
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn client(&self) -> LoginClient {
        let ca = std::fs::read(self.ca()).unwrap();
        LoginClient::discover(&self.issuer, "vestibule-cli", &[], Some(&ca)).await.unwrap()
    }

    /// A person at a browser, on a thread of its own.
    async fn browser(&self, url: &str, password: &str) -> Output {
        let mut command = Command::new("node");
        command.env("NODE_EXTRA_CA_CERTS", self.ca()).arg(folder().join("login.mjs"));
        command.args(["--user", "alice", "--password", password]).arg(url);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn login(&self) -> LoginTokens {
        let client = self.client().await;
        let loopback = Loopback::bind().await.unwrap();
        let login = client.begin_code(&loopback).unwrap();
        let url = login.url.clone();
        let (page, answer) =
            tokio::join!(self.browser(&url, "correct horse"), loopback.answer(&login, Duration::from_secs(30)));
        assert!(page.status.success(), "{page:?}");
        client.finish_code(login, answer.unwrap(), now()).await.unwrap()
    }

    fn prover(&self, change: impl FnOnce(&mut IssuerConfig)) -> Prover {
        let mut issuer = IssuerConfig {
            client_id: Some("vestibule-cli".into()),
            ca_file: Some(self.ca()),
            ..IssuerConfig::new("staff", self.issuer.clone(), "vestibule")
        };
        change(&mut issuer);
        let keys = TokenKeys::from_pem(&TokenKeys::generate().unwrap()).unwrap();
        Prover::new(GATEWAY, keys, vec![issuer], LIFE, Arc::new(Revoked::default())).unwrap()
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(since.as_micros()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_by_browser_and_stays_logged_in() {
    if skipped("login by browser") {
        return;
    }
    let server = Server::start();
    let tokens = server.login().await;
    let prover = server.prover(|_| {});
    let request = ExchangeRequest { subject_token: &tokens.id_token, target: Some("clinic"), ttl: None };
    let issued = prover.exchange(&request, now()).await.unwrap();
    let identity = prover.prove(&issued.token, Some("clinic"), now()).await.unwrap();
    assert_eq!((identity.id(), identity.kind), ("staff|alice".to_owned(), IdentityKind::Person));
    assert_eq!(identity.name, "alice@clinic.example");
    assert_eq!(identity.groups.iter().map(String::as_str).collect::<Vec<_>>(), ["care", "research"]);
    assert!(issued.token.len() < 1_000);

    let client = server.client().await;
    let fresh = client.refresh(tokens.refresh_token.as_ref().expect("no refresh token"), now()).await.unwrap();
    assert_eq!(prover.prove(&fresh.id_token, None, now()).await.unwrap().id(), "staff|alice");
    assert!(
        matches!(client.refresh("made up", now()).await, Err(LoginError::Refused(word)) if word == "invalid_grant")
    );

    // The answer to one login is none to another.
    let (one, other) = (Loopback::bind().await.unwrap(), Loopback::bind().await.unwrap());
    let (first, second) = (client.begin_code(&one).unwrap(), client.begin_code(&other).unwrap());
    let url = first.url.clone();
    let (_, answer) = tokio::join!(server.browser(&url, "correct horse"), one.answer(&first, Duration::from_secs(30)));
    assert_eq!(client.finish_code(second, answer.unwrap(), now()).await.unwrap_err(), LoginError::Mismatch("state"));
    // Whoever cannot log in does not come back.
    let third = client.begin_code(&other).unwrap();
    assert!(!server.browser(&third.url, "wrong").await.status.success());
    assert_eq!(other.answer(&third, Duration::from_millis(50)).await.unwrap_err(), LoginError::Expired);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_without_a_browser_types_a_code_elsewhere() {
    if skipped("login by device code") {
        return;
    }
    let server = Server::start();
    let client = server.client().await;
    let login = client.begin_device().await.unwrap();
    assert!(!login.user_code.is_empty() && login.verification_uri.starts_with(&server.issuer));
    let url = login.verification_uri_complete.clone().unwrap();
    let (page, tokens) = tokio::join!(server.browser(&url, "correct horse"), client.finish_device(login, now));
    assert!(page.status.success(), "{page:?}");
    let identity = server.prover(|_| {}).prove(&tokens.unwrap().id_token, None, now()).await.unwrap();
    assert_eq!(identity.id(), "staff|alice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_proves_itself_with_its_access_token() {
    if skipped("workload token") {
        return;
    }
    let server = Server::start();
    let ca = reqwest::Certificate::from_pem(&std::fs::read(server.ca()).unwrap()).unwrap();
    let prover = server.prover(|issuer| {
        issuer.client_id = None;
        issuer.kind = IdentityKind::Service;
        issuer.groups_prefix = "job:".into();
    });
    let http = reqwest::Client::builder().tls_certs_only([ca]).build().unwrap();
    let form = [("grant_type", "client_credentials"), ("client_id", "etl"), ("client_secret", "a-secret-of-a-job")];
    let answer = http.post(format!("{}/token", server.issuer)).form(&form).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    let identity = prover.prove(answer["access_token"].as_str().unwrap(), Some("clinic"), now()).await.unwrap();
    assert_eq!((identity.id(), identity.kind), ("staff|etl".to_owned(), IdentityKind::Service));
    assert!(identity.groups.contains("job:jobs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_and_a_provider_goes_away() {
    if skipped("rotation") {
        return;
    }
    let mut server = Server::start();
    let prover = server.prover(|_| {});
    let old = server.login().await.id_token;
    let start = now();
    prover.prove(&old, None, start).await.unwrap();
    server.rotate();
    let new = server.login().await.id_token;
    // The unknown key was looked up a moment ago: not again so soon.
    assert_eq!(prover.prove(&new, None, start.plus_seconds(5)).await.unwrap_err().kind, ProofKind::Key);
    prover.prove(&new, None, start.plus_seconds(15)).await.unwrap();
    // What the provider withdrew is good no more.
    assert_eq!(prover.prove(&old, None, start.plus_seconds(16)).await.unwrap_err().kind, ProofKind::Key);
    server.stop();
    // Its last keys do for a while, and not for ever.
    prover.prove(&new, None, start.plus_seconds(3_600)).await.unwrap();
    let late = prover.prove(&new, None, start.plus_seconds(5 * 3_600)).await.unwrap_err();
    assert_eq!(late.kind, ProofKind::Unavailable);
    assert_eq!(server.prover(|_| {}).prove(&new, None, start).await.unwrap_err().kind, ProofKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_must_be_who_it_should_be() {
    if skipped("discovery") {
        return;
    }
    let server = Server::start();
    let ca = std::fs::read(server.ca()).unwrap();
    // The same server under a name that its own document does not have; and one whose certificate nobody vouches for.
    let slash = format!("{}/", server.issuer);
    for (issuer, ca, words) in [
        (slash.as_str(), Some(&ca[..]), "to the letter"),
        (&server.issuer, None, "ertificate"),
        (&server.issuer.replace("https", "http"), Some(&ca[..]), "not an https one"),
    ] {
        let error = LoginClient::discover(issuer, "vestibule-cli", &[], ca).await.unwrap_err().to_string();
        assert!(error.contains(words), "{issuer}: {error}");
    }
}
