//! A cancel request: on a connection of its own, one message, no answer.

use super::{tls_answer, tls_request};
use crate::handshake::{self, CANCEL_REQUEST};
use vestibule_core::{Established, Login as Step, Refusal, TargetLogin};

/// Cancels what a session runs.
pub(crate) struct Cancel {
    key: Vec<u8>,
    tls: bool,
    asked: bool,
}

impl Cancel {
    pub(crate) fn new(established: &Established, tls: bool) -> Self {
        Self { key: established.cancel_key.clone(), tls, asked: false }
    }

    fn request(&self, out: &mut Vec<Step>) {
        // A target that gave no key cannot be asked.
        if !self.key.is_empty() {
            let mut message = Vec::new();
            handshake::bare(&mut message, |body| {
                body.extend_from_slice(&CANCEL_REQUEST.to_be_bytes());
                body.extend_from_slice(&self.key);
            });
            out.push(Step::Write(message));
        }
        out.push(Step::Ready(Established::default()));
    }
}

impl TargetLogin for Cancel {
    fn start(&mut self, out: &mut Vec<Step>) {
        if self.tls {
            self.asked = true;
            out.push(Step::Write(tls_request()));
        } else {
            self.request(out);
        }
    }

    fn secured(&mut self, _binding: Option<Vec<u8>>, out: &mut Vec<Step>) {
        // With TLS from the first byte this comes before the start.
        if self.asked {
            self.request(out);
        }
    }

    fn receive(&mut self, bytes: &[u8], out: &mut Vec<Step>) -> Result<usize, Refusal> {
        let Some(answer) = bytes.first() else { return Ok(0) };
        tls_answer(*answer)?;
        out.push(Step::StartTls);
        Ok(1)
    }
}
