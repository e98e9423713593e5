//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the client's part (RFC 5802, RFC 7677), as PostgreSQL carries it: the user's
//! name is in the startup message, not here.

use super::words::refuse;
use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::prelude::{BASE64_STANDARD, Engine};
use std::borrow::Cow;
use std::num::NonZeroU32;
use vestibule_core::Refusal;
use zeroize::Zeroizing;

pub(super) const PLAIN: &str = "SCRAM-SHA-256";
pub(super) const PLUS: &str = "SCRAM-SHA-256-PLUS";

/// What RFC 7677 asks for at least. Fewer make guessing cheap for whoever listens.
pub(super) const RECOMMENDED_ITERATIONS: u32 = 4_096;
/// More would let a target keep the gateway busy: this many take a few tenths of a second.
const MOST_ITERATIONS: u32 = 400_000;
const LONGEST_SALT: usize = 1_024;

/// How the exchange is bound to the TLS connection.
#[derive(Debug, Clone)]
pub(super) enum Binding {
    /// It is not.
    None,
    /// We could, the server did not offer it.
    NotOffered,
    /// By the server's certificate.
    EndPoint(Vec<u8>),
}

impl Binding {
    const fn header(&self) -> &'static str {
        match self {
            Self::None => "n,,",
            Self::NotOffered => "y,,",
            Self::EndPoint(_) => "p=tls-server-end-point,,",
        }
    }
}

/// An exchange.
pub(super) struct Scram {
    binding: Binding,
    bare: String,
    nonce: String,
    /// What the server's last message must be signed with, once it is known.
    expected: Option<(hmac::Key, Vec<u8>)>,
}

fn bad(what: &str) -> Refusal {
    refuse(
        format!("the target's SCRAM login is not as it should be: {what}"),
        "check that the address is the real server",
    )
}

impl Scram {
    pub(super) fn new(nonce: &[u8], binding: Binding) -> Self {
        Self::with("", &BASE64_STANDARD.encode(nonce), binding)
    }

    fn with(user: &str, nonce: &str, binding: Binding) -> Self {
        Self { binding, bare: format!("n={user},r={nonce}"), nonce: nonce.to_owned(), expected: None }
    }

    pub(super) const fn mechanism(&self) -> &'static str {
        if matches!(self.binding, Binding::EndPoint(_)) { PLUS } else { PLAIN }
    }

    pub(super) fn first(&self) -> String {
        format!("{}{}", self.binding.header(), self.bare)
    }

    /// Answers the server's first message with the proof.
    pub(super) fn last(&mut self, server_first: &[u8], password: &[u8], minimum: u32) -> Result<Vec<u8>, Refusal> {
        if self.expected.is_some() {
            return Err(bad("it challenges twice"));
        }
        let server_first = std::str::from_utf8(server_first).map_err(|_| bad("its challenge is not text"))?;
        let (nonce, salt, iterations) = self.challenge(server_first, minimum)?;
        let mut bound = self.binding.header().as_bytes().to_vec();
        if let Binding::EndPoint(data) = &self.binding {
            bound.extend_from_slice(data);
        }
        let unproved = format!("c={},r={nonce}", BASE64_STANDARD.encode(bound));
        let signed = format!("{},{server_first},{unproved}", self.bare);

        let mut salted = Zeroizing::new([0_u8; digest::SHA256_OUTPUT_LEN]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, &prepared(password), &mut *salted);
        let salted = hmac::Key::new(hmac::HMAC_SHA256, &*salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored = hmac::Key::new(hmac::HMAC_SHA256, digest::digest(&digest::SHA256, client_key.as_ref()).as_ref());
        let signature = hmac::sign(&stored, signed.as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign).collect();
        let server_key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&salted, b"Server Key").as_ref());
        self.expected = Some((server_key, signed.into_bytes()));
        Ok(format!("{unproved},p={}", BASE64_STANDARD.encode(proof)).into_bytes())
    }

    /// `r=…,s=…,i=…`; an extension (`m=`) must be understood, and none is.
    fn challenge<'a>(&self, message: &'a str, minimum: u32) -> Result<(&'a str, Vec<u8>, NonZeroU32), Refusal> {
        let mut parts = message.split(',');
        let mut part = |name: &str| parts.next().and_then(|part| part.strip_prefix(name));
        let (Some(nonce), Some(salt), Some(iterations)) = (part("r="), part("s="), part("i=")) else {
            return Err(bad("its challenge lacks something"));
        };
        let fresh = nonce.strip_prefix(self.nonce.as_str()).is_some_and(|own| !own.is_empty());
        if !fresh || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad("its nonce does not continue ours"));
        }
        let salt = BASE64_STANDARD.decode(salt).ok().filter(|salt| (1..=LONGEST_SALT).contains(&salt.len()));
        let salt = salt.ok_or_else(|| bad("its salt is none"))?;
        let digits = !iterations.is_empty() && iterations.bytes().all(|byte| byte.is_ascii_digit());
        let iterations = digits.then(|| iterations.parse::<u32>().ok()).flatten().and_then(NonZeroU32::new);
        match iterations {
            Some(count) if (minimum..=MOST_ITERATIONS).contains(&count.get()) => Ok((nonce, salt, count)),
            _ => Err(bad(&format!("it asks for fewer than {minimum} or more than {MOST_ITERATIONS} iterations"))),
        }
    }

    /// Checks the server's signature; whether the exchange is bound to the TLS connection.
    pub(super) fn verify(self, server_final: &[u8]) -> Result<bool, Refusal> {
        let Some((key, signed)) = &self.expected else { return Err(bad("it ends before it began")) };
        let text = std::str::from_utf8(server_final).map_err(|_| bad("its last message is not text"))?;
        let mut parts = text.split(',');
        let first = parts.next().unwrap_or_default();
        if first.starts_with("e=") {
            return Err(refuse("the target refused the login in SCRAM", "check the account and its credential"));
        }
        let signature = first.strip_prefix("v=").and_then(|value| BASE64_STANDARD.decode(value).ok());
        let proven = signature.is_some_and(|signature| hmac::verify(key, signed, &signature).is_ok());
        if !proven {
            return Err(bad("it did not prove that it knows the password"));
        }
        Ok(matches!(self.binding, Binding::EndPoint(_)))
    }
}

/// The password as RFC 4013 normalises it; as it is where it cannot be normalised, which is what servers do too.
fn prepared(password: &[u8]) -> Zeroizing<Vec<u8>> {
    let normal = match std::str::from_utf8(password) {
        Ok(text) => stringprep::saslprep(text).unwrap_or(Cow::Borrowed(text)).as_bytes().to_vec(),
        Err(_) => password.to_vec(),
    };
    Zeroizing::new(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const CHALLENGE: &[u8] = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    #[test]
    fn the_exchange_of_rfc_7677_is_made() {
        let mut scram = Scram::with("user", NONCE, Binding::None);
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let last = scram.last(CHALLENGE, b"pencil", 4_096).unwrap();
        let wanted = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                      p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(String::from_utf8(last).unwrap(), wanted);
        assert!(!scram.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap());
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        for wrong in [
            &b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="[..],
            b"v=",
            b"",
            b"e=invalid-proof",
            b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl9",
            b"x=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            b"v=\xff",
        ] {
            let mut scram = Scram::with("user", NONCE, Binding::None);
            scram.last(CHALLENGE, b"pencil", 4_096).unwrap();
            assert!(scram.verify(wrong).is_err());
        }
        assert!(Scram::with("user", NONCE, Binding::None).verify(b"v=AAAA").is_err());
    }

    #[test]
    fn challenges_out_of_bounds_are_refused() {
        let nonce = "rOprNGfwEbeRWgbNEkqOx";
        for wrong in [
            String::new(),
            "r=other,s=W22Z,i=4096".to_owned(),
            format!("r={NONCE},s=W22Z,i=4096"),
            format!("r={nonce},s=,i=4096"),
            format!("r={nonce},s=!!,i=4096"),
            format!("r={nonce},s=W22Z,i=0"),
            format!("r={nonce},s=W22Z,i=4095"),
            format!("r={nonce},s=W22Z,i=400001"),
            format!("r={nonce},s=W22Z,i=99999999999"),
            format!("r={nonce},s=W22Z,i=+4096"),
            format!("r={nonce},s=W22Z"),
            format!("m=x,r={nonce},s=W22Z,i=4096"),
            format!("s=W22Z,r={nonce},i=4096"),
        ] {
            let mut scram = Scram::with("user", NONCE, Binding::None);
            assert!(scram.last(wrong.as_bytes(), b"pencil", 4_096).is_err(), "{wrong}");
        }
        let mut twice = Scram::with("user", NONCE, Binding::None);
        twice.last(CHALLENGE, b"pencil", 1).unwrap();
        assert!(twice.last(CHALLENGE, b"pencil", 1).is_err());
    }

    #[test]
    fn passwords_are_normalised_where_they_can_be() {
        // RFC 4013 section 3.
        assert_eq!(&*prepared("I\u{ad}X".as_bytes()), b"IX");
        assert_eq!(&*prepared("\u{aa}".as_bytes()), b"a");
        assert_eq!(&*prepared("\u{2168}".as_bytes()), b"IX");
        assert_eq!(&*prepared(b"plain 7"), b"plain 7");
        // Prohibited, and no text at all: as they are.
        assert_eq!(&*prepared(b"\x07"), b"\x07");
        assert_eq!(&*prepared(b"\xff\xfe"), b"\xff\xfe");
    }

    #[test]
    fn the_binding_is_under_the_signature() {
        let mut scram = Scram::with("", NONCE, Binding::EndPoint(vec![1, 2, 3]));
        assert_eq!(scram.mechanism(), PLUS);
        let last = String::from_utf8(scram.last(CHALLENGE, b"pencil", 1).unwrap()).unwrap();
        let bound = last.strip_prefix("c=").unwrap().split(',').next().unwrap();
        assert_eq!(BASE64_STANDARD.decode(bound).unwrap(), b"p=tls-server-end-point,,\x01\x02\x03");
        assert_eq!(Scram::with("", NONCE, Binding::NotOffered).first(), format!("y,,n=,r={NONCE}"));
    }
}
