//! Keys, signed notes and checkpoints (`c2sp.org/signed-note`, `c2sp.org/tlog-checkpoint`).

use crate::error::LedgerError;
use crate::hash::{Hash, sha256};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;
use zeroize::Zeroizing;

/// Signature type identifier of Ed25519 (`c2sp.org/signed-note`).
const ED25519_TYPE: u8 = 1;
/// Largest note read.
const MAX_NOTE: usize = 1 << 20;
/// Most signature lines read.
const MAX_SIGNATURES: usize = 64;

/// Why a note or key was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoteError {
    /// It is not a signed note or checkpoint.
    #[error("not a signed checkpoint: {0}")]
    Malformed(&'static str),
    /// No line is signed with the key.
    #[error("no signature of {0}")]
    Unsigned(String),
    /// A signature of the key is wrong.
    #[error("the signature of {0} is wrong")]
    BadSignature(String),
    /// The origin line names another log.
    #[error("the checkpoint is of `{have}`, not of `{want}`")]
    Origin {
        /// The origin line.
        have: String,
        /// The key's name.
        want: String,
    },
    /// Not a verifier key line.
    #[error("not a verifier key (name+hash+key): {0}")]
    Key(&'static str),
}

/// Whether a signed note can carry this as the name of a key.
pub(crate) fn check_origin(origin: &str) -> Result<(), LedgerError> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if origin.is_empty() || origin.len() > 255 || origin.contains(bad) {
        return Err(LedgerError::Origin(origin.to_owned()));
    }
    Ok(())
}

/// Whether a log can have this name: entries bear it as a JSON string that needs no escapes.
pub(crate) fn check_log_name(origin: &str) -> Result<(), LedgerError> {
    check_origin(origin)?;
    if origin.contains(['"', '\\']) {
        return Err(LedgerError::Origin(origin.to_owned()));
    }
    Ok(())
}

fn key_id(name: &str, public: &[u8]) -> [u8; 4] {
    let mut input = Vec::with_capacity(name.len() + 34);
    input.extend_from_slice(name.as_bytes());
    input.extend_from_slice(&[b'\n', ED25519_TYPE]);
    input.extend_from_slice(public);
    let hash = sha256(&input);
    [hash[0], hash[1], hash[2], hash[3]]
}

/// The key that signs checkpoints (Ed25519). Cheap to clone; never shown.
#[derive(Clone)]
pub struct SigningKey {
    pair: Arc<Ed25519KeyPair>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl SigningKey {
    /// A new key from the system's randomness.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn generate() -> Result<Self, LedgerError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| bad_key(Path::new("(new)"), "cannot be generated"))?;
        Ok(Self { pair: Arc::new(pair) })
    }

    /// The key with this seed (RFC 8032's private key).
    ///
    /// # Errors
    /// The seed has not 32 bytes.
    pub fn from_seed(seed: &[u8]) -> Result<Self, LedgerError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|_| bad_key(Path::new("(seed)"), "a seed has 32 bytes"))?;
        Ok(Self { pair: Arc::new(pair) })
    }

    /// Reads a PKCS #8 PEM file (as `openssl genpkey -algorithm ed25519` writes it) or a raw seed of 32 bytes.
    ///
    /// # Errors
    /// The file cannot be read, is neither, or may be read by other accounts.
    pub fn read(path: &Path) -> Result<Self, LedgerError> {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(path).map_err(|e| LedgerError::io("cannot read", path, e))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(bad_key(path, "can be read by other accounts; run chmod 600 on it"));
        }
        let bytes = Zeroizing::new(fs::read(path).map_err(|e| LedgerError::io("cannot read", path, e))?);
        if bytes.len() == 32 {
            return Self::from_seed(&bytes);
        }
        let pem = std::str::from_utf8(&bytes).map_err(|_| bad_key(path, "is neither PEM nor a seed of 32 bytes"))?;
        let der = Zeroizing::new(pem_body(pem).ok_or_else(|| bad_key(path, "has no PRIVATE KEY block"))?);
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| bad_key(path, "holds no Ed25519 key"))?;
        Ok(Self { pair: Arc::new(pair) })
    }

    /// Writes PKCS #8 PEM to a new file that only this account can read.
    ///
    /// # Errors
    /// The file exists or cannot be written.
    pub fn write_new(&self, path: &Path) -> Result<(), LedgerError> {
        let der = self.pair.to_pkcs8v1().map_err(|_| bad_key(path, "cannot be encoded"))?;
        let body = Zeroizing::new(BASE64.encode(der.as_ref()));
        let pem = Zeroizing::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", *body));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|e| LedgerError::io("cannot create", path, e))?;
        file.write_all(pem.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|e| LedgerError::io("cannot write", path, e))
    }

    /// The line by which others verify: `name+hash+key` (`c2sp.org/signed-note`), for the log `origin`.
    #[must_use]
    pub fn verifier_line(&self, origin: &str) -> String {
        self.verifier(origin).to_line()
    }

    /// The public half under the name `origin`.
    #[must_use]
    pub fn verifier(&self, origin: &str) -> VerifierKey {
        let mut public = [0; 32];
        public.copy_from_slice(self.pair.public_key().as_ref());
        VerifierKey { name: origin.to_owned(), id: key_id(origin, &public), public }
    }

    /// A signed note over `text`, which ends in a newline, under `name`.
    fn sign(&self, name: &str, text: &str) -> String {
        let mut blob = key_id(name, self.pair.public_key().as_ref()).to_vec();
        blob.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        format!("{text}\n— {name} {}\n", BASE64.encode(blob))
    }
}

fn bad_key(path: &Path, what: &str) -> LedgerError {
    LedgerError::Key { path: path.to_path_buf(), what: what.to_owned() }
}

fn pem_body(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (body, _) = rest.split_once("-----END PRIVATE KEY-----")?;
    let compact: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    BASE64.decode(compact.as_bytes()).ok()
}

/// The key by which a log is verified. Get it by another way than the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    public: [u8; 32],
}

impl VerifierKey {
    /// Reads `name+hash+key`.
    ///
    /// # Errors
    /// It is not such a line, its hash does not fit, or it is not Ed25519.
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let line = line.trim();
        let mut parts = line.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key("it has not three parts"));
        };
        check_origin(name).map_err(|_| NoteError::Key("the name is not one"))?;
        let blob = BASE64.decode(key).map_err(|_| NoteError::Key("the key is not base64"))?;
        let Some((&ED25519_TYPE, public)) = blob.split_first() else {
            return Err(NoteError::Key("it is not an Ed25519 key"));
        };
        let public: [u8; 32] = public.try_into().map_err(|_| NoteError::Key("an Ed25519 key has 32 bytes"))?;
        let have = key_id(name, &public);
        if format!("{:08x}", u32::from_be_bytes(have)) != id {
            return Err(NoteError::Key("the hash does not fit the name and the key"));
        }
        Ok(Self { name: name.to_owned(), id: have, public })
    }

    /// The key's name: the log's origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The line that [`VerifierKey::parse`] reads.
    #[must_use]
    pub fn to_line(&self) -> String {
        let mut blob = vec![ED25519_TYPE];
        blob.extend_from_slice(&self.public);
        format!("{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id), BASE64.encode(blob))
    }

    /// The text of a note, once its signature by this key is verified. Lines of other keys are ignored.
    fn open<'a>(&self, note: &'a str) -> Result<&'a str, NoteError> {
        let (text, signatures) = split_note(note)?;
        let mut signed = false;
        for line in signatures.lines() {
            let (name, blob) = signature_line(line)?;
            let Some((id, signature)) = blob.split_at_checked(4) else {
                return Err(NoteError::Malformed("a signature line is too short"));
            };
            if name != self.name || id != self.id {
                continue;
            }
            UnparsedPublicKey::new(&ED25519, &self.public)
                .verify(text.as_bytes(), signature)
                .map_err(|_| NoteError::BadSignature(self.name.clone()))?;
            signed = true;
        }
        if signed { Ok(text) } else { Err(NoteError::Unsigned(self.name.clone())) }
    }
}

fn split_note(note: &str) -> Result<(&str, &str), NoteError> {
    if note.len() > MAX_NOTE {
        return Err(NoteError::Malformed("it is too long"));
    }
    if note.chars().any(|c| c < ' ' && c != '\n') {
        return Err(NoteError::Malformed("it has control characters"));
    }
    let at = note.rfind("\n\n").ok_or(NoteError::Malformed("it has no signatures"))?;
    let (text, rest) = note.split_at_checked(at + 1).ok_or(NoteError::Malformed("it has no signatures"))?;
    let signatures = rest.strip_prefix('\n').unwrap_or_default();
    if !signatures.ends_with('\n') {
        return Err(NoteError::Malformed("the last line is not ended"));
    }
    if signatures.lines().count() > MAX_SIGNATURES {
        return Err(NoteError::Malformed("it has too many signatures"));
    }
    Ok((text, signatures))
}

fn signature_line(line: &str) -> Result<(&str, Vec<u8>), NoteError> {
    let bad = NoteError::Malformed("a signature line is not one");
    let (name, blob) = line.strip_prefix("— ").and_then(|l| l.split_once(' ')).ok_or(bad.clone())?;
    check_origin(name).map_err(|_| bad.clone())?;
    Ok((name, BASE64.decode(blob).map_err(|_| bad)?))
}

/// What a checkpoint says: the tree of the log `origin` with `size` leaves has this root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The signed note.
    pub(crate) fn sign(&self, key: &SigningKey) -> String {
        let text = format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root));
        key.sign(&self.origin, &text)
    }

    /// Reads a checkpoint and verifies its signature and origin.
    ///
    /// # Errors
    /// It is malformed, not signed by `key`, wrongly signed, or of another log.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, NoteError> {
        let checkpoint = Self::parse_text(key.open(note)?)?;
        if checkpoint.origin != key.name {
            return Err(NoteError::Origin { have: checkpoint.origin, want: key.name.clone() });
        }
        Ok(checkpoint)
    }

    /// Reads a checkpoint without verifying anything: for finding one's way, never for believing.
    pub(crate) fn peek(note: &str) -> Result<Self, NoteError> {
        Self::parse_text(split_note(note)?.0)
    }

    fn parse_text(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(NoteError::Malformed("it has not three lines"));
        };
        if origin.is_empty() {
            return Err(NoteError::Malformed("the origin is empty"));
        }
        let digits = size.bytes().all(|b| b.is_ascii_digit()) && (size == "0" || !size.starts_with('0'));
        let size = size.parse().ok().filter(|_| digits).ok_or(NoteError::Malformed("the size is not a number"))?;
        let root = BASE64.decode(root).ok().and_then(|r| Hash::try_from(r).ok());
        let root = root.ok_or(NoteError::Malformed("the root is not a hash in base64"))?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

#[cfg(test)]
mod tests {
    use super::{Checkpoint, NoteError, SigningKey, VerifierKey};

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32]).unwrap()
    }

    #[test]
    fn the_published_example_verifies() {
        // Key and note published with Go's golang.org/x/mod/sumdb/note documentation.
        let vkey = VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
        let note = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n\n\
                    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert!(vkey.open(note).is_ok());
        assert!(vkey.open(&note.replace("answer", "ansver")).is_err());
    }

    #[test]
    fn round_trip_and_every_byte_counts() {
        let vkey = VerifierKey::parse(&key().verifier_line("log.example/1")).unwrap();
        let signed = Checkpoint { origin: "log.example/1".into(), size: 42, root: [9; 32] }.sign(&key());
        assert_eq!(Checkpoint::open(&signed, &vkey).unwrap().size, 42);
        for at in 0..signed.len() {
            for flip in [1_u8, 0x20, 0x80] {
                let mut bytes = signed.clone().into_bytes();
                bytes[at] ^= flip;
                if let Ok(text) = String::from_utf8(bytes) {
                    assert!(Checkpoint::open(&text, &vkey).is_err(), "byte {at} flipped by {flip}: {text}");
                }
            }
        }
    }

    #[test]
    fn foreign_signatures_are_ignored_and_bad_own_ones_are_not() {
        let vkey = key().verifier("log.example/1");
        let checkpoint = Checkpoint { origin: "log.example/1".into(), size: 1, root: [0; 32] };
        let signed = checkpoint.sign(&key());
        let witness = SigningKey::from_seed(&[8; 32]).unwrap();
        let cosigned = format!("{signed}{}", checkpoint.sign(&witness).rsplit_once("\n\n").unwrap().1);
        assert!(Checkpoint::open(&cosigned, &vkey).is_ok());
        let other = witness.verifier("elsewhere.example");
        assert_eq!(Checkpoint::open(&cosigned, &other), Err(NoteError::Unsigned("elsewhere.example".into())));
    }

    #[test]
    fn key_files_round_trip_and_open_ones_are_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        key().write_new(&path).unwrap();
        assert_eq!(SigningKey::read(&path).unwrap().verifier_line("a"), key().verifier_line("a"));
        assert!(key().write_new(&path).is_err());
        let raw = dir.path().join("raw");
        std::fs::write(&raw, [7; 32]).unwrap();
        std::fs::set_permissions(&raw, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(SigningKey::read(&raw).is_err());
        std::fs::set_permissions(&raw, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(SigningKey::read(&raw).unwrap().verifier_line("a"), key().verifier_line("a"));
    }

    #[test]
    fn wrong_key_lines_are_refused() {
        let line = key().verifier_line("log.example/1");
        for bad in ["", "a+b", "log.example/2+", &line.replace("log.example/1", "log.example/2")] {
            assert!(VerifierKey::parse(bad).is_err(), "{bad}");
        }
    }
}
