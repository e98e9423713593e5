//! Servers that are not what they should be. Those that are, are met in `tests/real_servers.rs`.

use super::{Cancel, Login};
use crate::handshake::{self, V3_0, V3_2};
use std::collections::BTreeMap;
use vestibule_core::{Credential, Established, Limits, Login as Step, LoginRequest, Refusal, Secret, TargetLogin};

fn request(tls: bool, settings: &[(&str, &str)]) -> LoginRequest {
    let mut all = BTreeMap::from([("database".to_owned(), "clinic".to_owned())]);
    all.extend(settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    LoginRequest {
        user: "app".to_owned(),
        credential: Credential::Password(Secret::new(*b"pencil")),
        settings: all,
        parameters: BTreeMap::from([("TimeZone".to_owned(), "UTC".to_owned())]),
        tls,
        nonce: [9; 32],
        limits: Limits::default(),
    }
}

fn auth(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    handshake::authentication(&mut out, kind, data);
    out
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    handshake::message(&mut out, tag, |to| to.extend_from_slice(body));
    out
}

/// Hands the bytes in, in pieces; what was written, and how it ended.
fn run(login: &mut dyn TargetLogin, bytes: &[u8], piece: usize) -> (Vec<u8>, Result<Option<Established>, Refusal>) {
    let (mut steps, mut wrote, mut received) = (Vec::new(), Vec::new(), Vec::new());
    login.start(&mut steps);
    let mut chunks = bytes.chunks(piece);
    loop {
        let idle = steps.is_empty();
        for step in std::mem::take(&mut steps) {
            match step {
                Step::Write(bytes) => wrote.extend(bytes),
                Step::StartTls => login.secured(Some(vec![5; 32]), &mut steps),
                Step::Ready(established) => return (wrote, Ok(Some(established))),
            }
        }
        let used = match login.receive(&received, &mut steps) {
            Ok(used) => used,
            Err(refusal) => return (wrote, Err(refusal)),
        };
        received.drain(..used);
        if used == 0 && steps.is_empty() && idle {
            match chunks.next() {
                Some(chunk) => received.extend_from_slice(chunk),
                None => return (wrote, Ok(None)),
            }
        }
    }
}

fn refused(tls: bool, settings: &[(&str, &str)], bytes: &[u8]) -> String {
    match run(&mut Login::new(request(tls, settings)), bytes, usize::MAX).1 {
        Err(refusal) => {
            assert!(!refusal.message.contains("pencil"));
            refusal.message
        }
        other => panic!("not refused: {other:?}"),
    }
}

fn welcome() -> Vec<u8> {
    [
        auth(5, &[1, 2, 3, 4]),
        message(b'N', b"SNOTICE\0Mhello\0\0"),
        auth(0, &[]),
        message(b'S', b"server_version\x0016.1\0"),
        message(b'K', &[0, 0, 0, 7, 1, 2, 3, 4]),
        message(b'Z', b"I"),
    ]
    .concat()
}

#[test]
fn a_login_is_the_same_in_whatever_pieces_it_comes() {
    let whole = run(&mut Login::new(request(false, &[])), &welcome(), usize::MAX);
    let established = whole.1.unwrap().unwrap();
    assert_eq!(established.parameters["server_version"], "16.1");
    assert_eq!(established.cancel_key, [0, 0, 0, 7, 1, 2, 3, 4]);
    let start = String::from_utf8_lossy(&whole.0);
    assert!(start.contains("user\0app\0database\0clinic\0client_encoding\0UTF8\0TimeZone\0UTC\0\0"));
    assert!(!start.contains("pencil"));
    for piece in 1..64 {
        let (wrote, end) = run(&mut Login::new(request(false, &[])), &welcome(), piece);
        assert_eq!((wrote, end.unwrap().unwrap().cancel_key), (whole.0.clone(), established.cancel_key.clone()));
    }
}

#[test]
fn tls_is_asked_for_and_nothing_less_is_taken() {
    assert!(refused(true, &[], b"N").contains("has no TLS"));
    for other in [&b"E"[..], b"R", b"\0"] {
        assert!(refused(true, &[], other).contains("neither yes nor no"));
    }
    let (wrote, _) = run(&mut Login::new(request(true, &[])), b"", 1);
    assert_eq!(wrote, [0, 0, 0, 8, 4, 210, 22, 47]);
    let (wrote, _) = run(&mut Login::new(request(true, &[])), b"S", 1);
    assert!(wrote.len() > 8 && wrote[8..].windows(4).any(|w| w == b"user"));
}

#[test]
fn a_server_that_skips_its_own_proof_is_refused() {
    let list = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
    assert!(refused(false, &[], &[auth(10, list), auth(0, &[])].concat()).contains("without proving"));
    assert!(refused(false, &[], &[auth(10, list), auth(12, b"v=AAAA")].concat()).contains("before it began"));
    assert!(refused(false, &[], &[auth(10, list), auth(3, &[])].concat()).contains("out of turn"));
    assert!(refused(false, &[], &[auth(10, list), auth(5, &[1, 2, 3, 4])].concat()).contains("out of turn"));
    assert!(refused(false, &[], &auth(11, b"r=x")).contains("out of turn"));
    let weak = format!("r={}x,s=QUJD,i=100", base64::Engine::encode(&base64::prelude::BASE64_STANDARD, [9; 32]));
    let weak = [auth(10, list), auth(11, weak.as_bytes())].concat();
    assert!(refused(false, &[], &weak).contains("iterations"), "few iterations outside TLS");
    assert!(run(&mut Login::new(request(true, &[])), &[b"S".to_vec(), weak].concat(), usize::MAX).1.is_ok());
}

#[test]
fn channel_binding_is_used_where_it_can_be_and_its_absence_is_said() {
    let both: &[u8] = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
    let plain: &[u8] = b"SCRAM-SHA-256\0\0";
    for (list, settings, wanted) in [
        (both, vec![], "SCRAM-SHA-256-PLUS\0\0\0\0\u{4b}p=tls-server-end-point,,n=,r="),
        (plain, vec![], "SCRAM-SHA-256\0\0\0\0\u{36}y,,n=,r="),
        (both, vec![("channel_binding", "disable")], "SCRAM-SHA-256\0\0\0\0\u{36}n,,n=,r="),
    ] {
        let bytes = [b"S".to_vec(), auth(10, list)].concat();
        let (wrote, _) = run(&mut Login::new(request(true, &settings)), &bytes, usize::MAX);
        let text = String::from_utf8_lossy(&wrote).into_owned();
        let gs2 = wanted.rsplit('\0').next().unwrap().trim_start_matches(|c: char| c.is_control());
        let name = wanted.split('\0').next().unwrap();
        assert!(text.contains(&format!("{name}\0")) && text.contains(gs2.get(1..).unwrap()), "{text:?}");
    }
    for settings in [[("channel_binding", "require")], [("channel_binding", "requrie")]] {
        assert!(refused(true, &settings, &[b"S".to_vec(), auth(10, plain)].concat()).contains("does not bind"));
        assert!(refused(true, &settings, &[b"S".to_vec(), auth(0, &[])].concat()).contains("does not bind"));
        assert!(refused(true, &settings, &[b"S".to_vec(), auth(3, &[])].concat()).contains("does not bind"));
    }
    let disabled = [("channel_binding", "disable")];
    let only = auth(10, b"SCRAM-SHA-256-PLUS\0\0");
    assert!(refused(true, &disabled, &[b"S".to_vec(), only].concat()).contains("offers no login"));
}

#[test]
fn ways_that_are_not_gone_are_named() {
    for (kind, name) in [(2, "Kerberos"), (7, "GSSAPI"), (9, "SSPI")] {
        assert!(refused(false, &[], &auth(kind, &[])).contains(name));
    }
    assert!(refused(false, &[], &auth(10, b"OAUTHBEARER\0\0")).contains("OAUTHBEARER"));
    assert!(refused(false, &[], &auth(3, &[])).contains("in the clear"));
    let (wrote, _) = run(&mut Login::new(request(true, &[])), &[b"S".to_vec(), auth(3, &[])].concat(), usize::MAX);
    assert!(wrote.ends_with(b"p\0\0\0\x0bpencil\0"));
}

#[test]
fn versions_and_keys_stay_within_what_was_asked() {
    let negotiated = |version: u32| message(b'v', &[version.to_be_bytes(), [0; 4]].concat());
    let key = |length: usize| message(b'K', &vec![1; length]);
    let newer = [("protocol_version", "3.2")];
    let ends = |settings: &[(&str, &str)], bytes: &[u8]| {
        run(&mut Login::new(request(false, settings)), bytes, usize::MAX)
            .1
            .map(|e| e.map(|e| (e.version, e.cancel_key.len())))
    };
    let close = message(b'Z', b"I");
    let long = [auth(0, &[]), key(260), close.clone()].concat();
    assert_eq!(ends(&newer, &long), Ok(Some((V3_2, 260))));
    assert!(ends(&[], &long).is_err(), "a long key was not asked for");
    assert!(ends(&newer, &[auth(0, &[]), key(261)].concat()).is_err());
    assert!(ends(&newer, &[auth(0, &[]), key(7)].concat()).is_err());
    for down in [V3_0, 0] {
        let bytes = [negotiated(down), auth(0, &[]), key(8), close.clone()].concat();
        assert_eq!(ends(&newer, &bytes), Ok(Some((V3_0, 8))));
    }
    assert!(ends(&newer, &[negotiated(V3_0), auth(0, &[]), key(36)].concat()).is_err());
    assert!(ends(&newer, &negotiated(V3_2 + 1)).is_err());
    assert!(ends(&newer, &negotiated(2 << 16)).is_err());
    assert!(ends(&[], &negotiated(V3_0)).is_err());
    assert!(ends(&newer, &message(b'v', &[&V3_0.to_be_bytes()[..], &1_u32.to_be_bytes(), b"x\0"].concat())).is_err());
}

#[test]
fn a_servers_no_becomes_one_line() {
    let words = refused(false, &[], &message(b'E', b"SFATAL\0C28P01\0Mno\nlevel=info forged\0\0"));
    assert_eq!(words, "the target refused the login: no level=info forged (SQLSTATE 28P01)");
    assert!(refused(false, &[], b"E\xff\xff\xff\xff").contains("length"));
    assert!(refused(false, &[], b"HTTP/1.1 400 Bad Request\r\n\r\n").contains("length"));
}

#[test]
fn a_cancel_request_carries_the_targets_key() {
    for length in [8_usize, 36, 260] {
        let established = Established { cancel_key: vec![3; length], ..Established::default() };
        let mut wanted = u32::try_from(length + 8).unwrap().to_be_bytes().to_vec();
        wanted.extend_from_slice(&[4, 210, 22, 46]);
        wanted.extend(vec![3; length]);
        let (wrote, end) = run(&mut Cancel::new(&established, false), b"", 1);
        assert_eq!((&wrote, end.unwrap().is_some()), (&wanted, true));
        let (wrote, end) = run(&mut Cancel::new(&established, true), b"S", 1);
        assert_eq!((&wrote[8..], end.unwrap().is_some()), (&wanted[..], true));
        assert!(run(&mut Cancel::new(&established, true), b"N", 1).1.is_err());
    }
}

#[test]
fn a_hundred_thousand_broken_servers_cause_no_panic() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    let scram = [auth(10, b"SCRAM-SHA-256\0\0"), auth(11, b"r=CQkJ,s=QUJD,i=4096"), auth(12, b"v=AAAA")].concat();
    let (mut ready, mut refused) = (0, 0);
    for round in 0..100_000 {
        let mut bytes = if round % 2 == 0 { welcome() } else { scram.clone() };
        for _ in 0..=next(3) {
            let at = next(bytes.len());
            match next(3) {
                0 => bytes[at] = u8::try_from(next(256)).unwrap(),
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, u8::try_from(next(256)).unwrap()),
            }
        }
        match run(&mut Login::new(request(false, &[])), &bytes, 1 + next(40)).1 {
            Ok(Some(_)) => ready += 1,
            Ok(None) => {}
            Err(_) => refused += 1,
        }
    }
    assert!(ready > 1_000 && refused > 1_000, "{ready} {refused}");
}
