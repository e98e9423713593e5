//! Every client's conversation with every server: straight to it, and through the gateway.

use crate::say;
use crate::tally::Tally;
use crate::test::Wanted;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use vestibule_e2e::gateway::{Gateway, Setup};
use vestibule_e2e::postgres::{DATABASE, MAJORS, PASSWORD, Server, installation, login};
use vestibule_e2e::talk::{Address, CLIENTS, Client, Line, Verdict, Via, compare, hold};
use vestibule_e2e::{Outcome, failure};

/// A conversation that takes longer than this is ended and failed.
const LIMIT: Duration = Duration::from_secs(240);

/// Holds every conversation that was asked for, two at a time.
pub fn hold_all(wanted: &Wanted) -> Tally {
    let mut tally = Tally::default();
    let clients: Vec<Client> = CLIENTS.into_iter().filter(|client| wanted.wants_client(client.name)).collect();
    if clients.is_empty() {
        return tally;
    }
    for major in MAJORS.into_iter().filter(|major| wanted.wants_server(*major)) {
        say::stage(&format!("conversations with PostgreSQL {major}"));
        match installation(major).and_then(|found| Server::start(&found)) {
            Ok(server) => tally.add(with_server(&server, &clients)),
            Err(error) => tally.fail(&format!("PostgreSQL {major}"), &error.0),
        }
    }
    tally
}

fn with_server(server: &Server, clients: &[Client]) -> Tally {
    let mut tally = Tally::default();
    let gateway = match program().and_then(|program| Gateway::start(server, &Setup::open(&program))) {
        Ok(gateway) => Some(gateway),
        Err(error) => {
            tally.fail(&format!("gateway before PostgreSQL {}", server.major()), &error.0);
            None
        }
    };
    let through =
        gateway.as_ref().and_then(|gateway| through(gateway, server).map_err(|e| tally.fail("gateway", &e.0)).ok());
    let tally = Mutex::new(tally);
    let queue = Mutex::new(clients.iter());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some(client) = next else { return };
                    converse(client, server, through.as_ref(), &tally);
                }
            });
        }
    });
    let mut tally = tally.into_inner().unwrap_or_default();
    if let Some(gateway) = gateway {
        judge(gateway, server, &mut tally);
    }
    tally
}

/// One client's conversation, straight and then through the gateway: with nothing masked both must tell the same.
fn converse(client: &Client, server: &Server, through: Option<&Address>, tally: &Mutex<Tally>) {
    let start = Instant::now();
    let straight = hold(client, &direct(server), LIMIT);
    if let Ok(mut tally) = tally.lock() {
        count(&mut tally, client, server.major(), Via::Direct, &straight, start.elapsed());
    }
    let Some(address) = through else { return };
    let start = Instant::now();
    let told = compare(&straight, hold(client, address, LIMIT));
    if let Ok(mut tally) = tally.lock() {
        count(&mut tally, client, server.major(), Via::Gateway, &told, start.elapsed());
    }
}

/// After all conversations: the ledger verifies, and the gateway's log holds no secret.
fn judge(mut gateway: Gateway, server: &Server, tally: &mut Tally) {
    let name = |what: &str| format!("gateway before PostgreSQL {}: {what}", server.major());
    let log = gateway.log();
    if !gateway.alive() {
        let words: Vec<&str> = log.lines().rev().take(12).collect();
        let words: Vec<&str> = words.into_iter().rev().collect();
        return tally.fail(&name("it stays up"), &format!("it died; it said:\n{}", words.join("\n")));
    }
    if log.contains(PASSWORD) {
        tally.fail(&name("log"), "the target's password is in the gateway's log");
    } else {
        tally.passed += 1;
    }
    match gateway.stop("TERM").and_then(|()| gateway.verify()) {
        Ok(_) => tally.passed += 1,
        Err(error) => tally.fail(&name("the ledger verifies"), &error.0),
    }
}

/// The gateway's program, built beside this one.
///
/// # Errors
/// When it was not built.
pub fn program() -> Outcome<PathBuf> {
    let own = std::env::current_exe().unwrap_or_default();
    let program = own.with_file_name("vestibule");
    if program.is_file() {
        Ok(program)
    } else {
        Err(failure("the gateway is not built; run `cargo build -p vestibule`"))
    }
}

/// The gateway's program as it is shipped: optimised.
///
/// # Errors
/// When it was not built.
pub fn release_program() -> Outcome<PathBuf> {
    let own = std::env::current_exe().unwrap_or_default();
    let target = own.parent().and_then(std::path::Path::parent).map(|dir| dir.join("release/vestibule"));
    target
        .filter(|program| program.is_file())
        .ok_or_else(|| failure("the gateway is not built; run `cargo build --release -p vestibule`"))
}

/// Through the gateway, as somebody whom its issuer knows.
fn through(gateway: &Gateway, server: &Server) -> Outcome<Address> {
    Ok(Address {
        host: "localhost".to_owned(),
        port: gateway.port(),
        database: "clinic".to_owned(),
        user: login("scram-sha-256").to_owned(),
        password: gateway.issuer().token("dana", &["staff"], 3_600)?,
        sslmode: "verify-full".to_owned(),
        ca: gateway.ca(),
        major: server.major(),
        via: Via::Gateway,
    })
}

/// Straight to the server, with TLS checked as a careful client checks it.
fn direct(server: &Server) -> Address {
    Address {
        host: "localhost".to_owned(),
        port: server.port(),
        database: DATABASE.to_owned(),
        user: login("scram-sha-256").to_owned(),
        password: PASSWORD.to_owned(),
        sslmode: "verify-full".to_owned(),
        ca: server.authority().ca(),
        major: server.major(),
        via: Via::Direct,
    }
}

fn count(tally: &mut Tally, client: &Client, major: u32, via: Via, lines: &[Line], took: Duration) {
    let mut passed = 0;
    for line in lines {
        let name = format!("{} {via} PostgreSQL {major}: {}", client.name, line.name);
        match &line.verdict {
            Verdict::Passed(_) => passed += 1,
            Verdict::Failed(why) => tally.fail(&name, why),
            Verdict::Skipped(reason) => tally.skip(&name, reason),
        }
    }
    tally.passed += passed;
    let total = lines.len();
    say::line(&format!(
        "{} {via} PostgreSQL {major}: {passed} of {total} ok ({:.1} s)",
        client.name,
        took.as_secs_f64()
    ));
}

/// The one server that a demonstration or a measurement uses.
///
/// # Errors
/// When the machine has none.
pub fn one_server(settings: &[(&str, &str)]) -> Outcome<Server> {
    let found = vestibule_e2e::postgres::machine_installation().map_err(|error| failure(error.0))?;
    Server::start_with(&found, settings)
}
