//! Every client's conversation with every server: straight to it, and through the gateway.

use crate::say;
use crate::tally::Tally;
use crate::test::Wanted;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use vestibule_e2e::postgres::{DATABASE, MAJORS, PASSWORD, Server, installation, login};
use vestibule_e2e::talk::{Address, CLIENTS, Client, Line, Verdict, Via, hold};
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
    let tally = Mutex::new(Tally::default());
    let queue = Mutex::new(clients.iter());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some(client) = next else { return };
                    let start = Instant::now();
                    let lines = hold(client, &direct(server), LIMIT);
                    if let Ok(mut tally) = tally.lock() {
                        count(&mut tally, client, server.major(), Via::Direct, &lines, start.elapsed());
                    }
                }
            });
        }
    });
    tally.into_inner().unwrap_or_default()
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
    say::line(&format!("{} {via} PostgreSQL {major}: {passed} of {total} ok ({:.1} s)", client.name, took.as_secs_f64()));
}

/// The one server that a demonstration or a measurement uses.
///
/// # Errors
/// When the machine has none.
pub fn one_server(settings: &[(&str, &str)]) -> Outcome<Server> {
    let found = vestibule_e2e::postgres::machine_installation().map_err(|error| failure(error.0))?;
    Server::start_with(&found, settings)
}
