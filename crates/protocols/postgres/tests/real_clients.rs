//! Real, unmodified clients log in at a small listener that answers every question with `on`.

#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use vestibule_core::{Established, Greet, Greeting, Limits, Protocol, Refusal, RefusalKind, Welcome};
use vestibule_e2e::cache;
use vestibule_e2e::run::run;
use vestibule_e2e::talk::{self, Address, Verdict, Via};
use vestibule_e2e::tls::Authority;
use vestibule_postgres::Postgres;

const TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJkYW5hIn0.c2lnbmF0dXJl";

trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

/// What the listener saw.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Claim { target: String, user: String, application: String },
    Cancel(Vec<u8>),
    Broken(String),
}

struct House {
    tls: TlsAcceptor,
    cleartext: bool,
    seen: Mutex<Vec<Seen>>,
}

const KEY: [u8; 32] = *b"\x012345678901234567890123456789012";

async fn connection(house: Arc<House>, tcp: TcpStream) {
    let mut first = [0_u8];
    let direct = tcp.peek(&mut first).await.unwrap_or(0) == 1 && first == [0x16];
    let mut tcp = Some(tcp);
    let mut bytes: Box<dyn Bytes> = if direct {
        match house.tls.accept(tcp.take().unwrap()).await {
            Ok(tls) => Box::new(tls),
            Err(_) => return,
        }
    } else {
        Box::new(tokio::io::empty())
    };
    let mut sealed = direct;
    let mut greeting = Postgres.greet(Limits::default(), [1; 32]);
    let mut received = Vec::new();
    loop {
        let mut steps = Vec::new();
        let used = match greeting.receive(&received, sealed || house.cleartext, &mut steps) {
            Ok(used) => used,
            Err(error) => return house.seen.lock().unwrap().push(Seen::Broken(error.to_string())),
        };
        received.drain(..used);
        let stepped = used > 0 || !steps.is_empty();
        for step in steps {
            match step {
                Greet::Write(reply) => match &mut tcp {
                    Some(tcp) => tcp.write_all(&reply).await.unwrap(),
                    None => bytes.write_all(&reply).await.unwrap(),
                },
                Greet::StartTls => {
                    assert!(received.is_empty());
                    match house.tls.accept(tcp.take().unwrap()).await {
                        Ok(tls) => bytes = Box::new(tls),
                        Err(_) => return,
                    }
                    sealed = true;
                }
                Greet::Prove { chosen, token } => {
                    let application = chosen.parameters.get("application_name").cloned().unwrap_or_default();
                    house.seen.lock().unwrap().push(Seen::Claim {
                        target: chosen.target,
                        user: chosen.user,
                        application,
                    });
                    let good = token.expose() == TOKEN.as_bytes();
                    let mut reply = Vec::new();
                    answer(&mut *greeting, good, &mut reply);
                    let mut bytes: Box<dyn Bytes> = match tcp.take() {
                        Some(tcp) => Box::new(tcp),
                        None => bytes,
                    };
                    bytes.write_all(&reply).await.unwrap();
                    bytes.flush().await.unwrap();
                    if good {
                        serve(bytes, received).await;
                    } else {
                        let _ = bytes.shutdown().await;
                    }
                    return;
                }
                Greet::Cancel(key) => return house.seen.lock().unwrap().push(Seen::Cancel(key)),
                Greet::Goodbye => {
                    let _ = match &mut tcp {
                        Some(tcp) => tcp.shutdown().await,
                        None => bytes.shutdown().await,
                    };
                    return;
                }
            }
        }
        if stepped && !received.is_empty() {
            continue;
        }
        let read = match &mut tcp {
            Some(tcp) => tcp.read_buf(&mut received).await,
            None => bytes.read_buf(&mut received).await,
        };
        if read.unwrap_or(0) == 0 {
            return;
        }
    }
}

fn answer(greeting: &mut dyn Greeting, good: bool, reply: &mut Vec<u8>) {
    if good {
        let mut established = Established::default();
        for (name, value) in [
            ("server_version", "15.4"),
            ("client_encoding", "UTF8"),
            ("standard_conforming_strings", "on"),
            ("is_superuser", "on"),
        ] {
            established.parameters.insert(name.to_owned(), value.to_owned());
        }
        let welcome = Welcome { established: Arc::new(established), cancel_key: KEY.to_vec() };
        greeting.proven(Ok(&welcome), reply);
    } else {
        greeting.proven(
            Err(&Refusal::new(RefusalKind::Identity, "refused: the token is not good", "get a new one")),
            reply,
        );
    }
}

/// Answers every question with one row.
async fn serve(mut bytes: Box<dyn Bytes>, mut received: Vec<u8>) {
    let reply: &[u8] = b"T\0\0\0\x1a\0\x01a\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0\
        D\0\0\0\x0c\0\x01\0\0\0\x02onC\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";
    loop {
        while received.len() >= 5 {
            let length = u32::from_be_bytes(received[1..5].try_into().unwrap()) as usize + 1;
            if received.len() < length {
                break;
            }
            match received[0] {
                b'X' => return,
                b'Q' => bytes.write_all(reply).await.unwrap(),
                other => panic!("asked {other}"),
            }
            bytes.flush().await.unwrap();
            received.drain(..length);
        }
        if bytes.read_buf(&mut received).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

struct Listening {
    house: Arc<House>,
    port: u16,
    authority: Authority,
    _runtime: tokio::runtime::Runtime,
}

impl Listening {
    fn new(cleartext: bool) -> Self {
        use rustls_pki_types::pem::PemObject;
        use rustls_pki_types::{CertificateDer, PrivateKeyDer};
        let authority = Authority::new().unwrap();
        let (cert, key) = authority.server();
        let chain = CertificateDer::pem_file_iter(cert).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
            .unwrap();
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        let house =
            Arc::new(House { tls: TlsAcceptor::from(Arc::new(config)), cleartext, seen: Mutex::new(Vec::new()) });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let tcp = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = tcp.local_addr().unwrap().port();
        let shared = Arc::clone(&house);
        runtime.spawn(async move {
            while let Ok((tcp, _)) = tcp.accept().await {
                tokio::spawn(connection(Arc::clone(&shared), tcp));
            }
        });
        Self { house, port, authority, _runtime: runtime }
    }

    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.house.seen.lock().unwrap())
    }

    /// What psql prints and complains.
    fn psql(&self, psql: &Path, words: &str, password: &str) -> (bool, String, String) {
        let ca = self.authority.ca();
        let mut command = Command::new(psql);
        let base = format!("host=localhost port={} dbname=clinic user=dana connect_timeout=10", self.port);
        let how = format!("{base} sslrootcert={} {words}", ca.display());
        command.args(["-X", "-w", "-A", "-t", "-c", "SELECT 1", "-d", &how]);
        command.env("PGPASSWORD", password).env_remove("PGOPTIONS").env("PGPASSFILE", "/dev/null");
        let ended = run(&mut command, Duration::from_secs(20)).unwrap();
        (ended.success(), ended.stdout.trim().to_owned(), ended.stderr.clone())
    }
}

fn psqls() -> Vec<PathBuf> {
    let newer = cache::newer_clients().join("bin/psql");
    [PathBuf::from("/usr/bin/psql"), newer].into_iter().filter(|path| path.exists()).collect()
}

#[test]
fn psql_logs_in_with_a_token_and_learns_why_it_does_not() {
    let listening = Listening::new(false);
    assert_eq!(psqls().len(), 2, "psql 15 and 18 are installed by the set-up");
    for psql in psqls() {
        let (ok, out, err) = listening.psql(&psql, "sslmode=verify-full", TOKEN);
        assert!(ok, "{err}");
        assert_eq!(out, "on");
        let wanted = Seen::Claim { target: "clinic".into(), user: "dana".into(), application: "psql".into() };
        assert_eq!(listening.seen(), [wanted]);

        let (ok, _, err) = listening.psql(&psql, "sslmode=verify-full", "another");
        assert!(!ok && err.contains("refused: the token is not good") && err.contains("get a new one"), "{err}");
        let (ok, _, err) = listening.psql(&psql, "sslmode=disable", TOKEN);
        assert!(!ok && err.contains("takes a token only over TLS"), "{err}");
        listening.seen();
        let (ok, _, err) =
            listening.psql(&psql, "sslmode=verify-full options='-c session_replication_role=replica'", TOKEN);
        assert!(!ok && err.contains("`session_replication_role` is not passed on"), "{err}");
        let (ok, _, err) = listening.psql(&psql, "sslmode=verify-full replication=database", TOKEN);
        assert!(!ok && err.contains("replication does not go through"), "{err}");
        assert_eq!(listening.seen(), [], "no token is asked for what cannot be");
        let (ok, out, err) =
            listening.psql(&psql, "sslmode=verify-full gssencmode=prefer options='-c statement_timeout=5s'", TOKEN);
        assert!(ok && out == "on", "{err}");
        listening.seen();
    }
}

#[test]
fn psql_may_log_in_in_the_clear_where_the_listener_allows_it() {
    let listening = Listening::new(true);
    for psql in psqls() {
        let (ok, out, err) = listening.psql(&psql, "sslmode=disable", TOKEN);
        assert!(ok && out == "on", "{err}");
    }
}

#[test]
fn libpq_18_negotiates_tls_and_versions_and_logs_in_with_a_bearer_token() {
    let listening = Listening::new(false);
    let client = talk::CLIENTS.iter().find(|client| client.name == "libpq-18").unwrap();
    let address = Address {
        host: "localhost".to_owned(),
        port: listening.port,
        database: "clinic".to_owned(),
        user: "dana".to_owned(),
        password: TOKEN.to_owned(),
        sslmode: "verify-full".to_owned(),
        ca: listening.authority.ca(),
        major: 15,
        via: Via::Gateway,
    };
    let lines = talk::hold(client, &address, Duration::from_secs(60));
    for line in &lines {
        assert!(matches!(line.verdict, Verdict::Passed(_)), "{}: {:?}", line.name, line.verdict);
    }
    assert!(lines.iter().any(|line| line.name == "a_bearer_token"), "{lines:?}");
}
