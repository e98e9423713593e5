//! A gateway with nothing but the protocol: threads that carry bytes, and a referee in the guard's place.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use vestibule_core::{
    Credential, Established, Greet, Limits, Login, LoginRequest, OpenSession, Protocol, Refusal, RefusalKind, Ruling,
    Secret, Side, Snapshot, TargetLogin, Terms, Welcome,
};
use vestibule_postgres::Postgres;
use vestibule_testkit::{Blackout, Referee};

/// What the referee decides.
#[derive(Clone)]
pub struct Rules {
    pub mask: Blackout,
    pub scrub: bool,
    pub phi: bool,
    /// Actions that are refused.
    pub refuse: Vec<String>,
    pub row_limit: Option<u64>,
    pub notice: Option<String>,
}

impl Default for Rules {
    fn default() -> Self {
        let mask = Blackout { columns: Vec::new() };
        Self { mask, scrub: false, phi: true, refuse: Vec::new(), row_limit: None, notice: None }
    }
}

struct House {
    server: u16,
    database: String,
    user: String,
    password: String,
    rules: Rules,
    faults: Mutex<Vec<String>>,
    catalog: Mutex<Option<Snapshot>>,
    version: AtomicU64,
    keys: Mutex<HashMap<Vec<u8>, Arc<Established>>>,
    over: AtomicBool,
}

pub struct Gateway {
    house: Arc<House>,
    port: u16,
}

impl Gateway {
    pub fn start(server: u16, database: &str, user: &str, password: &str, rules: Rules) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let house = Arc::new(House {
            server,
            database: database.to_owned(),
            user: user.to_owned(),
            password: password.to_owned(),
            rules,
            faults: Mutex::new(Vec::new()),
            catalog: Mutex::new(None),
            version: AtomicU64::new(0),
            keys: Mutex::new(HashMap::new()),
            over: AtomicBool::new(false),
        });
        let served = Arc::clone(&house);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if served.over.load(Ordering::Relaxed) {
                    return;
                }
                let house = Arc::clone(&served);
                thread::spawn(move || connection(&house, client));
            }
        });
        Self { house, port }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// No rule was broken in any session.
    pub fn finish(self) {
        self.house.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let faults = self.house.faults.lock().unwrap();
        assert!(faults.is_empty(), "{faults:#?}");
    }
}

impl House {
    fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.server)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn login(&self, parameters: BTreeMap<String, String>) -> Option<(TcpStream, Established, Vec<u8>)> {
        let mut stream = self.dial();
        let login = Postgres.login(LoginRequest {
            user: self.user.clone(),
            credential: Credential::Password(Secret::new(self.password.as_bytes())),
            settings: BTreeMap::from([("database".to_owned(), self.database.clone())]),
            parameters,
            tls: false,
            nonce: [9; 32],
            limits: Limits::default(),
        });
        let (established, rest) = log_in(login, &mut stream)?;
        Some((stream, established, rest))
    }

    /// A new snapshot of the catalog.
    fn crawl(&self) -> Option<Snapshot> {
        let (mut stream, _, mut received) = self.login(BTreeMap::new())?;
        let mut crawl = Postgres.crawl().unwrap();
        let mut out = Vec::new();
        crawl.start(&mut out);
        loop {
            stream.write_all(&out).ok()?;
            out.clear();
            let (used, content) = crawl.receive(&received, &mut out).ok()?;
            received.drain(..used);
            if let Some((content, digest)) = content {
                let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
                let snapshot = Snapshot { version, digest: digest.into(), content };
                *self.catalog.lock().unwrap() = Some(snapshot.clone());
                return Some(snapshot);
            }
            if out.is_empty() {
                let mut buffer = [0; 65_536];
                let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
                received.extend_from_slice(&buffer[..read]);
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let have = self.catalog.lock().unwrap().clone();
        have.or_else(|| self.crawl()).expect("the catalog cannot be read")
    }

    fn fault(&self, what: String) {
        self.faults.lock().unwrap().push(what);
    }
}

fn log_in(mut login: Box<dyn TargetLogin>, stream: &mut TcpStream) -> Option<(Established, Vec<u8>)> {
    let mut steps = Vec::new();
    login.start(&mut steps);
    let mut received = Vec::new();
    loop {
        for step in steps.drain(..) {
            match step {
                Login::Write(bytes) => stream.write_all(&bytes).ok()?,
                Login::StartTls => panic!("no TLS was asked for"),
                Login::Ready(established) => return Some((established, received)),
            }
        }
        let used = login.receive(&received, &mut steps).ok()?;
        received.drain(..used);
        if used == 0 && steps.is_empty() {
            let mut buffer = [0; 4_096];
            let read = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
            received.extend_from_slice(&buffer[..read]);
        }
    }
}

fn connection(house: &Arc<House>, mut client: TcpStream) {
    client.set_nodelay(true).unwrap();
    let mut greeting = Postgres.greet(Limits::default(), [1; 32]);
    let mut received = Vec::new();
    loop {
        let mut steps = Vec::new();
        let Ok(used) = greeting.receive(&received, true, &mut steps) else { return };
        received.drain(..used);
        let moved = used > 0 || !steps.is_empty();
        for step in steps {
            match step {
                Greet::Write(reply) => drop(client.write_all(&reply)),
                Greet::StartTls => return,
                Greet::Cancel(key) => {
                    let established = house.keys.lock().unwrap().get(&key).cloned();
                    if let Some(established) = established {
                        let _ = log_in(Postgres.cancel(&established, false), &mut house.dial());
                    }
                    return;
                }
                Greet::Goodbye => return,
                Greet::Prove { chosen, token } => {
                    if token.expose() != house.password.as_bytes() {
                        let mut reply = Vec::new();
                        greeting.proven(Err(&Refusal::new(RefusalKind::Identity, "no", "")), &mut reply);
                        drop(client.write_all(&reply));
                        return;
                    }
                    let Some((target, established, rest)) = house.login(chosen.parameters.clone()) else { return };
                    let established = Arc::new(established);
                    let number = house.version.fetch_add(1 << 20, Ordering::Relaxed);
                    let cancel_key = number.to_be_bytes().to_vec();
                    house.keys.lock().unwrap().insert(cancel_key.clone(), Arc::clone(&established));
                    let mut reply = Vec::new();
                    let welcome = Welcome { established: Arc::clone(&established), cancel_key };
                    greeting.proven(Ok(&welcome), &mut reply);
                    drop(client.write_all(&reply));
                    let open = OpenSession {
                        chosen,
                        established,
                        catalog: Some(house.snapshot()),
                        limits: Limits::default(),
                        phi: house.rules.phi,
                    };
                    session(house, client, target, open, (received, rest));
                    return;
                }
            }
        }
        if !moved {
            let mut buffer = [0; 4_096];
            match client.read(&mut buffer) {
                Ok(read) if read > 0 => received.extend_from_slice(&buffer[..read]),
                _ => return,
            }
        }
    }
}

fn carry(side: Side, mut from: TcpStream, to: SyncSender<(Side, Vec<u8>)>) {
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        loop {
            let read = from.read(&mut buffer).unwrap_or(0);
            if to.send((side, buffer[..read].to_vec())).is_err() || read == 0 {
                return;
            }
        }
    });
}

fn session(
    house: &Arc<House>,
    mut client: TcpStream,
    mut target: TcpStream,
    open: OpenSession,
    (early, rest): (Vec<u8>, Vec<u8>),
) {
    let rules = house.rules.clone();
    let terms = Terms {
        mask: Arc::new(rules.mask.clone()),
        row_limit: rules.row_limit,
        notice: rules.notice.as_deref().map(Arc::from),
        scrub: rules.scrub,
    };
    let refuse = rules.refuse;
    let judge = Box::new(move |_, operation: &vestibule_core::Operation| {
        if refuse.iter().any(|r| *r == operation.action) {
            let words = format!("refused: {} is not for you", operation.action);
            return Ruling::Refuse(Refusal::new(RefusalKind::Policy, words, "ask somebody"));
        }
        Ruling::Permit(terms.clone())
    });
    let mut referee = Referee::new(Postgres.open(open), judge);
    let (sender, events) = sync_channel(16);
    carry(Side::Client, client.try_clone().unwrap(), sender.clone());
    carry(Side::Target, target.try_clone().unwrap(), sender);
    referee.feed(Side::Client, &early);
    referee.feed(Side::Target, &rest);
    let mut stale = 0;
    loop {
        if std::env::var_os("PUMP").is_some() {
            eprintln!("-> {}\n<- {}", referee.target.escape_ascii(), referee.client.escape_ascii());
        }
        let wrote = target.write_all(&referee.target).and_then(|()| client.write_all(&referee.client));
        referee.target.clear();
        referee.client.clear();
        if referee.stale > stale {
            stale = referee.stale;
            // Where the server is going down there is none.
            if let Some(snapshot) = house.crawl() {
                referee.refresh(snapshot);
            }
            continue;
        }
        if wrote.is_err() || referee.goodbye || referee.error.is_some() {
            break;
        }
        match events.recv() {
            Ok((side, bytes)) if !bytes.is_empty() => referee.feed(side, &bytes),
            _ => break,
        }
    }
    if let Some(error) = &referee.error {
        house.fault(error.to_string());
    }
    referee.close(&Refusal::new(RefusalKind::Expired, "the test is over", ""));
    drop(client.write_all(&referee.client));
    for fault in &referee.faults {
        house.fault(fault.clone());
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = target.shutdown(Shutdown::Both);
}
