//! Real PostgreSQL servers, started for a test and gone after it.
//!
//! The machine's own server is used for its major version; the others are unpacked by the set-up. A server listens on a
//! free loopback port and a socket of its own, knows one role for each way to log in, and is removed with its data.

use crate::guarded::{Guarded, free_port};
use crate::run::output;
use crate::temp::TempDir;
use crate::tls::Authority;
use crate::{Doing, Outcome, cache, failure};
use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The major versions the project supports.
pub const MAJORS: [u32; 6] = [13, 14, 15, 16, 17, 18];

/// The database every server has.
pub const DATABASE: &str = "clinic";

/// The password of every role of a test server that has one.
pub const PASSWORD: &str = "only-for-tests-7Qx";

/// A role for each way to log in: its name and the word in `pg_hba.conf`.
pub const LOGINS: [(&str, &str); 4] =
    [("clinic_app", "scram-sha-256"), ("clinic_md5", "md5"), ("clinic_password", "password"), ("clinic_cert", "cert")];

/// Where one version's programs are.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The major version.
    pub major: u32,
    /// The folder with `postgres` and `initdb`.
    pub bin: PathBuf,
}

/// The installation of one major version.
///
/// # Errors
/// When neither the machine nor the cache has it.
pub fn installation(major: u32) -> Outcome<Installation> {
    let own = PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"));
    let unpacked = cache::servers().join(format!("{major}/bin"));
    [own, unpacked]
        .into_iter()
        .find(|bin| bin.join("postgres").is_file())
        .map(|bin| Installation { major, bin })
        .ok_or_else(|| failure(format!("PostgreSQL {major} is not here; run `cargo xtask setup`")))
}

/// The newest server that the machine itself has, for tests that need just one.
///
/// # Errors
/// When it has none.
pub fn machine_installation() -> Outcome<Installation> {
    let found = MAJORS.iter().rev().find_map(|major| {
        let bin = PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"));
        bin.join("postgres").is_file().then_some(Installation { major: *major, bin })
    });
    found.ok_or_else(|| failure("no PostgreSQL server on this machine; run `cargo xtask setup`"))
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Guarded,
    home: PathBuf,
    port: u16,
    major: u32,
    authority: Authority,
}

impl Server {
    /// Starts a server with an empty database.
    ///
    /// # Errors
    /// When the server cannot be made or does not get ready within a minute.
    pub fn start(installation: &Installation) -> Outcome<Self> {
        Self::start_with(installation, &[("fsync", "off"), ("full_page_writes", "off")])
    }

    /// Starts a server with further settings of its own.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(installation: &Installation, settings: &[(&str, &str)]) -> Outcome<Self> {
        let mut tries = 3;
        loop {
            tries -= 1;
            match Self::try_start(installation, settings) {
                // Somebody took our port between finding and using it.
                Err(error) if tries > 0 && error.0.contains("Address already in use") => {}
                outcome => return outcome,
            }
        }
    }

    fn try_start(installation: &Installation, settings: &[(&str, &str)]) -> Outcome<Self> {
        let authority = Authority::new()?;
        let home = TempDir::new(&format!("pg{}", installation.major))?;
        let account = Owner::find()?;
        account.give(home.path())?;
        let data = home.path().join("data");
        let mut init = account.command(&installation.bin.join("initdb"));
        init.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N", "-D"]).arg(&data);
        output(init.current_dir(home.path()))?;
        configure(&data, &authority, &account, settings)?;
        let (process, port) = launch(installation, &account, home.path())?;
        let server = Self { process, home: home.into_path(), port, major: installation.major, authority };
        server.admin("postgres", &roles())?;
        let owner = login("scram-sha-256");
        server.admin("postgres", &format!("CREATE DATABASE {DATABASE} OWNER {owner}"))?;
        server.admin(DATABASE, &format!("ALTER SCHEMA public OWNER TO {owner}"))?;
        Ok(server)
    }

    /// The loopback port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The major version.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The authority that issued the server's certificate.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The server's log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The folder of the server's socket, where `postgres` may log in without a password.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.home
    }

    /// Runs SQL as the superuser and hands back what `psql -At` prints.
    ///
    /// # Errors
    /// When a statement fails.
    pub fn admin(&self, database: &str, sql: &str) -> Outcome<String> {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-p"]);
        psql.arg(self.port.to_string()).arg("-h").arg(&self.home);
        output(psql.args(["-c", sql]).env_remove("PGOPTIONS"))
    }

    /// Runs a file of SQL as the superuser.
    ///
    /// # Errors
    /// When a statement fails.
    pub fn admin_file(&self, database: &str, file: &Path) -> Outcome<String> {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-p"]);
        psql.arg(self.port.to_string()).arg("-h").arg(&self.home).arg("-f").arg(file);
        output(&mut psql)
    }
}

/// The role that logs in by this method.
#[must_use]
pub fn login(method: &str) -> &'static str {
    LOGINS.iter().find(|(_, word)| *word == method).map_or("clinic_app", |(name, _)| name)
}

/// Who the server runs as: PostgreSQL refuses root, so root's servers run as another account.
struct Owner(Option<(String, u32, u32)>);

impl Owner {
    fn find() -> Outcome<Self> {
        if !cache::is_root() {
            return Ok(Self(None));
        }
        for name in ["postgres", "nobody"] {
            let ids = output(Command::new("id").arg("-u").arg(name));
            let groups = output(Command::new("id").arg("-g").arg(name));
            if let (Ok(user), Ok(group)) = (ids, groups) {
                let user = user.trim().parse().doing("cannot read a user's number")?;
                let group = group.trim().parse().doing("cannot read a group's number")?;
                return Ok(Self(Some((name.to_owned(), user, group))));
            }
        }
        Err(failure("PostgreSQL cannot run as root and there is no other account to run it as"))
    }

    fn give(&self, path: &Path) -> Outcome<()> {
        let Some((_, user, group)) = &self.0 else { return Ok(()) };
        chown(path, Some(*user), Some(*group)).doing(format_args!("cannot give {} away", path.display()))
    }

    fn command(&self, program: &Path) -> Command {
        let Some((_, user, group)) = &self.0 else { return Command::new(program) };
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups").arg(program);
        command
    }
}

fn configure(data: &Path, authority: &Authority, owner: &Owner, settings: &[(&str, &str)]) -> Outcome<()> {
    let (cert, key) = authority.server();
    for (from, name) in [(cert, "server.crt"), (key, "server.key"), (authority.ca(), "ca.crt")] {
        let to = data.join(name);
        std::fs::copy(&from, &to).doing("cannot copy a certificate")?;
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).doing("cannot close a key")?;
        owner.give(&to)?;
    }
    let mut conf = String::from(
        "listen_addresses = '127.0.0.1'\nssl = on\nssl_ca_file = 'ca.crt'\nmax_connections = 400\n\
         shared_buffers = 128MB\nlog_min_messages = warning\nlog_line_prefix = '%m [%p] %u '\ntimezone = 'UTC'\n\
         log_timezone = 'UTC'\npassword_encryption = 'scram-sha-256'\n",
    );
    for (name, value) in settings {
        let _ = writeln!(conf, "{name} = '{value}'");
    }
    append(&data.join("postgresql.conf"), &conf)?;
    let mut hba = String::from("local all postgres trust\n");
    for (name, method) in LOGINS {
        let how = if method == "cert" { "hostssl" } else { "host" };
        let _ = writeln!(hba, "{how} all {name} 127.0.0.1/32 {method}");
    }
    hba.push_str("host all all 127.0.0.1/32 scram-sha-256\n");
    std::fs::write(data.join("pg_hba.conf"), hba).doing("cannot write pg_hba.conf")
}

fn append(file: &Path, text: &str) -> Outcome<()> {
    let mut whole = std::fs::read_to_string(file).doing(format_args!("cannot read {}", file.display()))?;
    whole.push_str(text);
    std::fs::write(file, whole).doing(format_args!("cannot write {}", file.display()))
}

fn launch(installation: &Installation, account: &Owner, home: &Path) -> Outcome<(Guarded, u16)> {
    let data = home.join("data");
    let port = free_port()?;
    let mut command = account.command(&installation.bin.join("postgres"));
    command.arg("-D").arg(&data).arg("-p").arg(port.to_string()).arg("-k").arg(home).current_dir(home);
    let process = Guarded::start(&command, "INT", Some(home), &home.join("server.log"))?;
    process.await_ready(Duration::from_secs(60), || ready(&data))?;
    Ok((process, port))
}

/// The server itself writes that it is ready, as the eighth line of its lock file.
fn ready(data: &Path) -> bool {
    std::fs::read_to_string(data.join("postmaster.pid"))
        .is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
}

fn roles() -> String {
    let mut sql = String::new();
    for (name, method) in LOGINS {
        let encryption = if method == "md5" { "md5" } else { "scram-sha-256" };
        let _ = write!(sql, "SET client_min_messages = error; SET password_encryption = '{encryption}'; ");
        let _ = write!(sql, "CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'; ");
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_starts_lets_each_role_in_by_its_own_method_and_leaves_nothing_behind() {
        let server = Server::start(&machine_installation().unwrap()).unwrap();
        let (cert, key) = server.authority().issue("client", login("cert"), "extendedKeyUsage=clientAuth").unwrap();
        for (role, method) in LOGINS {
            let mut psql = Command::new("psql");
            let how = format!(
                "host=127.0.0.1 port={} dbname={DATABASE} user={role} sslmode=verify-full sslrootcert={} connect_timeout=10",
                server.port(),
                server.authority().ca().display()
            );
            psql.args(["-X", "-A", "-t", "-c", "SELECT current_user", "-d"]);
            if method == "cert" {
                psql.arg(format!("{how} sslcert={} sslkey={}", cert.display(), key.display()));
            } else {
                psql.arg(how).env("PGPASSWORD", PASSWORD);
            }
            assert_eq!(output(&mut psql).unwrap().trim(), role);
        }
        let home = server.home.clone();
        drop(server);
        assert!(!home.exists());
    }
}
