//! From the sections of the file to what they mean together: addresses, files, names that other sections use, and
//! combinations that cannot be enforced.
//!
//! Not here: form (`read`), issuers (`issuers`), targets (`targets`), policies and the data map (`rules`).

use super::files;
use super::model::{ApiConfig, LedgerConfig, ListenerConfig, LogConfig, RecordingConfig, TlsFiles, TokenConfig};
use super::read::{Document, Reading, Table};
use super::{Layout, schema};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use vestibule_core::{Limits, Protocol};

/// The protocols that are built in.
pub(super) fn protocols() -> &'static [&'static dyn Protocol] {
    vestibule_protocols::all()
}

/// Looks a protocol up, or says which there are.
pub(super) fn protocol(table: &Table<'_>) -> Option<&'static dyn Protocol> {
    let id = table.text("protocol")?;
    let found = protocols().iter().copied().find(|p| p.manifest().id == id);
    if found.is_none() {
        let ids: Vec<_> = protocols().iter().map(|p| p.manifest().id).collect();
        let mend = match super::keys::nearest(&id, ids.iter().copied()) {
            Some(near) => format!("write `protocol = \"{near}\"`"),
            None => format!("the protocols are: {}", ids.join(", ")),
        };
        table.problem("protocol", format!("there is no protocol `{id}`"), mend);
    }
    found
}

/// Reports names that are used twice among sections of one kind.
pub(super) fn unique(tables: &[Table<'_>], what: &str) {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for table in tables {
        let Some(name) = table.text("name") else { continue };
        if let Some(first) = seen.get(&name) {
            table.problem(
                "name",
                format!("there are two {what}s called `{name}`; the first is on line {first}"),
                format!("give each {what} a name of its own"),
            );
        } else {
            seen.insert(name, table.line_of("name"));
        }
    }
}

/// `[gateway]`: name, data directory, time to drain.
pub(super) fn gateway(doc: &Document<'_>, reading: &Reading<'_>) -> (String, Layout, Duration) {
    let table = doc.section(reading, &schema::GATEWAY);
    let name = table.text_or_empty("name");
    // C2SP signed-note: a key name has no spaces and no plus; tlog-checkpoint: origin SHOULD be a schema-less URL.
    if name.contains("://") {
        table.problem("name", "`name` has a scheme", "leave out what stands before `://`, scheme and colon included");
    } else if name.contains('+') || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        table.problem(
            "name",
            "`name` contains a space or a plus sign, which a checkpoint's origin must not",
            "write it as a schema-less URL, for example `gateway.clinic.example/vestibule`",
        );
    }
    let data = table.path("data").unwrap_or_else(|| reading.base().join("data"));
    if table.line != 0 && !data.is_dir() {
        table.problem(
            "data",
            format!("the data directory {} does not exist", data.display()),
            "run `vestibule init`, or correct `data`",
        );
    }
    let drain = Duration::from_secs(table.seconds("drain").unwrap_or_default());
    (name, Layout::new(data), drain)
}

/// The socket address of `listen`.
fn listen(table: &Table<'_>) -> Option<SocketAddr> {
    let text = table.text("listen")?;
    let parsed = text.replace("localhost:", "127.0.0.1:").parse().ok();
    if parsed.is_none() {
        table.problem(
            "listen",
            format!("`listen` is `{text}`, and a host name can mean several addresses"),
            "write an IP address and a port, for example `127.0.0.1:6432`, or `0.0.0.0:6432` for every interface",
        );
    }
    parsed
}

/// Certificate and key of a server: as configured, or those that `init` made.
fn server_tls(table: &Table<'_>, layout: &Layout) -> TlsFiles {
    let Some(tls) = table.table("tls") else {
        let files = TlsFiles { cert: layout.server_cert(), key: layout.server_key() };
        if layout.root().is_dir() {
            for checked in [files::readable(&files.cert), files::private(&files.key)] {
                if let Err((what, mend)) = checked {
                    table.problem("tls", format!("default of `tls`: {what}"), format!("{mend}, or set `tls`"));
                }
            }
        }
        return files;
    };
    let (cert, key) = (tls.path("cert"), tls.path("key"));
    if let Some(cert) = &cert {
        files::report(&tls, "cert", files::readable(cert));
    }
    if let Some(key) = &key {
        files::report(&tls, "key", files::private(key));
    }
    let files = TlsFiles { cert: cert.unwrap_or_default(), key: key.unwrap_or_default() };
    if files::readable(&files.cert).is_ok()
        && files::private(&files.key).is_ok()
        && let Err(why) = super::tls::pair(&files)
    {
        tls.problem(
            "cert",
            format!("the certificate cannot be used: {why}"),
            "name a certificate chain in PEM and the key that belongs to it",
        );
    }
    files
}

/// `[api]`
pub(super) fn api(doc: &Document<'_>, reading: &Reading<'_>, layout: &Layout) -> Option<ApiConfig> {
    let table = doc.section(reading, &schema::API);
    let listen = listen(&table)?;
    let url = table.text("url").unwrap_or_else(|| format!("https://{listen}"));
    if !url.starts_with("https://") {
        table.problem(
            "url",
            format!("`url` is `{url}`, and tokens must not travel in the clear"),
            "write a URL that begins with `https://`",
        );
    }
    Some(ApiConfig {
        listen,
        url: url.trim_end_matches('/').to_owned(),
        tls: server_tls(&table, layout),
        admins: table.texts("admins"),
        auditors: table.texts("auditors"),
        operators: table.texts("operators"),
        metrics_open: table.text("metrics").as_deref() == Some("open"),
    })
}

/// `[[listener]]`
pub(super) fn listeners(doc: &Document<'_>, reading: &Reading<'_>, layout: &Layout) -> Vec<ListenerConfig> {
    let tables = doc.sections(reading, &schema::LISTENER);
    unique(&tables, "listener");
    tables.iter().filter_map(|table| listener(table, layout)).collect()
}

fn listener(table: &Table<'_>, layout: &Layout) -> Option<ListenerConfig> {
    let (protocol, listen, tls) = (protocol(table), listen(table), server_tls(table, layout));
    let allow_cleartext = table.boolean("allow_cleartext").unwrap_or(false);
    if allow_cleartext && listen.is_some_and(|l| !l.ip().is_loopback()) {
        table.problem(
            "allow_cleartext",
            "`allow_cleartext` on an address that other machines can reach: tokens would travel in the clear",
            "remove `allow_cleartext`, or listen on 127.0.0.1",
        );
    }
    let (protocol, listen) = (protocol?, listen?);
    let whole = |key| table.integer(key).and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    Some(ListenerConfig {
        name: table.text_or_empty("name"),
        protocol,
        listen,
        address: table.text("address").unwrap_or_else(|| listen.to_string()),
        tls,
        allow_cleartext,
        limits: Limits { max_message_bytes: whole("max_message_bytes"), ..Limits::default() },
        max_connections: whole("max_connections"),
        login_timeout: Duration::from_secs(table.seconds("login_timeout").unwrap_or_default()),
    })
}

/// Reports addresses that two sockets would share.
pub(super) fn ports(doc: &Document<'_>, reading: &Reading<'_>) {
    let mut taken: Vec<(SocketAddr, String)> = Vec::new();
    let api = doc.section(reading, &schema::API);
    let tables = std::iter::once(api).chain(doc.sections(reading, &schema::LISTENER));
    for table in tables {
        let Some(address) =
            table.text("listen").and_then(|t| t.replace("localhost:", "127.0.0.1:").parse::<SocketAddr>().ok())
        else {
            continue;
        };
        let who = table.text("name").map_or("the API".to_owned(), |name| format!("listener `{name}`"));
        let clash = taken.iter().find(|(other, _)| {
            other.port() == address.port()
                && (other.ip() == address.ip() || other.ip().is_unspecified() || address.ip().is_unspecified())
        });
        if let Some((other, by)) = clash {
            table.problem(
                "listen",
                format!("{who} listens on {address}, which {by} has taken with {other}"),
                "give each a port of its own",
            );
        }
        taken.push((address, who));
    }
}

/// Reports protocols that have a listener and no target, or a target and no listener.
pub(super) fn reach(doc: &Document<'_>, reading: &Reading<'_>) {
    let listeners = doc.sections(reading, &schema::LISTENER);
    let targets = doc.sections(reading, &schema::TARGET);
    let speaks = |tables: &[Table<'_>], id: &str| tables.iter().any(|t| t.text("protocol").as_deref() == Some(id));
    let known = |id: &String| protocols().iter().any(|p| p.manifest().id == id);
    for table in &listeners {
        if let Some(id) = table.text("protocol").filter(known)
            && !targets.is_empty()
            && !speaks(&targets, &id)
        {
            table.problem(
                "protocol",
                format!("listener `{}` speaks `{id}`, and no target does", table.text_or_empty("name")),
                format!("add a `[[target]]` with `protocol = \"{id}\"`, or remove the listener"),
            );
        }
    }
    for table in &targets {
        if let Some(id) = table.text("protocol").filter(known)
            && !listeners.is_empty()
            && !speaks(&listeners, &id)
        {
            table.problem(
                "protocol",
                format!(
                    "target `{}` speaks `{id}`, and no listener does: nobody could reach it",
                    table.text_or_empty("name")
                ),
                format!("add a `[[listener]]` with `protocol = \"{id}\"`, or remove the target"),
            );
        }
    }
}

/// `[ledger]`
pub(super) fn ledger(doc: &Document<'_>, reading: &Reading<'_>) -> LedgerConfig {
    let table = doc.section(reading, &schema::LEDGER);
    let seconds = table.integer("checkpoint_seconds").and_then(|n| u64::try_from(n).ok()).unwrap_or(1);
    LedgerConfig {
        durable: table.text("durability").as_deref() != Some("written"),
        checkpoint: Duration::from_secs(seconds),
    }
}

/// `[recording]`
pub(super) fn recording(doc: &Document<'_>, reading: &Reading<'_>, phi: bool) -> RecordingConfig {
    let table = doc.section(reading, &schema::RECORDING);
    let on = table.boolean("on").unwrap_or(true);
    if !on && phi {
        table.problem(
            "on",
            "recording is off, and there are targets that hold PHI: what was seen there could not be shown",
            "remove `on = false`, or set `phi = false` on every target that holds none",
        );
    }
    let whole = |key| table.integer(key).unwrap_or_default();
    RecordingConfig {
        on,
        chunk_bytes: usize::try_from(whole("chunk_bytes")).unwrap_or_default(),
        chunk_age: Duration::from_secs(whole("chunk_seconds").unsigned_abs()),
    }
}

/// `[approval]`
pub(super) fn approval(doc: &Document<'_>, reading: &Reading<'_>) -> Duration {
    let table = doc.section(reading, &schema::APPROVAL);
    Duration::from_secs(table.seconds("default_expiry").unwrap_or_default())
}

/// `[tokens]`
pub(super) fn tokens(doc: &Document<'_>, reading: &Reading<'_>) -> TokenConfig {
    let table = doc.section(reading, &schema::TOKENS);
    let (ttl, max_ttl) = (table.seconds("ttl").unwrap_or_default(), table.seconds("max_ttl").unwrap_or_default());
    if ttl > max_ttl && max_ttl > 0 {
        let key = if table.has("ttl") { "ttl" } else { "max_ttl" };
        table.problem(key, "`ttl` is longer than `max_ttl`", "make `ttl` at most `max_ttl`");
    }
    TokenConfig { ttl: Duration::from_secs(ttl), max_ttl: Duration::from_secs(max_ttl) }
}

/// `[log]`
pub(super) fn log(doc: &Document<'_>, reading: &Reading<'_>) -> LogConfig {
    let table = doc.section(reading, &schema::LOG);
    let level = match table.text("level").as_deref() {
        Some("error") => "error",
        Some("warn") => "warn",
        Some("debug") => "debug",
        _ => "info",
    };
    LogConfig { json: table.text("format").as_deref() != Some("text"), level }
}
