//! The startup message: which target, by whom in the client's own words, with which session parameters.

use super::answer;
use super::bearer::Bearer;
use super::malformed;
use super::parameters::{self, Parameters};
use crate::handshake::{self, Fields, V3_2};
use vestibule_core::{Chosen, Refusal, RefusalKind, WireError};

/// Most parameters of one startup message. Clients send about ten.
const MOST_PARAMETERS: usize = 256;

/// A refusal that has a code of its own.
pub(super) struct Refused {
    pub refusal: Refusal,
    pub code: &'static str,
}

impl Refused {
    fn new(kind: RefusalKind, message: impl Into<String>, remedy: &str) -> Self {
        Self { refusal: Refusal::new(kind, message, remedy), code: answer::code(kind) }
    }

    /// A parameter that is not passed on.
    pub(super) fn parameter(message: String, remedy: String) -> Self {
        Self { refusal: Refusal::new(RefusalKind::Policy, message, remedy), code: "42501" }
    }
}

/// A startup message.
pub(super) struct Startup {
    /// The version to speak.
    pub version: u32,
    asked: u32,
    pairs: Vec<(String, String)>,
    /// Protocol extensions that are not known here.
    unknown: Vec<String>,
}

impl Startup {
    pub(super) fn read(asked: u32, mut fields: Fields<'_>) -> Result<Self, WireError> {
        let bad = || malformed("a startup message that is no list of names and values");
        let mut startup = Self { version: asked.min(V3_2), asked, pairs: Vec::new(), unknown: Vec::new() };
        loop {
            let name = fields.text().ok_or_else(bad)?;
            if name.is_empty() {
                break;
            }
            let value = fields.text().ok_or_else(bad)?;
            if startup.pairs.len() + startup.unknown.len() >= MOST_PARAMETERS {
                return Err(malformed("too many parameters in a startup message"));
            }
            if name.starts_with("_pq_.") {
                startup.unknown.push(name.to_owned());
            } else if startup.pairs.iter().any(|(have, _)| have.eq_ignore_ascii_case(name)) {
                // Which of two would hold is a matter of taste, and tastes differ between readers.
                return Err(malformed("a startup parameter given twice"));
            } else {
                startup.pairs.push((name.to_owned(), value.to_owned()));
            }
        }
        if fields.is_empty() { Ok(startup) } else { Err(malformed("bytes behind a startup message")) }
    }

    /// Says what is spoken here, where the client asked for more.
    pub(super) fn negotiate(&self, out: &mut Vec<u8>) {
        if self.asked <= V3_2 && self.unknown.is_empty() {
            return;
        }
        handshake::message(out, b'v', |body| {
            body.extend_from_slice(&self.version.to_be_bytes());
            body.extend_from_slice(&u32::try_from(self.unknown.len()).unwrap_or(u32::MAX).to_be_bytes());
            for name in &self.unknown {
                handshake::string(body, name.as_bytes());
            }
        });
    }

    /// What the client chose, and whether it wants to log in with a bearer token.
    pub(super) fn choose(self) -> Result<(Chosen, Option<Bearer>), Refused> {
        let mut parameters = Parameters::default();
        let (mut user, mut database, mut options) = (String::new(), None, None);
        for (name, value) in self.pairs {
            match name.as_str() {
                "user" => user = value,
                "database" => database = Some(value),
                "options" => options = Some(value),
                "replication" => no_replication(&value)?,
                _ => parameters.take(&name, &value)?,
            }
        }
        // A parameter named by itself wins over one in `options`, as at a server.
        for (name, value) in parameters::options(options.as_deref().unwrap_or_default())? {
            parameters.take_unless_there(&name, &value)?;
        }
        if user.is_empty() {
            let remedy = "name any user; who you are is told by the token";
            return Err(Refused::new(RefusalKind::Policy, "the login names no user", remedy));
        }
        let target = database.filter(|name| !name.is_empty()).unwrap_or_else(|| user.clone());
        let (parameters, bearer) = parameters.finish();
        Ok((Chosen { target, user, parameters }, bearer))
    }
}

fn no_replication(value: &str) -> Result<(), Refused> {
    match value.to_ascii_lowercase().as_str() {
        "false" | "off" | "no" | "0" => Ok(()),
        _ => Err(Refused::new(
            RefusalKind::NotUnderstood,
            "replication does not go through this gateway, which could not see inside it",
            "connect without the parameter `replication`",
        )),
    }
}
