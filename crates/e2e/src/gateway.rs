//! A gateway of its own for a test: made with `vestibule init`, configured by file, run as a program, looked at from
//! outside.

use crate::guarded::{Guarded, free_port, listens};
use crate::issuer::{AUDIENCE, ISSUER, Issuer};
use crate::postgres::{DATABASE, PASSWORD, Server, login};
use crate::run::{Ended, output, run};
use crate::temp::TempDir;
use crate::{Doing, Outcome, failure};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The gateway's name, origin of its ledger.
pub const NAME: &str = "gateway.test/vestibule";

/// What a gateway is made with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The `vestibule` program.
    pub program: PathBuf,
    /// The Cedar policies.
    pub policy: String,
    /// The data map.
    pub data_map: String,
    /// Whether the target holds PHI.
    pub phi: bool,
    /// More keys of the target, as lines of TOML.
    pub target: String,
    /// More sections, as TOML.
    pub more: String,
    /// Whether clients may come without TLS.
    pub cleartext: bool,
    /// Whether the gateway speaks TLS with the server.
    pub target_tls: bool,
}

impl Setup {
    /// Everything is permitted and nothing masked: what goes through must come out the same.
    #[must_use]
    pub fn open(program: &Path) -> Self {
        Self {
            program: program.to_owned(),
            policy: PERMIT_ALL.to_owned(),
            data_map: String::new(),
            phi: false,
            target: String::new(),
            more: String::new(),
            cleartext: true,
            target_tls: true,
        }
    }
}

/// Permits everything to everybody.
pub const PERMIT_ALL: &str = "@id(\"everything\")\n@opaque(\"allow\")\npermit(principal, action, resource);\n";

/// A running gateway in front of one PostgreSQL.
#[derive(Debug)]
pub struct Gateway {
    process: Option<Guarded>,
    home: TempDir,
    setup: Setup,
    issuer: Issuer,
    port: u16,
    api: u16,
}

impl Gateway {
    /// Makes a gateway in front of `server`, whose database it calls `clinic`, and starts it.
    ///
    /// # Errors
    /// When a step fails, with the program's own words.
    pub fn start(server: &Server, setup: &Setup) -> Outcome<Self> {
        let home = TempDir::new("gateway")?;
        let issuer = Issuer::new()?;
        let dir = home.path().join("vestibule");
        let mut init = Command::new(&setup.program);
        output(init.arg("init").arg(&dir).args(["--name", NAME]))?;
        let (port, api) = (free_port()?, free_port()?);
        let mut gateway = Self { process: None, home, setup: setup.clone(), issuer, port, api };
        gateway.configure(server)?;
        gateway.run()?;
        Ok(gateway)
    }

    /// Writes configuration, policies, data map and secrets for `server`.
    fn configure(&self, server: &Server) -> Outcome<()> {
        let dir = self.dir();
        let _ = std::fs::remove_dir_all(dir.join("policies"));
        std::fs::create_dir_all(dir.join("policies")).doing("cannot make the folder of policies")?;
        self.write("policies/test.cedar", &self.setup.policy, 0o644)?;
        self.write("data-map.toml", &self.setup.data_map, 0o644)?;
        self.write("secrets/clinic.password", PASSWORD, 0o600)?;
        self.write("vestibule.toml", &self.config(server)?, 0o644)
    }

    fn config(&self, server: &Server) -> Outcome<String> {
        let mut text = format!(
            "[gateway]\nname = \"{NAME}\"\ndrain = \"1s\"\n\n[api]\nlisten = \"127.0.0.1:{api}\"\nadmins = [\"admins\"]\n\
             auditors = [\"auditors\"]\noperators = [\"operators\"]\nmetrics = \"open\"\n\n\
             [[issuer]]\nname = \"staff\"\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\njwks_file = \"{jwks}\"\n\n\
             [[listener]]\nname = \"databases\"\nprotocol = \"postgres\"\nlisten = \"127.0.0.1:{port}\"\n\
             address = \"localhost:{port}\"\nallow_cleartext = {clear}\n\n\
             [[target]]\nname = \"clinic\"\nprotocol = \"postgres\"\naddress = \"localhost:{target}\"\nuser = \"{user}\"\n\
             credential = {{ password_file = \"secrets/clinic.password\" }}\n\
             tls = {{ {tls} }}\nsettings = {{ database = \"{DATABASE}\" }}\nphi = {phi}\n",
            api = self.api,
            jwks = self.issuer.jwks().display(),
            port = self.port,
            clear = self.setup.cleartext,
            target = server.port(),
            user = login("scram-sha-256"),
            tls = if self.setup.target_tls {
                format!("mode = \"verify-full\", ca_file = \"{}\"", server.authority().ca().display())
            } else {
                "mode = \"disable\"".to_owned()
            },
            phi = self.setup.phi,
        );
        writeln!(text, "{}\n{}", self.setup.target, self.setup.more).doing("cannot write into a text")?;
        Ok(text)
    }

    /// Writes a file below the gateway's directory, as an operator would.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str, mode: u32) -> Outcome<()> {
        let path = self.dir().join(name);
        std::fs::write(&path, text).doing(format_args!("cannot write {}", path.display()))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).doing("cannot set permissions")
    }

    /// Starts the program again after it was stopped or killed.
    ///
    /// # Errors
    /// When it does not get ready within half a minute.
    pub fn run(&mut self) -> Outcome<()> {
        self.process = None;
        let mut serve = Command::new(&self.setup.program);
        serve.arg("--config").arg(self.dir().join("vestibule.toml")).arg("serve");
        let log = self.home.path().join("gateway.log");
        let process = Guarded::start(&serve, "TERM", None, &log)?;
        let ready = || listens(self.port) && process.log().contains("vestibule is ready");
        process.await_ready(Duration::from_secs(90), ready)?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends the program by a signal and waits until it is gone.
    ///
    /// # Errors
    /// When it is gone already, or does not go within half a minute.
    pub fn stop(&mut self, signal: &str) -> Outcome<()> {
        let process = self.process.take().ok_or_else(|| failure("the gateway does not run"))?;
        process.signal(signal)?;
        let end = std::time::Instant::now() + Duration::from_secs(30);
        while process.alive() {
            if std::time::Instant::now() > end {
                return Err(failure(format!("the gateway did not end; it said:\n{}", process.log())));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Its directory, with `vestibule.toml` and `data`.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.home.path().join("vestibule")
    }

    /// Where its ledger is.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.dir().join("data/ledger")
    }

    /// The port where clients connect.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Address of its API.
    #[must_use]
    pub fn api(&self) -> String {
        format!("https://localhost:{}", self.api)
    }

    /// The certificates that clients trust.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.dir().join("data/ca/ca.crt")
    }

    /// Who its tokens come from.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The process's id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Guarded::pid)
    }

    /// Whether it runs.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.process.as_ref().is_some_and(Guarded::alive)
    }

    /// What it has logged since it was started last.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.as_ref().map(Guarded::log).unwrap_or_default()
    }

    /// A command of the program, set up to talk to this gateway with `token`.
    #[must_use]
    pub fn command(&self, token: &str, words: &[&str]) -> Command {
        let mut command = Command::new(&self.setup.program);
        command.args(["--gateway", &self.api(), "--config"]).arg(self.dir().join("vestibule.toml"));
        command.arg("--ca").arg(self.ca()).args(words).env("VESTIBULE_TOKEN", token);
        command.env("XDG_CONFIG_HOME", self.home.path().join("config"));
        command
    }

    /// Runs such a command to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn cli(&self, token: &str, words: &[&str]) -> Outcome<Ended> {
        run(&mut self.command(token, words), Duration::from_secs(60))
    }

    /// `psql` through the gateway, with `token` as the password; `words` are more arguments.
    #[must_use]
    pub fn psql(&self, token: &str, words: &[&str]) -> Command {
        let mut psql = Command::new("psql");
        let how = format!(
            "host=localhost port={} dbname=clinic user=whoever sslmode=verify-full sslrootcert={} connect_timeout=20",
            self.port,
            self.ca().display()
        );
        psql.args(["-X", "-A", "-t", "-d", &how]).args(words).env("PGPASSWORD", token).env_remove("PGOPTIONS");
        psql
    }

    /// Runs statements through `psql` and hands back what it printed, refused or not.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn query(&self, token: &str, sql: &str) -> Outcome<Ended> {
        run(&mut self.psql(token, &["-c", sql]), Duration::from_secs(60))
    }

    /// Walks the whole ledger with the program's own verifier.
    ///
    /// # Errors
    /// When it does not verify.
    pub fn verify(&self) -> Outcome<String> {
        let mut verify = Command::new(&self.setup.program);
        verify.args(["ledger", "verify"]).arg(self.ledger()).arg("--key").arg(self.dir().join("data/ledger.vkey"));
        output(&mut verify)
    }
}
