//! PostgreSQL, protocol 3.0 and 3.2, servers 13 to 18.
//!
//! Three conversations, none with a socket or a clock: the client's login (`greeting`), the gateway's own login at the
//! target (`login`), and everything after both (`session`). Beside them the reading of the target's catalog
//! (`crawl`) and the replay (`transcript`).
//!
//! Not here: what a statement means (`vestibule-sql`), what is permitted, what is masked.

mod crawl;
mod explain;
mod greeting;
mod handshake;
mod login;
mod session;
mod transcript;
mod wire;

use vestibule_core::{
    Capability, Crawl, Established, Greeting, Interpreter, Limits, LoginRequest, Manifest, Nonce, OpenSession,
    Operation, Protocol, Refusal, Setting, Shape, TargetLogin, Transcript,
};

static MANIFEST: Manifest = Manifest {
    id: "postgres",
    title: "PostgreSQL",
    default_port: 5432,
    shape: Shape::Stream,
    capabilities: &[Capability::Mask, Capability::Hold, Capability::RowLimit, Capability::Message],
    target_settings: &[
        Setting { key: "database", help: "the database at the target that sessions are opened on", required: true },
        Setting {
            key: "protocol_version",
            help: "the newest protocol version asked of the target: 3.0 (default) or 3.2, whose keys for cancel requests \
                   cannot be guessed; 3.2 needs a target that answers with an older version instead of an error",
            required: false,
        },
        Setting {
            key: "channel_binding",
            help: "prefer (default), require or disable: whether a login by SCRAM is bound to the TLS connection",
            required: false,
        },
        Setting {
            key: "cleartext_password",
            help: "allow: the password may be sent to the target as it is even without TLS; refuse (default)",
            required: false,
        },
    ],
    target_hint: "name the target as the database; the token is the password",
    client_env: &[
        ("PGHOST", "{host}"),
        ("PGPORT", "{port}"),
        ("PGDATABASE", "{target}"),
        ("PGUSER", "{user}"),
        ("PGPASSWORD", "{token}"),
        ("PGSSLMODE", "verify-full"),
        ("PGSSLROOTCERT", "{ca}"),
        ("PGGSSENCMODE", "disable"),
    ],
    direct_tls_alpn: Some("postgresql"),
};

/// The protocol.
#[derive(Debug, Clone, Copy, Default)]
pub struct Postgres;

impl Protocol for Postgres {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn greet(&self, limits: Limits, _nonce: Nonce) -> Box<dyn Greeting> {
        Box::new(greeting::Client::new(limits))
    }

    fn login(&self, login: LoginRequest) -> Box<dyn TargetLogin> {
        Box::new(login::Login::new(login))
    }

    fn cancel(&self, established: &Established, tls: bool) -> Box<dyn TargetLogin> {
        Box::new(login::Cancel::new(established, tls))
    }

    fn crawl(&self) -> Option<Box<dyn Crawl>> {
        Some(Box::new(crawl::Reader::new()))
    }

    fn open(&self, session: OpenSession) -> Box<dyn Interpreter> {
        session::open(session)
    }

    fn transcript(&self) -> Box<dyn Transcript> {
        transcript::transcript()
    }

    fn read(&self, statement: &str, session: &OpenSession) -> Result<Vec<Operation>, Refusal> {
        explain::read(statement, session)
    }
}
