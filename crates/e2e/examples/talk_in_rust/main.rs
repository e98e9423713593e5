//! tokio-postgres: the conversation of Rust's client, told as the others in `tests/clients` tell theirs.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test program"
)]

mod encryption;
mod scenarios;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio_postgres::{AsyncMessage, Client, Config};

/// What a scenario returns: what it saw, or why it failed.
pub type Seen = Result<serde_json::Value, Box<dyn std::error::Error>>;

/// A connection, with what the server sends unasked.
pub struct Session {
    /// The client.
    pub client: Client,
    /// Notifications and notices.
    pub messages: tokio::sync::mpsc::Receiver<AsyncMessage>,
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// The schema that is ours alone.
pub fn space() -> String {
    env("SPACE")
}

/// TLS as the environment says.
///
/// # Errors
/// When the authority's certificate cannot be read.
pub fn tls() -> Result<encryption::Tls, Box<dyn std::error::Error>> {
    encryption::Tls::new(&env("SSLMODE"), &env("CA"))
}

/// Opens a connection as the environment says.
///
/// # Errors
/// When the server cannot be reached or does not let us in.
pub async fn connect() -> Result<Session, Box<dyn std::error::Error>> {
    let mut config = Config::new();
    config.host(env("HOST")).port(env("PORT").parse()?).dbname(env("DB")).user(env("USER")).password(env("PASSWORD"));
    config.connect_timeout(Duration::from_secs(20));
    let tls = tls()?;
    config.ssl_mode(tls.mode());
    let (client, mut connection) = config.connect(tls).await?;
    let (sender, messages) = tokio::sync::mpsc::channel(1000);
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            if sender.send(message).await.is_err() {
                // The scenario is over: what is left of the connection still has to be driven.
                let _ = (&mut connection).await;
                return;
            }
        }
    });
    Ok(Session { client, messages })
}

type Scenario = fn(Session) -> Pin<Box<dyn Future<Output = Seen>>>;

async fn hold(scenario: Scenario) -> Seen {
    let session = connect().await?;
    tokio::time::timeout(Duration::from_secs(60), scenario(session)).await?
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let all = scenarios::all();
    for (name, scenario) in &all {
        let line = match hold(*scenario).await {
            Ok(value) => serde_json::json!({"name": name, "ok": true, "value": value}),
            Err(error) => serde_json::json!({"name": name, "ok": false, "error": format!("{error:?}")}),
        };
        println!("{line}");
    }
    println!("{}", serde_json::json!({"done": all.len()}));
}
