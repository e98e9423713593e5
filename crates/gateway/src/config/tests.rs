//! Every way in which a configuration can be wrong, and what is then said. The snapshot is what users read.

use super::{Config, Resolved};
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use vestibule_core::Problem;

/// A valid configuration with the files it needs.
struct Bench {
    dir: tempfile::TempDir,
}

const GOOD: &str = r#"[gateway]
name = "gateway.clinic.example/vestibule"

[api]
listen = "127.0.0.1:8443"
auditors = ["compliance"]

[[issuer]]
name = "staff"
issuer = "https://login.clinic.example"
audience = "vestibule"
client_id = "vestibule-cli"

[[listener]]
name = "databases"
protocol = "postgres"
listen = "127.0.0.1:6432"

[[target]]
name = "clinic"
protocol = "postgres"
address = "db.clinic.internal:5432"
user = "vestibule"
credential = { password_file = "secrets/clinic.password" }
tls = { mode = "verify-full", ca_file = "ca.crt" }
settings = { database = "clinic" }
labels = { env = "production" }

[tokens]
ttl = "10m"
"#;

impl Bench {
    fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap() };
        let cert = rcgen::generate_simple_self_signed(["db.clinic.internal".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap();
        for dir in ["data/ca", "policies", "secrets"] {
            fs::create_dir_all(bench.path(dir)).unwrap();
        }
        for (file, text, mode) in [
            ("data/ca/server.crt", cert.cert.pem(), 0o644),
            ("data/ca/server.key", cert.signing_key.serialize_pem(), 0o600),
            ("other.key", other.signing_key.serialize_pem(), 0o600),
            ("open.key", other.signing_key.serialize_pem(), 0o644),
            ("ca.crt", cert.cert.pem(), 0o644),
            ("nothing.crt", "no certificate\n".to_owned(), 0o644),
            ("secrets/clinic.password", "hunter2\n".to_owned(), 0o600),
            ("secrets/open.password", "hunter2\n".to_owned(), 0o640),
            ("secrets/empty.password", "\n".to_owned(), 0o600),
            ("policies/sample.cedar", crate::init::SAMPLE_POLICY.to_owned(), 0o644),
            ("data-map.toml", crate::init::SAMPLE_DATA_MAP.to_owned(), 0o644),
            ("broken-map.toml", "[profile\n".to_owned(), 0o644),
        ] {
            bench.write(file, &text, mode);
        }
        bench
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    fn load(&self, text: &str) -> Result<Resolved, Vec<Problem>> {
        self.write("vestibule.toml", text, 0o644);
        Config::load(&self.path("vestibule.toml"))
    }

    /// The problems as a user reads them, without the temporary directory.
    fn said(&self, text: &str) -> String {
        match self.load(text) {
            Ok(_) => "(accepted)\n".to_owned(),
            Err(problems) => problems.iter().fold(String::new(), |out, p| out + &self.plain(&p.to_string()) + "\n"),
        }
    }

    fn plain(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.dir.path().display()), "")
            .replace(&self.dir.path().display().to_string(), ".")
    }
}

/// What is changed in the good file: every occurrence of the first by the second.
type Case = (&'static str, &'static str, &'static str);

#[rustfmt::skip]
const CASES: &[Case] = &[
    // syntax
    ("not TOML: no value", "name = \"staff\"", "name ="),
    ("not TOML: no quotes", "user = \"vestibule\"", "user = vestibule"),
    ("not TOML: open quote", "user = \"vestibule\"", "user = \"vestibule"),
    ("the same key twice", "user = \"vestibule\"", "user = \"vestibule\"\nuser = \"admin\""),
    ("the same section twice", "[tokens]", "[api]"),
    // sections
    ("misspelt section", "[tokens]", "[token]"),
    ("section nobody knows", "[tokens]", "[colours]"),
    ("key outside its section", "[gateway]\n", "listen = \"127.0.0.1:1\"\n[gateway]\n"),
    ("section instead of list", "[[listener]]", "[listener]"),
    ("list instead of section", "[api]", "[[api]]"),
    ("list of texts instead of sections", "[gateway]\n", "listener = [\"a\"]\n[gateway]\n"),
    ("missing section", "[gateway]\nname = \"gateway.clinic.example/vestibule\"\n", ""),
    ("an empty file", GOOD, ""),
    // keys
    ("misspelt key", "listen = \"127.0.0.1:6432\"", "lisen = \"127.0.0.1:6432\""),
    ("key with dashes", "listen = \"127.0.0.1:6432\"", "listen = \"127.0.0.1:6432\"\nmax-connections = 5"),
    ("key nobody knows", "user = \"vestibule\"", "user = \"vestibule\"\ncolour = \"red\""),
    ("missing key", "user = \"vestibule\"\n", ""),
    ("secret in the file", "password_file = \"secrets/clinic.password\"", "password = \"hunter2\""),
    ("misspelt key in a table", "ca_file = \"ca.crt\"", "cafile = \"ca.crt\""),
    // types and ranges
    ("number instead of text", "user = \"vestibule\"", "user = 7"),
    ("text instead of true", "settings = {", "phi = \"yes\"\nsettings = {"),
    ("text instead of a number", "listen = \"127.0.0.1:6432\"", "listen = \"127.0.0.1:6432\"\nmax_connections = \"5\""),
    ("number out of range", "listen = \"127.0.0.1:6432\"", "listen = \"127.0.0.1:6432\"\nmax_connections = 0"),
    ("number beyond all ranges", "listen = \"127.0.0.1:6432\"", "listen = \"127.0.0.1:6432\"\nmax_message_bytes = 99999999999999999999"),
    ("number with a fraction", "[tokens]", "[ledger]\ncheckpoint_seconds = 0.5\n[tokens]"),
    ("text instead of a list", "auditors = [\"compliance\"]", "auditors = \"compliance\""),
    ("number in a list of texts", "auditors = [\"compliance\"]", "auditors = [\"compliance\", 7]"),
    ("number among labels", "env = \"production\"", "env = 7"),
    ("text instead of a table", "credential = { password_file = \"secrets/clinic.password\" }", "credential = \"hunter2\""),
    ("duration without unit", "ttl = \"10m\"", "ttl = \"10\""),
    ("duration as a number", "ttl = \"10m\"", "ttl = 600"),
    ("duration out of range", "ttl = \"10m\"", "ttl = \"30d\""),
    ("word that is no choice", "settings = {", "risk = \"extreme\"\nsettings = {"),
    ("TLS mode that does not verify", "mode = \"verify-full\"", "mode = \"require\""),
    ("empty text", "user = \"vestibule\"", "user = \"\""),
    ("name with spaces", "name = \"clinic\"", "name = \"the clinic\""),
    ("address without port", "db.clinic.internal:5432", "db.clinic.internal"),
    ("address with a scheme", "db.clinic.internal:5432", "postgres://db.clinic.internal:5432"),
    ("address with a password in it", "db.clinic.internal:5432", "postgres://vestibule:hunter2@db.clinic.internal:5432/clinic"),
    ("address with port 0", "db.clinic.internal:5432", "db.clinic.internal:0"),
    ("bare IPv6 address", "db.clinic.internal:5432", "::1:5432"),
    // what sections mean together
    ("gateway name with a scheme", "name = \"gateway.clinic.example/vestibule\"", "name = \"https://gateway.clinic.example\""),
    ("gateway name with a space", "name = \"gateway.clinic.example/vestibule\"", "name = \"our gateway\""),
    ("no data directory", "[api]", "data = \"elsewhere\"\n[api]"),
    ("listening on a host name", "listen = \"127.0.0.1:6432\"", "listen = \"gateway.clinic.example:6432\""),
    ("the same port twice", "127.0.0.1:6432", "127.0.0.1:8443"),
    ("the same port through a wildcard", "127.0.0.1:6432", "0.0.0.0:8443"),
    ("clear text for everybody", "listen = \"127.0.0.1:6432\"", "listen = \"0.0.0.0:6432\"\nallow_cleartext = true"),
    ("API in the clear", "auditors =", "url = \"http://gateway.clinic.example\"\nauditors ="),
    ("misspelt protocol", "protocol = \"postgres\"\nlisten", "protocol = \"postgers\"\nlisten"),
    ("protocol nobody knows", "protocol = \"postgres\"\naddress", "protocol = \"gopher\"\naddress"),
    ("two targets of one name", "[tokens]", "[[target]]\nname = \"clinic\"\nprotocol = \"postgres\"\naddress = \"127.0.0.1:5432\"\nuser = \"v\"\ntls = { mode = \"disable\" }\nsettings = { database = \"d\" }\n[tokens]"),
    ("setting nobody knows", "database = \"clinic\"", "databse = \"clinic\""),
    ("required setting missing", "settings = { database = \"clinic\" }\n", ""),
    ("PHI in the clear", "mode = \"verify-full\", ca_file = \"ca.crt\"", "mode = \"disable\""),
    ("CA without TLS", "mode = \"verify-full\"", "mode = \"disable\""),
    ("no CA", ", ca_file = \"ca.crt\"", ""),
    ("CA file that is not there", "ca_file = \"ca.crt\"", "ca_file = \"ca.pem\""),
    ("CA file that is a directory", "ca_file = \"ca.crt\"", "ca_file = \"secrets\""),
    ("CA file without certificates", "ca_file = \"ca.crt\"", "ca_file = \"nothing.crt\""),
    ("server name that is none", "ca_file = \"ca.crt\"", "ca_file = \"ca.crt\", server_name = \"not a name\""),
    ("password file that is not there", "secrets/clinic.password", "secrets/klinik.password"),
    ("password file open to others", "secrets/clinic.password", "secrets/open.password"),
    ("password file that is empty", "secrets/clinic.password", "secrets/empty.password"),
    ("password from two places", "password_file", "password_env = \"PATH\", password_file"),
    ("variable that is not set", "password_file = \"secrets/clinic.password\"", "password_env = \"VESTIBULE_TEST_NOT_SET\""),
    ("client certificate without key", "password_file = \"secrets/clinic.password\"", "client_cert = \"ca.crt\""),
    ("client key of another certificate", "password_file = \"secrets/clinic.password\"", "client_cert = \"ca.crt\", client_key = \"other.key\""),
    ("server key open to others", "auditors =", "tls = { cert = \"ca.crt\", key = \"open.key\" }\nauditors ="),
    ("server key of another certificate", "auditors =", "tls = { cert = \"ca.crt\", key = \"other.key\" }\nauditors ="),
    ("tokens longer than the longest", "ttl = \"10m\"", "ttl = \"10m\"\nmax_ttl = \"5m\""),
    ("recording off where PHI is", "[tokens]", "[recording]\non = false\n[tokens]"),
    ("no policy directory", "[tokens]", "[policy]\ndir = \"rules\"\n[tokens]"),
    ("no data map", "[tokens]", "[policy]\ndata_map = \"map.toml\"\n[tokens]"),
    ("a data map that is none", "[tokens]", "[policy]\ndata_map = \"broken-map.toml\"\n[tokens]"),
    // issuers
    ("two issuers of one name", "[tokens]", "[[issuer]]\nname = \"staff\"\nissuer = \"https://ci.clinic.example\"\naudience = \"vestibule\"\nkind = \"service\"\n[tokens]"),
    ("issuer in the clear", "https://login.clinic.example", "http://login.clinic.example"),
    ("algorithm that is not safe", "audience = \"vestibule\"", "audience = \"vestibule\"\nalgorithms = [\"none\", \"HS256\"]"),
    ("keys that are not there", "audience = \"vestibule\"", "audience = \"vestibule\"\njwks_file = \"keys.json\""),
];

#[test]
fn every_error_says_where_what_and_how_to_mend_it() {
    let bench = Bench::new();
    assert_eq!(bench.said(GOOD), "(accepted)\n");
    let mut page = String::new();
    for (title, from, to) in CASES {
        assert!(GOOD.contains(from), "{title}: nothing to change");
        let said = bench.said(&GOOD.replace(from, to));
        assert_ne!(said, "(accepted)\n", "{title}");
        assert!(!said.contains("hunter2"), "{title}: a secret is repeated");
        for line in said.lines().filter(|l| !l.starts_with("    ")) {
            assert!(!line.ends_with('.'), "{title}: {line}");
        }
        let _ = write!(page, "## {title}\n{said}\n");
    }
    assert!(CASES.len() >= 40);
    insta::assert_snapshot!("errors", page);
}

#[test]
fn all_errors_are_reported_at_once() {
    let bench = Bench::new();
    let text = GOOD
        .replace("listen = \"127.0.0.1:6432\"", "lisen = \"127.0.0.1:6432\"")
        .replace("user = \"vestibule\"", "user = 7")
        .replace("ttl = \"10m\"", "ttl = \"10\"")
        .replace("secrets/clinic.password", "secrets/open.password");
    let problems = bench.load(&text).unwrap_err();
    let lines: Vec<_> = problems.iter().map(|p| p.line).collect();
    assert!(problems.len() >= 5, "{problems:#?}");
    assert!(lines.is_sorted(), "{lines:?}");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let bench = Bench::new();
    let said = |path: &Path| {
        let problems = Config::load(path).unwrap_err();
        bench.plain(&problems.iter().map(|p| format!("{p}\n")).collect::<String>())
    };
    let mut page = said(&bench.path("nowhere.toml")) + &said(&bench.path("data"));
    fs::write(bench.path("latin1.toml"), b"[gateway]\nname = \"caf\xe9\"\n").unwrap();
    page += &said(&bench.path("latin1.toml"));
    fs::write(bench.path("huge.toml"), vec![b'#'; (1 << 20) + 1]).unwrap();
    page += &said(&bench.path("huge.toml"));
    insta::assert_snapshot!("files", page);
}

#[test]
fn a_good_file_is_described_in_plain_words_without_secrets() {
    let bench = Bench::new();
    let resolved = bench.load(GOOD).unwrap();
    let words = bench.plain(&resolved.describe());
    assert!(!words.contains("hunter2"));
    assert!(!format!("{resolved:?}").contains("hunter2"));
    let words = words.replace(resolved.digest(), "(digest)").replace(&**resolved.policies.version(), "(version)");
    insta::assert_snapshot!("described", words);
}

#[test]
fn the_digest_names_file_policies_and_data_map() {
    let bench = Bench::new();
    let digest = |text: &str| bench.load(text).unwrap().digest().to_owned();
    let first = digest(GOOD);
    assert_eq!(first.len(), 64);
    assert_eq!(digest(GOOD), first);
    assert_ne!(digest(&GOOD.replace("10m", "11m")), first);
    bench.write("policies/sample.cedar", &format!("{}\n// x\n", crate::init::SAMPLE_POLICY), 0o644);
    let other_policy = digest(GOOD);
    assert_ne!(other_policy, first);
    bench.write("data-map.toml", &format!("{}\n# x\n", crate::init::SAMPLE_DATA_MAP), 0o644);
    assert_ne!(digest(GOOD), other_policy);
}

#[test]
fn defaults_hold_where_nothing_is_said() {
    let bench = Bench::new();
    let resolved = bench.load(GOOD).unwrap();
    let target = resolved.target("postgres", "clinic").unwrap();
    assert!(target.phi && !target.durable_disclosure);
    assert_eq!(target.max_session.as_secs(), 8 * 3_600);
    assert!(resolved.target("postgres", "nowhere").is_none() && resolved.target("ssh", "clinic").is_none());
    assert_eq!(resolved.api.url, "https://127.0.0.1:8443");
    assert!(resolved.api.admins.is_empty() && !resolved.api.metrics_open);
    assert_eq!(resolved.tokens.ttl.as_secs(), 600);
    assert!(resolved.recording.on && resolved.ledger.durable);
    let high = bench.load(&GOOD.replace("settings =", "risk = \"high\"\nsettings =")).unwrap();
    assert!(high.target("postgres", "clinic").unwrap().durable_disclosure);
}

#[test]
fn arbitrary_text_never_panics() {
    let bench = Bench::new();
    // Every prefix, and every file with one byte changed: what a torn write or a slip of the finger leaves.
    for end in (0..GOOD.len()).step_by(7) {
        let _ = bench.load(GOOD.get(..end).unwrap_or_default());
    }
    for at in (0..GOOD.len()).step_by(11) {
        let mut bytes = GOOD.as_bytes().to_vec();
        bytes[at] = b"\"[]={}.\n#'"[at % 10];
        let _ = Config::resolve(&bench.path("vestibule.toml"), &String::from_utf8(bytes).unwrap(), bench.path(""));
    }
}
