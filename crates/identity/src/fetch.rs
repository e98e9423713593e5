//! Asking an identity provider over HTTPS: certificates checked, no redirect followed, time and size limited.

use crate::error::SetupError;
use reqwest::{Certificate, Response, Url};
use serde::Deserialize;
use std::time::Duration;

/// Longest answer that is read.
const MAX_ANSWER: usize = 1 << 20;

/// What a provider says of itself (OpenID Connect Discovery, RFC 8414). Only what is used.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Metadata {
    pub issuer: String,
    pub jwks_uri: Option<String>,
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: Option<String>,
    pub device_authorization_endpoint: Option<String>,
    #[serde(default)]
    pub scopes_supported: Vec<String>,
    #[serde(default)]
    pub code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// Which certificates a provider's chain must end in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Roots<'p> {
    /// The system's.
    System,
    /// These only (PEM).
    Only(&'p [u8]),
    /// The system's and these (PEM).
    And(&'p [u8]),
}

/// A client for one provider.
#[derive(Debug, Clone)]
pub(crate) struct Fetcher {
    http: reqwest::Client,
}

impl Fetcher {
    pub(crate) fn new(roots: Roots<'_>) -> Result<Self, SetupError> {
        // The program chooses the provider of cryptography. A test, or a program that did not, gets ours; `Err` says
        // that there is one already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(3))
            .timeout(Duration::from_secs(6))
            .pool_max_idle_per_host(1)
            .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")));
        let builder = match roots {
            Roots::System => builder,
            Roots::Only(pem) => builder.tls_certs_only(certificates(pem)?),
            Roots::And(pem) => builder.tls_certs_merge(certificates(pem)?),
        };
        let http = builder.build().map_err(|e| SetupError(format!("TLS cannot be set up: {e}")))?;
        Ok(Self { http })
    }

    pub(crate) async fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        let url = secure(url)?;
        let answer = self.http.get(url).header("accept", "application/json").send().await.map_err(said)?;
        let status = answer.status();
        let body = whole(answer).await?;
        if status.as_u16() == 200 { Ok(body) } else { Err(format!("it answered with status {}", status.as_u16())) }
    }

    /// Posts a form; the status and the answer, whatever it is.
    pub(crate) async fn post(&self, url: &str, form: &[(&str, &str)]) -> Result<(u16, Vec<u8>), String> {
        let url = secure(url)?;
        let answer = self.http.post(url).header("accept", "application/json").form(form).send().await.map_err(said)?;
        let status = answer.status().as_u16();
        Ok((status, whole(answer).await?))
    }

    /// Discovery. The document must be the issuer's own, to the letter: another's would bring another's keys.
    pub(crate) async fn discover(&self, issuer: &str) -> Result<Metadata, String> {
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let body = self.get(&url).await?;
        let metadata: Metadata =
            serde_json::from_slice(&body).map_err(|_| "its discovery document is not one".to_owned())?;
        if metadata.issuer != issuer {
            return Err("its discovery document is of another issuer; `issuer` must be the same to the letter".into());
        }
        Ok(metadata)
    }
}

/// Whether `pem` has certificates that a provider's chain can end in.
///
/// # Errors
/// In words.
pub fn check_ca(pem: &[u8]) -> Result<(), String> {
    Fetcher::new(Roots::Only(pem)).map(drop).map_err(|e| e.0)
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, SetupError> {
    let found = Certificate::from_pem_bundle(pem).map_err(|_| SetupError("the certificates cannot be read".into()))?;
    if found.is_empty() { Err(SetupError("there is no certificate in the file".into())) } else { Ok(found) }
}

fn secure(url: &str) -> Result<Url, String> {
    let url = Url::parse(url).map_err(|_| "its address is not a URL".to_owned())?;
    if url.scheme() == "https" { Ok(url) } else { Err("its address is not an https one".into()) }
}

async fn whole(mut answer: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(said)? {
        if body.len().saturating_add(piece.len()) > MAX_ANSWER {
            return Err("its answer is too long".into());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Why a request failed, without its address, which may carry a code.
fn said(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        words = format!("{words}: {inner}");
        cause = inner.source();
    }
    words
}
