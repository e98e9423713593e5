//! The configuration: one strict TOML file, the policies and the data map it names, resolved into [`Resolved`].
//!
//! The form of the file is one table of keys ([`SECTIONS`]): the reader checks a file against it, and the reference
//! page and the JSON schema are written from it. Reading collects every problem before it gives up, so that a person
//! mends a file in one go. Secrets never stand in the file, only where they are.
//!
//! Not here: watching for changes and putting a version in force (the gateway), and what policies mean.

mod describe;
mod digest;
mod files;
mod issuers;
mod keys;
mod layout;
mod model;
mod read;
mod reference;
mod resolve;
mod rules;
mod schema;
mod targets;
#[cfg(test)]
mod tests;
mod tls;

pub use keys::{Form, Key, Kind, Presence, Section, nearest, parse_seconds, spell_seconds};
pub use layout::Layout;
pub use model::{
    ApiConfig, LedgerConfig, ListenerConfig, LogConfig, RecordingConfig, Resolved, Risk, TargetConfig, TlsFiles,
    TokenConfig,
};
pub use reference::{json_schema, reference};
pub use schema::SECTIONS;
pub use tls::server as server_tls;

use read::Reading;
use std::path::{Path, PathBuf};
use vestibule_core::Problem;

/// Largest configuration file, in bytes. A larger one is a mistake (or a device).
const MAX_BYTES: u64 = 1 << 20;

/// Reading and resolving.
#[derive(Debug)]
pub struct Config;

impl Config {
    /// Reads the file at `path`, the policies and the data map it names, and resolves all of it.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the lines.
    pub fn load(path: &Path) -> Result<Resolved, Vec<Problem>> {
        let text = text_of(path).map_err(|problem| vec![problem])?;
        let base = base_of(path).map_err(|problem| vec![problem])?;
        Self::resolve(path, &text, base)
    }

    /// The same for a text that is not (yet) in a file. Relative paths start at `base`.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the lines.
    pub fn resolve(path: &Path, text: &str, base: PathBuf) -> Result<Resolved, Vec<Problem>> {
        let reading = Reading::new(path, text, base);
        let doc = reading.document(SECTIONS);
        if !doc.parsed {
            return Err(reading.finish());
        }
        let resolved = assemble(path, text, &doc, &reading);
        match resolved.filter(|_| reading.is_clean()) {
            Some(resolved) => Ok(resolved),
            None => Err(reading.finish()),
        }
    }
}

fn assemble(path: &Path, text: &str, doc: &read::Document<'_>, reading: &Reading<'_>) -> Option<Resolved> {
    let (name, layout, drain) = resolve::gateway(doc, reading);
    let api = resolve::api(doc, reading, &layout);
    let issuers = issuers::issuers(doc, reading);
    let listeners = resolve::listeners(doc, reading, &layout);
    let targets = targets::targets(doc, reading);
    resolve::ports(doc, reading);
    resolve::reach(doc, reading);
    let ledger = resolve::ledger(doc, reading);
    let phi = targets.values().any(|t| t.phi);
    let recording = resolve::recording(doc, reading, phi);
    let approval_expiry = resolve::approval(doc, reading);
    let tokens = resolve::tokens(doc, reading);
    let log = resolve::log(doc, reading);
    let rules = rules::rules(doc, reading, &targets, approval_expiry);
    let (api, rules) = (api?, rules?);
    let digest = digest::digest(text, &rules);
    Some(Resolved {
        file: path.to_owned(),
        name,
        layout,
        drain,
        api,
        issuers,
        listeners,
        targets,
        policy_dir: rules.policy_dir,
        policies: rules.policies,
        data_map_file: rules.data_map_file,
        data_map: rules.data_map,
        ledger,
        recording,
        approval_expiry,
        tokens,
        log,
        digest,
    })
}

fn text_of(path: &Path) -> Result<String, Problem> {
    let shown = path.display().to_string();
    let problem = |what: String, mend: &str| Problem::new(shown.clone(), 0, what, mend);
    let meta = std::fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            problem("there is no such file".into(), "run `vestibule init`, or name the file with `--config`")
        }
        _ => problem(format!("cannot be read: {e}"), "give the gateway's account access to it"),
    })?;
    if !meta.is_file() {
        return Err(problem("is not a file".into(), "name the configuration file itself: `vestibule.toml`"));
    }
    if meta.len() > MAX_BYTES {
        return Err(problem(format!("has {} bytes, more than {MAX_BYTES}", meta.len()), "name the configuration file"));
    }
    let bytes = std::fs::read(path)
        .map_err(|e| problem(format!("cannot be read: {e}"), "give the gateway's account access to it"))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes().iter().take(at).filter(|b| **b == b'\n').count().saturating_add(1);
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        Problem::new(shown.clone(), line, "is not UTF-8 text", "save the file as UTF-8")
    })?;
    Ok(text)
}

fn base_of(path: &Path) -> Result<PathBuf, Problem> {
    let absolute = std::path::absolute(path)
        .map_err(|e| Problem::new(path.display().to_string(), 0, format!("has no directory: {e}"), "name a file"))?;
    Ok(absolute.parent().map(Path::to_owned).unwrap_or_default())
}
