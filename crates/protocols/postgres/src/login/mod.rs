//! The gateway's own login at a target: TLS if it must be, the startup message, the proof, and what the server says of
//! itself until it is ready.
//!
//! What goes wrong here is told to the operators; the client only hears that the target cannot be used.
//!
//! Not here: GSSAPI, SSPI, Kerberos and OAuth, which are refused by name.

mod cancel;
mod md5;
mod scram;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use cancel::Cancel;

use crate::handshake::{self, Fields, Framed, SSL_REQUEST, V3_0, V3_2, auth};
use scram::{Binding, Scram};
use vestibule_core::{Credential, Established, Login as Step, LoginRequest, Refusal, Secret, TargetLogin};
use words::{denied, foreign, refuse, shown, unbound, unexpected};

/// Most `ParameterStatus` messages; a server has about fifteen.
const MOST_PARAMETERS: usize = 256;

/// What `channel_binding` of the target says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bind {
    Prefer,
    Require,
    Disable,
}

enum State {
    /// Nothing is sent.
    New,
    /// Whether the server has TLS.
    AskedTls,
    /// The driver is in the handshake.
    Securing,
    /// The startup message is sent.
    Started,
    /// The proof is sent and needs no more.
    Proved,
    /// In the middle of SCRAM.
    Scram(Box<Scram>),
    /// The server has proved that it knows the password too; its `AuthenticationOk` is due.
    Mutual {
        bound: bool,
    },
    /// Logged in; what the server says of itself is due.
    In,
    Over,
}

/// A login.
pub(crate) struct Login {
    request: LoginRequest,
    asks_3_2: bool,
    bind: Bind,
    cleartext: bool,
    tls: bool,
    binding: Option<Vec<u8>>,
    state: State,
    established: Established,
}

impl Login {
    pub(crate) fn new(request: LoginRequest) -> Self {
        let setting = |key: &str| request.settings.get(key).map(String::as_str);
        let asks_3_2 = setting("protocol_version") == Some("3.2");
        Self {
            asks_3_2,
            bind: match setting("channel_binding") {
                None | Some("prefer") => Bind::Prefer,
                Some("disable") => Bind::Disable,
                // A word that nobody knows is taken for the strictest.
                Some(_) => Bind::Require,
            },
            cleartext: setting("cleartext_password") == Some("allow"),
            tls: false,
            binding: None,
            state: State::New,
            established: Established { version: if asks_3_2 { V3_2 } else { V3_0 }, ..Established::default() },
            request,
        }
    }

    fn startup(&mut self, out: &mut Vec<Step>) {
        let mut message = Vec::new();
        let request = &self.request;
        let version = self.established.version;
        handshake::bare(&mut message, |body| {
            body.extend_from_slice(&version.to_be_bytes());
            let mut pair = |name: &str, value: &str| {
                handshake::string(body, name.as_bytes());
                handshake::string(body, value.as_bytes());
            };
            pair("user", &request.user);
            pair("database", request.settings.get("database").unwrap_or(&request.user));
            // Statements are read, and values masked, in UTF-8.
            if !request.parameters.contains_key("client_encoding") {
                pair("client_encoding", "UTF8");
            }
            for (name, value) in &request.parameters {
                pair(name, value);
            }
            body.push(0);
        });
        self.state = State::Started;
        out.push(Step::Write(message));
    }

    fn password(&self) -> Result<&Secret, Refusal> {
        match &self.request.credential {
            Credential::Password(password) if !password.expose().is_empty() => Ok(password),
            Credential::Password(_) | Credential::None => Err(refuse(
                "the target asks for a password and none is configured",
                "name one in the target's `credential`",
            )),
        }
    }

    fn answer(&mut self, data: &[u8], out: &mut Vec<Step>) {
        let mut message = Vec::new();
        handshake::message(&mut message, b'p', |body| body.extend_from_slice(data));
        out.push(Step::Write(message));
    }

    fn authentication(&mut self, body: &[u8], out: &mut Vec<Step>) -> Result<(), Refusal> {
        let mut fields = Fields(body);
        let kind = fields.u32().ok_or_else(|| unexpected("an authentication message without a kind"))?;
        let state = std::mem::replace(&mut self.state, State::Over);
        match (kind, state) {
            (auth::OK, State::Started | State::Proved) => self.entered(false),
            (auth::OK, State::Mutual { bound }) => self.entered(bound),
            (auth::CLEARTEXT, State::Started) => self.cleartext(out),
            (auth::MD5, State::Started) => self.md5(fields, out),
            (auth::SASL, State::Started) => self.sasl(fields, out),
            (auth::SASL_CONTINUE, State::Scram(mut scram)) => {
                let minimum = if self.tls { 1 } else { scram::RECOMMENDED_ITERATIONS };
                let last = scram.last(fields.rest(), self.password()?.expose(), minimum)?;
                self.answer(&last, out);
                self.state = State::Scram(scram);
                Ok(())
            }
            (auth::SASL_FINAL, State::Scram(scram)) => {
                self.state = State::Mutual { bound: scram.verify(fields.rest())? };
                Ok(())
            }
            (2 | 6..=9, State::Started) => Err(refuse(
                format!("the target asks for a login by {}, which the gateway does not do", foreign(kind)),
                "let the gateway's account log in by scram-sha-256 or cert in the target's pg_hba.conf",
            )),
            (auth::OK, _) => Err(refuse(
                "the target took the login without proving that it knows the password",
                "check that the target's address is the real server",
            )),
            _ => Err(unexpected("an authentication message out of turn")),
        }
    }

    fn entered(&mut self, bound: bool) -> Result<(), Refusal> {
        if self.bind == Bind::Require && !bound {
            return Err(unbound());
        }
        self.state = State::In;
        Ok(())
    }

    fn cleartext(&mut self, out: &mut Vec<Step>) -> Result<(), Refusal> {
        if self.bind == Bind::Require {
            return Err(unbound());
        }
        if !self.tls && !self.cleartext {
            return Err(refuse(
                "the target asks for the password in the clear, outside TLS",
                "set `tls` of the target, or scram-sha-256 in its pg_hba.conf",
            ));
        }
        let mut data = Vec::new();
        let password = self.password()?.expose();
        no_nul(password)?;
        handshake::string(&mut data, password);
        self.answer(&data, out);
        handshake::wipe(&mut data);
        self.state = State::Proved;
        Ok(())
    }

    fn md5(&mut self, mut fields: Fields<'_>, out: &mut Vec<Step>) -> Result<(), Refusal> {
        if self.bind == Bind::Require {
            return Err(unbound());
        }
        let salt =
            fields.bytes(4).filter(|_| fields.is_empty()).ok_or_else(|| unexpected("an MD5 salt that is none"))?;
        let mut data = md5::proof(self.request.user.as_bytes(), self.password()?.expose(), salt).into_bytes();
        data.push(0);
        self.answer(&data, out);
        self.state = State::Proved;
        Ok(())
    }

    fn sasl(&mut self, mut fields: Fields<'_>, out: &mut Vec<Step>) -> Result<(), Refusal> {
        let mut offered = Vec::new();
        loop {
            match fields.text().ok_or_else(|| unexpected("a list of SASL mechanisms that is none"))? {
                "" => break,
                name => offered.push(name),
            }
        }
        let plus = offered.contains(&scram::PLUS);
        let binding = match (self.bind, self.tls.then(|| self.binding.clone()).flatten()) {
            (Bind::Disable, _) | (_, None) => Binding::None,
            (_, Some(data)) if plus => Binding::EndPoint(data),
            // Said under the signature, so that nobody in between can take the offer away unseen.
            (_, Some(_)) => Binding::NotOffered,
        };
        if self.bind == Bind::Require && !matches!(binding, Binding::EndPoint(_)) {
            return Err(unbound());
        }
        if !plus && !offered.contains(&scram::PLAIN)
            || (offered == [scram::PLUS] && !matches!(binding, Binding::EndPoint(_)))
        {
            return Err(refuse(
                format!("the target offers no login that the gateway knows, but {}", shown(&offered.join(", "))),
                "let the gateway's account log in by scram-sha-256 in the target's pg_hba.conf",
            ));
        }
        self.password()?;
        let scram = Scram::new(&self.request.nonce, binding);
        let first = scram.first();
        let mut data = Vec::new();
        handshake::string(&mut data, scram.mechanism().as_bytes());
        data.extend_from_slice(&u32::try_from(first.len()).unwrap_or(u32::MAX).to_be_bytes());
        data.extend_from_slice(first.as_bytes());
        self.answer(&data, out);
        self.state = State::Scram(Box::new(scram));
        Ok(())
    }

    fn negotiated(&mut self, body: &[u8]) -> Result<(), Refusal> {
        let mut fields = Fields(body);
        let (Some(said), Some(0), true) = (fields.u32(), fields.u32(), fields.is_empty()) else {
            return Err(unexpected("a negotiation of options that were not asked for"));
        };
        // The documentation says minor version, the servers send both numbers.
        let version = if said >> 16 == 0 { V3_0 | said } else { said };
        if !self.asks_3_2 || !(V3_0..=self.established.version).contains(&version) {
            return Err(unexpected("a negotiation of a version that was not asked for"));
        }
        self.established.version = version;
        Ok(())
    }

    /// What a server says of itself between `AuthenticationOk` and `ReadyForQuery`.
    fn told(&mut self, tag: u8, body: &[u8], out: &mut Vec<Step>) -> Result<(), Refusal> {
        let mut fields = Fields(body);
        match tag {
            b'S' => {
                let (Some(name), Some(value), true) = (fields.text(), fields.text(), fields.is_empty()) else {
                    return Err(unexpected("a parameter that is no pair of texts"));
                };
                if self.established.parameters.len() >= MOST_PARAMETERS {
                    return Err(unexpected("too many parameters"));
                }
                self.established.parameters.insert(name.to_owned(), value.to_owned());
                Ok(())
            }
            b'K' => {
                let longest = if self.established.version >= V3_2 { handshake::MAX_CANCEL_SECRET } else { 4 };
                if !(8..=4 + longest).contains(&body.len()) {
                    return Err(unexpected("a cancel key of a length that no key has"));
                }
                self.established.cancel_key = body.to_vec();
                Ok(())
            }
            b'Z' if body == b"I" => {
                self.state = State::Over;
                out.push(Step::Ready(std::mem::take(&mut self.established)));
                Ok(())
            }
            _ => Err(unexpected("a message that does not belong behind a login")),
        }
    }

    fn one(&mut self, tag: u8, body: &[u8], out: &mut Vec<Step>) -> Result<(), Refusal> {
        match (tag, &self.state) {
            (_, State::New | State::Securing | State::AskedTls | State::Over) => Err(unexpected("bytes out of turn")),
            (b'N', _) => Ok(()),
            (b'E', _) => Err(denied(body)),
            (b'v', State::Started) => self.negotiated(body),
            (b'R', State::Started | State::Proved | State::Scram(_) | State::Mutual { .. }) => {
                self.authentication(body, out)
            }
            (_, State::In) => self.told(tag, body, out),
            _ => Err(unexpected("another message where authentication is due")),
        }
    }
}

impl TargetLogin for Login {
    fn start(&mut self, out: &mut Vec<Step>) {
        if self.request.tls && !self.tls {
            self.state = State::AskedTls;
            out.push(Step::Write(tls_request()));
        } else {
            self.startup(out);
        }
    }

    fn secured(&mut self, binding: Option<Vec<u8>>, out: &mut Vec<Step>) {
        self.tls = true;
        self.binding = binding;
        // With TLS from the first byte this comes before the start.
        if matches!(self.state, State::Securing) {
            self.startup(out);
        }
    }

    fn receive(&mut self, bytes: &[u8], out: &mut Vec<Step>) -> Result<usize, Refusal> {
        if matches!(self.state, State::AskedTls) {
            let Some(answer) = bytes.first() else { return Ok(0) };
            tls_answer(*answer)?;
            self.state = State::Securing;
            out.push(Step::StartTls);
            return Ok(1);
        }
        if self.request.user.contains('\0') || self.request.settings.values().any(|value| value.contains('\0')) {
            return Err(refuse(
                "the account or the database of the target holds a NUL",
                "correct it in the configuration",
            ));
        }
        match handshake::tagged(bytes, self.request.limits.max_login_bytes) {
            Framed::Part => Ok(0),
            Framed::Bad(_) => Err(unexpected("a message of a length that cannot be")),
            Framed::Whole { tag, body, used } => self.one(tag, body, out).map(|()| used),
        }
    }
}

pub(super) fn tls_request() -> Vec<u8> {
    let mut message = Vec::new();
    handshake::bare(&mut message, |body| body.extend_from_slice(&SSL_REQUEST.to_be_bytes()));
    message
}

pub(super) fn tls_answer(answer: u8) -> Result<(), Refusal> {
    match answer {
        b'S' => Ok(()),
        b'N' => Err(refuse(
            "the target has no TLS, which its configuration here asks for",
            "set `ssl = on` at the target, or `tls = { mode = \"disable\" }` here if nobody can listen in between",
        )),
        // What an error says before TLS, anybody in between may have written.
        _ => Err(unexpected("an answer to the request for TLS that is neither yes nor no")),
    }
}

fn no_nul(password: &[u8]) -> Result<(), Refusal> {
    if password.contains(&0) {
        return Err(refuse("the password of the target holds a NUL, which cannot be sent", "correct its source"));
    }
    Ok(())
}
