//! `[[issuer]]`: who is trusted to prove identities.

use super::files::{self, readable};
use super::keys::Presence::{Default, Optional, Required};
use super::keys::{Form, Key, Kind, Section, nearest, spell_seconds};
use super::read::{Document, Reading, Table};
use super::resolve;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vestibule_core::IdentityKind;
use vestibule_identity::{Algorithm, IssuerConfig, check_ca, check_jwks};

/// `[[issuer]]`
pub static ISSUER: Section = Section {
    name: "issuer",
    form: Form::Many { min: 1 },
    help: "an identity provider or workload platform whose tokens are trusted",
    keys: &[
        key(
            "name",
            Kind::Name,
            Required,
            "Its name in policies and records: identities are `name|subject`. Never change it.",
        ),
        key(
            "issuer",
            Kind::Text,
            Required,
            "Its issuer URL, exactly as the `iss` of its tokens has it; `spiffe://trust-domain` for SPIFFE JWT-SVIDs.",
        ),
        key(
            "audience",
            Kind::Text,
            Required,
            "What `aud` of its tokens must contain. Tokens made for `client_id` are accepted, too.",
        ),
        key(
            "client_id",
            Kind::Text,
            Optional,
            "Client that `vestibule login` uses there. Without it, nobody can log in by browser.",
        ),
        key(
            "scopes",
            Kind::Texts,
            Optional,
            "Scopes that `vestibule login` asks for. Default: openid, profile, email, groups and offline_access, as far \
             as the provider has them.",
        ),
        key("kind", Kind::Choice(&["person", "service", "agent"]), Default("person"), "What its identities are."),
        key(
            "algorithms",
            Kind::Texts,
            Optional,
            "Signature algorithms it may use, also RS384, RS512, PS384, PS512, ES384. Default: RS256, PS256, ES256, EdDSA.",
        ),
        key(
            "jwks_file",
            Kind::Path,
            Optional,
            "Its keys (JWKS) in a file, for issuers that cannot be reached. Default: discovery.",
        ),
        key(
            "ca_file",
            Kind::Path,
            Optional,
            "Certificates in PEM that its web server's chain must end in. Default: those of the system.",
        ),
        key(
            "groups_claim",
            Kind::Text,
            Default("groups"),
            "Claim that holds the groups, text or list; a JSON pointer if it begins with `/`, as `/realm_access/roles`.",
        ),
        key(
            "groups_prefix",
            Kind::Text,
            Optional,
            "Put before each of its groups, so that no issuer can name a group of another. Default: nothing.",
        ),
        key(
            "claims",
            Kind::Texts,
            Optional,
            "Claims that policies may ask for: texts, numbers, truth values; by name or JSON pointer.",
        ),
        key(
            "max_age",
            Kind::Duration(60, 31_536_000),
            Default("24h"),
            "Older tokens are refused, counted from their issue, whatever their own expiry says.",
        ),
    ],
};

const fn key(name: &'static str, kind: Kind, presence: super::keys::Presence, help: &'static str) -> Key {
    Key { name, kind, presence, help }
}

pub(super) fn issuers(doc: &Document<'_>, reading: &Reading<'_>) -> Vec<IssuerConfig> {
    let tables = doc.sections(reading, &ISSUER);
    resolve::unique(&tables, "issuer");
    let mut seen: Vec<(String, u32)> = Vec::new();
    for table in &tables {
        let Some(url) = table.text("issuer") else { continue };
        match seen.iter().find(|(other, _)| *other == url) {
            Some((_, first)) => table.problem(
                "issuer",
                format!("there are two issuers with this URL; the first is on line {first}"),
                "keep one of them: a token's `iss` must say which holds",
            ),
            None => seen.push((url, table.line_of("issuer"))),
        }
    }
    tables.iter().filter_map(issuer).collect()
}

fn issuer(table: &Table<'_>) -> Option<IssuerConfig> {
    let kind = match table.text("kind").as_deref() {
        Some("service") => IdentityKind::Service,
        Some("agent") => IdentityKind::Agent,
        _ => IdentityKind::Person,
    };
    let url = table.text("issuer").unwrap_or_default();
    let spiffe = url.starts_with("spiffe://");
    address(table, &url, kind);
    claim_names(table);
    let (algorithms, jwks_file, ca_file) = (algorithms(table), jwks_file(table, spiffe), ca_file(table));
    Some(IssuerConfig {
        client_id: table.text("client_id"),
        scopes: scopes(table),
        kind,
        algorithms,
        jwks_file,
        ca_file,
        groups_claim: table.text_or_empty("groups_claim"),
        groups_prefix: table.text_or_empty("groups_prefix"),
        claims: table.texts("claims"),
        max_age: Duration::from_secs(table.seconds("max_age").unwrap_or_default()),
        ..IssuerConfig::new(table.text("name")?, url, table.text("audience")?)
    })
}

/// Whether the URL can be an issuer's.
fn address(table: &Table<'_>, url: &str, kind: IdentityKind) {
    if url.is_empty() {
        return;
    }
    if let Some(domain) = url.strip_prefix("spiffe://") {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        if domain.is_empty() || !domain.bytes().all(good) {
            table.problem(
                "issuer",
                "`issuer` is not a SPIFFE trust domain",
                "write `spiffe://` and the domain in lower case, without a path: `spiffe://clinic.example`",
            );
        }
        if kind == IdentityKind::Person || table.has("client_id") {
            let key = if table.has("client_id") { "client_id" } else { "kind" };
            table.problem(
                key,
                "SPIFFE identities are workloads, not people",
                "write `kind = \"service\"` or `kind = \"agent\"`, and no `client_id`",
            );
        }
        return;
    }
    let rest = url.strip_prefix("https://");
    let Some(rest) = rest else {
        return table.problem(
            "issuer",
            "`issuer` is not an https address: keys that come in the clear prove nothing",
            "write the issuer's `https://` URL; for an issuer that cannot be reached, name its keys with `jwks_file`",
        );
    };
    let host = rest.split('/').next().unwrap_or_default();
    let odd = |c: char| matches!(c, '?' | '#' | '@' | '\\') || c.is_whitespace() || c.is_control();
    if host.is_empty() || rest.contains(odd) {
        table.problem(
            "issuer",
            "`issuer` is not an issuer's URL: it has no host, or a query, fragment, user or space",
            "copy `issuer` from the provider's `/.well-known/openid-configuration`",
        );
    }
}

fn algorithms(table: &Table<'_>) -> Vec<Algorithm> {
    if !table.has("algorithms") {
        return Algorithm::DEFAULT.to_vec();
    }
    let names = table.texts("algorithms");
    let known: Vec<_> = Algorithm::ALL.iter().map(|a| a.name()).collect();
    if names.is_empty() {
        table.problem(
            "algorithms",
            "`algorithms` is empty, so that no token would be accepted",
            "name some, or remove it",
        );
    }
    let mut found = Vec::new();
    for name in &names {
        match Algorithm::parse(name) {
            Some(algorithm) if !found.contains(&algorithm) => found.push(algorithm),
            Some(_) => {}
            None => unsafe_algorithm(table, name, &known),
        }
    }
    found
}

fn unsafe_algorithm(table: &Table<'_>, name: &str, known: &[&str]) {
    let shown: String = name.chars().take(20).collect();
    let symmetric = ["HS256", "HS384", "HS512"].contains(&name);
    let what = match name {
        _ if name.eq_ignore_ascii_case("none") => "`none` means unsigned: anybody could be anybody".to_owned(),
        _ if symmetric => format!("`{name}` is symmetric: whoever can check a token could make one"),
        _ => format!("there is no signature algorithm `{}`", shown.escape_debug()),
    };
    let mend = match nearest(name, known.iter().copied()).filter(|_| !symmetric) {
        Some(near) => format!("write `{near}`"),
        None => format!("the algorithms are {}", known.join(", ")),
    };
    table.problem("algorithms", what, mend);
}

fn jwks_file(table: &Table<'_>, spiffe: bool) -> Option<PathBuf> {
    let Some(path) = table.path("jwks_file") else {
        if spiffe && !table.has("jwks_file") {
            table.problem(
                "issuer",
                "the keys of a SPIFFE trust domain cannot be discovered",
                "name its bundle with `jwks_file`; it is read again when it changes",
            );
        }
        return None;
    };
    let checked = readable(&path).and_then(|()| file_with(&path, "keys that can be used", |b| check_jwks(b, spiffe)));
    files::report(table, "jwks_file", checked);
    Some(path)
}

fn ca_file(table: &Table<'_>) -> Option<PathBuf> {
    let path = table.path("ca_file")?;
    if table.has("jwks_file") {
        table.problem(
            "ca_file",
            "`ca_file` has no effect with `jwks_file`: the issuer's web server is never asked",
            "remove one of them",
        );
    }
    files::report(table, "ca_file", readable(&path).and_then(|()| file_with(&path, "certificates in PEM", check_ca)));
    Some(path)
}

/// Checks what is in a file.
fn file_with(path: &Path, wanted: &str, check: impl Fn(&[u8]) -> Result<(), String>) -> Result<(), files::Flaw> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|e| {
        (format!("the file {shown} cannot be read: {e}"), "give the gateway's account access to it".into())
    })?;
    check(&bytes)
        .map_err(|why| (format!("the file {shown} cannot be used: {why}"), format!("name a file with {wanted}")))
}

fn scopes(table: &Table<'_>) -> Vec<String> {
    let scopes = table.texts("scopes");
    if table.has("scopes") && !scopes.iter().any(|s| s == "openid") {
        table.problem(
            "scopes",
            "`scopes` has no `openid`, so that nobody could log in",
            "add `\"openid\"`, or remove `scopes`",
        );
    }
    if let Some(bad) = scopes.iter().find(|s| s.is_empty() || !s.bytes().all(|b| b.is_ascii_graphic())) {
        table.problem(
            "scopes",
            format!("`{}` is not a scope", bad.chars().take(40).collect::<String>().escape_debug()),
            "write each scope as a text of its own, without spaces",
        );
    }
    scopes
}

/// Claims decide who is who: the few that a token is checked by cannot stand for something else.
fn claim_names(table: &Table<'_>) {
    const CHECKED: [&str; 8] = ["aud", "azp", "exp", "iat", "nbf", "jti", "nonce", "act"];
    let groups = table.text_or_empty("groups_claim");
    let all = table.texts("claims");
    for (key, name) in all.iter().map(|n| ("claims", n)).chain([("groups_claim", &groups)]) {
        if name.is_empty() || name == "/" || CHECKED.contains(&name.as_str()) {
            table.problem(
                key,
                format!("`{name}` cannot be used as a claim about the actor"),
                "name a claim such as `department`, or a JSON pointer such as `/kubernetes.io/namespace`",
            );
        }
    }
}

pub(super) fn describe(issuer: &IssuerConfig) -> String {
    let kind = match issuer.kind {
        IdentityKind::Person => "people",
        IdentityKind::Service => "services",
        IdentityKind::Agent => "agents",
    };
    let login = match &issuer.client_id {
        Some(client) => format!("log in as client `{client}`"),
        None => "no login by browser".to_owned(),
    };
    let keys = match &issuer.jwks_file {
        Some(path) => format!("in {}", path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default()),
        None => "by discovery".to_owned(),
    };
    let names: Vec<_> = issuer.algorithms.iter().map(|a| a.name()).collect();
    let prefix = match issuer.groups_prefix.as_str() {
        "" => String::new(),
        prefix => format!(", each with `{prefix}` before it"),
    };
    format!(
        "{}: {}\n  proves   {kind}, for audience `{}`; {login}\n  keys     {keys}; {}\n  groups   of claim `{}`{prefix}\n  \
         age      at most {}",
        issuer.name,
        issuer.issuer,
        issuer.audience,
        names.join(", "),
        issuer.groups_claim,
        spell_seconds(issuer.max_age.as_secs()),
    )
}
