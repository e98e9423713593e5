//! SASL OAUTHBEARER (RFC 7628) as PostgreSQL 18 carries it.

use super::malformed;
use crate::handshake::Fields;
use vestibule_core::{Secret, WireError};

/// What a client sends to acknowledge that its exchange has failed (RFC 7628 section 3.2.3).
pub(super) const DUMMY: &[u8] = b"\x01";

/// What is known of the client's issuer: what the client itself said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bearer {
    issuer: Option<String>,
}

/// The client's first message.
pub(super) enum Initial {
    /// Its token.
    Token(Secret),
    /// It has none and asks where to get one.
    Discovery,
}

impl Bearer {
    /// Reads the value of `vestibule.oauth`; `Ok(None)` where it is off.
    pub(super) fn parse(value: &str) -> Result<Option<Self>, &'static str> {
        match value {
            "on" | "true" | "yes" | "1" => Ok(Some(Self { issuer: None })),
            "off" | "false" | "no" | "0" => Ok(None),
            url if url.starts_with("https://") && url.len() <= 2_048 && url.bytes().all(plain) => {
                Ok(Some(Self { issuer: Some(url.to_owned()) }))
            }
            _ => Err("on, off, or the https URL of the issuer"),
        }
    }

    /// The failure that names the issuer's configuration. Only the client's own words are repeated to it: libpq compares
    /// them with its `oauth_issuer`, so that a gateway cannot send it to an issuer that it did not mean.
    pub(super) fn discovery(&self) -> String {
        match &self.issuer {
            None => r#"{"status":"invalid_token"}"#.to_owned(),
            Some(issuer) if issuer.contains("/.well-known/") => {
                format!(r#"{{"status":"invalid_token","openid-configuration":"{issuer}"}}"#)
            }
            Some(issuer) => {
                let base = issuer.strip_suffix('/').unwrap_or(issuer);
                format!(
                    r#"{{"status":"invalid_token","openid-configuration":"{base}/.well-known/openid-configuration"}}"#
                )
            }
        }
    }
}

/// Bytes of a URL that need no escape in JSON.
fn plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'`' | b'{' | b'}')
}

/// Reads `SASLInitialResponse`.
pub(super) fn initial(body: &[u8]) -> Result<Initial, WireError> {
    let mut fields = Fields(body);
    match fields.string() {
        Some(b"OAUTHBEARER") => {}
        Some(_) => return Err(malformed("another SASL mechanism than OAUTHBEARER, the only one offered")),
        None => return Err(malformed("a SASL message without a mechanism")),
    }
    let length = fields.u32().ok_or_else(|| malformed("a SASL message without a length"))?;
    if length != u32::MAX && usize::try_from(length).ok() != Some(fields.rest().len()) {
        return Err(malformed("a SASL message of another length than it says"));
    }
    if length == u32::MAX {
        return Err(malformed("a SASL message without the initial response that OAUTHBEARER asks for"));
    }
    response(fields.rest())
}

/// `gs2-header kvsep *kvpair kvsep` (RFC 7628 section 3.1).
fn response(message: &[u8]) -> Result<Initial, WireError> {
    let bad = || malformed("an OAUTHBEARER message that breaks RFC 7628");
    let mut parts = message.split(|byte| *byte == 1);
    let header = parts.next().ok_or_else(bad)?;
    // No channel binding exists for this mechanism; an authorization identity would be a wish to be somebody else.
    match header {
        b"n,," | b"y,," => {}
        other if other.starts_with(b"n,a=") || other.starts_with(b"y,a=") => {
            return Err(malformed("an authorization identity, which is not taken: who the client is, the token says"));
        }
        _ => return Err(bad()),
    }
    let mut authorization: Option<&[u8]> = None;
    loop {
        let pair = parts.next().ok_or_else(bad)?;
        if pair.is_empty() {
            break;
        }
        let at = pair.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
        let (key, value) = (pair.get(..at).ok_or_else(bad)?, pair.get(at + 1..).ok_or_else(bad)?);
        let good_key = !key.is_empty() && key.iter().all(u8::is_ascii_alphabetic);
        let good_value = value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n'));
        if !good_key || !good_value || (key == b"auth" && authorization.replace(value).is_some()) {
            return Err(bad());
        }
    }
    // The last separator ends the message: one empty part after it, and nothing more.
    if parts.next() != Some(b"") || parts.next().is_some() {
        return Err(bad());
    }
    token(authorization.ok_or_else(bad)?)
}

/// The value of `auth`: nothing, or `Bearer` and a token (RFC 6750 section 2.1).
fn token(value: &[u8]) -> Result<Initial, WireError> {
    if value.is_empty() {
        return Ok(Initial::Discovery);
    }
    let bad = || malformed("a bearer token that breaks RFC 6750");
    let (scheme, rest) = value.split_at_checked(7).ok_or_else(bad)?;
    if !scheme.eq_ignore_ascii_case(b"Bearer ") {
        return Err(malformed("another scheme than Bearer"));
    }
    let token = rest.trim_ascii_start();
    let body = token.iter().take_while(|byte| **byte != b'=').count();
    let (head, padding) = token.split_at_checked(body).ok_or_else(bad)?;
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    if head.is_empty() || !head.iter().all(allowed) || !padding.iter().all(|byte| *byte == b'=') {
        return Err(bad());
    }
    Ok(Initial::Token(Secret::new(token)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: &[u8]) -> Option<Option<Vec<u8>>> {
        match response(message) {
            Ok(Initial::Token(token)) => Some(Some(token.expose().to_vec())),
            Ok(Initial::Discovery) => Some(None),
            Err(_) => None,
        }
    }

    #[test]
    fn the_messages_of_rfc_7628_are_read() {
        // Section 4.1, without its authorization identity, and with the host and port it carries.
        let whole = b"n,,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
        assert_eq!(said(whole).unwrap().unwrap(), b"vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
        // Section 4.3, and as libpq sends it.
        assert_eq!(said(b"n,,\x01auth=\x01\x01"), Some(None));
        assert_eq!(said(b"n,,\x01auth=bEaReR  a.b.c\x01\x01").unwrap().unwrap(), b"a.b.c");
    }

    #[test]
    fn what_breaks_rfc_7628_is_not_read() {
        for bad in [
            &b""[..],
            b"n,,",
            b"n,,\x01",
            b"n,,\x01\x01",
            b"n,,\x01auth=Bearer a\x01",
            b"n,,\x01auth=Bearer a",
            b"n,,\x01auth=Bearer a\x01\x01x",
            b"n,,\x01auth=Bearer a\x01\x01\x01",
            b"n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01",
            b"n,a=admin,\x01auth=Bearer a\x01\x01",
            b"p=tls-exporter,,\x01auth=Bearer a\x01\x01",
            b"n,,\x01auth=Basic a\x01\x01",
            b"n,,\x01auth=Bearer \x01\x01",
            b"n,,\x01auth=Bearer a b\x01\x01",
            b"n,,\x01auth=Bearer =\x01\x01",
            b"n,,\x01auth=Bearer a=b\x01\x01",
            b"n,,\x01auth=Bearer a\0\x01\x01",
            b"n,,\x01=Bearer a\x01\x01",
            b"n,,\x01a1=x\x01auth=Bearer a\x01\x01",
        ] {
            assert_eq!(said(bad), None, "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn discovery_repeats_the_clients_own_issuer() {
        let of = |value| Bearer::parse(value).unwrap().unwrap().discovery();
        let wanted = r#"{"status":"invalid_token","openid-configuration":"https://id.example/r/.well-known/openid-configuration"}"#;
        assert_eq!(of("https://id.example/r"), wanted);
        assert_eq!(of("https://id.example/r/"), wanted);
        assert_eq!(of("https://id.example/r/.well-known/openid-configuration"), wanted);
        assert_eq!(of("on"), r#"{"status":"invalid_token"}"#);
        for bad in ["", "maybe", "http://id.example", "https://a\"b", "https://a b", "https://a\\b"] {
            assert!(Bearer::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Bearer::parse("off"), Ok(None));
    }
}
