//! The gateway logs in at a target that answers anything; and cancels there; and reads its catalog.
//!
//! Bytes: flags, size of pieces (0: whole), then records: kind 0 as they are, others with a tag and a length made here.
//!
//! Rules: nothing but the request for TLS before TLS where TLS is required, the password never in what is written or
//! said unless the target was allowed to ask for it, nothing consumed that was not given, ready once at most.

use crate::input::{Input, tagged};
use crate::postgres_wire::postgres;
use std::collections::BTreeMap;
use vestibule_core::{Credential, Established, Limits, Login, LoginRequest, Refusal, Secret, TargetLogin};

const PASSWORD: &str = "tr0ub4dor and three";

struct Driver {
    login: Box<dyn TargetLogin>,
    flags: u8,
    cancels: bool,
    secured: bool,
    over: bool,
    pending: Vec<u8>,
}

fn request(flags: u8) -> LoginRequest {
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut settings = BTreeMap::from([setting("database", "clinic")]);
    if flags & 2 != 0 {
        settings.extend([setting("protocol_version", "3.2")]);
    }
    if flags & 4 != 0 {
        settings.extend([setting("cleartext_password", "allow")]);
    }
    if flags & 8 != 0 {
        settings.extend([setting("channel_binding", "require")]);
    }
    LoginRequest {
        user: "vestibule".into(),
        credential: if flags & 16 != 0 { Credential::None } else { Credential::Password(Secret::new(PASSWORD)) },
        settings,
        parameters: BTreeMap::new(),
        tls: flags & 1 != 0,
        nonce: [7; 32],
        limits: Limits { max_login_bytes: 4 << 10, max_message_bytes: 64 << 10 },
    }
}

impl Driver {
    fn tls(&self) -> bool {
        self.flags & 1 != 0
    }

    fn steps(&mut self, out: Vec<Login>) {
        for step in out {
            assert!(!self.over, "something follows after the end");
            match step {
                Login::Write(bytes) => self.written(&bytes),
                Login::StartTls => {
                    assert!(self.tls() && !self.secured, "TLS that was not to be");
                    self.secured = true;
                    // The driver takes nothing from before TLS for something said inside.
                    self.over = !self.pending.is_empty();
                    if !self.over {
                        let (mut more, bound) = (Vec::new(), self.flags & 32 == 0);
                        self.login.secured(bound.then(|| vec![9; 32]), &mut more);
                        self.steps(more);
                    }
                }
                Login::Ready(_) => {
                    assert!(!self.tls() || self.secured, "ready without TLS");
                    self.over = true;
                }
            }
        }
    }

    fn written(&self, bytes: &[u8]) {
        if self.tls() && !self.secured {
            assert_eq!(bytes, [0, 0, 0, 8, 4, 210, 22, 47], "something is said before TLS");
        }
        let shown = bytes.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes());
        let allowed = self.secured || self.flags & 4 != 0;
        assert!(!shown || (allowed && !self.cancels), "the password is sent in the clear");
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        while !self.over && !self.pending.is_empty() {
            let mut out = Vec::new();
            let outcome = self.login.receive(&self.pending, &mut out);
            let consumed = match &outcome {
                Ok(consumed) => *consumed,
                Err(refusal) => {
                    quiet(refusal);
                    0
                }
            };
            assert!(consumed <= self.pending.len(), "more was consumed than was given");
            self.pending.drain(..consumed);
            let moved = consumed > 0 || !out.is_empty();
            self.steps(out);
            self.over |= outcome.is_err();
            if !moved {
                return;
            }
        }
    }
}

fn quiet(refusal: &Refusal) {
    let said = format!("{} {}", refusal.message, refusal.remedy);
    assert!(!said.contains(PASSWORD), "the refusal has the password in it");
    assert!(!said.contains(['\n', '\r']), "a refusal is one line: {said:?}");
}

fn crawl(parts: &[Vec<u8>]) {
    let Some(mut crawl) = postgres().crawl() else { return };
    let (mut out, mut pending) = (Vec::new(), Vec::new());
    crawl.start(&mut out);
    for part in parts {
        pending.extend_from_slice(part);
        loop {
            let asked = out.len();
            let Ok((consumed, content)) = crawl.receive(&pending, &mut out) else { return };
            assert!(consumed <= pending.len(), "more was consumed than was given");
            pending.drain(..consumed);
            if content.is_some() {
                return;
            }
            if consumed == 0 && out.len() == asked {
                break;
            }
        }
    }
}

/// Runs one login.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let (flags, piece) = (input.byte(), usize::from(input.byte()));
    let mut parts = Vec::new();
    while let Some((kind, content)) = input.record() {
        let bytes = if kind == 0 { content.to_vec() } else { tagged(content) };
        parts.extend(bytes.chunks(if piece == 0 { usize::MAX } else { piece }).map(<[u8]>::to_vec));
    }
    if flags & 192 == 192 {
        return crawl(&parts);
    }
    let cancels = flags & 192 == 128;
    let login = if cancels {
        let established = Established { cancel_key: vec![5; 8], ..Established::default() };
        postgres().cancel(&established, flags & 1 != 0)
    } else {
        postgres().login(request(flags))
    };
    let mut driver = Driver { login, flags, cancels, secured: false, over: false, pending: Vec::new() };
    let mut out = Vec::new();
    driver.login.start(&mut out);
    driver.steps(out);
    parts.iter().for_each(|part| driver.feed(part));
}
