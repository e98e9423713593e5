//! Dialling and logging in.

use crate::{Target, TargetTls, Transport, binding};
use std::collections::BTreeMap;
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use vestibule_core::{
    Established, Fault, FaultKind, Limits, Login, LoginRequest, Nonce, Protocol, Refusal, TargetLogin,
};

/// How long dialling and login may take together.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(15);

/// A logged-in connection to a target.
#[derive(Debug)]
pub struct Upstream {
    /// The bytes.
    pub transport: Transport,
    /// What the target said at login.
    pub established: Established,
    /// Bytes the target sent behind the end of the login.
    pub rest: Vec<u8>,
}

/// Why a target could not be reached or used.
#[derive(Debug, Error)]
pub enum DialError {
    /// Network, TLS, credential source: for the operator.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// The target said no, in words without secrets.
    #[error("{0}")]
    Refused(Refusal),
}

fn fault(target: &Target, what: impl std::fmt::Display) -> DialError {
    let Target { name, host, port, .. } = target;
    DialError::Fault(Fault::new(FaultKind::Upstream, format_args!("target `{name}` at {host}:{port}: {what}")))
}

/// Dials `target` and logs in with the gateway's credential.
///
/// # Errors
/// [`DialError`]; nothing in it may be shown to a client except a [`Refusal`].
pub async fn connect(
    target: &Target,
    protocol: &dyn Protocol,
    parameters: BTreeMap<String, String>,
    nonce: Nonce,
    limits: Limits,
) -> Result<Upstream, DialError> {
    let login = protocol.login(LoginRequest {
        user: target.user.clone(),
        credential: target.credential.read()?,
        settings: target.settings.clone(),
        parameters,
        tls: target.tls.as_ref().is_some_and(|tls| !tls.direct),
        nonce,
        limits,
    });
    timed(target, converse(target, login, limits)).await
}

/// Cancels what `established` runs at `target`, over a connection of its own.
///
/// # Errors
/// [`DialError`], for the log.
pub async fn cancel(target: &Target, protocol: &dyn Protocol, established: &Established) -> Result<(), DialError> {
    let tls = target.tls.as_ref().is_some_and(|tls| !tls.direct);
    let login = protocol.cancel(established, tls);
    let mut upstream = timed(target, converse(target, login, Limits::default())).await?;
    // The target closes when it has acted; waiting for that keeps a late cancel from hitting the next operation.
    let mut byte = [0_u8; 1];
    let _ = tokio::time::timeout(Duration::from_secs(5), upstream.transport.read(&mut byte)).await;
    Ok(())
}

async fn timed<T>(target: &Target, work: impl Future<Output = Result<T, DialError>>) -> Result<T, DialError> {
    match tokio::time::timeout(LOGIN_TIMEOUT, work).await {
        Ok(done) => done,
        Err(_) => Err(fault(target, format_args!("no login within {} s", LOGIN_TIMEOUT.as_secs()))),
    }
}

async fn converse(target: &Target, mut login: Box<dyn TargetLogin>, limits: Limits) -> Result<Upstream, DialError> {
    let tcp = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(|e| fault(target, e))?;
    tcp.set_nodelay(true).map_err(|e| fault(target, e))?;
    let mut transport = Transport::Plain(tcp);
    let mut steps = Vec::new();
    if let Some(tls) = target.tls.as_ref().filter(|tls| tls.direct) {
        transport = secure(target, tls, transport, &mut *login, &mut steps).await?;
    }
    login.start(&mut steps);
    let mut received = Vec::new();
    loop {
        for step in std::mem::take(&mut steps) {
            match step {
                Login::Write(bytes) => {
                    transport.write_all(&bytes).await.map_err(|e| fault(target, e))?;
                    transport.flush().await.map_err(|e| fault(target, e))?;
                }
                Login::StartTls => {
                    if !received.is_empty() {
                        return Err(fault(target, "bytes arrived in the clear where TLS should begin"));
                    }
                    let Some(tls) = &target.tls else {
                        return Err(fault(target, "TLS was agreed but is not configured"));
                    };
                    transport = secure(target, tls, transport, &mut *login, &mut steps).await?;
                }
                Login::Ready(established) => return Ok(Upstream { transport, established, rest: received }),
            }
        }
        if !received.is_empty() && steps.is_empty() {
            let used = login.receive(&received, &mut steps).map_err(DialError::Refused)?;
            received.drain(..used.min(received.len()));
            if used > 0 {
                continue;
            }
        }
        if !steps.is_empty() {
            continue;
        }
        if received.len() > limits.max_login_bytes {
            return Err(fault(target, "login message over the limit"));
        }
        if transport.read_buf(&mut received).await.map_err(|e| fault(target, e))? == 0 {
            return Err(fault(target, "closed the connection during login"));
        }
    }
}

async fn secure(
    target: &Target,
    tls: &TargetTls,
    transport: Transport,
    login: &mut dyn TargetLogin,
    steps: &mut Vec<Login>,
) -> Result<Transport, DialError> {
    let Transport::Plain(tcp) = transport else {
        return Err(fault(target, "TLS inside TLS"));
    };
    let connector = TlsConnector::from(std::sync::Arc::clone(&tls.config));
    let stream = connector.connect(tls.server_name.clone(), tcp).await.map_err(|e| fault(target, e))?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let channel_binding = certificate.and_then(|c| binding::server_end_point(c));
    login.secured(channel_binding, steps);
    Ok(Transport::Client(Box::new(stream)))
}
