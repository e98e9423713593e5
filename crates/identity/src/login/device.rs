//! Device authorization grant (RFC 8628): for terminals without a browser.

use super::tokens::{LoginTokens, TokenResponse};
use super::{Answered, LoginClient, LoginError};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::Instant;
use vestibule_core::Timestamp;
use zeroize::Zeroizing;

/// Between two questions, if the provider names no time; and what is added when it wants more (RFC 8628, 3.2, 3.5).
const PAUSE: u64 = 5;
/// The longest we wait between two questions, and altogether, whatever a provider says.
const LONGEST_PAUSE: u64 = 60;
const LONGEST: u64 = 1_800;

/// A login that waits for a person to type a code elsewhere.
pub struct DeviceLogin {
    /// Where the person goes.
    pub verification_uri: String,
    /// The same with the code in it, if the provider has it.
    pub verification_uri_complete: Option<String>,
    /// What the person types there.
    pub user_code: String,
    /// How long there is time.
    pub expires_in: Duration,
    device_code: Zeroizing<String>,
    interval: u64,
}

impl std::fmt::Debug for DeviceLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceLogin").field("verification_uri", &self.verification_uri).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Begun {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

impl LoginClient {
    /// Begins a login.
    ///
    /// # Errors
    /// If the provider does not offer it.
    pub async fn begin_device(&self) -> Result<DeviceLogin, LoginError> {
        let endpoint = self.metadata.device_authorization_endpoint.as_deref();
        let endpoint = endpoint.ok_or(LoginError::NotOffered("logins without a browser"))?;
        let form = [("client_id", self.client_id.as_str()), ("scope", self.scope.as_str())];
        let begun: Begun = self.post(endpoint, &form).await?;
        // They are printed to a terminal, and the addresses opened.
        let addresses = [Some(&begun.verification_uri), begun.verification_uri_complete.as_ref()];
        let good = |text: &String| text.len() <= 2_048 && !text.chars().any(char::is_control);
        if !addresses.into_iter().flatten().all(|uri| uri.starts_with("https://") && good(uri))
            || !good(&begun.user_code)
        {
            return Err(self.provider("its answer is not what the standard says"));
        }
        Ok(DeviceLogin {
            verification_uri: begun.verification_uri,
            verification_uri_complete: begun.verification_uri_complete,
            user_code: begun.user_code,
            expires_in: Duration::from_secs(begun.expires_in.min(LONGEST)),
            device_code: Zeroizing::new(begun.device_code),
            interval: begun.interval.unwrap_or(PAUSE).clamp(1, LONGEST_PAUSE),
        })
    }

    /// Waits until the person has typed the code. `clock` is asked when the token comes.
    ///
    /// # Errors
    /// If the person says no, or nothing in time.
    pub async fn finish_device(
        &self,
        login: DeviceLogin,
        clock: impl Fn() -> Timestamp,
    ) -> Result<LoginTokens, LoginError> {
        let end = Instant::now() + login.expires_in;
        let mut pause = login.interval;
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", login.device_code.as_str()),
            ("client_id", self.client_id.as_str()),
        ];
        loop {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            if Instant::now() >= end {
                return Err(LoginError::Expired);
            }
            match self.post::<TokenResponse>(self.token_endpoint()?, &form).await {
                Ok(tokens) => return self.accept(tokens, None, clock()),
                Err(Answered::Error(word)) if word == "authorization_pending" => {}
                Err(Answered::Error(word)) if word == "slow_down" => {
                    pause = pause.saturating_add(PAUSE).min(LONGEST_PAUSE);
                }
                Err(Answered::Error(word)) if word == "expired_token" => return Err(LoginError::Expired),
                Err(Answered::Error(word)) => return Err(LoginError::Refused(word)),
                // A provider that is away for a moment (RFC 8628, 3.5): ask less often, until the time is up.
                Err(Answered::Failed(LoginError::Provider { .. })) => {
                    pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                }
                Err(Answered::Failed(error)) => return Err(error),
            }
        }
    }
}
