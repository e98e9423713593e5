//! An issuer of identities for tests: an RSA key, its JWKS in a file, and tokens signed with `openssl`.
//!
//! Not here: discovery and logging in; `tests/oidc` has a real provider for that.

use crate::run::output;
use crate::temp::TempDir;
use crate::{Doing, Outcome, failure};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// The issuer's URL; nothing is there.
pub const ISSUER: &str = "https://login.clinic.example";
/// What its tokens are for.
pub const AUDIENCE: &str = "vestibule";

/// An issuer.
#[derive(Debug)]
pub struct Issuer {
    home: TempDir,
}

impl Issuer {
    /// A new one with a key of its own.
    ///
    /// # Errors
    /// When there is no `openssl`.
    pub fn new() -> Outcome<Self> {
        let home = TempDir::new("issuer")?;
        let key = home.path().join("key.pem");
        let mut genrsa = Command::new("openssl");
        output(
            genrsa
                .args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"])
                .arg(&key),
        )
        .or_else(|_| {
            // Before OpenSSL 3.2 there is no -quiet.
            let mut genrsa = Command::new("openssl");
            output(genrsa.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"]).arg(&key))
        })?;
        let modulus = output(Command::new("openssl").args(["rsa", "-noout", "-modulus", "-in"]).arg(&key))?;
        let hex = modulus.trim().strip_prefix("Modulus=").ok_or_else(|| failure("openssl told no modulus"))?;
        let n = base64url(&unhex(hex)?);
        let jwks =
            json!({ "keys": [{ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "test", "n": n, "e": "AQAB" }] });
        std::fs::write(home.path().join("jwks.json"), jwks.to_string()).doing("cannot write the keys")?;
        Ok(Self { home })
    }

    /// The file with its public keys.
    #[must_use]
    pub fn jwks(&self) -> PathBuf {
        self.home.path().join("jwks.json")
    }

    /// A token for a person in these groups, good for `seconds`.
    ///
    /// # Errors
    /// When `openssl` fails.
    pub fn token(&self, subject: &str, groups: &[&str], seconds: i64) -> Outcome<String> {
        let now = now();
        self.sign(&json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "nbf": now, "exp": now + seconds,
            "name": subject, "email": format!("{subject}@clinic.example"), "groups": groups,
        }))
    }

    /// A token with exactly these claims.
    ///
    /// # Errors
    /// When `openssl` fails.
    pub fn sign(&self, claims: &Value) -> Outcome<String> {
        let header = json!({ "alg": "RS256", "kid": "test", "typ": "JWT" });
        let signed =
            format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
        let input = self.home.path().join(format!("to-sign-{:?}", std::thread::current().id()));
        std::fs::write(&input, &signed).doing("cannot write what is to be signed")?;
        let mut openssl = Command::new("openssl");
        openssl.args(["dgst", "-sha256", "-sign"]).arg(self.home.path().join("key.pem")).arg(&input);
        let told = openssl.stdin(Stdio::null()).stderr(Stdio::piped()).output().doing("cannot run openssl")?;
        if !told.status.success() {
            return Err(failure(format!("openssl did not sign: {}", String::from_utf8_lossy(&told.stderr))));
        }
        Ok(format!("{signed}.{}", base64url(&told.stdout)))
    }
}

/// POSIX seconds.
#[must_use]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// RFC 4648 section 5, without padding.
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |bits: u32| DIGITS.get((bits & 63) as usize).copied().unwrap_or(b'A') as char;
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0, |word, byte| (word << 8) | u32::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..=group.len() {
            out.push(digit(word >> (18 - 6 * at)));
        }
    }
    out
}

fn unhex(text: &str) -> Outcome<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap_or("?"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).doing("openssl told no hexadecimal digits")).collect()
}

#[cfg(test)]
mod tests {
    use super::base64url;

    #[test]
    fn base64url_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64url(bytes.as_bytes()), text);
        }
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
    }
}
