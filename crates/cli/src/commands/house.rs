//! `init`, `serve`, `check`: what runs beside the gateway.

use crate::args::{Globals, Init};
use crate::failure::{Done, Failure, Kind};
use crate::output::{json, line, note};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use vestibule_api::Server;
use vestibule_gateway::config::{Config, Resolved};
use vestibule_gateway::init::{InitError, Made};
use vestibule_gateway::{Gateway, StartError, system_clock};

/// `init`
pub async fn init(args: &Init, globals: &Globals) -> Done {
    let made = vestibule_gateway::init::init(&args.dir, &args.name, &args.hosts, &system_clock()).await;
    let made = made.map_err(|error| {
        let (kind, next) = match &error {
            InitError::NotEmpty(_) | InitError::Name(_) | InitError::Host(_) => (Kind::Usage, ""),
            _ => (Kind::Other, "mend that, remove what was made so far, and run `vestibule init` again"),
        };
        Failure::new(kind, error.to_string(), "", next)
    })?;
    if globals.json {
        json(&json!({
            "dir": made.dir, "config": made.config, "ca": made.layout.ca_cert(), "verifier": made.verifier,
        }));
    } else {
        line(what_next(&made));
    }
    Ok(())
}

fn what_next(made: &Made) -> String {
    let config = made.config.display();
    let dir = made.dir.display();
    format!(
        "Made a gateway in {dir}.

  data/keys/      four private keys; back them up, and let nobody but the gateway's account read them
  data/ca/        the certificates that clients trust (ca.crt) and the gateway shows
  data/ledger/    the ledger, empty; its verifier key, for auditors:
                  {verifier}

What to do next:
  1. Put your identity provider and your targets into {config}
     and the target's password into {dir}/secrets/clinic.password
  2. Say which column is which class of PHI in {dir}/data-map.toml, who may do what in {dir}/policies/
  3. vestibule --config {config} check
  4. vestibule --config {config} serve",
        verifier = made.verifier,
    )
}

/// `check`
pub fn check(globals: &Globals) -> Done {
    let resolved = load(&globals.config)?;
    if globals.json {
        json(&json!({ "digest": resolved.digest(), "policy_version": &**resolved.policies.version() }));
    } else {
        line(resolved.describe().trim_end());
    }
    Ok(())
}

/// The configuration, or everything that is wrong with it.
pub fn load(file: &Path) -> Result<Resolved, Failure> {
    Config::load(file).map_err(|problems| Failure::problems(&problems))
}

/// `serve`
pub async fn serve(globals: &Globals) -> Done {
    let resolved = load(&globals.config)?;
    let grace = resolved.drain;
    vestibule_gateway::logging::start(resolved.log)
        .map_err(|e| Failure::new(Kind::Other, "the log cannot be started", e, ""))?;
    let listeners: Vec<String> = resolved
        .listeners
        .iter()
        .map(|l| format!("{} ({}) on {}", l.name, l.protocol.manifest().title, l.listen))
        .collect();
    let api_url = resolved.api.url.clone();
    let mut signals = Signals::new()?;
    let gateway = Gateway::start(resolved, system_clock()).await.map_err(|error| not_started(&error))?;
    let server = match Server::bind(&gateway).await {
        Ok(server) => server,
        Err(error) => {
            let _ = gateway.drain(Duration::ZERO).await;
            return Err(Failure::new(Kind::Other, error.to_string(), "", "correct `[api]` in the configuration"));
        }
    };
    let api = tokio::spawn(server.run());
    note(format!("vestibule is ready: {}; API at {api_url}", listeners.join(", ")));
    signals.until_ended(&gateway).await;
    note("vestibule is shutting down");
    let mut draining = std::pin::pin!(gateway.drain(grace));
    let drained = tokio::select! {
        drained = &mut draining => drained,
        () = signals.again() => {
            gateway.hurry();
            draining.await
        }
    };
    api.abort();
    drained.map_err(|e| {
        Failure::new(
            Kind::Other,
            "the ledger could not be closed in order",
            e,
            "start the gateway again: it says what was lost",
        )
    })
}

fn not_started(error: &StartError) -> Failure {
    let next = match error {
        StartError::Listen(_) => "stop what listens there, or change the address in the configuration",
        StartError::Key { .. } | StartError::Recordings(_) => "check `gateway.data` and its permissions",
        StartError::Issuers(_) => "correct `[[issuer]]` in the configuration",
        StartError::Ledger(_) | StartError::Store(_) | StartError::Approvals(_) | StartError::Internal(_) => "",
    };
    Failure::new(Kind::Other, "the gateway did not start", error, next)
}

/// What the operator says by signal.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|e| Failure::new(Kind::Other, "signals cannot be received", e, ""));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Until the gateway is to end; SIGHUP reloads the configuration.
    async fn until_ended(&mut self, gateway: &Gateway) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                // What was wrong is in the log and on the ledger.
                _ = self.hangup.recv() => drop(gateway.reload().await),
            }
        }
    }

    /// Until the operator insists.
    async fn again(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {},
            _ = self.interrupt.recv() => {},
        }
    }
}
