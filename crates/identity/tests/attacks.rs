//! Everything that is not a proof, and why it is not one. The list only grows.

#![cfg(test)]

mod common;

use common::{Bench, GATEWAY, NOW, RSA, STAFF, Signer, b64, bench, bench_with, claims, hs256, with, without};
use serde_json::{Value, json};
use std::time::Duration;
use vestibule_core::IdentityKind;
use vestibule_identity::{Algorithm, ExchangeRequest, ProofKind, Prover};

async fn refused(prover: &Prover, token: &str) -> (ProofKind, String) {
    let error = prover.prove(token, Some("clinic"), NOW).await.expect_err("a forged token was accepted");
    assert_eq!(error.public, "your identity could not be proven");
    for piece in token.split('.').filter(|p| p.len() > 8) {
        assert!(!error.reason.contains(piece), "the reason repeats the token");
    }
    (error.kind, error.reason)
}

struct Keys {
    es: Signer,
    p384: Signer,
    ed: Signer,
    ci: Signer,
}

fn keys() -> (Keys, Bench) {
    let k =
        Keys { es: Signer::p256("es"), p384: Signer::p384("p384"), ed: Signer::ed25519("ed"), ci: Signer::p256("ci") };
    let staff = [RSA.jwk("sig"), k.es.jwk("sig"), k.p384.jwk("sig"), k.ed.jwk("sig")];
    let mut svid = k.ci.jwk("jwt-svid");
    svid["kid"] = json!("svid");
    let bench = bench(&staff, &[k.ci.jwk("sig"), svid]);
    (k, bench)
}

#[tokio::test]
async fn every_allowed_algorithm_proves() {
    let (k, bench) = keys();
    for (signer, algs) in [
        (&*RSA, &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..]),
        (&k.es, &["ES256"]),
        (&k.p384, &["ES384"]),
        (&k.ed, &["EdDSA", "Ed25519"]),
    ] {
        for alg in algs {
            let identity = bench.prover.prove(&signer.sign(alg, &claims()), Some("clinic"), NOW).await.expect(alg);
            assert_eq!(identity.id(), "staff|248289761001");
            assert_eq!(identity.name, "alice@clinic.example");
            assert_eq!(identity.groups.iter().map(String::as_str).collect::<Vec<_>>(), ["care", "research"]);
            assert_eq!(identity.assurance.amr, ["pwd", "otp"]);
            assert_eq!(identity.token_id, "staff|id-1");
            assert_eq!(identity.expires.seconds(), NOW.seconds() + 600);
        }
    }
}

#[tokio::test]
async fn forged_headers() {
    let (k, bench) = keys();
    let body = claims().to_string();
    let unsigned = |header: Value| format!("{}.{}.", b64(header.to_string()), b64(&body));
    let with_header = |more: Value| {
        let mut header = json!({"alg": "ES256", "kid": "es"});
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        k.es.sign_text(&header.to_string(), &body)
    };
    let public = serde_json::to_vec(&RSA.bare_jwk()).unwrap();
    let n = RSA.bare_jwk()["n"].as_str().unwrap().to_owned();
    let symmetric = json!({"alg": "HS256", "kid": "rsa-1"}).to_string();
    let good = k.es.sign("ES256", &claims());
    let cases: Vec<(&str, String, ProofKind)> = vec![
        ("alg none", unsigned(json!({"alg": "none"})), ProofKind::Algorithm),
        ("alg None", unsigned(json!({"alg": "nOnE"})), ProofKind::Algorithm),
        ("alg none, signed", k.es.sign_text(r#"{"alg":"none","kid":"es"}"#, &body), ProofKind::Algorithm),
        ("no alg", k.es.sign_text(r#"{"kid":"es"}"#, &body), ProofKind::Algorithm),
        ("alg as number", k.es.sign_text(r#"{"alg":256,"kid":"es"}"#, &body), ProofKind::Algorithm),
        ("HS256 with the public key", hs256(&symmetric, &body, &public), ProofKind::Algorithm),
        ("HS256 with the modulus", hs256(&symmetric, &body, n.as_bytes()), ProofKind::Algorithm),
        ("ES256K", k.es.sign_text(r#"{"alg":"ES256K","kid":"es"}"#, &body), ProofKind::Algorithm),
        ("unsigned", good.rsplit_once('.').unwrap().0.to_owned() + ".", ProofKind::Malformed),
        ("two parts", good.rsplit_once('.').unwrap().0.to_owned(), ProofKind::Malformed),
        ("four parts", format!("{good}.x"), ProofKind::Malformed),
        ("five parts", format!("{good}.x.y"), ProofKind::Malformed),
        ("padded", format!("{good}="), ProofKind::Malformed),
        ("jku", with_header(json!({"jku": "https://evil.example/keys"})), ProofKind::Key),
        ("jwk", with_header(json!({"jwk": k.es.bare_jwk()})), ProofKind::Key),
        ("x5u", with_header(json!({"x5u": "https://evil.example/cert"})), ProofKind::Key),
        ("x5c", with_header(json!({"x5c": ["MIIB"]})), ProofKind::Key),
        ("crit", with_header(json!({"crit": ["exp"]})), ProofKind::Malformed),
        ("b64", with_header(json!({"b64": false})), ProofKind::Malformed),
        ("zip", with_header(json!({"zip": "DEF"})), ProofKind::Malformed),
        ("kid as path", with_header(json!({"kid": "../../keys/token.key"})), ProofKind::Key),
        ("kid as list", with_header(json!({"kid": ["es"]})), ProofKind::Malformed),
        ("unknown kid", with_header(json!({"kid": "other"})), ProofKind::Key),
        ("no kid, several keys", k.es.sign_text(r#"{"alg":"ES256"}"#, &body), ProofKind::Key),
        ("wrong key type", k.es.sign_text(r#"{"alg":"ES256","kid":"rsa-1"}"#, &body), ProofKind::Key),
        ("RS256 with an EC key", k.es.sign_text(r#"{"alg":"RS256","kid":"es"}"#, &body), ProofKind::Key),
        ("ES256 with a P-384 key", k.p384.sign_text(r#"{"alg":"ES256","kid":"p384"}"#, &body), ProofKind::Key),
        ("EdDSA with an EC key", k.ed.sign_text(r#"{"alg":"EdDSA","kid":"es"}"#, &body), ProofKind::Key),
        ("another's signature", Signer::p256("es").sign("ES256", &claims()), ProofKind::Signature),
        ("alg twice", k.es.sign_text(r#"{"alg":"ES256","alg":"none","kid":"es"}"#, &body), ProofKind::Malformed),
        ("logout token", k.es.sign_text(r#"{"alg":"ES256","kid":"es","typ":"logout+jwt"}"#, &body), ProofKind::Claims),
        (
            "posing as ours",
            k.es.sign_text(r#"{"alg":"ES256","kid":"es","typ":"vst+jwt"}"#, &body),
            ProofKind::Algorithm,
        ),
        (
            "posing as ours, EdDSA",
            k.ed.sign_text(r#"{"alg":"EdDSA","kid":"ed","typ":"vst+jwt"}"#, &body),
            ProofKind::Key,
        ),
        ("huge", k.es.sign("ES256", &with(claims(), "x", json!("y".repeat(20_000)))), ProofKind::Malformed),
        ("empty", String::new(), ProofKind::Malformed),
        ("a password", "hunter2".into(), ProofKind::Malformed),
        ("dots", "..".into(), ProofKind::Malformed),
    ];
    for (title, token, kind) in cases {
        let (found, reason) = refused(&bench.prover, &token).await;
        assert_eq!(found, kind, "{title}: {reason}");
    }
}

#[tokio::test]
async fn wrong_claims() {
    let (k, bench) = keys();
    let now = NOW.seconds();
    let set = |name: &str, value: Value| with(claims(), name, value);
    let cases: Vec<(&str, Value, ProofKind)> = vec![
        ("expired", set("exp", json!(now)), ProofKind::Time),
        ("no exp", without(claims(), "exp"), ProofKind::Time),
        ("exp as text", set("exp", json!("2100")), ProofKind::Time),
        ("exp beyond all dates", set("exp", json!(1e300)), ProofKind::Time),
        ("negative exp", set("exp", json!(-1)), ProofKind::Time),
        ("nbf in the future", set("nbf", json!(now + 60)), ProofKind::Time),
        ("iat in the future", set("iat", json!(now + 60)), ProofKind::Time),
        ("too old", with(set("iat", json!(now - 100_000)), "exp", json!(now + 60)), ProofKind::Time),
        ("no iat, valid for years", with(without(claims(), "iat"), "exp", json!(now + 90_000_000)), ProofKind::Time),
        ("no aud", without(claims(), "aud"), ProofKind::Audience),
        ("wrong aud", set("aud", json!("grafana")), ProofKind::Audience),
        ("aud as prefix", set("aud", json!("vestibule2")), ProofKind::Audience),
        ("empty aud", set("aud", json!([])), ProofKind::Audience),
        ("aud as object", set("aud", json!({"vestibule": true})), ProofKind::Audience),
        ("several aud, no azp", set("aud", json!(["vestibule", "vault"])), ProofKind::Audience),
        ("azp of another", with(set("aud", json!(["vestibule", "vault"])), "azp", json!("vault")), ProofKind::Audience),
        ("azp of another, one aud", set("azp", json!("vault")), ProofKind::Audience),
        ("wrong iss", set("iss", json!("https://evil.example")), ProofKind::Issuer),
        ("iss with a slash", set("iss", json!(format!("{STAFF}/"))), ProofKind::Issuer),
        ("no iss", without(claims(), "iss"), ProofKind::Issuer),
        ("iss as list", set("iss", json!([STAFF])), ProofKind::Issuer),
        ("token of staff with iss of ci", set("iss", json!("https://ci.example")), ProofKind::Key),
        ("no sub", without(claims(), "sub"), ProofKind::Claims),
        ("empty sub", set("sub", json!("")), ProofKind::Claims),
        ("sub as number", set("sub", json!(7)), ProofKind::Claims),
        ("sub with a line break", set("sub", json!("a\nb")), ProofKind::Claims),
        ("sub that turns around", set("sub", json!("a\u{202e}b")), ProofKind::Claims),
        ("groups as number", set("groups", json!(7)), ProofKind::Claims),
        ("number among groups", set("groups", json!(["care", 7])), ProofKind::Claims),
        (
            "groups left out",
            with(without(claims(), "groups"), "_claim_names", json!({"groups": "src1"})),
            ProofKind::Claims,
        ),
        ("bound to a key", set("cnf", json!({"jkt": "x"})), ProofKind::Claims),
        ("a logout token", set("events", json!({})), ProofKind::Claims),
        (
            "actor of another issuer",
            set("act", json!({"iss": "https://evil.example", "sub": "bot"})),
            ProofKind::Claims,
        ),
        ("actor without name", set("act", json!({})), ProofKind::Claims),
    ];
    for (title, claims, kind) in cases {
        let (found, reason) = refused(&bench.prover, &k.es.sign("ES256", &claims)).await;
        assert_eq!(found, kind, "{title}: {reason}");
    }
    let header = r#"{"alg":"ES256","kid":"es"}"#;
    let twice = claims().to_string().replacen('{', r#"{"sub":"root","#, 1);
    assert_eq!(refused(&bench.prover, &k.es.sign_text(header, &twice)).await.0, ProofKind::Malformed);
}

#[tokio::test]
async fn what_is_allowed_is_allowed() {
    let (k, bench) = keys();
    let now = NOW.seconds();
    let good = |name: &str, value: Value| k.es.sign("ES256", &with(claims(), name, value));
    for token in [
        good("aud", json!(["vestibule"])),
        good("aud", json!("vestibule-cli")),
        good("aud", json!(["vestibule-cli", "vestibule"])),
        k.es.sign("ES256", &with(with(claims(), "aud", json!(["vestibule-cli", "x"])), "azp", json!("vestibule-cli"))),
        good("nbf", json!(now + 20)),
        good("iat", json!(now + 20)),
        good("exp", json!(now as f64 + 60.5)),
        good("groups", json!("care")),
        good("groups", Value::Null),
    ] {
        bench.prover.prove(&token, Some("clinic"), NOW).await.unwrap();
    }
    let unverified =
        with(with(claims(), "email_verified", json!(false)), "preferred_username", json!("mallory\u{202e}"));
    let identity = bench.prover.prove(&k.es.sign("ES256", &unverified), None, NOW).await.unwrap();
    assert_eq!(identity.name, "mallory");
}

#[tokio::test]
async fn workloads_of_all_shapes() {
    let k = Signer::p256("ci");
    let mut svid = k.jwk("jwt-svid");
    svid["kid"] = json!("svid");
    let bench = bench_with(&[RSA.jwk("sig")], &[k.jwk("sig"), svid], |issuers| {
        issuers[1].claims = vec!["repository".into(), "/kubernetes.io/namespace".into(), "project_path".into()];
        issuers[1].groups_claim = "/kubernetes.io/groups".into();
        issuers[1].groups_prefix = "ci:".into();
    });
    let now = NOW.seconds();
    let base = json!({"iss": "https://ci.example", "aud": "vestibule", "exp": now + 300, "iat": now, "nbf": now - 300});
    let extended = |more: Value| {
        let mut claims = base.clone();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        k.sign("ES256", &claims)
    };
    let github =
        extended(json!({"sub": "repo:clinic/etl:ref:refs/heads/main", "repository": "clinic/etl", "jti": "a-b",
        "workflow": "nightly", "ref": "refs/heads/main", "runner_environment": "github-hosted"}));
    let gitlab =
        extended(json!({"sub": "project_path:clinic/etl:ref_type:branch:ref:main", "project_path": "clinic/etl",
        "user_email": "dev@clinic.example", "ref_protected": "true"}));
    let kubernetes = extended(json!({"aud": ["vestibule"], "sub": "system:serviceaccount:etl:loader",
        "kubernetes.io": {"namespace": "etl", "groups": ["loaders"], "serviceaccount": {"name": "loader", "uid": "u"}}}));
    for (token, subject, claim) in [
        (&github, "repo:clinic/etl:ref:refs/heads/main", ("repository", "clinic/etl")),
        (&gitlab, "project_path:clinic/etl:ref_type:branch:ref:main", ("project_path", "clinic/etl")),
        (&kubernetes, "system:serviceaccount:etl:loader", ("/kubernetes.io/namespace", "etl")),
    ] {
        let identity = bench.prover.prove(token, Some("clinic"), NOW).await.unwrap();
        assert_eq!((identity.subject.as_str(), identity.kind), (subject, IdentityKind::Service));
        assert_eq!(identity.name, subject);
        assert_eq!(identity.claims.get(claim.0).map(String::as_str), Some(claim.1));
    }
    let loader = bench.prover.prove(&kubernetes, None, NOW).await.unwrap();
    assert!(loader.groups.contains("ci:loaders"));

    let svid = |kid: &str, sub: &str| {
        let claims = json!({"sub": sub, "aud": ["vestibule"], "exp": now + 300});
        k.sign_text(&json!({"alg": "ES256", "kid": kid, "typ": "JOSE"}).to_string(), &claims.to_string())
    };
    let mesh = bench.prover.prove(&svid("svid", "spiffe://clinic.example/ns/etl/sa/loader"), None, NOW).await.unwrap();
    assert_eq!(mesh.id(), "mesh|spiffe://clinic.example/ns/etl/sa/loader");
    for (kid, sub, kind) in [
        ("svid", "spiffe://evil.example/ns/etl", ProofKind::Issuer),
        ("svid", "spiffe://clinic.example.evil/x", ProofKind::Issuer),
        ("svid", "spiffe://clinic.example", ProofKind::Issuer),
        ("svid", "spiffe://clinic.example/", ProofKind::Claims),
        ("svid", "spiffe://clinic.example/a/../b", ProofKind::Claims),
        ("ci", "spiffe://clinic.example/a", ProofKind::Key),
    ] {
        assert_eq!(refused(&bench.prover, &svid(kid, sub)).await.0, kind, "{kid} {sub}");
    }
    // RFC 8693, 4.1: an agent of the person `sub`.
    let agent = extended(json!({"sub": "alice", "act": {"sub": "bot", "act": {"sub": "scheduler"}}}));
    let agent = bench.prover.prove(&agent, None, NOW).await.unwrap();
    assert_eq!((agent.id(), agent.kind), ("ci|bot".to_owned(), IdentityKind::Agent));
    assert_eq!(agent.acting_for, ["ci|scheduler", "ci|alice"]);
}

#[tokio::test]
async fn an_issuer_uses_only_its_algorithms() {
    let staff = [RSA.jwk("sig")];
    let bench = bench_with(&staff, &staff, |issuers| issuers[0].algorithms = vec![Algorithm::Ps256]);
    bench.prover.prove(&RSA.sign("PS256", &claims()), None, NOW).await.unwrap();
    assert_eq!(refused(&bench.prover, &RSA.sign("RS256", &claims())).await.0, ProofKind::Algorithm);
    // A key that names its algorithm is used for no other.
    let mut only = RSA.jwk("sig");
    only["alg"] = json!("RS512");
    let bench = common::bench(&[only], &staff);
    bench.prover.prove(&RSA.sign("RS512", &claims()), None, NOW).await.unwrap();
    assert_eq!(refused(&bench.prover, &RSA.sign("RS256", &claims())).await.0, ProofKind::Key);
}

fn ask<'a>(subject_token: &'a str, target: Option<&'a str>, ttl: Option<u64>) -> ExchangeRequest<'a> {
    ExchangeRequest { subject_token, target, ttl: ttl.map(Duration::from_secs) }
}

#[tokio::test]
async fn exchange_narrows_and_never_widens() {
    let (k, bench) = keys();
    let p = &bench.prover;
    let id_token = k.es.sign("ES256", &claims());
    let wide = p.exchange(&ask(&id_token, None, None), NOW).await.unwrap();
    assert_eq!(wide.expires_in, 600);
    assert!(wide.token.len() < 1_000, "{} characters", wide.token.len());
    // A dozen groups still fit where people paste a password.
    let groups: Vec<_> = (0..12).map(|n| format!("clinic-team-{n}")).collect();
    let many = k.es.sign("ES256", &with(claims(), "groups", json!(groups)));
    let many = p.exchange(&ask(&many, Some("clinic"), None), NOW).await.unwrap();
    assert!(many.token.len() < 1_000, "{} characters", many.token.len());
    let narrow = p.exchange(&ask(&wide.token, Some("clinic"), Some(60)), NOW).await.unwrap();
    assert_eq!(narrow.expires_in, 60);
    let proven = p.prove(&narrow.token, Some("clinic"), NOW).await.unwrap();
    assert_eq!(proven, narrow.identity);
    assert_eq!((proven.id(), proven.name.as_str()), ("staff|248289761001".into(), "alice@clinic.example"));
    assert_eq!(proven.only_target.as_deref(), Some("clinic"));
    // It is good nowhere else, not even at the gateway's own API.
    for target in [Some("billing"), Some(""), None] {
        assert_eq!(p.prove(&narrow.token, target, NOW).await.unwrap_err().kind, ProofKind::Target);
    }
    assert_eq!(p.recognise(&narrow.token, NOW).await.unwrap().only_target.as_deref(), Some("clinic"));
    let other = p.exchange(&ask(&narrow.token, Some("billing"), None), NOW).await.unwrap_err();
    assert_eq!(other.kind, ProofKind::Widening);
    // Not asked for, the restriction and the end are inherited.
    let again = p.exchange(&ask(&narrow.token, None, Some(3_600)), NOW).await.unwrap();
    assert_eq!((again.identity.only_target.as_deref(), again.expires_in), (Some("clinic"), 60));
    // Not endlessly, though.
    let fourth = p.exchange(&ask(&again.token, None, None), NOW).await.unwrap();
    assert_eq!(p.exchange(&ask(&fourth.token, None, None), NOW).await.unwrap_err().kind, ProofKind::Widening);
    // Never longer than allowed, nor than what it was made from; never for no time.
    let long = k.es.sign("ES256", &with(claims(), "exp", json!(NOW.seconds() + 80_000)));
    assert_eq!(p.exchange(&ask(&long, None, Some(80_000)), NOW).await.unwrap().expires_in, 3_600);
    let short = k.es.sign("ES256", &with(claims(), "exp", json!(NOW.seconds() + 7)));
    assert_eq!(p.exchange(&ask(&short, None, None), NOW).await.unwrap().expires_in, 7);
    assert_eq!(p.exchange(&ask(&id_token, None, Some(0)), NOW).await.unwrap_err().kind, ProofKind::Time);
    // Used directly, an issuer's token is good for no longer than an exchanged one would be.
    assert_eq!(p.prove(&long, None, NOW).await.unwrap().expires, NOW.plus_seconds(3_600));
    // An end is an end, also of a token that was just accepted.
    assert_eq!(p.prove(&narrow.token, Some("clinic"), NOW.plus_seconds(60)).await.unwrap_err().kind, ProofKind::Time);
}

#[tokio::test]
async fn revocation_reaches_what_was_made_from_it() {
    let (k, bench) = keys();
    let p = &bench.prover;
    let id_token = k.es.sign("ES256", &claims());
    let wide = p.exchange(&ask(&id_token, None, None), NOW).await.unwrap();
    let narrow = p.exchange(&ask(&wide.token, Some("clinic"), None), NOW).await.unwrap();
    p.prove(&narrow.token, Some("clinic"), NOW).await.unwrap();
    for revoked in [&wide.identity.token_id, &narrow.identity.token_id, &"staff|id-1".to_owned()] {
        bench.revoked.tokens.lock().unwrap().insert(revoked.clone());
        assert_eq!(refused(p, &narrow.token).await.0, ProofKind::Revoked);
        bench.revoked.tokens.lock().unwrap().clear();
    }
    bench.revoked.identities.lock().unwrap().insert("staff|248289761001".into());
    for token in [id_token.as_str(), &wide.token, &narrow.token] {
        assert_eq!(refused(p, token).await.0, ProofKind::Revoked);
    }
    assert_eq!(p.exchange(&ask(&id_token, None, None), NOW).await.unwrap_err().kind, ProofKind::Revoked);
    // An agent falls with the person it acts for.
    let agent = k.es.sign("ES256", &with(claims(), "act", json!({"sub": "bot"})));
    assert_eq!(refused(p, &agent).await.0, ProofKind::Revoked);
}

#[tokio::test]
async fn an_issuer_that_is_no_longer_trusted_takes_its_tokens_along() {
    let (k, bench) = keys();
    let ours = bench.prover.exchange(&ask(&k.es.sign("ES256", &claims()), None, None), NOW).await.unwrap();
    bench.prover.prove(&ours.token, None, NOW).await.unwrap();
    bench.prover.reload(Vec::new(), common::LIFE).unwrap();
    assert_eq!(refused(&bench.prover, &ours.token).await.0, ProofKind::Issuer);
}

#[tokio::test]
async fn others_can_check_our_tokens_and_ours_are_nobody_elses() {
    let (k, bench) = keys();
    let ours = bench.prover.exchange(&ask(&k.es.sign("ES256", &claims()), Some("clinic"), None), NOW).await.unwrap();
    // An implementation of JWT that nobody here wrote.
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(bench.prover.public_keys()).unwrap();
    let header = jsonwebtoken::decode_header(&*ours.token).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(set.find(header.kid.as_deref().unwrap()).unwrap()).unwrap();
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    rules.set_audience(&["vestibule"]);
    rules.set_issuer(&[GATEWAY]);
    rules.validate_exp = false;
    let read = jsonwebtoken::decode::<Value>(&*ours.token, &key, &rules).unwrap();
    assert_eq!(read.claims["tgt"], "clinic");
    // Another gateway, another key: not ours.
    let (_, other) = keys();
    assert_eq!(refused(&other.prover, &ours.token).await.0, ProofKind::Key);
}

#[tokio::test]
async fn a_known_token_is_proven_quickly() {
    let (k, bench) = keys();
    let ours = bench.prover.exchange(&ask(&k.es.sign("ES256", &claims()), Some("clinic"), None), NOW).await.unwrap();
    let mut best = Duration::MAX;
    for _ in 0..50 {
        let start = std::time::Instant::now();
        for _ in 0..200 {
            bench.prover.prove(&ours.token, Some("clinic"), NOW).await.unwrap();
        }
        best = best.min(start.elapsed());
    }
    println!("{:.0} proofs a second", 200.0 / best.as_secs_f64());
    assert!(best < Duration::from_millis(10), "less than 20,000 a second: {best:?} for 200");
}
