//! Listeners: from a socket that is ready to a session of its own.

use crate::config::{self, ListenerConfig};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use vestibule_session::{Arrival, House};

/// After an error of `accept` (no file descriptors left), the next try.
const RETRY: Duration = Duration::from_millis(100);

/// A listener that is bound and not yet accepting.
pub(crate) struct Bound {
    config: ListenerConfig,
    tcp: TcpListener,
    tls: Arc<rustls::ServerConfig>,
}

/// Binds a listener.
///
/// # Errors
/// In words, with the listener's name.
pub(crate) async fn bind(config: ListenerConfig) -> Result<Bound, String> {
    let alpn = config.protocol.manifest().direct_tls_alpn;
    let tls =
        config::server_tls(&config.tls, alpn.as_slice()).map_err(|e| format!("listener `{}`: {e}", config.name))?;
    let tcp = TcpListener::bind(config.listen)
        .await
        .map_err(|e| format!("listener `{}` cannot listen on {}: {e}", config.name, config.listen))?;
    Ok(Bound { config, tcp, tls })
}

/// Accepts until `stop` turns true; every connection goes on in a task of its own.
pub(crate) async fn accept(bound: Bound, house: Arc<House>, mut stop: watch::Receiver<bool>) {
    let Bound { config, tcp, tls } = bound;
    let places = Arc::new(Semaphore::new(config.max_connections));
    tracing::info!(listener = %config.name, address = %config.listen, "listening");
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            accepted = tcp.accept() => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let arrival = arrival(&config, &tls, tcp, peer);
                    let house = Arc::clone(&house);
                    tokio::spawn(async move {
                        vestibule_session::serve(house, arrival).await;
                        drop(place);
                    });
                }
                Err(_) => {
                    tracing::warn!(listener = %config.name, %peer, limit = config.max_connections, "too many connections; closed");
                }
            },
            Err(error) => {
                if !transient(&error) {
                    tracing::warn!(listener = %config.name, %error, "cannot accept");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

fn arrival(
    config: &ListenerConfig,
    tls: &Arc<rustls::ServerConfig>,
    tcp: TcpStream,
    peer: std::net::SocketAddr,
) -> Arrival {
    Arrival {
        tcp,
        peer,
        protocol: config.protocol,
        tls: Arc::clone(tls),
        allow_cleartext: config.allow_cleartext,
        login_timeout: config.login_timeout,
        limits: config.limits,
    }
}

/// The client left before it was accepted.
fn transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
