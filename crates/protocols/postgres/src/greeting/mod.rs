//! The client's login, from its first byte to ReadyForQuery.
//!
//! The database is the name of the target; the user is recorded and believed in nothing; the token is what the client
//! passes for its password, or, where it asks for that, its bearer token in SASL OAUTHBEARER.
//!
//! PostgreSQL's server chooses one way to log in and libpq accepts only what it is configured for: a client with a
//! password fails on OAUTHBEARER, a client with `oauth_issuer` fails on a password. Nothing else in its first message
//! tells which it is. So the client says it: `options='-c vestibule.oauth=on'` asks for OAUTHBEARER, and
//! `vestibule.oauth=https://…` (its own `oauth_issuer`) besides lets it discover where tokens are issued.
//!
//! Not here: whether the token is good, whether the target exists.

mod answer;
mod bearer;
mod parameters;
mod startup;
#[cfg(test)]
mod tests;

use crate::handshake::{self, CANCEL_REQUEST, Fields, Framed, GSSENC_REQUEST, MAX_CANCEL_SECRET, SSL_REQUEST, auth};
use bearer::{Bearer, Initial};
use startup::Startup;
use vestibule_core::{Chosen, Greet, Greeting, Limits, Refusal, RefusalKind, Secret, Welcome, WireError};

const PROTOCOL: &str = "PostgreSQL";

/// How often a client may ask for encryption before it must say something: once each way, and once in vain.
const MOST_REQUESTS: u8 = 3;

pub(crate) fn malformed(what: impl Into<std::borrow::Cow<'static, str>>) -> WireError {
    WireError::Malformed { protocol: PROTOCOL, what: what.into() }
}

enum State {
    /// Nothing, or only requests for encryption.
    Fresh { requests: u8 },
    /// A password was asked for.
    Password(Chosen),
    /// OAUTHBEARER was offered.
    Bearer(Chosen, Bearer),
    /// The client asked where to get a token; it answers with one empty message and goes.
    Discovered,
    /// The driver judges.
    Judged,
    /// Refused here, or left.
    Over,
}

/// A client that logs in.
pub(crate) struct Client {
    limits: Limits,
    state: State,
    /// The version the client was told.
    version: u32,
}

impl Client {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, state: State::Fresh { requests: 0 }, version: handshake::V3_0 }
    }

    fn first(&mut self, body: &[u8], tls: bool, requests: u8, out: &mut Vec<Greet>) -> Result<(), WireError> {
        let mut fields = Fields(body);
        let code = fields.u32().ok_or_else(|| malformed("a first message without a version"))?;
        match code {
            SSL_REQUEST | GSSENC_REQUEST if !fields.is_empty() => {
                Err(malformed("a request for encryption with a body"))
            }
            SSL_REQUEST | GSSENC_REQUEST if requests >= MOST_REQUESTS => {
                Err(malformed("one request for encryption after the other"))
            }
            // `tls` is also true where a proof in the clear is allowed, so TLS inside TLS is the driver's to refuse.
            SSL_REQUEST => {
                // Inside TLS there is nothing more to ask for.
                self.state = State::Fresh { requests: MOST_REQUESTS };
                out.push(Greet::Write(b"S".to_vec()));
                out.push(Greet::StartTls);
                Ok(())
            }
            // Inside GSSAPI the gateway could not see: the client goes on without, or with TLS.
            GSSENC_REQUEST => {
                self.state = State::Fresh { requests: requests + 1 };
                out.push(Greet::Write(b"N".to_vec()));
                Ok(())
            }
            CANCEL_REQUEST => {
                let key = fields.rest();
                if !(8..=4 + MAX_CANCEL_SECRET).contains(&key.len()) {
                    return Err(malformed("a cancel key of a length that no key has"));
                }
                self.state = State::Over;
                out.push(Greet::Cancel(key.to_vec()));
                Ok(())
            }
            version => self.startup(version, fields, tls, out),
        }
    }

    fn startup(&mut self, version: u32, fields: Fields<'_>, tls: bool, out: &mut Vec<Greet>) -> Result<(), WireError> {
        if version >> 16 != 3 {
            let what = format!("protocol {}.{} is not spoken here", version >> 16, version & 0xffff);
            self.refuse(
                &Refusal::new(RefusalKind::NotUnderstood, what, "use a client that speaks protocol 3"),
                "0A000",
                out,
            );
            return Ok(());
        }
        let startup = Startup::read(version, fields)?;
        self.version = startup.version;
        let mut written = Vec::new();
        startup.negotiate(&mut written);
        if !tls {
            let refusal = Refusal::new(
                RefusalKind::Identity,
                "this gateway takes a token only over TLS",
                "connect with sslmode=verify-full and the gateway's certificate authority as sslrootcert",
            );
            answer::refusal(&mut written, &refusal, "28000");
            self.state = State::Over;
            out.extend([Greet::Write(written), Greet::Goodbye]);
            return Ok(());
        }
        match startup.choose() {
            Ok((chosen, None)) => {
                handshake::authentication(&mut written, auth::CLEARTEXT, &[]);
                self.state = State::Password(chosen);
            }
            Ok((chosen, Some(bearer))) => {
                handshake::authentication(&mut written, auth::SASL, b"OAUTHBEARER\0\0");
                self.state = State::Bearer(chosen, bearer);
            }
            Err(refused) => {
                answer::refusal(&mut written, &refused.refusal, refused.code);
                self.state = State::Over;
                out.extend([Greet::Write(written), Greet::Goodbye]);
                return Ok(());
            }
        }
        out.push(Greet::Write(written));
        Ok(())
    }

    fn refuse(&mut self, refusal: &Refusal, code: &str, out: &mut Vec<Greet>) {
        let mut written = Vec::new();
        answer::refusal(&mut written, refusal, code);
        self.state = State::Over;
        out.extend([Greet::Write(written), Greet::Goodbye]);
    }

    fn password(&mut self, body: &[u8], chosen: Chosen, out: &mut Vec<Greet>) -> Result<(), WireError> {
        let mut fields = Fields(body);
        let password = fields.string().ok_or_else(|| malformed("a password without an end"))?;
        if !fields.is_empty() {
            return Err(malformed("bytes behind a password"));
        }
        if password.is_empty() {
            let refusal = Refusal::new(
                RefusalKind::Identity,
                "no token: the password is empty",
                "get a token with `vestibule login`, then connect with `vestibule connect` or pass it as the password",
            );
            self.refuse(&refusal, "28P01", out);
            return Ok(());
        }
        self.state = State::Judged;
        out.push(Greet::Prove { chosen, token: Secret::new(password) });
        Ok(())
    }

    fn bearer(&mut self, body: &[u8], chosen: Chosen, bearer: &Bearer, out: &mut Vec<Greet>) -> Result<(), WireError> {
        match bearer::initial(body)? {
            Initial::Token(token) => {
                self.state = State::Judged;
                out.push(Greet::Prove { chosen, token });
            }
            Initial::Discovery => {
                let mut written = Vec::new();
                handshake::authentication(&mut written, auth::SASL_CONTINUE, bearer.discovery().as_bytes());
                self.state = State::Discovered;
                out.push(Greet::Write(written));
            }
        }
        Ok(())
    }

    /// The client's `p` messages, each in the state that waits for one.
    fn proof(&mut self, tag: u8, body: &[u8], out: &mut Vec<Greet>) -> Result<(), WireError> {
        let state = std::mem::replace(&mut self.state, State::Over);
        if tag == b'X' {
            out.push(Greet::Goodbye);
            return Ok(());
        }
        if tag != b'p' {
            return Err(malformed("another message where the proof of identity is due"));
        }
        match state {
            State::Password(chosen) => self.password(body, chosen, out),
            State::Bearer(chosen, bearer) => self.bearer(body, chosen, &bearer, out),
            State::Discovered if body == bearer::DUMMY => {
                let refusal =
                    Refusal::new(RefusalKind::Identity, "no token was given", "get one from the issuer that was named");
                self.refuse(&refusal, "28000", out);
                Ok(())
            }
            State::Discovered => Err(malformed("something else than the end of a failed exchange")),
            State::Fresh { .. } | State::Judged | State::Over => Err(malformed("a message that nothing asked for")),
        }
    }
}

impl Greeting for Client {
    fn receive(&mut self, bytes: &[u8], tls: bool, out: &mut Vec<Greet>) -> Result<usize, WireError> {
        let limit = self.limits.max_login_bytes;
        let too_large = |size: u64| {
            if size < 4 {
                malformed("a message shorter than its header")
            } else {
                WireError::TooLarge { size, limit: limit as u64 }
            }
        };
        match self.state {
            State::Judged | State::Over => Ok(0),
            State::Fresh { requests } => {
                // A TLS hello cannot be a message: its first byte would make it hundreds of megabytes long.
                match handshake::untagged(bytes, limit) {
                    Framed::Part => Ok(0),
                    Framed::Bad(size) => Err(too_large(size)),
                    Framed::Whole { body, used, .. } => self.first(body, tls, requests, out).map(|()| used),
                }
            }
            State::Password(_) | State::Bearer(..) | State::Discovered => match handshake::tagged(bytes, limit) {
                Framed::Part => Ok(0),
                Framed::Bad(size) => Err(too_large(size)),
                Framed::Whole { tag, body, used } => self.proof(tag, body, out).map(|()| used),
            },
        }
    }

    fn proven(&mut self, verdict: Result<&Welcome, &Refusal>, reply: &mut Vec<u8>) {
        self.state = State::Over;
        match verdict {
            Ok(welcome) => answer::welcome(reply, welcome, self.version),
            Err(refusal) => answer::refusal(reply, refusal, answer::code(refusal.kind)),
        }
    }
}
