//! Recording keys: X25519 pairs in the usual files (PKCS #8 and SubjectPublicKeyInfo, PEM), so that other tools can
//! make and read them. The writer needs the public half only.

use crate::error::RecordError;
use crate::{hex, seal, sha256};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use zeroize::Zeroizing;

/// PKCS #8 of an X25519 key (RFC 8410), before its 32 bytes.
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 0x22, 4, 0x20];
/// SubjectPublicKeyInfo of an X25519 key, before its 32 bytes.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 3, 0x21, 0];
/// Largest key file read.
const MAX_FILE: u64 = 16 << 10;

/// The key that opens recordings. Kept apart from the gateway where nobody is to replay there.
#[derive(Clone)]
pub struct RecordingKey {
    private: Zeroizing<[u8; 32]>,
    public: RecordingPublicKey,
}

impl std::fmt::Debug for RecordingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordingKey").field("id", &self.public.id).finish_non_exhaustive()
    }
}

impl RecordingKey {
    /// A new key from the system's randomness.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn generate() -> Result<Self, RecordError> {
        let mut private = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(private.as_mut()).map_err(|_| RecordError::Crypto("getting random bytes"))?;
        Self::from_private(private)
    }

    fn from_private(private: Zeroizing<[u8; 32]>) -> Result<Self, RecordError> {
        let public = RecordingPublicKey::from_bytes(seal::public_of(&private)?);
        Ok(Self { private, public })
    }

    /// Reads a PKCS #8 PEM file, as [`RecordingKey::write_new`] and `openssl genpkey -algorithm x25519` write it.
    ///
    /// # Errors
    /// The file cannot be read, holds no X25519 key, or may be read by other accounts.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let mode = fs::metadata(path).map_err(|e| RecordError::io("read", path, e))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(RecordError::key(path, "can be read by other accounts; run chmod 600 on it"));
        }
        let der = read_pem(path, "PRIVATE KEY")?;
        let private = der.strip_prefix(&PKCS8[..]).and_then(|key| <[u8; 32]>::try_from(key).ok());
        let private = private.ok_or_else(|| RecordError::key(path, "holds no X25519 private key in PKCS #8"))?;
        Self::from_private(Zeroizing::new(private))
    }

    /// Writes PKCS #8 PEM to a new file that only this account can read.
    ///
    /// # Errors
    /// The file exists or cannot be written.
    pub fn write_new(&self, path: &Path) -> Result<(), RecordError> {
        let mut der = Zeroizing::new(PKCS8.to_vec());
        // In one piece from the start: growing would leave a copy behind.
        der.reserve_exact(32);
        der.extend_from_slice(self.private.as_ref());
        write_pem(path, "PRIVATE KEY", &der, 0o600)
    }

    /// The public half: what the writer needs.
    #[must_use]
    pub const fn public(&self) -> &RecordingPublicKey {
        &self.public
    }

    pub(crate) fn expose(&self) -> &[u8] {
        self.private.as_ref()
    }
}

/// The key that recordings are sealed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingPublicKey {
    bytes: [u8; 32],
    id: String,
}

impl RecordingPublicKey {
    fn from_bytes(bytes: [u8; 32]) -> Self {
        let id = hex(sha256(&bytes).get(..8).unwrap_or_default());
        Self { bytes, id }
    }

    /// Reads a SubjectPublicKeyInfo PEM file, as [`RecordingPublicKey::write_new`] and `openssl pkey -pubout` write it.
    ///
    /// # Errors
    /// The file cannot be read or holds no X25519 key.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let der = read_pem(path, "PUBLIC KEY")?;
        let bytes = der.strip_prefix(&SPKI[..]).and_then(|key| <[u8; 32]>::try_from(key).ok());
        let bytes = bytes.ok_or_else(|| RecordError::key(path, "holds no X25519 public key"))?;
        Ok(Self::from_bytes(bytes))
    }

    /// Writes SubjectPublicKeyInfo PEM to a new file.
    ///
    /// # Errors
    /// The file exists or cannot be written.
    pub fn write_new(&self, path: &Path) -> Result<(), RecordError> {
        let mut der = SPKI.to_vec();
        der.extend_from_slice(&self.bytes);
        write_pem(path, "PUBLIC KEY", &der, 0o644)
    }

    /// The key's id: the first 8 bytes of the SHA-256 of its 32 bytes, in hexadecimal. Named in every recording
    /// sealed to it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

fn read_pem(path: &Path, label: &str) -> Result<Zeroizing<Vec<u8>>, RecordError> {
    let size = fs::metadata(path).map_err(|e| RecordError::io("read", path, e))?.len();
    if size > MAX_FILE {
        return Err(RecordError::key(path, "is too long for a key"));
    }
    let bytes = Zeroizing::new(fs::read(path).map_err(|e| RecordError::io("read", path, e))?);
    let bad = || RecordError::key(path, "is not a PEM file with one key of the kind expected here");
    let text = std::str::from_utf8(&bytes).map_err(|_| bad())?;
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let (_, rest) = text.split_once(&begin).ok_or_else(bad)?;
    let (body, _) = rest.split_once(&end).ok_or_else(bad)?;
    let body: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    BASE64.decode(body.as_bytes()).map(Zeroizing::new).map_err(|_| bad())
}

fn write_pem(path: &Path, label: &str, der: &[u8], mode: u32) -> Result<(), RecordError> {
    let body = Zeroizing::new(BASE64.encode(der));
    let pem = Zeroizing::new(format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", *body));
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.map_err(|e| RecordError::io("create", path, e))?;
    file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| RecordError::io("write", path, e))
}

#[cfg(test)]
mod tests {
    use super::{RecordingKey, RecordingPublicKey};
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn keys_come_back_from_their_files() {
        let dir = tempfile::tempdir().unwrap();
        let (private, public) = (dir.path().join("recording.key"), dir.path().join("recording.pub"));
        let key = RecordingKey::generate().unwrap();
        key.write_new(&private).unwrap();
        key.public().write_new(&public).unwrap();
        assert_eq!(fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);
        let again = RecordingKey::read(&private).unwrap();
        assert_eq!(again.expose(), key.expose());
        assert_eq!(RecordingPublicKey::read(&public).unwrap(), *key.public());
        assert!(key.write_new(&private).is_err(), "an existing key is never written over");
        assert!(!format!("{key:?}").contains(&crate::hex(key.expose())));
        assert!(RecordingKey::read(&public).is_err());
    }

    #[test]
    fn a_key_open_to_others_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recording.key");
        RecordingKey::generate().unwrap().write_new(&path).unwrap();
        for mode in [0o640, 0o604, 0o610] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = RecordingKey::read(&path).unwrap_err().to_string();
            assert!(error.contains("chmod 600"), "{error}");
        }
    }

    /// A pair as `openssl genpkey -algorithm x25519` and `openssl pkey -pubout` print it.
    #[test]
    fn keys_of_other_tools_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let (private, public) = (dir.path().join("k"), dir.path().join("k.pub"));
        let pem = |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        fs::write(&private, pem("PRIVATE KEY", "MC4CAQAwBQYDK2VuBCIEIACLWyYoZvdul0/jWHy2vBgYSlXg4PIPyHg4SLMa/ClB"))
            .unwrap();
        fs::set_permissions(&private, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&public, pem("PUBLIC KEY", "MCowBQYDK2VuAyEAukJb9vjE64MhZX85elfWGCKzUioVZt6e8YAL/KyDLBQ=")).unwrap();
        let key = RecordingKey::read(&private).unwrap();
        assert_eq!(*key.public(), RecordingPublicKey::read(&public).unwrap());
        assert_eq!(key.public().id(), "596c4c661561746a");
    }

    #[test]
    fn other_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        for text in
            ["", "hello", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----"]
        {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(RecordingKey::read(&path).is_err(), "{text}");
        }
    }
}
