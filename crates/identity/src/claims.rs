//! From the claims of an issuer's token to an identity: made for us, in time, and of whom.
//!
//! Not here: whether the signature is right (`jwks`), and Vestibule's own tokens (`own`).

use crate::config::IssuerConfig;
use crate::error::{ProofError, ProofKind};
use crate::jose::encode;
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use vestibule_core::{Assurance, Identity, IdentityKind, Timestamp};

/// How far an issuer's clock may be ahead of ours, in seconds. An expiry is taken at its word.
pub(crate) const SKEW: i64 = 30;

/// Longest subject.
const MAX_SUBJECT: usize = 255;
/// Most groups, and the longest.
const MAX_GROUPS: usize = 500;
const MAX_GROUP: usize = 256;
/// Longest value of a claim that policies see.
const MAX_CLAIM: usize = 512;
/// Longest chain of actors.
const MAX_ACTORS: usize = 4;

type Claims = Map<String, Value>;

fn flaw(kind: ProofKind, reason: impl Into<String>) -> ProofError {
    ProofError::new(kind, reason)
}

/// Judges the claims of a token whose signature is right.
pub(crate) fn judge(
    issuer: &IssuerConfig,
    typ: Option<&str>,
    claims: &Claims,
    now: Timestamp,
) -> Result<Identity, ProofError> {
    form(typ, claims)?;
    issued_by(issuer, claims)?;
    made_for(issuer, claims)?;
    let expires = in_time(claims, now, issuer.max_age)?;
    let subject = subject(issuer, claims)?;
    let (subject, acting_for) = actors(issuer, claims, subject)?;
    let kind = if acting_for.is_empty() { issuer.kind } else { IdentityKind::Agent };
    Ok(Identity {
        issuer: issuer.name.clone(),
        name: if acting_for.is_empty() { display(claims, &subject) } else { printable(&subject) },
        subject,
        kind,
        groups: groups(issuer, claims)?,
        assurance: assurance(claims),
        acting_for,
        claims: selected(issuer, claims)?,
        token_id: token_id(issuer, claims)?,
        only_target: None,
        expires,
    })
}

/// What else a trusted issuer signs is no proof of identity: logout tokens, security events, tokens that are only good
/// together with a key.
fn form(typ: Option<&str>, claims: &Claims) -> Result<(), ProofError> {
    let known = typ.is_none_or(|typ| {
        let typ = typ.to_ascii_lowercase();
        matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt" | "jose")
    });
    if !known || claims.contains_key("events") {
        return Err(flaw(ProofKind::Claims, "it is not a token that proves an identity"));
    }
    if claims.contains_key("cnf") {
        return Err(flaw(ProofKind::Claims, "it is bound to a key (`cnf`), which cannot be asked for here"));
    }
    Ok(())
}

fn issued_by(issuer: &IssuerConfig, claims: &Claims) -> Result<(), ProofError> {
    // A JWT-SVID need not have `iss`; its `sub` names the trust domain, which is checked there.
    if issuer.trust_domain().is_some() || claims.get("iss").and_then(Value::as_str) == Some(&issuer.issuer) {
        return Ok(());
    }
    Err(flaw(ProofKind::Issuer, "its `iss` is another issuer's"))
}

/// Audience and authorized party (OpenID Connect Core 3.1.3.7, 3 to 5).
fn made_for(issuer: &IssuerConfig, claims: &Claims) -> Result<(), ProofError> {
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let ours = |name: &str| name == issuer.audience || issuer.client_id.as_deref() == Some(name);
    if !audiences.iter().any(|a| ours(a)) {
        return Err(flaw(ProofKind::Audience, "it was made for somebody else (`aud`)"));
    }
    match claims.get("azp") {
        // Everybody whom such a token was made for holds it, and could come here with it.
        None if !audiences.iter().all(|a| ours(a)) => {
            Err(flaw(ProofKind::Audience, "it was made for others, too, and does not say who may use it (`azp`)"))
        }
        None => Ok(()),
        Some(party) if party.as_str().is_some_and(ours) => Ok(()),
        Some(_) => Err(flaw(ProofKind::Audience, "somebody else may use it (`azp`)")),
    }
}

/// A NumericDate; `Err` if there is one that is none.
pub(crate) fn date(claims: &Claims, name: &str) -> Result<Option<i64>, ProofError> {
    const YEAR_9999: f64 = 253_402_300_799.0;
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            // In this range the conversion is exact but for the fraction, which is cut off on purpose.
            #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
            Some(seconds) if (0.0..=YEAR_9999).contains(&seconds) => Ok(Some(seconds as i64)),
            _ => Err(flaw(ProofKind::Time, format!("its `{name}` is not a time"))),
        },
    }
}

/// When the proof ends.
fn in_time(claims: &Claims, now: Timestamp, max_age: Duration) -> Result<Timestamp, ProofError> {
    let time = |why: &str| Err(flaw(ProofKind::Time, why));
    let now = now.seconds();
    let Some(expires) = date(claims, "exp")? else {
        return time("it has no expiry (`exp`)");
    };
    if expires <= now {
        return time("it has expired");
    }
    if date(claims, "nbf")?.is_some_and(|from| from > now.saturating_add(SKEW)) {
        return time("it is not valid yet (`nbf`)");
    }
    let issued = date(claims, "iat")?;
    if issued.is_some_and(|at| at > now.saturating_add(SKEW)) {
        return time("it was issued in the future (`iat`)");
    }
    let max_age = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
    // Without a time of issue, what it has left to live must do.
    let ends = match issued {
        Some(at) => at.saturating_add(max_age),
        None if expires.saturating_sub(now) > max_age => return time("it is valid for too long"),
        None => expires,
    };
    if ends <= now {
        return time("it is too old");
    }
    Ok(Timestamp::from_seconds(expires.min(ends)))
}

fn subject(issuer: &IssuerConfig, claims: &Claims) -> Result<String, ProofError> {
    let subject =
        identifier(claims.get("sub")).ok_or_else(|| flaw(ProofKind::Claims, "its `sub` is missing or unusable"))?;
    if let Some(domain) = issuer.trust_domain() {
        let path = subject.strip_prefix(domain).and_then(|rest| rest.strip_prefix('/'));
        let segments_are_good = |path: &str| {
            path.split('/').all(|s| {
                !matches!(s, "" | "." | "..")
                    && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            })
        };
        if !path.is_some_and(segments_are_good) {
            return Err(flaw(ProofKind::Claims, "its `sub` is not a workload of this trust domain"));
        }
    }
    Ok(subject.to_owned())
}

fn identifier(value: Option<&Value>) -> Option<&str> {
    let text = value?.as_str()?;
    let good = !text.is_empty() && text.len() <= MAX_SUBJECT && !text.chars().any(unprintable) && text.trim() == text;
    good.then_some(text)
}

/// RFC 8693, 4.1: the subject is on whose behalf, the outermost `act` is who acts, those inside acted before.
fn actors(issuer: &IssuerConfig, claims: &Claims, subject: String) -> Result<(String, Vec<String>), ProofError> {
    let bad = || flaw(ProofKind::Claims, "its chain of actors (`act`) is not usable");
    let mut chain = Vec::new();
    let mut link = claims.get("act");
    while let Some(act) = link {
        let act = act.as_object().ok_or_else(bad)?;
        // An actor of another issuer would be an identity that its own issuer did not prove.
        if act.get("iss").is_some_and(|iss| iss != issuer.issuer.as_str()) || chain.len() >= MAX_ACTORS {
            return Err(bad());
        }
        chain.push(identifier(act.get("sub")).ok_or_else(bad)?.to_owned());
        link = act.get("act");
    }
    if chain.is_empty() {
        return Ok((subject, Vec::new()));
    }
    let actor = chain.remove(0);
    let behind = chain.into_iter().chain([subject]).map(|sub| format!("{}|{sub}", issuer.name)).collect();
    Ok((actor, behind))
}

/// A claim by name, or by JSON pointer (RFC 6901) if the name begins with `/`.
fn claim<'c>(claims: &'c Claims, name: &str) -> Option<&'c Value> {
    let Some(pointer) = name.strip_prefix('/') else { return claims.get(name) };
    let mut steps = pointer.split('/').map(|step| step.replace("~1", "/").replace("~0", "~"));
    let first = claims.get(steps.next()?.as_str())?;
    steps.try_fold(first, |value, step| value.get(step.as_str()))
}

fn groups(issuer: &IssuerConfig, claims: &Claims) -> Result<BTreeSet<String>, ProofError> {
    let unusable = || flaw(ProofKind::Claims, "its groups are not a text or a list of texts, or are too many");
    // A provider that leaves out groups because they are too many says where to ask for them. Without them a policy
    // that forbids something to a group would not hold.
    let elsewhere = claims.get("_claim_names").and_then(|names| names.get(&issuer.groups_claim)).is_some();
    if elsewhere {
        return Err(flaw(ProofKind::Claims, "its groups were left out (too many); let the issuer name fewer"));
    }
    let names: Vec<&str> = match claim(claims, &issuer.groups_claim) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(list)) => list.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(unusable)?,
        Some(_) => return Err(unusable()),
    };
    let good = |name: &&str| !name.is_empty() && name.len() <= MAX_GROUP && !name.chars().any(unprintable);
    if names.len() > MAX_GROUPS || !names.iter().all(good) {
        return Err(unusable());
    }
    Ok(names.into_iter().map(|name| format!("{}{name}", issuer.groups_prefix)).collect())
}

fn selected(issuer: &IssuerConfig, claims: &Claims) -> Result<BTreeMap<String, String>, ProofError> {
    let mut selected = BTreeMap::new();
    for name in &issuer.claims {
        let value = match claim(claims, name) {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) => text.clone(),
            Some(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string(),
            Some(_) => {
                return Err(flaw(
                    ProofKind::Claims,
                    format!("the claim `{name}` is not a text, number or truth value"),
                ));
            }
        };
        if value.len() > MAX_CLAIM {
            return Err(flaw(ProofKind::Claims, format!("the claim `{name}` is too long")));
        }
        selected.insert(name.clone(), value);
    }
    Ok(selected)
}

fn assurance(claims: &Claims) -> Assurance {
    let short = |value: &Value| value.as_str().filter(|t| t.len() <= 128).map(printable);
    let amr = claims.get("amr").and_then(Value::as_array);
    Assurance {
        amr: amr.map(|list| list.iter().filter_map(short).take(16).collect()).unwrap_or_default(),
        acr: claims.get("acr").and_then(short),
        auth_time: date(claims, "auth_time").ok().flatten(),
    }
}

/// What people call the actor. An address that the provider did not verify is the actor's own claim: approvers would
/// read somebody else's name.
fn display(claims: &Claims, subject: &str) -> String {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|t| !t.trim().is_empty());
    let verified = claims.get("email_verified").is_none_or(|v| *v == Value::Bool(true) || v == "true");
    let email = text("email").filter(|_| verified);
    printable(email.or_else(|| text("preferred_username")).or_else(|| text("name")).unwrap_or(subject))
}

/// Without what can hide or turn around text, and not too long.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !unprintable(*c)).take(128).collect()
}

/// Control characters, and those that change the direction or vanish.
fn unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The issuer's own id of the token, or one made of what makes it unique.
fn token_id(issuer: &IssuerConfig, claims: &Claims) -> Result<String, ProofError> {
    let id = match claims.get("jti").or_else(|| claims.get("uti")) {
        None => None,
        Some(Value::String(id)) if !id.is_empty() => Some(id.as_str()),
        Some(_) => return Err(flaw(ProofKind::Claims, "its `jti` is not a text")),
    };
    let plain = |id: &&str| id.len() <= 64 && id.bytes().all(|b| b.is_ascii_graphic() && b != b'|');
    Ok(match (id.filter(plain), id) {
        (Some(id), _) => format!("{}|{id}", issuer.name),
        (None, Some(id)) => format!("{}|sha256-{}", issuer.name, short_digest(id.as_bytes())),
        (None, None) => {
            // Maps are sorted by name, so that the same claims give the same id whatever their order.
            let all = serde_json::to_vec(claims).map_err(|_| flaw(ProofKind::Internal, "claims cannot be written"))?;
            format!("{}|sha256-{}", issuer.name, short_digest(&all))
        }
    })
}

fn short_digest(bytes: &[u8]) -> String {
    encode(digest(&SHA256, bytes).as_ref().get(..16).unwrap_or_default())
}
