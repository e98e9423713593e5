//! The server: TLS, HTTP/1.1, one task a connection, bounded in number and time.

use crate::routes;
use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use vestibule_gateway::Gateway;

/// Most connections at a time.
const MOST: usize = 512;
/// TLS handshake, and the head of a request, may take so long.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why the API does not listen.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The certificate or key.
    #[error("the API's certificate: {0}")]
    Tls(String),
    /// The address.
    #[error("the API cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
}

/// An API that is bound and not yet answering.
pub struct Server {
    tcp: TcpListener,
    tls: TlsAcceptor,
    routes: Router,
}

impl Server {
    /// Binds the address of the gateway's configuration.
    ///
    /// # Errors
    /// [`ServeError`]
    pub async fn bind(gateway: &Arc<Gateway>) -> Result<Self, ServeError> {
        let api = gateway.config().api.clone();
        let tls = vestibule_gateway::config::server_tls(&api.tls, &["http/1.1"]).map_err(ServeError::Tls)?;
        let tcp = TcpListener::bind(api.listen).await.map_err(|e| ServeError::Listen(api.listen, e))?;
        Ok(Self { tcp, tls: TlsAcceptor::from(tls), routes: routes::all(Arc::clone(gateway)) })
    }

    /// Answers, until the future is dropped.
    pub async fn run(self) {
        let places = Arc::new(Semaphore::new(MOST));
        loop {
            let (tcp, peer) = match self.tcp.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "the API cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!(%peer, limit = MOST, "too many connections to the API; closed");
                continue;
            };
            let (tls, routes) = (self.tls.clone(), self.routes.clone());
            tokio::spawn(async move {
                if let Err(error) = connection(tcp, tls, routes).await {
                    tracing::debug!(%peer, %error, "a connection to the API ended");
                }
                drop(place);
            });
        }
    }
}

async fn connection(tcp: TcpStream, tls: TlsAcceptor, routes: Router) -> Result<(), String> {
    let stream = tokio::time::timeout(PATIENCE, tls.accept(tcp)).await.map_err(|e| e.to_string())?;
    let stream = TokioIo::new(stream.map_err(|e| e.to_string())?);
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(stream, TowerToHyperService::new(routes))
        .await
        .map_err(|e| e.to_string())
}
