//! `vestibule init`: what a new gateway needs, made once.
//!
//! Keys never leave the machine they are made on: four private keys (ledger, tokens, recordings, masks), a certificate
//! authority with one certificate for the listeners, an empty ledger, an empty state, and a sample configuration that
//! [`Config::load`](crate::config::Config::load) accepts. Nothing that is there already is touched.

mod certificates;

use crate::Clock;
use crate::config::Layout;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use thiserror::Error;
use vestibule_identity::TokenKeys;
use vestibule_ledger::{Ledger, LedgerError, SigningKey};
use vestibule_record::RecordingKey;
use vestibule_store::{Store, StoreError};

/// The policies that a new gateway starts with.
pub const SAMPLE_POLICY: &str = include_str!("../../policy/samples/clinic.cedar");
/// The expectations kept beside them.
pub const SAMPLE_POLICY_TEST: &str = include_str!("../../policy/samples/clinic.test.toml");
/// The data map that a new gateway starts with.
pub const SAMPLE_DATA_MAP: &str = include_str!("../../phi/samples/clinic.data-map.toml");
/// The configuration that a new gateway starts with; `{name}` is replaced.
const SAMPLE_CONFIG: &str = include_str!("init/vestibule.toml");

/// Why a gateway could not be made. What was made so far is left, to be looked at and removed by hand.
#[derive(Debug, Error)]
pub enum InitError {
    /// There is something already.
    #[error("{0} is not empty; name a directory that does not exist yet")]
    NotEmpty(PathBuf),
    /// The name cannot be the origin of a log.
    #[error(
        "`{0}` is no name for a gateway; write a schema-less URL without spaces, as in gateway.clinic.example/vestibule"
    )]
    Name(String),
    /// A host is neither a name nor an address.
    #[error("`{0}` is neither a host name nor an IP address")]
    Host(String),
    /// The file system said no.
    #[error("cannot make {path}: {source}")]
    Io {
        /// What was to be made.
        path: PathBuf,
        /// Why it could not.
        source: std::io::Error,
    },
    /// A key or certificate could not be made.
    #[error("cannot make {what}: {why}")]
    Key {
        /// Which.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The state.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// The directory, absolute.
    pub dir: PathBuf,
    /// The data directory in it.
    pub layout: Layout,
    /// The configuration.
    pub config: PathBuf,
    /// The line by which auditors verify the ledger; they should get it by another way than the ledger.
    pub verifier: String,
}

/// Makes a new gateway called `name` in `dir`, which must be empty or not exist. Its certificate is good for this
/// machine's loopback names and for `hosts`.
///
/// # Errors
/// [`InitError`]
pub async fn init(dir: &Path, name: &str, hosts: &[String], clock: &Clock) -> Result<Made, InitError> {
    if name.is_empty()
        || name.contains("://")
        || name.contains(|c: char| c == '+' || c.is_whitespace() || c.is_control())
    {
        return Err(InitError::Name(name.to_owned()));
    }
    let dir = std::path::absolute(dir).map_err(|source| InitError::Io { path: dir.to_owned(), source })?;
    if fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(InitError::NotEmpty(dir));
    }
    let layout = Layout::new(dir.join("data"));
    for folder in [&dir, layout.root(), &layout.keys(), &layout.recordings(), &layout.root().join("ca")] {
        folder_for_us(folder)?;
    }
    for folder in ["policies", "secrets"] {
        folder_for_us(&dir.join(folder))?;
    }
    let verifier = keys(&layout, name)?;
    certificates::make(&layout, name, hosts, (clock)())?;
    Store::create(&layout.state()).await?.close().await;
    samples(&dir, name)?;
    let config = dir.join("vestibule.toml");
    Ok(Made { dir, layout, config, verifier })
}

/// The keys, and the ledger that the first of them signs. Returns the verifier's line.
fn keys(layout: &Layout, name: &str) -> Result<String, InitError> {
    let ledger = SigningKey::generate()?;
    ledger.write_new(&layout.ledger_key())?;
    let verifier = ledger.verifier_line(name);
    write_new(&layout.ledger_vkey(), format!("{verifier}\n").as_bytes(), 0o644)?;
    Ledger::create(&layout.ledger(), name, &ledger)?;
    let failed = |what: &'static str| move |why: String| InitError::Key { what, why };
    let token = TokenKeys::generate().map_err(|e| failed("the key of tokens")(e.to_string()))?;
    write_new(&layout.token_key(), token.as_bytes(), 0o600)?;
    RecordingKey::generate()
        .and_then(|key| key.write_new(&layout.recording_key()))
        .map_err(|e| failed("the key of recordings")(e.to_string()))?;
    let mut secret = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut secret)
        .map_err(|_| failed("the key of masks")("the system gave no random bytes".to_owned()))?;
    let line = secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    write_new(&layout.mask_key(), line.as_bytes(), 0o600)?;
    Ok(verifier)
}

fn samples(dir: &Path, name: &str) -> Result<(), InitError> {
    let config = SAMPLE_CONFIG.replace("{name}", name);
    write_new(&dir.join("vestibule.toml"), config.as_bytes(), 0o640)?;
    write_new(&dir.join("data-map.toml"), SAMPLE_DATA_MAP.as_bytes(), 0o640)?;
    write_new(&dir.join("policies/clinic.cedar"), SAMPLE_POLICY.as_bytes(), 0o640)?;
    write_new(&dir.join("policies/clinic.test.toml"), SAMPLE_POLICY_TEST.as_bytes(), 0o640)?;
    write_new(&dir.join("secrets/clinic.password"), b"put the target's password here\n", 0o600)
}

fn folder_for_us(path: &Path) -> Result<(), InitError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| InitError::Io { path: path.to_owned(), source })
}

/// Writes a file that must not be there yet, durably.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), InitError> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|source| InitError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::{InitError, init};
    use crate::config::Config;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};

    fn clock() -> crate::Clock {
        crate::system_clock()
    }

    /// Everything below `dir`, with its mode.
    fn modes(dir: &Path) -> Vec<(PathBuf, u32)> {
        let mut found = Vec::new();
        let mut folders = vec![dir.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
                found.push((entry.path().strip_prefix(dir).unwrap().to_owned(), mode));
                if entry.path().is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        found
    }

    #[tokio::test]
    async fn what_it_makes_is_accepted_and_closed_to_others() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("gateway");
        let hosts = ["gateway.clinic.example".to_owned(), "10.1.2.3".to_owned()];
        let made = init(&dir, "gateway.clinic.example/vestibule", &hosts, &clock()).await.unwrap();
        assert!(made.verifier.starts_with("gateway.clinic.example/vestibule+"), "{}", made.verifier);
        let kept = std::fs::read_to_string(made.layout.ledger_vkey()).unwrap();
        assert_eq!(kept.trim(), made.verifier);
        let resolved = match Config::load(&made.config) {
            Ok(resolved) => resolved,
            Err(problems) => panic!("the sample is refused: {problems:#?}"),
        };
        assert_eq!(resolved.layout, made.layout);
        assert_eq!(resolved.name, "gateway.clinic.example/vestibule");
        assert!(resolved.target("postgres", "clinic").unwrap().phi);
        for (path, mode) in modes(&dir) {
            assert_eq!(mode & 0o022, 0, "others may write {}", path.display());
            let key = path.starts_with("data/keys")
                || path.starts_with("secrets")
                || path.extension() == Some("key".as_ref());
            assert!(!key || mode & 0o077 == 0, "{} is {mode:o}", path.display());
        }
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        for needed in [
            "data/keys/ledger.key",
            "data/keys/token.key",
            "data/keys/recording.key",
            "data/keys/mask.key",
            "data/ca/ca.crt",
            "data/ca/server.key",
            "data/state.db",
        ] {
            assert!(dir.join(needed).is_file(), "{needed}");
        }
    }

    #[tokio::test]
    async fn nothing_that_is_there_is_touched() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("gateway");
        let made = init(&dir, "one", &[], &clock()).await.unwrap();
        let key = std::fs::read(made.layout.ledger_key()).unwrap();
        let again = init(&dir, "two", &[], &clock()).await.unwrap_err();
        assert!(matches!(again, InitError::NotEmpty(_)), "{again}");
        assert_eq!(std::fs::read(made.layout.ledger_key()).unwrap(), key);
        let mine = home.path().join("mine");
        std::fs::create_dir(&mine).unwrap();
        std::fs::write(mine.join("notes.txt"), "mine").unwrap();
        assert!(init(&mine, "three", &[], &clock()).await.is_err());
        assert_eq!(std::fs::read_dir(&mine).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn names_that_cannot_be_the_origin_of_a_log_are_refused_before_anything_is_made() {
        let home = tempfile::tempdir().unwrap();
        for name in ["", "https://gateway.clinic.example", "our gateway", "a+b", "a\nb", "tab\tbed"] {
            let dir = home.path().join("gateway");
            let refused = init(&dir, name, &[], &clock()).await.unwrap_err();
            assert!(matches!(refused, InitError::Name(_)), "{name:?}: {refused}");
            assert!(!dir.exists(), "{name:?}");
        }
    }

    #[tokio::test]
    async fn two_gateways_share_no_key() {
        let home = tempfile::tempdir().unwrap();
        let one = init(&home.path().join("one"), "one", &[], &clock()).await.unwrap().layout;
        let two = init(&home.path().join("two"), "two", &[], &clock()).await.unwrap().layout;
        for path in ["ledger_key", "token_key", "recording_key", "mask_key", "ca_key", "server_key"] {
            let of = |layout: &crate::config::Layout| match path {
                "ledger_key" => layout.ledger_key(),
                "token_key" => layout.token_key(),
                "recording_key" => layout.recording_key(),
                "mask_key" => layout.mask_key(),
                "ca_key" => layout.ca_key(),
                _ => layout.server_key(),
            };
            assert_ne!(std::fs::read(of(&one)).unwrap(), std::fs::read(of(&two)).unwrap(), "{path}");
        }
    }
}
