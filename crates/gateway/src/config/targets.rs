//! `[[target]]`: address, credential, TLS, and the settings of its protocol.

use super::files::{self, private, readable};
use super::keys::nearest;
use super::model::{Risk, TargetConfig};
use super::read::{Document, Reading, Table, split_address};
use super::{resolve, schema};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use vestibule_core::Manifest;
use vestibule_upstream::{CredentialSource, Target, TargetTls, TlsMode, TlsProblem};

pub(super) fn targets(doc: &Document<'_>, reading: &Reading<'_>) -> BTreeMap<String, Arc<TargetConfig>> {
    let tables = doc.sections(reading, &schema::TARGET);
    resolve::unique(&tables, "target");
    tables.iter().filter_map(|t| target(t).map(|c| (c.upstream.name.clone(), Arc::new(c)))).collect()
}

fn target(table: &Table<'_>) -> Option<TargetConfig> {
    let protocol = resolve::protocol(table);
    let settings = protocol.map(|p| settings(table, p.manifest())).unwrap_or_default();
    let credential = credential(table);
    let phi = table.boolean("phi").unwrap_or(true);
    let (address, protocol_too) = (table.text("address"), protocol);
    let (host, port) = address.as_deref().and_then(split_address)?;
    let tls = tls(table, host, phi, protocol_too.map(|p| p.manifest()));
    let risk = if table.text("risk").as_deref() == Some("high") { Risk::High } else { Risk::Normal };
    let seconds = |key| Duration::from_secs(table.seconds(key).unwrap_or_default());
    Some(TargetConfig {
        upstream: Target {
            name: table.text("name")?,
            host: host.to_owned(),
            port,
            user: table.text_or_empty("user"),
            credential,
            tls: tls.config,
            settings,
        },
        protocol: protocol?,
        tls_mode: tls.mode,
        phi,
        risk,
        durable_disclosure: table.boolean("durable_disclosure").unwrap_or(risk == Risk::High),
        idle_timeout: seconds("idle_timeout"),
        max_session: seconds("max_session"),
        labels: table.map("labels").into_iter().map(|(k, v)| (k, v.value)).collect(),
    })
}

fn settings(table: &Table<'_>, manifest: &Manifest) -> BTreeMap<String, String> {
    let given = table.map("settings");
    for (key, at) in &given {
        if manifest.target_settings.iter().any(|s| s.key == key) {
            continue;
        }
        let known: Vec<_> = manifest.target_settings.iter().map(|s| s.key).collect();
        let mend = match nearest(key, known.iter().copied()) {
            Some(near) => format!("write `{near}`"),
            None => format!("remove it; the settings of {} are: {}", manifest.title, known.join(", ")),
        };
        table.problem_at(at.line, format!("`{key}` is not a setting of {}", manifest.title), mend);
    }
    for setting in manifest.target_settings.iter().filter(|s| s.required) {
        if !given.contains_key(setting.key) {
            table.problem(
                "settings",
                format!(
                    "target `{}` lacks the setting `{}`: {}",
                    table.text_or_empty("name"),
                    setting.key,
                    setting.help
                ),
                format!("write `settings = {{ {} = \"…\" }}`", setting.key),
            );
        }
    }
    given.into_iter().map(|(k, v)| (k, v.value)).collect()
}

fn credential(table: &Table<'_>) -> CredentialSource {
    let Some(table) = table.table("credential") else {
        return CredentialSource::None;
    };
    if table.has("client_cert") != table.has("client_key") {
        let (has, lacks) =
            if table.has("client_cert") { ("client_cert", "client_key") } else { ("client_key", "client_cert") };
        table.problem(has, format!("`{has}` without `{lacks}`"), format!("name both, or remove `{has}`"));
    }
    match (table.path("password_file"), table.text("password_env")) {
        (Some(_), Some(_)) => {
            table.problem(
                "password_env",
                "both `password_file` and `password_env`: it is not clear which holds",
                "remove one of them",
            );
            CredentialSource::None
        }
        (Some(path), None) => {
            files::report(&table, "password_file", private(&path).and_then(|()| not_empty(&path)));
            CredentialSource::File(path)
        }
        (None, Some(name)) => {
            if std::env::var_os(&name).is_none_or(|v| v.is_empty()) {
                table.problem(
                    "password_env",
                    format!("the environment variable `{name}` is not set, or empty"),
                    format!("set `{name}` in the environment of `vestibule serve`"),
                );
            }
            CredentialSource::Env(name)
        }
        (None, None) => CredentialSource::None,
    }
}

fn not_empty(path: &std::path::Path) -> Result<(), files::Flaw> {
    match std::fs::read(path) {
        Ok(bytes) if bytes.first().is_none_or(|b| matches!(b, b'\n' | b'\r')) => Err((
            format!("the first line of {} is empty", path.display()),
            "write the password into its first line".into(),
        )),
        _ => Ok(()),
    }
}

struct Tls {
    config: Option<TargetTls>,
    mode: &'static str,
}

fn tls(target: &Table<'_>, host: &str, phi: bool, manifest: Option<&Manifest>) -> Tls {
    let off = Tls { config: None, mode: "disable" };
    let Some(table) = target.table("tls") else { return off };
    let Some(mode) = table.text("mode") else { return off };
    let mode = match mode.as_str() {
        "disable" => {
            cleartext(target, &table, host, phi);
            return off;
        }
        "verify-ca" => TlsMode::VerifyCa,
        _ => TlsMode::VerifyFull,
    };
    let name = if mode == TlsMode::VerifyFull { "verify-full" } else { "verify-ca" };
    let Some(ca) = table.path("ca_file") else {
        if !table.has("ca_file") {
            table.problem(
                "ca_file",
                format!("`ca_file` is missing: with `mode = \"{name}\"` the target's certificate must end in one that is named"),
                "write `ca_file = \"…\"`, certificates in PEM, for example those of your database's certificate authority",
            );
        }
        return Tls { config: None, mode: name };
    };
    let direct = table.boolean("direct").unwrap_or(false);
    let alpn = manifest.and_then(|m| m.direct_tls_alpn);
    if let (true, Some(manifest), None) = (direct, manifest, alpn) {
        table.problem("direct", format!("{} knows no direct TLS", manifest.title), "remove `direct`");
    }
    let checked = readable(&ca);
    let there = checked.is_ok();
    files::report(&table, "ca_file", checked);
    let Ok(client) = client_certificate(target) else { return Tls { config: None, mode: name } };
    if !there {
        return Tls { config: None, mode: name };
    }
    let server_name = table.text("server_name").unwrap_or_else(|| host.to_owned());
    let client = client.as_ref().map(|(cert, key)| (cert.as_path(), key.as_path()));
    let loaded = TargetTls::load(mode, &ca, &server_name, client, alpn.filter(|_| direct));
    let config = loaded.map_err(|problem| tls_problem(&table, &problem)).ok();
    Tls { config, mode: name }
}

fn cleartext(target: &Table<'_>, table: &Table<'_>, host: &str, phi: bool) {
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if phi && !loopback {
        table.problem(
            "mode",
            format!("target `{}` holds PHI and is not on this machine, and TLS is disabled", target.text_or_empty("name")),
            "write `mode = \"verify-full\"` and `ca_file`; in the clear only loopback addresses, or targets with `phi = false`",
        );
    }
    for key in ["ca_file", "server_name", "direct"] {
        if table.has(key) {
            table.problem(
                key,
                format!("`{key}` has no effect with `mode = \"disable\"`"),
                format!("remove `{key}`, or change `mode`"),
            );
        }
    }
    if let Some(credential) = target.table("credential").filter(|c| c.has("client_cert")) {
        credential.problem(
            "client_cert",
            "a client certificate needs TLS, which is disabled",
            "remove it, or change `mode` of `tls`",
        );
    }
}

/// Client certificate and key, if they are named; `Err` if they are wrong, which was reported.
fn client_certificate(target: &Table<'_>) -> Result<Option<(PathBuf, PathBuf)>, ()> {
    let Some(table) = target.table("credential") else { return Ok(None) };
    let (Some(cert), Some(key)) = (table.path("client_cert"), table.path("client_key")) else { return Ok(None) };
    let (good_cert, good_key) = (readable(&cert), private(&key));
    let good = good_cert.is_ok() && good_key.is_ok();
    files::report(&table, "client_cert", good_cert);
    files::report(&table, "client_key", good_key);
    if good { Ok(Some((cert, key))) } else { Err(()) }
}

fn tls_problem(table: &Table<'_>, problem: &TlsProblem) {
    match problem {
        TlsProblem::File { .. } => table.problem(
            "ca_file",
            format!("TLS towards the target cannot be set up: {problem}"),
            "name files with certificates (and the key that belongs to the client's) in PEM",
        ),
        TlsProblem::Name(_) => table.problem(
            "server_name",
            format!("TLS towards the target cannot be set up: {problem}"),
            "write the name that stands in the target's certificate",
        ),
        TlsProblem::Config(_) => table.problem(
            "mode",
            format!("TLS towards the target cannot be set up: {problem}"),
            "check the certificates, and that the key belongs to the client certificate",
        ),
    }
}
