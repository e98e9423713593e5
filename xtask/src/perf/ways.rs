//! The ways to the server: direct, a bare relay, a pooler, and the gateway in several forms.

use super::load::DATA_MAP;
use crate::say;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use vestibule_e2e::gateway::{Gateway, Setup};
use vestibule_e2e::guarded::{Guarded, free_port, listens, stat};
use vestibule_e2e::postgres::{DATABASE, PASSWORD, Server, login};
use vestibule_e2e::run::have;
use vestibule_e2e::temp::TempDir;
use vestibule_e2e::{Doing as _, Outcome, failure};

/// Every operation on the ledger, nothing recorded or masked.
pub const RELAY: &str = "vestibule: relay, ledger";
/// Sessions recorded as well; entries count once the kernel has them.
pub const WRITTEN: &str = "vestibule: + record";
/// The same, and no byte of an answer before its entry is on stable storage.
pub const DURABLE: &str = "vestibule: + record, durable";
/// A target that holds PHI, with a data map.
pub const MASKING: &str = "vestibule: + mask";
/// The same, durable: the default.
pub const MASKING_DURABLE: &str = "vestibule: + mask, durable";

/// One way.
pub struct Way {
    /// What it is called.
    pub name: &'static str,
    /// Where clients connect.
    pub port: u16,
    /// The database they name.
    pub database: &'static str,
    /// The user they name.
    pub user: &'static str,
    /// The password they give.
    pub password: String,
    keeper: Keeper,
}

enum Keeper {
    Server,
    /// The folder is its configuration's, and lives as long.
    Process(Guarded, #[expect(dead_code, reason = "kept for its end")] TempDir),
    Gateway(Box<Gateway>),
}

impl Way {
    /// CPU of the process in between so far, in ticks of 10 ms.
    pub fn cpu(&self) -> Option<u64> {
        let pid = match &self.keeper {
            Keeper::Server => return None,
            Keeper::Process(process, _) => process.pid(),
            Keeper::Gateway(gateway) => gateway.pid()?,
        };
        stat(pid).map(|stat| stat.ticks)
    }

    /// The gateway, if this way has one.
    pub fn gateway(&self) -> Option<&Gateway> {
        match &self.keeper {
            Keeper::Gateway(gateway) => Some(gateway),
            Keeper::Server | Keeper::Process(..) => None,
        }
    }
}

/// All ways that could be had.
pub struct Ways(Vec<Way>);

impl Ways {
    /// Starts every way to `server`.
    ///
    /// # Errors
    /// When the gateway does not start; a peer that is not installed is left out, and said so.
    pub fn start(server: &Server, program: &Path) -> Outcome<Self> {
        let user = login("password");
        let direct =
            |name, port, keeper| Way { name, port, database: DATABASE, user, password: PASSWORD.to_owned(), keeper };
        let mut ways = vec![direct("direct", server.port(), Keeper::Server)];
        for (name, start) in
            [("haproxy", haproxy as fn(&Server) -> Outcome<Started>), ("pgbouncer (session)", pgbouncer)]
        {
            match start(server) {
                Ok((process, home, port)) => ways.push(direct(name, port, Keeper::Process(process, home))),
                Err(error) => say::line(&format!("{name} takes no part: {error}")),
            }
        }
        let form = |phi: bool, map: &str, more: &str| Setup {
            phi,
            data_map: map.to_owned(),
            more: more.to_owned(),
            // As the peers have it: what is compared is the proxy, not one more encryption.
            target_tls: false,
            ..Setup::open(program)
        };
        let written = "[ledger]\ndurability = \"written\"\n";
        let relay = format!("[recording]\non = false\n{written}");
        for (name, setup) in [
            (RELAY, form(false, "", &relay)),
            (WRITTEN, form(false, "", written)),
            (DURABLE, form(false, "", "")),
            (MASKING, form(true, DATA_MAP, written)),
            (MASKING_DURABLE, form(true, DATA_MAP, "")),
        ] {
            let gateway = Gateway::start(server, &setup)?;
            let password = gateway.issuer().token("bench", &["staff"], 7_200)?;
            let port = gateway.port();
            ways.push(Way {
                name,
                port,
                database: "clinic",
                user,
                password,
                keeper: Keeper::Gateway(Box::new(gateway)),
            });
        }
        Ok(Self(ways))
    }

    /// Every way.
    pub fn all(&self) -> &[Way] {
        &self.0
    }

    /// One way by name.
    ///
    /// # Errors
    /// When it takes no part.
    pub fn get(&self, name: &str) -> Outcome<&Way> {
        self.0.iter().find(|way| way.name == name).ok_or_else(|| failure(format!("`{name}` takes no part")))
    }
}

type Started = (Guarded, TempDir, u16);

fn haproxy(server: &Server) -> Outcome<Started> {
    if !have("haproxy") && !Path::new("/usr/sbin/haproxy").is_file() {
        return Err(failure("it is not installed (Debian package haproxy)"));
    }
    let (home, port) = (TempDir::new("haproxy")?, free_port()?);
    let conf = format!(
        "global\n  maxconn 1000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n\
         listen pg\n  bind 127.0.0.1:{port}\n  server pg 127.0.0.1:{}\n",
        server.port()
    );
    let file = home.path().join("haproxy.cfg");
    std::fs::write(&file, conf).doing("cannot write haproxy's configuration")?;
    let program = if have("haproxy") { "haproxy" } else { "/usr/sbin/haproxy" };
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(&file);
    launch(&command, home, port)
}

fn pgbouncer(server: &Server) -> Outcome<Started> {
    let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| Path::new(path).is_file());
    let program = program.ok_or_else(|| failure("it is not installed (Debian package pgbouncer)"))?;
    let (home, port) = (TempDir::new("pgbouncer")?, free_port()?);
    let (cert, key) = server.authority().server();
    let users = home.path().join("users.txt");
    let user = login("password");
    std::fs::write(&users, format!("\"{user}\" \"{PASSWORD}\"\n")).doing("cannot write pgbouncer's users")?;
    let conf = format!(
        "[databases]\n{DATABASE} = host=127.0.0.1 port={} dbname={DATABASE} user={user} password={PASSWORD}\n[pgbouncer]\n\
         listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {}\npool_mode = session\n\
         max_client_conn = 1000\ndefault_pool_size = 100\nignore_startup_parameters = extra_float_digits\n\
         client_tls_sslmode = allow\nclient_tls_key_file = {}\nclient_tls_cert_file = {}\n",
        server.port(),
        users.display(),
        home.path().join("server.key").display(),
        home.path().join("server.crt").display(),
    );
    for (from, name) in [(key, "server.key"), (cert, "server.crt")] {
        std::fs::copy(from, home.path().join(name)).doing("cannot copy a certificate")?;
    }
    let file = home.path().join("pgbouncer.ini");
    std::fs::write(&file, conf).doing("cannot write pgbouncer's configuration")?;
    let mut command = Command::new(program);
    if vestibule_e2e::cache::is_root() {
        // It refuses to run as root, and gives the account up itself.
        command.args(["-u", "postgres"]);
        let mut chown = Command::new("chown");
        vestibule_e2e::run::output(chown.args(["-R", "postgres"]).arg(home.path()))?;
    }
    command.arg(&file);
    launch(&command, home, port)
}

fn launch(command: &Command, home: TempDir, port: u16) -> Outcome<Started> {
    let log = std::env::temp_dir().join(format!("vestibule-perf-{port}.log"));
    let process = Guarded::start(command, "TERM", None, &log)?;
    let ready = process.await_ready(Duration::from_secs(10), || listens(port));
    let _ = std::fs::remove_file(&log);
    ready.map(|()| (process, home, port))
}
