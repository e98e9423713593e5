//! Logging in at an OpenID Provider, from the client's side: discovery, authorization code with PKCE on loopback
//! (RFC 8252), device authorization grant (RFC 8628), refresh.
//!
//! What comes out is an ID token, to be exchanged at the gateway, which checks its signature. Not here: opening a
//! browser, printing, and keeping the refresh token.

mod code;
mod device;
mod loopback;
mod tokens;

pub use code::{CodeAnswer, CodeLogin};
pub use device::DeviceLogin;
pub use loopback::Loopback;
pub use tokens::LoginTokens;

use crate::error::SetupError;
use crate::fetch::{Fetcher, Metadata, Roots};
use serde::{Deserialize, Deserializer};
use thiserror::Error;
use zeroize::Zeroizing;

/// Scopes that are asked for if none are configured, as far as the provider says it has them. `offline_access` brings
/// the refresh token.
const SCOPES: [&str; 5] = ["openid", "profile", "email", "groups", "offline_access"];

/// Why a login did not come about.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LoginError {
    /// The provider cannot be reached, or does not answer as it should.
    #[error("the identity provider {issuer} cannot be used: {why}")]
    Provider {
        /// Its URL.
        issuer: String,
        /// What is wrong.
        why: String,
    },
    /// The provider said no. The word is from a fixed list or shortened to letters.
    #[error("the identity provider refused the login ({0})")]
    Refused(String),
    /// The person did not finish in time.
    #[error("the login was not finished in time")]
    Expired,
    /// The provider's answer belongs to another login.
    #[error("the answer does not belong to this login ({0}); start the login again")]
    Mismatch(&'static str),
    /// The provider does not offer this way to log in.
    #[error("the identity provider does not offer {0}")]
    NotOffered(&'static str),
    /// This machine could not do its part.
    #[error("{0}")]
    Here(String),
}

impl From<SetupError> for LoginError {
    fn from(error: SetupError) -> Self {
        Self::Here(error.0)
    }
}

/// A client of one provider.
#[derive(Debug, Clone)]
pub struct LoginClient {
    fetcher: Fetcher,
    metadata: Metadata,
    client_id: String,
    scope: String,
}

impl LoginClient {
    /// Asks the provider what it offers. `scopes`: as configured, or empty. `ca`: certificates (PEM) that are trusted
    /// besides the system's.
    ///
    /// # Errors
    /// If it cannot be reached or is not who it should be.
    pub async fn discover(
        issuer: &str,
        client_id: &str,
        scopes: &[String],
        ca: Option<&[u8]>,
    ) -> Result<Self, LoginError> {
        let fetcher = Fetcher::new(ca.map_or(Roots::System, Roots::And))?;
        let metadata =
            fetcher.discover(issuer).await.map_err(|why| LoginError::Provider { issuer: issuer.to_owned(), why })?;
        let offered = &metadata.scopes_supported;
        let scope = if scopes.is_empty() {
            let asked = SCOPES.iter().filter(|s| **s == "openid" || offered.iter().any(|o| o == *s));
            asked.copied().collect::<Vec<_>>().join(" ")
        } else {
            scopes.join(" ")
        };
        Ok(Self { fetcher, metadata, client_id: client_id.to_owned(), scope })
    }

    fn provider(&self, why: impl Into<String>) -> LoginError {
        LoginError::Provider { issuer: self.metadata.issuer.clone(), why: why.into() }
    }

    /// Posts to an endpoint and reads the answer, or the error of RFC 6749, 5.2.
    async fn post<T: for<'de> Deserialize<'de>>(&self, url: &str, form: &[(&str, &str)]) -> Result<T, Answered> {
        let (status, body) = self.fetcher.post(url, form).await.map_err(|why| Answered::Failed(self.provider(why)))?;
        if status == 200 {
            return serde_json::from_slice(&body)
                .map_err(|_| Answered::Failed(self.provider("its answer is not what the standard says")));
        }
        match serde_json::from_slice::<OAuthError>(&body) {
            Ok(error) => Err(Answered::Error(word(&error.error))),
            Err(_) => Err(Answered::Failed(self.provider(format!("it answered with status {status}")))),
        }
    }
}

/// An error code of RFC 6749 as the provider wrote it, or what else went wrong.
enum Answered {
    Error(String),
    Failed(LoginError),
}

impl From<Answered> for LoginError {
    fn from(answered: Answered) -> Self {
        match answered {
            Answered::Error(word) => Self::Refused(word),
            Answered::Failed(error) => error,
        }
    }
}

#[derive(Deserialize)]
struct OAuthError {
    error: String,
}

/// What another wrote and we are about to show: letters and underscores only, not many.
fn word(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_lowercase() || *c == '_').take(40).collect()
}

/// Reads a text that is wiped when it is no longer needed.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Zeroizing<String>>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Zeroizing::new))
}

/// Not to be guessed: 256 random bits in base64url.
fn random_text() -> Result<Zeroizing<String>, LoginError> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    aws_lc_rs::rand::fill(&mut *bytes).map_err(|_| LoginError::Here("the system gave no random bytes".into()))?;
    Ok(Zeroizing::new(crate::jose::encode(*bytes)))
}

/// Whether two texts are the same, in a time that does not tell how far they are.
fn same(a: &str, b: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}
