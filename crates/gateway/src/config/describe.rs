//! What was resolved, in plain words: what `vestibule check` prints. Names of files and variables, never a secret.

use super::keys::spell_seconds;
use super::model::{ListenerConfig, Resolved, TargetConfig};
use std::fmt::{self, Write};
use std::path::Path;
use std::time::Duration;
use vestibule_upstream::CredentialSource;

impl Resolved {
    /// The configuration in plain words, several lines.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut out = String::new();
        // Writing into a String cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "Gateway    {}", self.name)?;
        writeln!(out, "  data     {}", self.path(self.layout.root()))?;
        writeln!(out, "  version  {}", self.digest())?;
        writeln!(out, "API        {} on {}", self.api.url, self.api.listen)?;
        writeln!(out, "  admins   {}", groups(&self.api.admins))?;
        writeln!(out, "  auditors {}", groups(&self.api.auditors))?;
        writeln!(out, "  operators {}", groups(&self.api.operators))?;
        for issuer in &self.issuers {
            writeln!(out, "Issuer     {}", super::issuers::describe(issuer))?;
        }
        for listener in &self.listeners {
            self.listener(out, listener)?;
        }
        for target in self.targets.values() {
            self.target_words(out, target)?;
        }
        writeln!(out, "Policies   {}", super::rules::describe_policies(self))?;
        writeln!(out, "Data map   {}", super::rules::describe_map(self))?;
        let durable = if self.ledger.durable {
            "every entry waits for stable storage"
        } else {
            "reads wait for the kernel only, everything else for stable storage"
        };
        writeln!(out, "Ledger     {durable}; a checkpoint each {}", spell(self.ledger.checkpoint))?;
        let recording = if self.recording.on { "every session" } else { "off" };
        writeln!(out, "Recording  {recording}")?;
        writeln!(out, "Approval   a request waits {} unless its policy says otherwise", spell(self.approval_expiry))?;
        writeln!(out, "Tokens     good for {}, at most {}", spell(self.tokens.ttl), spell(self.tokens.max_ttl))?;
        let format = if self.log.json { "JSON" } else { "text" };
        writeln!(out, "Log        {format}, from level {}", self.log.level)
    }

    fn listener(&self, out: &mut String, listener: &ListenerConfig) -> fmt::Result {
        let manifest = listener.protocol.manifest();
        let tls = if listener.allow_cleartext { "TLS or in the clear" } else { "TLS only" };
        writeln!(out, "Listener   {}: {} on {}, {tls}", listener.name, manifest.title, listener.listen)?;
        writeln!(out, "  cert     {}", self.path(&listener.tls.cert))?;
        let (messages, connections) = (listener.limits.max_message_bytes, listener.max_connections);
        writeln!(out, "  limits   messages of {messages} bytes, {connections} connections")
    }

    fn target_words(&self, out: &mut String, target: &TargetConfig) -> fmt::Result {
        let up = &target.upstream;
        let manifest = target.protocol.manifest();
        writeln!(out, "Target     {}: {} at {}:{} as `{}`", up.name, manifest.title, up.host, up.port, up.user)?;
        let secret = match &up.credential {
            CredentialSource::None => "none".to_owned(),
            CredentialSource::File(path) => format!("first line of {}", self.path(path)),
            CredentialSource::Env(name) => format!("environment variable {name}"),
        };
        writeln!(out, "  password {secret}")?;
        writeln!(out, "  TLS      {}", target.tls_mode)?;
        let phi = if target.phi {
            "holds PHI: what is not known to be clean is masked"
        } else {
            "holds no PHI: nothing is masked unless the data map names it"
        };
        writeln!(out, "  content  {phi}")?;
        let durable =
            if target.durable_disclosure { ", what was disclosed is durable before the last byte" } else { "" };
        writeln!(out, "  risk     {}{durable}", target.risk.name())?;
        writeln!(out, "  ends     after {} idle, {} in all", spell(target.idle_timeout), spell(target.max_session))?;
        if !up.settings.is_empty() {
            let mut words = String::new();
            for (key, value) in &up.settings {
                write!(words, " {key}={value}")?;
            }
            writeln!(out, "  settings{words}")?;
        }
        Ok(())
    }

    /// A path, relative to the configuration file where it is below it.
    pub(super) fn path(&self, path: &Path) -> String {
        let absolute = std::path::absolute(&self.file).unwrap_or_default();
        let base = absolute.parent().unwrap_or(Path::new("/"));
        path.strip_prefix(base).unwrap_or(path).display().to_string()
    }
}

fn groups(names: &[String]) -> String {
    if names.is_empty() { "nobody".into() } else { format!("members of {}", names.join(", ")) }
}

fn spell(length: Duration) -> String {
    spell_seconds(length.as_secs())
}
