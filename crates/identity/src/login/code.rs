//! Authorization code with PKCE (RFC 6749, 7636, 9207).

use super::tokens::{LoginTokens, TokenResponse};
use super::{LoginClient, LoginError, Loopback, random_text, same, word};
use crate::jose::encode;
use aws_lc_rs::digest::{SHA256, digest};
use reqwest::Url;
use vestibule_core::Timestamp;
use zeroize::Zeroizing;

/// A login that waits for the browser to come back. Good for one answer.
pub struct CodeLogin {
    /// What the person opens in a browser.
    pub url: String,
    redirect: String,
    state: Zeroizing<String>,
    nonce: Zeroizing<String>,
    verifier: Zeroizing<String>,
}

impl std::fmt::Debug for CodeLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeLogin").field("redirect", &self.redirect).finish_non_exhaustive()
    }
}

/// What the browser came back with.
pub struct CodeAnswer {
    pub(super) code: Result<Zeroizing<String>, String>,
    pub(super) state: String,
    pub(super) iss: Option<String>,
}

impl std::fmt::Debug for CodeAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeAnswer").field("came", &self.code.is_ok()).finish_non_exhaustive()
    }
}

impl CodeAnswer {
    /// Reads the address that the browser was sent to, or what stands behind its `?`. `None` if it is no answer of a
    /// provider.
    #[must_use]
    pub fn parse(address: &str) -> Option<Self> {
        let query = address.split_once('?').map_or(address, |(_, query)| query);
        let query = query.split('#').next().unwrap_or_default();
        let url = Url::parse(&format!("http://127.0.0.1/?{query}")).ok()?;
        // Twice the same parameter is no answer (RFC 6749, 3.1).
        let one = |name: &str| -> Option<Option<String>> {
            let mut found = url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
            let first = found.next();
            found.next().is_none().then_some(first)
        };
        let code = match (one("code")?, one("error")?) {
            (Some(code), None) if !code.is_empty() => Ok(Zeroizing::new(code)),
            (None, Some(error)) => Err(word(&error)),
            _ => return None,
        };
        Some(Self { code, state: one("state")??, iss: one("iss")? })
    }

    /// Whether it belongs to this login.
    pub(super) fn belongs_to(&self, login: &CodeLogin) -> bool {
        same(&self.state, &login.state)
    }
}

impl LoginClient {
    /// Begins a login that comes back to `loopback`.
    ///
    /// # Errors
    /// If the provider does not offer the code flow with PKCE (S256).
    pub fn begin_code(&self, loopback: &Loopback) -> Result<CodeLogin, LoginError> {
        let endpoint = self.metadata.authorization_endpoint.as_deref();
        let endpoint = endpoint.ok_or(LoginError::NotOffered("logins by browser"))?;
        let methods = &self.metadata.code_challenge_methods_supported;
        if methods.as_ref().is_some_and(|m| !m.iter().any(|m| m == "S256")) {
            return Err(LoginError::NotOffered("PKCE with S256"));
        }
        let (state, nonce, verifier) = (random_text()?, random_text()?, random_text()?);
        let redirect = loopback.redirect_uri();
        let mut url = Url::parse(endpoint)
            .ok()
            .filter(|url| url.scheme() == "https")
            .ok_or_else(|| self.provider("its authorization endpoint is not an https address"))?;
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", &redirect),
            ("scope", &self.scope),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge_method", "S256"),
        ];
        // OpenID Connect Core, 11: without it, `offline_access` is ignored.
        if self.scope.split(' ').any(|s| s == "offline_access") {
            query.push(("prompt", "consent"));
        }
        let challenge = encode(digest(&SHA256, verifier.as_bytes()));
        query.push(("code_challenge", &challenge));
        url.query_pairs_mut().extend_pairs(query);
        Ok(CodeLogin { url: url.into(), redirect, state, nonce, verifier })
    }

    /// Ends a login: exchanges the code, and checks that what comes belongs to this login.
    ///
    /// # Errors
    /// If the answer is another's, or the provider refuses.
    pub async fn finish_code(
        &self,
        login: CodeLogin,
        answer: CodeAnswer,
        now: Timestamp,
    ) -> Result<LoginTokens, LoginError> {
        if !answer.belongs_to(&login) {
            return Err(LoginError::Mismatch("state"));
        }
        // Another provider's answer, mixed up on purpose (RFC 9207).
        let required = self.metadata.authorization_response_iss_parameter_supported;
        if answer.iss.as_ref().map_or(required, |iss| *iss != self.metadata.issuer) {
            return Err(LoginError::Mismatch("issuer"));
        }
        let code = answer.code.map_err(LoginError::Refused)?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", login.redirect.as_str()),
            ("client_id", self.client_id.as_str()),
            ("code_verifier", login.verifier.as_str()),
        ];
        let tokens: TokenResponse = self.post(self.token_endpoint()?, &form).await?;
        self.accept(tokens, Some(&login.nonce), now)
    }
}
