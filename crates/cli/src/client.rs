//! The gateway's API, as the command line calls it.

use crate::failure::{Failure, Kind};
use crate::output::safe_lines;
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;
use vestibule_api::wire::{Discovery, ProblemView, TokenAnswer};

/// Most bytes of an answer that is read as a whole.
const MAX_ANSWER: usize = 64 << 20;

/// A connection to the API, perhaps with a token.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Client {
    /// For the API at `base`; `ca` holds the certificates (PEM) to trust instead of the system's.
    pub fn new(base: &str, ca: Option<&Path>) -> Result<Self, Failure> {
        let base = base.trim_end_matches('/').to_owned();
        if !base.starts_with("https://") {
            let next = "write `--gateway https://host:port`";
            return Err(Failure::new(Kind::Usage, format!("`{base}` is not an https address"), "", next));
        }
        let mut builder = reqwest::Client::builder()
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")));
        if let Some(ca) = ca {
            builder = builder.tls_certs_only(certificates(ca)?);
        }
        let http = builder.build().map_err(|e| {
            Failure::new(Kind::Other, "TLS cannot be set up", e, "name certificates in PEM with `--ca`")
        })?;
        Ok(Self { http, base, token: None })
    }

    /// The same, with a token.
    #[must_use]
    pub fn with_token(self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self }
    }

    /// What a client has to know before it can log in.
    pub async fn discover(&self) -> Result<Discovery, Failure> {
        self.get("/.well-known/vestibule").await
    }

    /// Exchanges a token (RFC 8693).
    pub async fn exchange(
        &self,
        subject: &str,
        target: Option<&str>,
        ttl: Option<u64>,
    ) -> Result<TokenAnswer, Failure> {
        let ttl = ttl.map(|t| t.to_string());
        let mut form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", subject),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ];
        form.extend(target.map(|t| ("audience", t)));
        form.extend(ttl.as_deref().map(|t| ("requested_ttl", t)));
        let request = self.http.post(format!("{}/v1/token", self.base)).timeout(Duration::from_secs(30)).form(&form);
        let answer = request.send().await.map_err(|e| self.unreachable(&e))?;
        self.read(answer).await
    }

    /// A value.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.read(self.send(Method::GET, path, &()).await?).await
    }

    /// A value, asked for with a query.
    pub async fn query<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<T, Failure> {
        self.read(self.send(Method::GET, path, query).await?).await
    }

    /// An answer to be read piece by piece.
    pub async fn stream(&self, path: &str, query: &impl Serialize) -> Result<Response, Failure> {
        let request = self.request(Method::GET, path).query(query);
        self.good(request.send().await.map_err(|e| self.unreachable(&e))?).await
    }

    /// Sends a body; an answer to be read piece by piece.
    pub async fn post_stream(&self, path: &str, body: &impl Serialize) -> Result<Response, Failure> {
        let request = self.request(Method::POST, path).json(body);
        self.good(request.send().await.map_err(|e| self.unreachable(&e))?).await
    }

    /// Sends a body.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let request = self.request(Method::POST, path).timeout(Duration::from_secs(600)).json(body);
        self.read(request.send().await.map_err(|e| self.unreachable(&e))?).await
    }

    /// Removes something.
    pub async fn delete(&self, path: &str, query: &impl Serialize) -> Result<(), Failure> {
        let answer = self.send(Method::DELETE, path, query).await?;
        self.good(answer).await.map(drop)
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send(&self, method: Method, path: &str, query: &impl Serialize) -> Result<Response, Failure> {
        let request = self.request(method, path).query(query).timeout(Duration::from_secs(60));
        request.send().await.map_err(|e| self.unreachable(&e))
    }

    async fn read<T: DeserializeOwned>(&self, answer: Response) -> Result<T, Failure> {
        let mut answer = self.good(answer).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|e| self.unreachable(&e))? {
            if bytes.len() + piece.len() > MAX_ANSWER {
                return Err(Failure::new(Kind::Other, "the gateway's answer is too long", "", "ask for less"));
            }
            bytes.extend_from_slice(&piece);
        }
        serde_json::from_slice(&bytes).map_err(|e| {
            let next = "check that `--gateway` names a Vestibule of the same version";
            Failure::new(Kind::Other, "the gateway's answer is not understood", e, next)
        })
    }

    async fn good(&self, answer: Response) -> Result<Response, Failure> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let bytes = answer.bytes().await.unwrap_or_default();
        let problem: Option<ProblemView> = serde_json::from_slice(&bytes).ok();
        let said = problem.map_or_else(|| format!("HTTP status {status}"), |p| safe_lines(&p.detail));
        let (kind, next) = match status {
            StatusCode::UNAUTHORIZED => (Kind::NotAllowed, "run `vestibule login`"),
            StatusCode::FORBIDDEN => (Kind::NotAllowed, ""),
            StatusCode::NOT_FOUND => (Kind::NotFound, ""),
            StatusCode::SERVICE_UNAVAILABLE => (Kind::Unreachable, "try again in a moment"),
            _ => (Kind::Other, ""),
        };
        Err(Failure::new(kind, said, "", next))
    }

    fn unreachable(&self, e: &reqwest::Error) -> Failure {
        // The error's own words hold the URL, and with it perhaps a query; its causes do not.
        let mut why = String::new();
        let mut source = std::error::Error::source(e);
        while let Some(cause) = source {
            why = cause.to_string();
            source = cause.source();
        }
        let next = if why.contains("certificate") || why.contains("UnknownIssuer") {
            "name the gateway's certificate authority with `--ca FILE` (`vestibule init` made data/ca/ca.crt)"
        } else {
            "check that `vestibule serve` runs and that `--gateway` is right"
        };
        Failure::new(Kind::Unreachable, format!("the gateway at {} cannot be reached", self.base), why, next)
    }
}

fn certificates(ca: &Path) -> Result<Vec<reqwest::Certificate>, Failure> {
    let failed = |e: &dyn std::fmt::Display| {
        let what = format!("{} cannot be used as certificates to trust", ca.display());
        Failure::new(Kind::Usage, what, e, "name a file with certificates in PEM with `--ca`")
    };
    let pem = std::fs::read(ca).map_err(|e| failed(&e))?;
    let all = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| failed(&e))?;
    if all.is_empty() {
        return Err(failed(&"there is no certificate in it"));
    }
    Ok(all)
}
