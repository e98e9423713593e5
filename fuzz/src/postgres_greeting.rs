//! A client that logs in.
//!
//! Bytes: flags, size of pieces (0: whole), then records: kind 0 as they are, 1 with a tag and a length made here, 2
//! with a length only.
//!
//! Rules: no proof outside TLS, one proof at most, nothing consumed that was not given, nothing after
//! the end.

use crate::input::{Input, tagged, untagged};
use crate::postgres_wire::postgres;
use std::sync::Arc;
use vestibule_core::{Established, Greet, Greeting, Limits, Refusal, RefusalKind, Welcome};

struct Driver {
    greeting: Box<dyn Greeting>,
    good: bool,
    tls: bool,
    over: bool,
    pending: Vec<u8>,
}

impl Driver {
    fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        while !self.over && !self.pending.is_empty() {
            let (before, mut out) = (self.tls, Vec::new());
            let outcome = self.greeting.receive(&self.pending, self.tls, &mut out);
            self.over |= outcome.is_err();
            let consumed = outcome.unwrap_or(0);
            assert!(consumed <= self.pending.len(), "more was consumed than was given");
            self.pending.drain(..consumed);
            let moved = consumed > 0 || !out.is_empty();
            out.into_iter().for_each(|step| self.step(step));
            if self.tls && !before {
                // What came in the clear behind the request is not taken for something said inside TLS.
                self.over |= !self.pending.is_empty();
            }
            if !moved {
                return;
            }
        }
    }

    fn step(&mut self, step: Greet) {
        assert!(!self.over, "something follows after the end: {step:?}");
        match step {
            Greet::Write(bytes) => assert!(!bytes.is_empty(), "nothing is written"),
            // The driver refuses TLS inside TLS; the greeting cannot tell it from a listener that allows clear text.
            Greet::StartTls => (self.over, self.tls) = (self.tls, true),
            Greet::Prove { chosen, token } => {
                assert!(self.tls, "a proof outside TLS for {chosen:?}");
                assert!(!token.expose().is_empty(), "an empty proof");
                self.proven();
            }
            Greet::Cancel(key) => {
                assert!((8..=260).contains(&key.len()), "a cancel key that is none");
                self.over = true;
            }
            Greet::Goodbye => self.over = true,
        }
    }

    fn proven(&mut self) {
        self.over = true;
        let refusal = Refusal::new(RefusalKind::Identity, "your identity could not be proven", "log in again");
        let parameters = [("server_version".to_owned(), "18.1".to_owned())].into();
        let established = Arc::new(Established { parameters, ..Established::default() });
        let welcome = Welcome { established, cancel_key: vec![7; 8] };
        let mut reply = Vec::new();
        self.greeting.proven(if self.good { Ok(&welcome) } else { Err(&refusal) }, &mut reply);
        assert!(!reply.is_empty(), "the client is told nothing");
    }
}

/// Runs one login.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let (flags, piece) = (input.byte(), usize::from(input.byte()));
    let limits = Limits { max_login_bytes: 4 << 10, ..Limits::default() };
    let greeting = postgres().greet(limits, [7; 32]);
    let (good, tls) = (flags & 1 != 0, flags & 2 != 0);
    let mut driver = Driver { greeting, good, tls, over: false, pending: Vec::new() };
    while let Some((kind, content)) = input.record() {
        let bytes = match kind % 3 {
            0 => content.to_vec(),
            1 => tagged(content),
            _ => untagged(content),
        };
        for part in bytes.chunks(if piece == 0 { usize::MAX } else { piece }) {
            driver.feed(part);
        }
    }
}
