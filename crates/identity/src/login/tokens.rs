//! What a provider hands out at the end of a login, and whether it belongs to this login.

use super::{LoginClient, LoginError, same};
use crate::claims::SKEW;
use crate::jose;
use serde::Deserialize;
use serde_json::Value;
use vestibule_core::Timestamp;
use zeroize::Zeroizing;

/// What a login came to.
pub struct LoginTokens {
    /// Proves who logged in; to be exchanged at the gateway.
    pub id_token: Zeroizing<String>,
    /// Brings a new ID token without a new login, if the provider gives such.
    pub refresh_token: Option<Zeroizing<String>>,
    /// When the ID token ends.
    pub expires: Timestamp,
}

impl std::fmt::Debug for LoginTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginTokens").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// RFC 6749, 5.1.
#[derive(Deserialize)]
pub(super) struct TokenResponse {
    #[serde(default, deserialize_with = "super::secret")]
    id_token: Option<Zeroizing<String>>,
    #[serde(default, deserialize_with = "super::secret")]
    refresh_token: Option<Zeroizing<String>>,
}

impl LoginClient {
    /// Gets a new ID token.
    ///
    /// # Errors
    /// [`LoginError::Refused`] if the provider wants a new login.
    pub async fn refresh(&self, refresh_token: &str, now: Timestamp) -> Result<LoginTokens, LoginError> {
        let form =
            [("grant_type", "refresh_token"), ("refresh_token", refresh_token), ("client_id", self.client_id.as_str())];
        let answer: TokenResponse = self.post(self.token_endpoint()?, &form).await?;
        let mut tokens = self.accept(answer, None, now)?;
        // A provider that does not rotate refresh tokens need not repeat them.
        if tokens.refresh_token.is_none() {
            tokens.refresh_token = Some(Zeroizing::new(refresh_token.to_owned()));
        }
        Ok(tokens)
    }

    pub(super) fn token_endpoint(&self) -> Result<&str, LoginError> {
        self.metadata.token_endpoint.as_deref().ok_or(LoginError::NotOffered("tokens"))
    }

    /// Checks that the ID token is of this provider, for this client, in time, and of this login (OpenID Connect Core
    /// 3.1.3.7; the signature is the gateway's to check, and TLS vouches for the provider here).
    pub(super) fn accept(
        &self,
        answer: TokenResponse,
        nonce: Option<&str>,
        now: Timestamp,
    ) -> Result<LoginTokens, LoginError> {
        let id_token = answer.id_token.ok_or(LoginError::NotOffered("ID tokens for this client"))?;
        let parts =
            jose::parse(&id_token).map_err(|e| self.provider(format!("its ID token is not usable: {}", e.reason)))?;
        let text = |name: &str| parts.claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(&self.metadata.issuer) {
            return Err(LoginError::Mismatch("issuer"));
        }
        let ours = match parts.claims.get("aud") {
            Some(Value::String(one)) => *one == self.client_id,
            Some(Value::Array(list)) => list.iter().any(|a| *a == self.client_id.as_str()),
            _ => false,
        };
        if !ours || text("azp").is_some_and(|party| party != self.client_id) {
            return Err(LoginError::Mismatch("audience"));
        }
        if nonce.is_some_and(|nonce| !text("nonce").is_some_and(|given| same(given, nonce))) {
            return Err(LoginError::Mismatch("nonce"));
        }
        let expires = parts.claims.get("exp").and_then(Value::as_i64).ok_or(LoginError::Mismatch("expiry"))?;
        // Our clock may be wrong here, on somebody's laptop; the gateway's judges in the end.
        if expires.saturating_add(SKEW) <= now.seconds() {
            return Err(LoginError::Mismatch("expiry"));
        }
        drop(parts);
        Ok(LoginTokens { id_token, refresh_token: answer.refresh_token, expires: Timestamp::from_seconds(expires) })
    }
}

#[cfg(test)]
mod tests {
    use super::TokenResponse;
    use crate::fetch::{Fetcher, Roots};
    use crate::jose::encode;
    use crate::login::{LoginClient, LoginError};
    use serde_json::{Value, json};
    use vestibule_core::Timestamp;
    use zeroize::Zeroizing;

    const NOW: Timestamp = Timestamp::from_seconds(1_795_535_742);

    fn client() -> LoginClient {
        let metadata = serde_json::from_value(json!({"issuer": "https://idp.example"})).unwrap();
        let fetcher = Fetcher::new(Roots::System).unwrap();
        LoginClient { fetcher, metadata, client_id: "cli".into(), scope: "openid".into() }
    }

    fn accepted(change: impl FnOnce(&mut Value)) -> Result<(), LoginError> {
        let mut claims =
            json!({"iss": "https://idp.example", "aud": "cli", "nonce": "n-1", "exp": NOW.seconds() + 60, "sub": "s"});
        change(&mut claims);
        let token = format!("{}.{}.{}", encode(r#"{"alg":"RS256"}"#), encode(claims.to_string()), encode("signature"));
        let answer = TokenResponse { id_token: Some(Zeroizing::new(token)), refresh_token: None };
        client().accept(answer, Some("n-1"), NOW).map(drop)
    }

    #[test]
    fn an_id_token_of_another_login_is_refused() {
        assert_eq!(accepted(|_| {}), Ok(()));
        assert_eq!(accepted(|c| c["nonce"] = json!("n-0")), Err(LoginError::Mismatch("nonce")), "replayed");
        assert_eq!(accepted(|c| c["nonce"] = json!(null)), Err(LoginError::Mismatch("nonce")));
        assert_eq!(accepted(|c| c["iss"] = json!("https://idp.example/")), Err(LoginError::Mismatch("issuer")));
        assert_eq!(accepted(|c| c["aud"] = json!(["other"])), Err(LoginError::Mismatch("audience")));
        assert_eq!(accepted(|c| c["azp"] = json!("other")), Err(LoginError::Mismatch("audience")));
        assert_eq!(accepted(|c| c["exp"] = json!(NOW.seconds() - 60)), Err(LoginError::Mismatch("expiry")));
        assert_eq!(accepted(|c| c["exp"] = json!("never")), Err(LoginError::Mismatch("expiry")));
    }
}
