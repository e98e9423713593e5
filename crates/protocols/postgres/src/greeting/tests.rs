//! Conversations with clients, whole, in pieces, and broken.

use super::Client;
use crate::handshake::{self, CANCEL_REQUEST, GSSENC_REQUEST, SSL_REQUEST, V3_0, V3_2};
use std::sync::Arc;
use vestibule_core::{Established, Greet, Greeting, Limits, Refusal, RefusalKind, Welcome, WireError};

fn request(code: u32, rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    handshake::bare(&mut out, |body| {
        body.extend_from_slice(&code.to_be_bytes());
        body.extend_from_slice(rest);
    });
    out
}

fn startup(version: u32, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut rest = Vec::new();
    for (name, value) in pairs {
        handshake::string(&mut rest, name.as_bytes());
        handshake::string(&mut rest, value.as_bytes());
    }
    rest.push(0);
    request(version, &rest)
}

fn said(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    handshake::message(&mut out, b'p', |body| body.extend_from_slice(data));
    out
}

fn bearer(message: &[u8]) -> Vec<u8> {
    let mut data = b"OAUTHBEARER\0".to_vec();
    data.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    data.extend_from_slice(message);
    said(&data)
}

/// What happened, comparable.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Wrote(Vec<u8>),
    Tls,
    Smuggled,
    Prove { target: String, user: String, parameters: Vec<(String, String)>, token: Vec<u8>, tls: bool },
    Cancel(Vec<u8>),
    Goodbye,
    Wire(WireError),
}

/// Drives a greeting as the session's driver does: bytes come in pieces of `piece`; a new list of bytes starts where TLS
/// does. Ends at the first thing that ends a greeting.
fn converse(flights: &[Vec<u8>], piece: usize, tls: bool) -> (Vec<Event>, Client) {
    let mut client = Client::new(Limits { max_login_bytes: 4_096, ..Limits::default() });
    let (mut events, mut tls) = (Vec::new(), tls);
    for flight in flights {
        let mut received: Vec<u8> = Vec::new();
        for chunk in flight.chunks(piece.max(1)) {
            received.extend_from_slice(chunk);
            loop {
                let mut steps = Vec::new();
                let used = match client.receive(&received, tls, &mut steps) {
                    Ok(used) => used,
                    Err(error) => {
                        events.push(Event::Wire(error));
                        return (events, client);
                    }
                };
                assert!(used <= received.len());
                received.drain(..used);
                let idle = used == 0 && steps.is_empty();
                for step in steps {
                    match step {
                        Greet::Write(bytes) => events.push(Event::Wrote(bytes)),
                        Greet::StartTls if received.is_empty() => {
                            events.push(Event::Tls);
                            tls = true;
                        }
                        Greet::StartTls => {
                            events.push(Event::Smuggled);
                            return (events, client);
                        }
                        Greet::Prove { chosen, token } => {
                            events.push(Event::Prove {
                                target: chosen.target,
                                user: chosen.user,
                                parameters: chosen.parameters.into_iter().collect(),
                                token: token.expose().to_vec(),
                                tls,
                            });
                            return (events, client);
                        }
                        Greet::Cancel(key) => {
                            events.push(Event::Cancel(key));
                            return (events, client);
                        }
                        Greet::Goodbye => {
                            events.push(Event::Goodbye);
                            return (events, client);
                        }
                    }
                }
                if idle {
                    break;
                }
            }
        }
    }
    (events, client)
}

fn by_password() -> Vec<Vec<u8>> {
    let mut inside = startup(
        V3_0,
        &[("user", "dana"), ("database", "clinic"), ("application_name", "psql"), ("options", "-c timezone=UTC")],
    );
    inside.extend(said(b"a.b.c\0"));
    vec![[request(GSSENC_REQUEST, &[]), request(SSL_REQUEST, &[])].concat(), inside]
}

fn by_bearer() -> Vec<Vec<u8>> {
    let mut inside = startup(
        V3_2 + 7,
        &[("user", "dana"), ("database", "clinic"), ("_pq_.new", "1"), ("options", "-c vestibule.oauth=on")],
    );
    inside.extend(bearer(b"n,,\x01auth=Bearer a.b.c\x01\x01"));
    vec![request(SSL_REQUEST, &[]), inside]
}

fn error_of(events: &[Event]) -> String {
    let Some(Event::Wrote(bytes)) = events.iter().rev().find(|event| matches!(event, Event::Wrote(_))) else {
        panic!("nothing was written: {events:?}")
    };
    assert_eq!(events.last(), Some(&Event::Goodbye));
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_login_is_the_same_in_whatever_pieces_it_comes() {
    for flights in [by_password(), by_bearer()] {
        let whole = converse(&flights, usize::MAX, false).0;
        let Some(Event::Prove { target, user, token, tls: true, .. }) = whole.last() else { panic!("{whole:?}") };
        assert_eq!((target.as_str(), user.as_str(), token.as_slice()), ("clinic", "dana", &b"a.b.c"[..]));
        for piece in 1..200 {
            assert_eq!(converse(&flights, piece, false).0, whole, "pieces of {piece}");
        }
    }
}

#[test]
fn encryption_is_answered_and_nothing_is_smuggled_before_it() {
    let whole = converse(&by_password(), usize::MAX, false).0;
    assert_eq!(whole[..3], [Event::Wrote(b"N".to_vec()), Event::Wrote(b"S".to_vec()), Event::Tls]);
    let smuggled = [request(SSL_REQUEST, &[]), startup(V3_0, &[("user", "eve")])].concat();
    assert_eq!(converse(&[smuggled], usize::MAX, false).0.last(), Some(&Event::Smuggled));
    let twice = vec![request(SSL_REQUEST, &[]), request(SSL_REQUEST, &[])];
    assert!(matches!(converse(&twice, usize::MAX, false).0.last(), Some(Event::Wire(_))));
    let gss_inside = vec![request(SSL_REQUEST, &[]), request(GSSENC_REQUEST, &[])];
    assert!(matches!(converse(&gss_inside, usize::MAX, false).0.last(), Some(Event::Wire(_))));
    let endless = vec![request(GSSENC_REQUEST, &[]).repeat(9)];
    assert!(matches!(converse(&endless, usize::MAX, false).0.last(), Some(Event::Wire(_))));
}

#[test]
fn no_token_is_asked_for_outside_tls() {
    let events = converse(&[startup(V3_0, &[("user", "dana")])], usize::MAX, false).0;
    assert!(error_of(&events).contains("28000"));
    let events = converse(&[startup(V3_0, &[("user", "dana")])], usize::MAX, true).0;
    assert_eq!(events, [Event::Wrote(b"R\0\0\0\x08\0\0\0\x03".to_vec())]);
}

#[test]
fn newer_versions_and_unknown_extensions_are_negotiated_down() {
    let events = converse(&by_bearer(), usize::MAX, false).0;
    let mut wanted = Vec::new();
    handshake::message(&mut wanted, b'v', |body| {
        body.extend_from_slice(&V3_2.to_be_bytes());
        body.extend_from_slice(&1_u32.to_be_bytes());
        body.extend_from_slice(b"_pq_.new\0");
    });
    handshake::authentication(&mut wanted, 10, b"OAUTHBEARER\0\0");
    assert_eq!(events[2], Event::Wrote(wanted));
    let events = converse(&[startup(V3_0, &[("user", "d"), ("_pq_.x", "")])], usize::MAX, true).0;
    let Event::Wrote(bytes) = &events[0] else { panic!("{events:?}") };
    assert_eq!(bytes[..13], [&b"v\0\0\0\x13"[..], &V3_0.to_be_bytes(), &1_u32.to_be_bytes()].concat());
    for other in [2 << 16, 4 << 16, 0, u32::MAX] {
        let events = converse(&[startup(other, &[("user", "d")])], usize::MAX, true).0;
        assert!(error_of(&events).contains("0A000"), "{other}");
    }
}

#[test]
fn the_key_a_client_is_given_is_the_key_it_can_cancel_with() {
    let welcome = Welcome { established: Arc::new(Established::default()), cancel_key: (1..33).collect() };
    for (version, length) in [(V3_0, 8), (V3_0 + 1, 8), (V3_2, 32), (V3_2 + 1, 32)] {
        let mut client = converse(&[startup(version, &[("user", "d")])], usize::MAX, true).1;
        let mut reply = Vec::new();
        client.proven(Ok(&welcome), &mut reply);
        let at = reply.windows(1).position(|w| w == b"K").unwrap();
        let key = &reply[at + 5..at + 5 + length];
        assert_eq!(reply[at..at + 5], [b'K', 0, 0, 0, u8::try_from(length).unwrap() + 4]);
        assert_eq!(key, &welcome.cancel_key[..length]);
        assert!(reply.ends_with(b"Z\0\0\0\x05I"));
        let events = converse(&[request(CANCEL_REQUEST, key)], usize::MAX, false).0;
        assert_eq!(events, [Event::Cancel(key.to_vec())]);
    }
    for wrong in [0, 4, 7, 261] {
        let events = converse(&[request(CANCEL_REQUEST, &vec![1; wrong])], usize::MAX, false).0;
        assert!(matches!(events[..], [Event::Wire(_)]), "{wrong}");
    }
}

#[test]
fn the_welcome_tells_nothing_of_the_account_behind_the_gateway() {
    let mut established = Established { cancel_key: b"the-targets-own".to_vec(), ..Established::default() };
    for (name, value) in [("server_version", "18.1"), ("session_authorization", "clinic_app"), ("is_superuser", "on")] {
        established.parameters.insert(name.into(), value.into());
    }
    let welcome = Welcome { established: Arc::new(established), cancel_key: vec![1; 32] };
    let mut reply = Vec::new();
    Client::new(Limits::default()).proven(Ok(&welcome), &mut reply);
    let text = String::from_utf8_lossy(&reply);
    assert!(text.starts_with("R\0\0\0\x08\0\0\0\0") && text.contains("server_version\x0018.1\0"));
    assert!(text.contains("is_superuser\0off\0") && !text.contains("clinic_app") && !text.contains("the-targets-own"));
}

#[test]
fn what_is_refused_is_refused_by_name() {
    for (pairs, wanted) in [
        (vec![("user", "d"), ("replication", "database")], "replication"),
        (vec![("user", "d"), ("replication", "true")], "replication"),
        (vec![("user", "d"), ("role", "postgres")], "`role`"),
        (vec![("user", "d"), ("options", "-c session_authorization=postgres")], "`session_authorization`"),
        (vec![("user", "d"), ("options", "-d 5")], "`options`"),
        (vec![("user", "d"), ("client_encoding", "SJIS")], "`client_encoding`"),
        (vec![("user", "d"), ("vestibule.oauth", "http://x")], "`vestibule.oauth`"),
        (vec![("database", "clinic")], "no user"),
        (vec![("user", "")], "no user"),
    ] {
        let events = converse(&[startup(V3_0, &pairs)], usize::MAX, true).0;
        assert!(error_of(&events).contains(wanted), "{pairs:?}");
    }
    let empty = [startup(V3_0, &[("user", "d")]), said(b"\0")].concat();
    assert!(error_of(&converse(&[empty], usize::MAX, true).0).contains("28P01"));
    let off = startup(V3_0, &[("user", "d"), ("replication", "off")]);
    assert_eq!(converse(&[off], usize::MAX, true).0.len(), 1);
    // Without a database the user's name is it, as at a server.
    let alone = [startup(V3_0, &[("user", "d")]), said(b"t\0")].concat();
    let events = converse(&[alone], usize::MAX, true).0;
    assert!(matches!(events.last(), Some(Event::Prove { target, .. }) if target == "d"));
}

#[test]
fn what_is_malformed_ends_the_connection() {
    let start = startup(V3_0, &[("user", "d")]);
    let with = |rest: Vec<u8>| [start.clone(), rest].concat();
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0, 0, 0, 3],
        vec![0, 0, 0, 4],
        vec![0, 0, 0x20, 0, 0, 3, 0, 0],
        request(SSL_REQUEST, b"x"),
        request(V3_0, b""),
        request(V3_0, b"user\0d\0"),
        request(V3_0, b"user\0d\0\0x"),
        request(V3_0, b"user\0\xff\0\0"),
        startup(V3_0, &[("user", "d"), ("user", "e")]),
        startup(V3_0, &[("user", "d"), ("timezone", "UTC"), ("TimeZone", "UTC")]),
        with(said(b"no end")),
        with(said(b"one\0two\0")),
        with(said(b"")),
        with(b"Q\0\0\0\x05\0".to_vec()),
        with(b"p\xff\xff\xff\xff".to_vec()),
        with(b"p\0\0\0\x03".to_vec()),
    ] {
        let events = converse(std::slice::from_ref(&bytes), usize::MAX, true).0;
        assert!(matches!(events.last(), Some(Event::Wire(_))), "{:?}: {events:?}", String::from_utf8_lossy(&bytes));
    }
    let goodbye = with(b"X\0\0\0\x04".to_vec());
    assert_eq!(converse(&[goodbye], usize::MAX, true).0.last(), Some(&Event::Goodbye));
}

#[test]
fn discovery_names_the_clients_issuer_and_ends() {
    let first = startup(V3_0, &[("user", "d"), ("options", "-c vestibule.oauth=https://id.example")]);
    let flight = [first, bearer(b"n,,\x01auth=\x01\x01"), said(b"\x01")].concat();
    let events = converse(&[flight], usize::MAX, true).0;
    let Event::Wrote(told) = &events[1] else { panic!("{events:?}") };
    let text = String::from_utf8_lossy(told);
    assert!(told.starts_with(b"R") && told[8] == 11, "SASLContinue");
    assert!(text.ends_with(r#""openid-configuration":"https://id.example/.well-known/openid-configuration"}"#));
    assert!(error_of(&events).contains("28000"));
}

#[test]
fn each_kind_of_refusal_has_its_code_and_no_field_can_be_forged() {
    use RefusalKind::*;
    for kind in [Policy, Denied, Expired, Cancelled, Identity, Unrecorded, NotUnderstood, Target] {
        let mut reply = Vec::new();
        let refusal = Refusal::new(kind, "no\0Cxxxxx", "ask");
        Client::new(Limits::default()).proven(Err(&refusal), &mut reply);
        let code = super::answer::code(kind);
        let wanted = format!("SFATAL\0VFATAL\0C{code}\0Mno\0Hask\0\0");
        assert_eq!(&reply[5..], wanted.as_bytes());
        assert_eq!(reply[..5], [&b"E"[..], &u32::try_from(reply.len() - 1).unwrap().to_be_bytes()].concat());
    }
}

#[test]
fn a_hundred_thousand_broken_logins_neither_panic_nor_prove_outside_tls() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    let mut proofs = 0;
    for round in 0..100_000 {
        let mut flights = if round % 2 == 0 { by_password() } else { by_bearer() };
        for _ in 0..=next(3) {
            let which = next(flights.len());
            let flight = &mut flights[which];
            let at = next(flight.len());
            match next(12) {
                0 => flight.truncate(at.max(1)),
                1 => flight.insert(at, u8::try_from(next(256)).unwrap()),
                2 => drop(flight.remove(at)),
                _ => flight[at] = u8::try_from(next(256)).unwrap(),
            }
            if flight.is_empty() {
                flight.push(0);
            }
        }
        let piece = 1 + next(64);
        for event in converse(&flights, piece, false).0 {
            if let Event::Prove { tls, .. } = event {
                assert!(tls);
                proofs += 1;
            }
        }
    }
    assert!(proofs > 1_000, "{proofs}: the mutations leave some logins whole, or this proves nothing");
}
