//! Logging in at a real OpenID Provider, and jobs that bring a token of their own platform.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails where it cannot go on, and says what it skips"
)]

mod common;

use common::{clinic, program, setup, wait_for};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use vestibule_e2e::cache;
use vestibule_e2e::gateway::{Gateway, Setup};
use vestibule_e2e::guarded::{Guarded, free_port};
use vestibule_e2e::postgres::Server;
use vestibule_e2e::run::{have, run};
use vestibule_e2e::temp::TempDir;

const USERS: &str = r#"{"people": [{"login": "dana", "password": "demo", "name": "Dana Adler", "email": "dana@clinic.example",
  "groups": ["analysts"]}], "workloads": [{"client_id": "build", "client_secret": "build-secret", "groups": ["analysts"]}]}"#;

struct Stage {
    home: TempDir,
    server: Server,
    provider: Guarded,
    gateway: Gateway,
}

/// `None`, and said so, where the provider cannot be had.
fn stage() -> Option<Stage> {
    if !have("node") || !cache::project().join("tests/oidc/node_modules").is_dir() {
        skip("logging in at a real OpenID Provider", "there is no node or no oidc-provider; run `cargo xtask setup`");
        return None;
    }
    let (home, server) = (TempDir::new("login").unwrap(), clinic(5));
    let users = home.path().join("users.json");
    std::fs::write(&users, USERS).unwrap();
    let (cert, key) =
        server.authority().issue("oidc", "localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1").unwrap();
    let port = free_port().unwrap();
    let mut node = Command::new("node");
    node.arg(cache::project().join("tests/oidc/server.mjs")).arg("--cert").arg(cert).arg("--key").arg(key);
    node.arg("--users").arg(users).args(["--port", &port.to_string()]);
    let log = home.path().join("provider.log");
    let provider = Guarded::start_ready(&node, &log, Duration::from_secs(20), "ready ").unwrap();
    let ca = server.authority().ca();
    let more = format!(
        "[[issuer]]\nname = \"people\"\nissuer = \"https://localhost:{port}\"\naudience = \"vestibule\"\n\
         client_id = \"vestibule-cli\"\nca_file = \"{}\"\n",
        ca.display()
    );
    let gateway = Gateway::start(&server, &Setup { more, ..setup() }).unwrap();
    let trusted = std::fs::read_to_string(gateway.ca()).unwrap() + &std::fs::read_to_string(ca).unwrap();
    std::fs::write(home.path().join("ca.pem"), trusted).unwrap();
    Some(Stage { home, server, provider, gateway })
}

fn skip(name: &str, why: &str) {
    println!("skipped {name}: {why}");
    if let Some(file) = std::env::var_os("VESTIBULE_SKIPS") {
        use std::io::Write as _;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
        writeln!(file, "{name}: {why}").unwrap();
    }
}

impl Stage {
    /// A command as a person would type it, with a profile of its own and no token.
    fn typed(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(["--gateway", &self.gateway.api(), "--ca"]).arg(self.home.path().join("ca.pem")).args(words);
        command.env("XDG_CONFIG_HOME", self.home.path().join("profile")).env_remove("VESTIBULE_TOKEN");
        command
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("login.log")
    }

    /// Walks the provider's forms as a browser would.
    fn walk(&self, more: &[&str], url: &str) {
        let mut walk = Command::new("node");
        walk.arg(cache::project().join("tests/oidc/login.mjs")).args(["--user", "dana", "--password", "demo"]);
        walk.args(more).arg(url).env("NODE_EXTRA_CA_CERTS", self.server.authority().ca());
        let ended = run(&mut walk, Duration::from_secs(60)).unwrap();
        assert!(ended.success(), "{}{}", ended.stdout, ended.stderr);
    }

    fn said(&self, words: &[&str]) -> String {
        let ended = run(&mut self.typed(words), Duration::from_secs(60)).unwrap();
        format!("{}{}", ended.stdout, ended.stderr)
    }
}

#[test]
fn a_person_logs_in_by_browser_and_by_device_and_a_job_by_its_own_token() {
    let Some(stage) = stage() else { return };
    let nobody = stage.said(&["whoami"]);
    assert!(nobody.contains("nobody is logged in"), "{nobody}");

    let browser = Guarded::start(&stage.typed(&["login", "--no-browser"]), "TERM", None, &stage.log()).unwrap();
    let url = wait_for("the address to open", || {
        browser.log().lines().find(|l| l.starts_with("https://")).map(str::to_owned)
    });
    stage.walk(&[], &url);
    wait_for("the login", || browser.log().contains("Logged in as").then_some(()));
    assert!(stage.said(&["whoami"]).contains("people|dana"));
    let seen = stage.said(&["connect", "clinic", "--", "psql", "-X", "-A", "-t", "-c", "SELECT count(*) FROM patient"]);
    assert_eq!(seen.trim(), "5");
    assert!(stage.said(&["logout"]).contains("forgotten"));

    let device = Guarded::start(&stage.typed(&["login", "--device"]), "TERM", None, &stage.log()).unwrap();
    let (url, code) = wait_for("the code to type", || {
        let log = device.log();
        let url = log.lines().find_map(|line| line.strip_prefix("Open ")).map(str::to_owned)?;
        let code =
            log.lines().find_map(|line| line.split("type the code").nth(1)).map(|code| code.trim().to_owned())?;
        Some((url, code))
    });
    stage.walk(&["--code", &code], &url);
    wait_for("the login by device", || device.log().contains("Logged in as").then_some(()));
    assert!(stage.said(&["whoami"]).contains("people|dana"));

    let token = stage.home.path().join("job.token");
    std::fs::write(&token, stage.gateway.issuer().token("repo:clinic/etl", &["analysts"], 600).unwrap()).unwrap();
    let file = token.to_str().unwrap();
    let job = stage.said(&[
        "connect",
        "clinic",
        "--token-file",
        file,
        "--",
        "psql",
        "-X",
        "-A",
        "-t",
        "-c",
        "SELECT ssn FROM patient WHERE id = 1",
    ]);
    assert!(job.starts_with("ssn_"), "{job}");
    let narrow = stage.said(&["exchange", "--from-file", file, "--target", "clinic", "--ttl", "5m"]);
    assert_eq!(narrow.trim().split('.').count(), 3, "{narrow}");
    assert!(stage.provider.alive());
}
