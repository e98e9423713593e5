//! The one place where a token becomes an identity, and where one becomes another.

use crate::cache::Cache;
use crate::claims;
use crate::config::IssuerConfig;
use crate::error::{ProofError, ProofKind, SetupError};
use crate::jose::{self, Parts, encode};
use crate::keys::KeyStore;
use crate::own::{self, OwnClaims, TokenKeys, Verified};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use vestibule_core::{Identity, Timestamp};
use zeroize::Zeroizing;

/// How often a token may be made from a token.
const MAX_CHAIN: usize = 4;

/// What was revoked. Must answer at once, from memory; who cannot know says yes.
pub trait Revocations: Send + Sync {
    /// Whether the token of that id was revoked.
    fn token(&self, id: &str) -> bool;
    /// Whether the identity, as `issuer|subject`, was revoked.
    fn identity(&self, id: &str) -> bool;
    /// True only if nothing at all is revoked, so that nobody's id need be made to ask.
    fn none(&self) -> bool {
        false
    }
}

/// How long Vestibule's tokens are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenLife {
    /// If the client does not ask for a time of its own.
    pub ttl: Duration,
    /// At most. A session that began with an issuer's own token ends after this time, too.
    pub max_ttl: Duration,
}

/// What a client wants to have instead of the token it has (RFC 8693).
#[derive(Clone, Copy)]
pub struct ExchangeRequest<'a> {
    /// The token it has: of a trusted issuer, or of ours.
    pub subject_token: &'a str,
    /// The one target the new token is to be good for; `None`: whatever the old one is good for.
    pub target: Option<&'a str>,
    /// How long; cut to what is allowed.
    pub ttl: Option<Duration>,
}

impl std::fmt::Debug for ExchangeRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeRequest").field("target", &self.target).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

/// A new token.
pub struct Issued {
    /// The token.
    pub token: Zeroizing<String>,
    /// Seconds until it ends; at least 1.
    pub expires_in: u64,
    /// Whom it proves.
    pub identity: Identity,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Proves identities and issues tokens.
pub struct Prover {
    gateway: String,
    keys: TokenKeys,
    revoked: Arc<dyn Revocations>,
    trust: RwLock<Arc<Trust>>,
    cache: Cache,
}

impl std::fmt::Debug for Prover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prover").field("gateway", &self.gateway).finish_non_exhaustive()
    }
}

/// Who is trusted, in the version of the configuration in force.
struct Trust {
    issuers: Vec<Arc<Issuer>>,
    life: TokenLife,
}

struct Issuer {
    config: IssuerConfig,
    keys: KeyStore,
}

impl Prover {
    /// A prover of the gateway of that name.
    ///
    /// # Errors
    /// If certificates of an issuer cannot be read, or its keys can be nowhere.
    pub fn new(
        gateway: impl Into<String>,
        keys: TokenKeys,
        issuers: Vec<IssuerConfig>,
        life: TokenLife,
        revoked: Arc<dyn Revocations>,
    ) -> Result<Self, SetupError> {
        let trust = RwLock::new(Arc::new(Trust::new(issuers, life, &[])?));
        Ok(Self { gateway: gateway.into(), keys, revoked, trust, cache: Cache::default() })
    }

    /// Puts a new version of the configuration in force. Keys of issuers that did not change are kept; tokens of ours
    /// that an issuer no longer trusted once gave rise to are refused from now on.
    ///
    /// # Errors
    /// As [`Prover::new`]; the old version then stays in force.
    pub fn reload(&self, issuers: Vec<IssuerConfig>, life: TokenLife) -> Result<(), SetupError> {
        let next = Arc::new(Trust::new(issuers, life, &self.trust().issuers)?);
        *self.trust.write().unwrap_or_else(PoisonError::into_inner) = next;
        self.cache.clear();
        Ok(())
    }

    /// The public keys of our tokens, as a key set.
    #[must_use]
    pub fn public_keys(&self) -> Value {
        self.keys.public()
    }

    /// Who is it? `token` is a Vestibule token or a token of a trusted issuer. `target` is what the proof is for;
    /// `None`: the gateway itself, for which a token that is restricted to a target is not good.
    ///
    /// # Errors
    /// With the reason for the operator, and one sentence, always the same, for the client.
    pub async fn prove(&self, token: &str, target: Option<&str>, now: Timestamp) -> Result<Identity, ProofError> {
        let verified = self.verified(token, now).await?;
        match (verified.identity.only_target.as_deref(), target) {
            (Some(only), asked) if asked != Some(only) => {
                Err(ProofError::new(ProofKind::Target, "it is good for another target only"))
            }
            _ => Ok(verified.identity.clone()),
        }
    }

    /// Who is it, whatever the token is good for: to tell people who they are and what they hold. Never to let
    /// somebody do something; look at `only_target` of what comes back.
    ///
    /// # Errors
    /// As [`Prover::prove`].
    pub async fn recognise(&self, token: &str, now: Timestamp) -> Result<Identity, ProofError> {
        self.verified(token, now).await.map(|verified| verified.identity.clone())
    }

    /// Exchanges a token for a Vestibule token that is good for no more and no longer (RFC 8693).
    ///
    /// # Errors
    /// As [`Prover::prove`]; and if more is asked for than the token is good for.
    pub async fn exchange(&self, request: &ExchangeRequest<'_>, now: Timestamp) -> Result<Issued, ProofError> {
        let subject = self.verified(request.subject_token, now).await?;
        let only_target = match (subject.identity.only_target.as_deref(), request.target) {
            (Some(only), Some(asked)) if only != asked => {
                return Err(ProofError::new(
                    ProofKind::Widening,
                    "a token for one target was to become one for another",
                ));
            }
            (only, asked) => asked.or(only).map(str::to_owned),
        };
        if subject.from.len() >= MAX_CHAIN {
            return Err(ProofError::new(ProofKind::Widening, "it was made from a token too many times over"));
        }
        let life = self.trust().life;
        let ttl = request.ttl.unwrap_or(life.ttl).min(life.max_ttl).as_secs();
        let ends = now.seconds().saturating_add(i64::try_from(ttl).unwrap_or(i64::MAX));
        let ends = ends.min(subject.identity.expires.seconds());
        let expires_in = u64::try_from(ends.saturating_sub(now.seconds())).unwrap_or(0);
        if expires_in == 0 {
            return Err(ProofError::new(ProofKind::Time, "a token was asked for that would have ended already"));
        }
        let expires = Timestamp::from_seconds(ends);
        let token_id = random_id()?;
        let identity = Identity { token_id, only_target, expires, ..subject.identity.clone() };
        let from = std::iter::once(&subject.identity.token_id).chain(&subject.from).cloned().collect();
        let verified = Verified { identity, from };
        let token = self.keys.sign(&OwnClaims::new(&self.gateway, &verified, now))?;
        Ok(Issued { token, expires_in, identity: verified.identity })
    }

    fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.trust.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn verified(&self, token: &str, now: Timestamp) -> Result<Arc<Verified>, ProofError> {
        let trust = self.trust();
        // Before it is hashed: a client may send megabytes where a password is due.
        if token.len() > jose::MAX_TOKEN {
            return Err(ProofError::new(ProofKind::Malformed, "the token is too long"));
        }
        let key = Cache::key(token);
        let verified = match self.cache.get(&key) {
            Some(verified) => verified,
            None => {
                let parts = jose::parse(token)?;
                if own::is_ours(&parts.header) {
                    let verified =
                        own::read(&self.keys, &self.gateway, parts).map_err(|e| e.of("a Vestibule token"))?;
                    let verified = Arc::new(verified);
                    self.cache.put(key, &verified);
                    verified
                } else {
                    Arc::new(trust.judge(&parts, now).await?)
                }
            }
        };
        self.stands(&trust, &verified, now)?;
        Ok(verified)
    }

    /// Whether the identity, or one it acts for, was revoked since it was proven.
    #[must_use]
    pub fn revoked(&self, identity: &Identity) -> bool {
        !self.revoked.none()
            && (self.revoked.identity(&identity.id()) || identity.acting_for.iter().any(|id| self.revoked.identity(id)))
    }

    /// What may change between two uses of one token.
    fn stands(&self, trust: &Trust, verified: &Verified, now: Timestamp) -> Result<(), ProofError> {
        let identity = &verified.identity;
        if identity.expires <= now {
            return Err(ProofError::new(ProofKind::Time, "it has expired").of(&identity.issuer));
        }
        if !trust.issuers.iter().any(|i| i.config.name == identity.issuer) {
            return Err(ProofError::new(ProofKind::Issuer, "its issuer is no longer trusted"));
        }
        let mut tokens = std::iter::once(&identity.token_id).chain(&verified.from);
        if tokens.any(|id| self.revoked.token(id)) {
            return Err(ProofError::new(ProofKind::Revoked, "it, or a token it was made from, was revoked"));
        }
        if self.revoked(identity) {
            return Err(ProofError::new(ProofKind::Revoked, "the identity, or one it acts for, was revoked"));
        }
        Ok(())
    }
}

impl Trust {
    fn new(issuers: Vec<IssuerConfig>, life: TokenLife, old: &[Arc<Issuer>]) -> Result<Self, SetupError> {
        let mut seen = BTreeSet::new();
        let mut trusted = Vec::new();
        for config in issuers {
            // Of two issuers of one URL, only the first would ever be asked.
            if config.name.contains('|') || !seen.insert(config.name.clone()) || !seen.insert(config.issuer.clone()) {
                return Err(SetupError(format!("issuer {}: its name or URL is used twice, or has a `|`", config.name)));
            }
            match old.iter().find(|issuer| issuer.config == config) {
                Some(issuer) => trusted.push(Arc::clone(issuer)),
                None => trusted.push(Arc::new(Issuer { keys: KeyStore::new(&config)?, config })),
            }
        }
        Ok(Self { issuers: trusted, life })
    }

    /// Judges a token of an issuer.
    async fn judge(&self, token: &Parts<'_>, now: Timestamp) -> Result<Verified, ProofError> {
        let unknown = || ProofError::new(ProofKind::Issuer, "nobody who is trusted issued it");
        let issuer = self.issuer_of(token).ok_or_else(unknown)?;
        let judged = issuer.judge(token, now).await;
        let mut identity = judged.map_err(|e| e.of(&issuer.config.name))?;
        let longest = i64::try_from(self.life.max_ttl.as_secs()).unwrap_or(i64::MAX);
        identity.expires = identity.expires.min(now.plus_seconds(longest));
        Ok(Verified { identity, from: Vec::new() })
    }

    /// Whose token it claims to be. That decides only whose keys it is checked with.
    fn issuer_of(&self, token: &Parts<'_>) -> Option<&Issuer> {
        let text = |name: &str| token.claims.get(name).and_then(Value::as_str);
        let by_url = text("iss")
            .and_then(|iss| self.issuers.iter().find(|i| i.config.issuer == iss && i.config.trust_domain().is_none()));
        let by_domain = || {
            let (domain, _) = text("sub")?.strip_prefix("spiffe://")?.split_once('/')?;
            self.issuers
                .iter()
                .find(|i| i.config.trust_domain().and_then(|d| d.strip_prefix("spiffe://")) == Some(domain))
        };
        by_url.or_else(by_domain).map(Arc::as_ref)
    }
}

impl Issuer {
    async fn judge(&self, token: &Parts<'_>, now: Timestamp) -> Result<Identity, ProofError> {
        if !self.config.algorithms.contains(&token.header.alg) {
            return Err(ProofError::new(ProofKind::Algorithm, "its issuer may not use its signature algorithm"));
        }
        self.keys.verify(token, now).await?;
        claims::judge(&self.config, token.header.typ.as_deref(), &token.claims, now)
    }
}

/// Not to be guessed: 128 random bits.
fn random_id() -> Result<String, ProofError> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| ProofError::new(ProofKind::Internal, "the system gave no random bytes"))?;
    Ok(encode(bytes))
}
