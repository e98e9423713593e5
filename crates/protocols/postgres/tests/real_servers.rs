//! The login, the cancel request and the crawl against real servers of every supported version, through the real driver.

#![cfg(test)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vestibule_core::{Limits, Protocol, RefusalKind};
use vestibule_e2e::postgres::{DATABASE, PASSWORD, Server, installation, login};
use vestibule_e2e::temp::TempDir;
use vestibule_postgres::Postgres;
use vestibule_sql::{Catalog, FunctionKind, RelationKind, Volatility};
use vestibule_upstream::{CredentialSource, DialError, Target, TargetTls, TlsMode, Transport, Upstream};

const ODD: &str = "pass\u{ad}wörd \u{2168} 🏥";

struct Bench {
    server: Server,
    files: TempDir,
    client: (std::path::PathBuf, std::path::PathBuf),
}

impl Bench {
    fn new(major: u32) -> Self {
        let server = Server::start(&installation(major).unwrap()).unwrap();
        let files = TempDir::new("login").unwrap();
        for (name, password) in [("good", PASSWORD), ("bad", "not-the-password"), ("odd", ODD)] {
            std::fs::write(files.path().join(name), format!("{password}\n")).unwrap();
        }
        let client = server.authority().issue("client", login("cert"), "extendedKeyUsage=clientAuth").unwrap();
        Self { server, files, client }
    }

    fn tls(&self, client: bool, alpn: Option<&str>) -> TargetTls {
        let client = client.then_some((self.client.0.as_path(), self.client.1.as_path()));
        let ca = self.server.authority().ca();
        TargetTls::load(TlsMode::VerifyFull, Path::new(&ca), "localhost", client, alpn).unwrap()
    }

    fn target(&self, user: &str, password: &str, tls: Option<TargetTls>, settings: &[(&str, &str)]) -> Target {
        let mut all = BTreeMap::from([("database".to_owned(), DATABASE.to_owned())]);
        all.extend(settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        Target {
            name: "clinic".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: self.server.port(),
            user: user.to_owned(),
            credential: match password {
                "" => CredentialSource::None,
                name => CredentialSource::File(self.files.path().join(name)),
            },
            tls,
            settings: all,
        }
    }
}

async fn enter(target: &Target) -> Result<Upstream, DialError> {
    let parameters = BTreeMap::from([("application_name".to_owned(), "vestibule test".to_owned())]);
    vestibule_upstream::connect(target, &Postgres, parameters, [7; 32], Limits::default()).await
}

async fn refused(target: &Target) -> String {
    match enter(target).await {
        Err(DialError::Refused(refusal)) => {
            assert_eq!(refusal.kind, RefusalKind::Target);
            assert!(!refusal.message.contains(PASSWORD) && !refusal.message.contains("not-the-password"));
            refusal.message
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// Asks one question and hands back everything up to ReadyForQuery.
async fn ask(transport: &mut Transport, sql: &str) -> Vec<u8> {
    let mut question = vec![b'Q'];
    question.extend_from_slice(&u32::try_from(sql.len() + 5).unwrap().to_be_bytes());
    question.extend_from_slice(sql.as_bytes());
    question.push(0);
    transport.write_all(&question).await.unwrap();
    transport.flush().await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(&[b'Z', 0, 0, 0, 5, b'I']) {
        assert!(transport.read_buf(&mut answer).await.unwrap() > 0, "the server left");
    }
    answer
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

async fn every_way_in(bench: &Bench) {
    let major = bench.server.major();
    let plain = || None;
    let tls = || Some(bench.tls(false, None));
    let app = login("scram-sha-256");
    let allowed: &[(&str, &str)] = &[("cleartext_password", "allow")];
    let bound: &[(&str, &str)] = &[("channel_binding", "require")];
    let unbound: &[(&str, &str)] = &[("channel_binding", "disable")];
    let good = [
        bench.target(app, "good", plain(), &[]),
        bench.target(app, "good", tls(), &[]),
        bench.target(app, "good", tls(), bound),
        bench.target(app, "good", tls(), unbound),
        bench.target(login("md5"), "good", plain(), &[]),
        bench.target(login("md5"), "good", tls(), &[]),
        bench.target(login("password"), "good", tls(), &[]),
        bench.target(login("password"), "good", plain(), allowed),
        bench.target(login("cert"), "", Some(bench.tls(true, None)), &[]),
        bench.target("odd", "odd", tls(), bound),
    ];
    for target in good {
        let mut upstream = enter(&target).await.unwrap_or_else(|error| panic!("{} on {major}: {error}", target.user));
        let established = &upstream.established;
        let version = &established.parameters["server_version"];
        assert!(version.starts_with(&major.to_string()), "{version}");
        assert_eq!(established.parameters["client_encoding"], "UTF8");
        assert_eq!(established.parameters["application_name"], "vestibule test");
        assert_eq!((established.version, established.cancel_key.len()), (3 << 16, 8));
        assert!(upstream.rest.is_empty());
        let answer = ask(&mut upstream.transport, "SELECT current_user, current_database()").await;
        assert!(holds(&answer, &target.user) && holds(&answer, DATABASE));
    }
    if major >= 17 {
        let target = bench.target(app, "good", Some(bench.tls(false, Some("postgresql"))), bound);
        enter(&target).await.unwrap();
    }
}

async fn every_way_not_in(bench: &Bench) {
    let plain = || None;
    let tls = || Some(bench.tls(false, None));
    let bound: &[(&str, &str)] = &[("channel_binding", "require")];
    let app = login("scram-sha-256");
    for (user, way) in [(app, tls()), (app, plain()), (login("md5"), plain()), (login("password"), tls())] {
        let words = refused(&bench.target(user, "bad", way, &[])).await;
        assert!(words.contains("28P01"), "{words}");
    }
    let cases = [
        (bench.target(app, "good", plain(), bound), "does not bind"),
        (bench.target(login("md5"), "good", tls(), bound), "does not bind"),
        (bench.target(login("password"), "good", tls(), bound), "does not bind"),
        (bench.target(login("cert"), "", Some(bench.tls(true, None)), bound), "does not bind"),
        (bench.target(login("password"), "good", plain(), &[]), "in the clear"),
        (bench.target(app, "", tls(), &[]), "none is configured"),
        (bench.target(app, "good", tls(), &[("database", "no_such")]), "3D000"),
        (bench.target("nobody_of_this_name", "good", tls(), &[]), "28P01"),
        (bench.target(login("cert"), "", tls(), &[]), "28000"),
    ];
    for (target, wanted) in cases {
        let words = refused(&target).await;
        assert!(words.contains(wanted), "{}: {words}", target.user);
    }
}

async fn the_newer_protocol(bench: &Bench) {
    let target =
        bench.target(login("scram-sha-256"), "good", Some(bench.tls(false, None)), &[("protocol_version", "3.2")]);
    let established = enter(&target).await.unwrap().established;
    if bench.server.major() >= 18 {
        assert_eq!(established.version, (3 << 16) | 2);
        assert!(established.cancel_key.len() > 8);
    } else {
        assert_eq!((established.version, established.cancel_key.len()), (3 << 16, 8));
    }
}

async fn cancelling(bench: &Bench) {
    let app = login("scram-sha-256");
    for (tls, version) in [(false, "3.0"), (true, "3.0"), (true, "3.2")] {
        let tls = tls.then(|| bench.tls(false, None));
        let target = bench.target(app, "good", tls, &[("protocol_version", version)]);
        let mut upstream = enter(&target).await.unwrap();
        let started = Instant::now();
        let (answer, ()) = tokio::join!(ask(&mut upstream.transport, "SELECT pg_sleep(30)"), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            vestibule_upstream::cancel(&target, &Postgres, &upstream.established).await.unwrap();
        });
        assert!(holds(&answer, "57014") && started.elapsed() < Duration::from_secs(20));
    }
}

async fn crawled(bench: &Bench) -> (Arc<Catalog>, String) {
    let target = bench.target(login("scram-sha-256"), "good", None, &[]);
    let mut upstream = enter(&target).await.unwrap();
    let mut crawl = Postgres.crawl().unwrap();
    let (mut out, mut received) = (Vec::new(), Vec::new());
    crawl.start(&mut out);
    upstream.transport.write_all(&out).await.unwrap();
    loop {
        let (used, done) = crawl.receive(&received, &mut Vec::new()).unwrap();
        received.drain(..used);
        if let Some((content, digest)) = done {
            return (content.downcast().unwrap(), digest);
        }
        assert!(upstream.transport.read_buf(&mut received).await.unwrap() > 0);
    }
}

async fn crawling(bench: &Bench) {
    let first = crawled(bench).await.1;
    assert_eq!(first.len(), 64);
    assert_eq!(first, crawled(bench).await.1, "the same content has the same digest");
    let mut before = first;
    for change in [
        "CREATE TABLE patient (id int, name text)",
        "ALTER TABLE patient ADD born date, ADD gone int",
        "ALTER TABLE patient DROP gone",
        "CREATE VIEW adult AS SELECT name FROM patient",
        "CREATE OR REPLACE VIEW adult AS SELECT name || '!' AS name FROM patient",
        "CREATE FUNCTION f(int) RETURNS SETOF int STABLE LANGUAGE sql AS 'SELECT 1'",
        "ALTER FUNCTION f(int) SECURITY DEFINER",
        "CREATE TABLE child () INHERITS (patient)",
        "CREATE RULE r AS ON INSERT TO child DO ALSO SELECT 1",
        "CREATE DOMAIN mrn AS text; CREATE DOMAIN inner_mrn AS mrn; CREATE TABLE visit (patient inner_mrn)",
        "CREATE SCHEMA \"Odd \u{1f3e5}\nschema\"; CREATE TABLE \"Odd \u{1f3e5}\nschema\".\"T\t\" (\"c\\\" int)",
        "CREATE OPERATOR public.=~~= (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)",
        "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    ] {
        // Not every installation has the extensions.
        if bench.server.admin(DATABASE, change).is_err() && change.contains("EXTENSION") {
            continue;
        }
        let after = crawled(bench).await.1;
        assert_ne!(before, after, "{change}");
        before = after;
    }
    let catalog = crawled(bench).await.0;
    let patient = catalog.relation("public", "patient").unwrap();
    let columns: Vec<_> = patient.columns.iter().map(|c| (c.number, &*c.name, c.type_oid)).collect();
    assert_eq!(columns, [(1, "id", 23), (2, "name", 25), (3, "born", 1_082)]);
    assert_eq!(
        (patient.kind, patient.runs_code),
        (RelationKind::Table, true),
        "a child's rule runs for the parent, too"
    );
    let child = catalog.relation("public", "child").unwrap();
    assert_eq!((child.parents.as_slice(), child.runs_code, child.columns.len()), (&[patient.oid][..], true, 3));
    let adult = catalog.relation("public", "adult").unwrap();
    assert!(adult.kind == RelationKind::View && !adult.runs_code);
    assert!(adult.definition.as_deref().unwrap().contains("FROM public.patient"), "{adult:?}");
    assert_eq!(catalog.relation("public", "visit").unwrap().columns[0].type_oid, 25, "a domain travels as its base");
    assert_eq!(&*catalog.relation("Odd \u{1f3e5}\nschema", "T\t").unwrap().columns[0].name, "c\\");
    let f = catalog.functions().iter().find(|f| &*f.name == "f").unwrap();
    assert_eq!(
        (&*f.schema, &*f.language, f.body.as_deref(), f.extension.as_deref()),
        ("public", "sql", Some("SELECT 1"), None)
    );
    assert!(
        f.security_definer && f.returns_set && f.kind == FunctionKind::Function && f.volatility == Volatility::Stable
    );
    if let Some(ours) = catalog.functions().iter().find(|f| &*f.name == "similarity") {
        assert_eq!((ours.extension.as_deref(), &*ours.language), (Some("pg_trgm"), "c"));
    }
    assert!(catalog.relation("pg_catalog", "pg_class").is_some());
    assert!(catalog.relation("information_schema", "columns").is_some());
    assert!(catalog.relations().iter().all(|r| !r.schema.starts_with("pg_toast") && !r.schema.starts_with("pg_temp")));
}

fn held_with(major: u32) {
    let bench = Bench::new(major);
    bench.server.admin("postgres", &format!("CREATE ROLE odd LOGIN PASSWORD '{ODD}'")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        every_way_in(&bench).await;
        every_way_not_in(&bench).await;
        the_newer_protocol(&bench).await;
        cancelling(&bench).await;
        crawling(&bench).await;
    });
}

#[test]
fn fifty_thousand_columns_are_read_in_seconds() {
    let bench = Bench::new(16);
    let make = "DO $$ BEGIN FOR t IN 1..500 LOOP EXECUTE (SELECT format('CREATE TABLE wide_%s (', t) || \
                string_agg(format('column_with_a_name_%s int', c), ', ') || ')' FROM generate_series(1, 100) c); END LOOP; END $$";
    bench.server.admin(DATABASE, make).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let started = Instant::now();
    let (catalog, _) = runtime.block_on(crawled(&bench));
    assert_eq!(catalog.relation("public", "wide_500").unwrap().columns.len(), 100);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    println!("50,000 columns in {:?}", started.elapsed());
}

#[test]
fn postgresql_13() {
    held_with(13);
}

#[test]
fn postgresql_14() {
    held_with(14);
}

#[test]
fn postgresql_15() {
    held_with(15);
}

#[test]
fn postgresql_16() {
    held_with(16);
}

#[test]
fn postgresql_17() {
    held_with(17);
}

#[test]
fn postgresql_18() {
    held_with(18);
}

#[test]
fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let bench = Bench::new(15);
    bench.server.admin("postgres", "ALTER SYSTEM SET ssl = off").unwrap();
    bench.server.admin("postgres", "SELECT pg_reload_conf()").unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let words = refused(&bench.target(login("scram-sha-256"), "good", Some(bench.tls(false, None)), &[])).await;
        assert!(words.contains("has no TLS"), "{words}");
    });
}
