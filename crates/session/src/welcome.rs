//! The client's login: from the first byte to a proof that can be judged.

use std::io;
use std::sync::Arc;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use vestibule_core::{Chosen, Greet, Greeting, Limits, Nonce, Protocol, Secret, WireError};
use vestibule_upstream::Transport;

/// How a client is received at a listener.
#[derive(Clone)]
pub(crate) struct Reception {
    pub tls: Arc<rustls::ServerConfig>,
    /// Whether a client may prove itself without TLS: only where nobody can listen, on loopback.
    pub allow_cleartext: bool,
}

/// A client that has said who it is and where it wants to go.
pub(crate) struct Claim {
    pub transport: Transport,
    pub rest: Vec<u8>,
    pub greeting: Box<dyn Greeting>,
    pub chosen: Chosen,
    pub token: Secret,
}

/// What a new connection turned out to be.
pub(crate) enum Greeted {
    Claim(Box<Claim>),
    Cancel(Vec<u8>),
    Nobody,
}

/// Why a connection did not get as far as a proof.
#[derive(Debug, Error)]
pub(crate) enum GreetError {
    #[error("{0}")]
    Wire(#[from] WireError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("bytes followed in the clear where TLS should begin")]
    Smuggled,
}

/// Converses with a new client until it has made a claim.
pub(crate) async fn greet(
    tcp: TcpStream,
    protocol: &dyn Protocol,
    reception: &Reception,
    limits: Limits,
    nonce: Nonce,
) -> Result<Greeted, GreetError> {
    let mut transport = Transport::Plain(tcp);
    if let (Some(alpn), Transport::Plain(tcp)) = (protocol.manifest().direct_tls_alpn, &transport) {
        let mut first = [0_u8; 1];
        let direct = tcp.peek(&mut first).await? == 1 && first == [0x16];
        if direct {
            transport = secure(transport, reception).await?;
            let spoken = match &transport {
                Transport::Server(tls) => tls.get_ref().1.alpn_protocol().map(<[u8]>::to_vec),
                Transport::Plain(_) | Transport::Client(_) => None,
            };
            if spoken.as_deref() != Some(alpn.as_bytes()) {
                return Err(WireError::Escape("direct TLS without the protocol's ALPN name".into()).into());
            }
        }
    }
    let mut greeting = protocol.greet(limits, nonce);
    let mut received = Vec::new();
    let mut steps = Vec::new();
    loop {
        let sealed = transport.is_tls() || reception.allow_cleartext;
        let used = greeting.receive(&received, sealed, &mut steps)?;
        received.drain(..used.min(received.len()));
        let stepped = !steps.is_empty();
        for step in steps.drain(..) {
            match step {
                Greet::Write(bytes) => {
                    transport.write_all(&bytes).await?;
                    transport.flush().await?;
                }
                Greet::StartTls if !received.is_empty() => return Err(GreetError::Smuggled),
                Greet::StartTls => transport = secure(transport, reception).await?,
                Greet::Prove { chosen, token } => {
                    let claim = Claim { transport, rest: received, greeting, chosen, token };
                    return Ok(Greeted::Claim(Box::new(claim)));
                }
                Greet::Cancel(key) => return Ok(Greeted::Cancel(key)),
                Greet::Goodbye => return Ok(Greeted::Nobody),
            }
        }
        if (used > 0 || stepped) && !received.is_empty() {
            continue;
        }
        if received.len() > limits.max_login_bytes {
            let (size, limit) = (received.len() as u64, limits.max_login_bytes as u64);
            return Err(WireError::TooLarge { size, limit }.into());
        }
        if transport.read_buf(&mut received).await? == 0 {
            return Ok(Greeted::Nobody);
        }
    }
}

async fn secure(transport: Transport, reception: &Reception) -> Result<Transport, GreetError> {
    let Transport::Plain(tcp) = transport else {
        return Err(WireError::Escape("TLS inside TLS".into()).into());
    };
    let stream = TlsAcceptor::from(Arc::clone(&reception.tls)).accept(tcp).await?;
    Ok(Transport::Server(Box::new(stream)))
}
