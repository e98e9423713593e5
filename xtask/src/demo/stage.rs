//! Everything the story needs: a PostgreSQL with invented patients, an OpenID Provider, the gateway, and people.

use super::{copy, said, wait_for};
use crate::say;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use vestibule_e2e::guarded::{Guarded, free_port, listens};
use vestibule_e2e::postgres::{DATABASE, PASSWORD, Server, login};
use vestibule_e2e::run::output;
use vestibule_e2e::{Doing as _, Outcome, cache, failure};

/// The people of the clinic: login and groups. Everybody's password is `demo`.
pub const PEOPLE: [&str; 5] = ["dana", "omar", "kim", "rosa", "carla"];

const USERS: &str = r#"{"people": [
  {"login": "dana",  "password": "demo", "name": "Dana Adler",   "email": "dana@clinic.example",  "groups": ["analysts"]},
  {"login": "omar",  "password": "demo", "name": "Omar Haddad",  "email": "omar@clinic.example",  "groups": ["clinicians"]},
  {"login": "kim",   "password": "demo", "name": "Kim Larsen",   "email": "kim@clinic.example",   "groups": ["dba", "dba-approvers"]},
  {"login": "rosa",  "password": "demo", "name": "Rosa Vargas",  "email": "rosa@clinic.example",  "groups": ["dba-approvers"]},
  {"login": "carla", "password": "demo", "name": "Carla Weber",  "email": "carla@clinic.example", "groups": ["compliance"]}
]}"#;
const PATIENTS: u32 = 3_000;

/// The stage.
pub struct Stage {
    program: PathBuf,
    home: PathBuf,
    server: Server,
    provider: Guarded,
    gateway: Guarded,
    api: u16,
}

/// A psql that runs beside the story.
pub struct Waiting(Child);

impl Waiting {
    /// What it said once it has ended.
    pub fn finish(mut self, limit: Duration) -> Outcome<String> {
        let end = Instant::now() + limit;
        while self.0.try_wait().is_ok_and(|status| status.is_none()) {
            if Instant::now() > end {
                let _ = self.0.kill();
                return Err(failure("the held statement did not end"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut said = String::new();
        if let Some(mut pipe) = self.0.stdout.take() {
            pipe.read_to_string(&mut said).doing("cannot read what psql said")?;
        }
        if let Some(mut pipe) = self.0.stderr.take() {
            pipe.read_to_string(&mut said).doing("cannot read what psql said")?;
        }
        Ok(said)
    }
}

impl Stage {
    /// Starts everything. What an earlier demonstration left in `home` is removed.
    pub fn set(program: &Path, home: &Path) -> Outcome<Self> {
        let home = home.to_owned();
        if home.exists() {
            std::fs::remove_dir_all(&home).doing("cannot remove what an earlier demonstration left; end it first")?;
        }
        std::fs::create_dir_all(&home).doing("cannot make the demonstration's folder")?;
        say::line(&format!("starting PostgreSQL with {PATIENTS} invented patients"));
        let server = crate::conversations::one_server(&[])?;
        fill(&server)?;
        say::line("starting an OpenID Provider");
        let provider_port = free_port()?;
        let provider = provider(&server, &home, provider_port)?;
        say::line("making a gateway: vestibule init");
        let dir = home.join("vestibule");
        output(Command::new(program).arg("init").arg(&dir).args(["--name", "gateway.clinic.example/vestibule"]))?;
        let (port, api) = (free_port()?, free_port()?);
        configure(&dir, &server, provider_port, port, api)?;
        trust(&home, &dir, &server)?;
        say::line("starting it: vestibule serve");
        let mut serve = Command::new(program);
        serve.arg("--config").arg(dir.join("vestibule.toml")).arg("serve");
        let gateway = Guarded::start(&serve, "TERM", None, &home.join("gateway.log"))?;
        gateway.await_ready(Duration::from_secs(30), || listens(port) && gateway.log().contains("is ready"))?;
        Ok(Self { program: program.to_owned(), home, server, provider, gateway, api })
    }

    /// The demonstration's folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The gateway's ledger.
    pub fn ledger(&self) -> PathBuf {
        self.home.join("vestibule/data/ledger")
    }

    fn command(&self, person: &str, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).env("XDG_CONFIG_HOME", self.home.join("people").join(person));
        command
            .env("VESTIBULE_GATEWAY", format!("https://localhost:{}", self.api))
            .env("VESTIBULE_CA", self.home.join("ca.pem"));
        for name in ["VESTIBULE_TOKEN", "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGOPTIONS"] {
            command.env_remove(name);
        }
        command
    }

    /// Logs a person in: the command line begins, a program walks the provider's forms as a browser would.
    pub fn log_in(&self, person: &str) -> Outcome<()> {
        say::line(&format!("{person} $ vestibule login"));
        let mut login = self.command(person, &["login", "--no-browser"]);
        let log = self.home.join(format!("login-{person}.log"));
        let process = Guarded::start(&login_command(&mut login), "TERM", None, &log)?;
        let url = wait_for(Duration::from_secs(20), || {
            process.log().lines().find(|line| line.starts_with("https://")).map(str::to_owned)
        })?;
        let mut walk = Command::new("node");
        walk.arg(cache::project().join("tests/oidc/login.mjs")).args(["--user", person, "--password", "demo", &url]);
        walk.env("NODE_EXTRA_CA_CERTS", self.server.authority().ca());
        let (walked, words) = said(&mut walk)?;
        if !walked {
            return Err(failure(format!("the identity provider did not let {person} in:\n{words}")));
        }
        wait_for(Duration::from_secs(20), || (!process.alive()).then_some(()))?;
        let words = process.log();
        let told = words.lines().find(|line| line.starts_with("Logged in"));
        say::line(told.ok_or_else(|| failure(format!("{person} is not logged in:\n{words}")))?);
        Ok(())
    }

    /// Runs a command of the program as a person, shows it and what it says.
    pub fn show(&self, person: &str, words: &[&str]) -> Outcome<String> {
        let (success, said) = self.run(person, words)?;
        if success { Ok(said) } else { Err(failure(format!("`vestibule {}` failed", words.join(" ")))) }
    }

    /// The same for a command that may be refused.
    pub fn show_any(&self, person: &str, words: &[&str]) -> Outcome<String> {
        self.run(person, words).map(|(_, said)| said)
    }

    fn run(&self, person: &str, words: &[&str]) -> Outcome<(bool, String)> {
        let typed: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        say::line(&format!("{person} $ vestibule {}", typed.join(" ")));
        let (success, said) = said(&mut self.command(person, words))?;
        say::line(said.trim_end());
        Ok((success, said))
    }

    /// Runs a statement with `vestibule connect clinic -- psql`, refused or not.
    pub fn psql(&self, person: &str, sql: &str) -> Outcome<String> {
        say::line(&format!("{person} $ vestibule connect clinic -- psql -c \"{sql}\""));
        let (_, said) =
            said(&mut self.command(person, &["connect", "clinic", "--", "psql", "-X", "-P", "pager=off", "-c", sql]))?;
        say::line(said.trim_end());
        say::line("");
        Ok(said)
    }

    /// The same beside the story.
    pub fn psql_in_background(&self, person: &str, sql: &str) -> Outcome<Waiting> {
        say::line(&format!("{person} $ vestibule connect clinic -- psql -c \"{sql}\""));
        let mut command = self.command(person, &["connect", "clinic", "--", "psql", "-X", "-c", sql]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        child.map(Waiting).doing("cannot start psql")
    }

    /// The number of the request that waits.
    pub fn await_request(&self, approver: &str, limit: Duration) -> Outcome<String> {
        wait_for(limit, || {
            let (_, said) = said(&mut self.command(approver, &["--json", "requests"])).ok()?;
            let requests: serde_json::Value = serde_json::from_str(&said).ok()?;
            Some(requests.as_array()?.first()?.get("number")?.as_str()?.to_owned())
        })
    }

    /// A session of this person that is closed.
    pub fn session_of(&self, person: &str) -> Outcome<String> {
        wait_for(Duration::from_secs(10), || {
            let (_, said) = said(&mut self.command("carla", &["--json", "sessions"])).ok()?;
            let sessions: serde_json::Value = serde_json::from_str(&said).ok()?;
            let theirs = sessions.as_array()?.iter().find(|session| {
                session.get("identity").and_then(|id| id.as_str()).is_some_and(|id| id.ends_with(person))
                    && session.get("closed").is_some()
                    && session.get("rows").and_then(serde_json::Value::as_u64) == Some(3)
            });
            Some(theirs?.get("sid")?.as_str()?.to_owned())
        })
    }

    /// What must not be shown to an analyst: last name and social security number of the first patient.
    pub fn first_patient(&self) -> Outcome<(String, String)> {
        let told = self.server.admin(DATABASE, "SELECT last_name, ssn FROM patient WHERE id = 1")?;
        let (name, ssn) = told.trim().split_once('|').ok_or_else(|| failure("there is no first patient"))?;
        Ok((name.to_owned(), ssn.to_owned()))
    }

    /// Verifies a ledger offline and shows what is said.
    pub fn verify(&self, ledger: &Path) -> Outcome<String> {
        let key = self.home.join("vestibule/data/ledger.vkey");
        say::line(&format!("auditor $ vestibule ledger verify {} --key {}", ledger.display(), key.display()));
        let mut verify = Command::new(&self.program);
        let (_, said) = said(verify.args(["ledger", "verify"]).arg(ledger).arg("--key").arg(key))?;
        say::line(said.trim_end());
        say::line("");
        Ok(said)
    }

    /// A copy of the ledger in which somebody turned a refusal into a permit.
    pub fn tampered_copy(&self) -> Outcome<PathBuf> {
        let to = self.home.join("tampered-ledger");
        copy(&self.ledger(), &to)?;
        // The newest bundle of entries is the one with the most of them.
        let newest = bundles(&to.join("tile/entries"))?.into_iter().max_by_key(|(bytes, _)| bytes.len());
        let (mut bytes, path) = newest.ok_or_else(|| failure("nothing of the ledger is published yet"))?;
        let needle: &[u8] = br#""decision":"deny""#;
        let at = bytes.windows(needle.len()).position(|window| window == needle);
        let value = at.and_then(|at| bytes.get_mut(at..at + needle.len()));
        let value = value.ok_or_else(|| failure("no refusal is in the published part of the ledger"))?;
        value.copy_from_slice(br#""decision":"perm""#);
        std::fs::write(path, bytes).doing("cannot change the copy")?;
        Ok(to)
    }

    /// What to try now.
    pub fn what_next(&self) -> String {
        format!(
            "\n\nTry it yourself. In another terminal:\n\n  \
             alias vestibule={program}\n  export VESTIBULE_GATEWAY=https://localhost:{api} VESTIBULE_CA={home}/ca.pem\n  \
             export XDG_CONFIG_HOME={home}/people/dana      # or omar, kim, rosa, carla: all are logged in for a while\n\n  \
             vestibule connect clinic -- psql\n  \
             vestibule login --device                        # a login of your own; names as above, password demo\n  \
             vestibule --config {home}/vestibule/vestibule.toml policy explain --target clinic --groups analysts \\\n      \
             --statement 'SELECT ssn FROM patient'\n\n  \
             {home}/vestibule/                 configuration, policies, data map: edit them, the gateway follows\n  \
             {home}/evidence/report.html       the evidence\n  \
             {home}/gateway.log                the gateway's log\n  \
             https://localhost:{provider}             is the identity provider\n\n\
             The gateway is process {gateway}; kill -9 it, start it again, and verify the ledger.",
            program = self.program.display(),
            api = self.api,
            home = self.home.display(),
            provider = self.provider.log().rsplit(':').next().unwrap_or_default().trim(),
            gateway = self.gateway.pid(),
        )
    }
}

/// What is typed is shown; what opens a browser is not.
fn login_command(command: &mut Command) -> Command {
    let mut plain = Command::new(command.get_program());
    plain.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => plain.env(name, value),
            None => plain.env_remove(name),
        };
    }
    plain
}

fn quoted(word: &str) -> String {
    let plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:=|".contains(&byte));
    if plain { word.to_owned() } else { format!("'{word}'") }
}

/// Every file below a folder.
fn bundles(folder: &Path) -> Outcome<Vec<(Vec<u8>, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).doing("cannot read the copy")?.flatten() {
        if entry.path().is_dir() {
            found.extend(bundles(&entry.path())?);
        } else {
            found.push((std::fs::read(entry.path()).doing("cannot read the copy")?, entry.path()));
        }
    }
    Ok(found)
}

fn fill(server: &Server) -> Outcome<()> {
    let folder = cache::project().join("examples/clinic");
    let owner = login("scram-sha-256");
    let mut psql = Command::new("psql");
    psql.args([
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-v",
        &format!("patients={PATIENTS}"),
        "-U",
        "postgres",
        "-d",
        DATABASE,
    ]);
    psql.args(["-p", &server.port().to_string(), "-h"]).arg(server.socket());
    psql.arg("-f").arg(folder.join("schema.sql")).arg("-f").arg(folder.join("patients.sql"));
    output(&mut psql)?;
    for table in ["patient", "encounter", "lab_result", "prescription", "staff", "patient_contact"] {
        server.admin(DATABASE, &format!("ALTER TABLE {table} OWNER TO {owner}"))?;
    }
    Ok(())
}

fn provider(server: &Server, home: &Path, port: u16) -> Outcome<Guarded> {
    let users = home.join("users.json");
    std::fs::write(&users, USERS).doing("cannot write the people")?;
    let (cert, key) = server.authority().issue("oidc", "localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1")?;
    let mut node = Command::new("node");
    node.arg(cache::project().join("tests/oidc/server.mjs")).arg("--cert").arg(cert).arg("--key").arg(key);
    node.arg("--users").arg(users).args(["--port", &port.to_string(), "--ttl", "28800"]);
    Guarded::start_ready(&node, &home.join("provider.log"), Duration::from_secs(20), "ready ")
}

fn configure(dir: &Path, server: &Server, provider: u16, port: u16, api: u16) -> Outcome<()> {
    let ca = server.authority().ca();
    let config = format!(
        "[gateway]\nname = \"gateway.clinic.example/vestibule\"\n\n[api]\nlisten = \"127.0.0.1:{api}\"\n\
         url = \"https://localhost:{api}\"\nadmins = [\"vestibule-admins\"]\nauditors = [\"compliance\"]\noperators = [\"dba\"]\n\n\
         [[issuer]]\nname = \"staff\"\nissuer = \"https://localhost:{provider}\"\naudience = \"vestibule\"\n\
         client_id = \"vestibule-cli\"\nca_file = \"{ca}\"\n\n\
         [[listener]]\nname = \"databases\"\nprotocol = \"postgres\"\nlisten = \"127.0.0.1:{port}\"\naddress = \"localhost:{port}\"\n\n\
         [[target]]\nname = \"clinic\"\nprotocol = \"postgres\"\naddress = \"localhost:{target}\"\nuser = \"{user}\"\n\
         credential = {{ password_file = \"secrets/clinic.password\" }}\n\
         tls = {{ mode = \"verify-full\", ca_file = \"{ca}\" }}\nsettings = {{ database = \"{DATABASE}\" }}\n\
         labels = {{ env = \"production\" }}\n\n[tokens]\nmax_ttl = \"8h\"\n\n[log]\nformat = \"text\"\n",
        ca = ca.display(),
        target = server.port(),
        user = login("scram-sha-256"),
    );
    std::fs::write(dir.join("vestibule.toml"), config).doing("cannot write the configuration")?;
    let secret = dir.join("secrets/clinic.password");
    std::fs::write(&secret, format!("{PASSWORD}\n")).doing("cannot write the target's password")?;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600))
        .doing("cannot close the target's password")
}

/// What people trust: the gateway's authority and, in this demonstration, the provider's.
fn trust(home: &Path, dir: &Path, server: &Server) -> Outcome<()> {
    let gateway = std::fs::read_to_string(dir.join("data/ca/ca.crt")).doing("cannot read the gateway's authority")?;
    let provider = std::fs::read_to_string(server.authority().ca()).doing("cannot read the provider's authority")?;
    std::fs::write(home.join("ca.pem"), gateway + &provider).doing("cannot write what is trusted")
}
