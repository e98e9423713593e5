//! What the target says without being asked, and how its errors and notices are told.

use super::Session;
use super::back::Answer;
use crate::wire::{body, build};
use std::sync::Arc;
use vestibule_core::{Field, OpId, Origin, Side, Steps, Treatment, ValueKind, WireError};

/// Parameters whose values come from a fixed list.
const PLAIN_PARAMETERS: [&[u8]; 10] = [
    b"client_encoding",
    b"DateStyle",
    b"default_transaction_read_only",
    b"in_hot_standby",
    b"integer_datetimes",
    b"IntervalStyle",
    b"is_superuser",
    b"server_encoding",
    b"server_version",
    b"standard_conforming_strings",
];

impl Session {
    /// NoticeResponse, NotificationResponse, ParameterStatus: at any time.
    pub(super) fn unasked(&mut self, answer: Answer<'_>, out: &mut Steps) -> Result<(), WireError> {
        match answer.kind {
            b'S' => {
                let mut parts = body(answer.frame).split(|b| *b == 0);
                let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                self.names.parameter(name, value);
                if self.may_tell(name) {
                    self.relay(answer, None, out);
                }
                Ok(())
            }
            b'A' if self.withholds_payloads() => self.notify_without_payload(answer, out),
            b'A' => {
                self.relay(answer, None, out);
                Ok(())
            }
            _ => self.say_failed(answer, self.answered_op(), out),
        }
    }

    /// Whether the client is told a parameter. Code that touches masked values could have put one into any whose values
    /// are free text; those of the others come from a fixed list.
    fn may_tell(&self, name: &[u8]) -> bool {
        let terms = self.answered_op().and_then(|id| self.ops.get(id)).and_then(|op| op.terms.as_ref());
        let free = !PLAIN_PARAMETERS.contains(&name);
        !(self.phi && free && (self.opaque || terms.is_some_and(|terms| terms.scrub)))
    }

    /// Whether words from nowhere are masked for this client.
    fn withholds_payloads(&self) -> bool {
        let field = Field { name: "payload", origin: Origin::Unknown, kind: ValueKind::Text };
        self.phi
            && self.last_mask.as_ref().is_none_or(|mask| {
                !matches!(mask.plan(std::slice::from_ref(&field)).0.first(), Some(Treatment::Pass(_)))
            })
    }

    fn notify_without_payload(&mut self, answer: Answer<'_>, out: &mut Steps) -> Result<(), WireError> {
        let mut reader = crate::wire::read::Reader::new(body(answer.frame), "NotificationResponse");
        let (process, channel) = (reader.u32()?, reader.string()?);
        out.write(Side::Client, None, |made| {
            build::message(made, b'A', |made| {
                made.extend_from_slice(&process.to_be_bytes());
                build::string(made, channel);
                made.push(0);
            });
        });
        Ok(())
    }

    /// Relays an error or a notice, scrubbed where its operation touches masked data.
    pub(super) fn say_failed(
        &mut self,
        answer: Answer<'_>,
        id: Option<OpId>,
        out: &mut Steps,
    ) -> Result<(), WireError> {
        let op = id.and_then(|id| self.ops.get(id));
        let scrubs = op.and_then(|op| op.terms.as_ref()).map_or(self.phi, |terms| terms.scrub);
        if !scrubs {
            self.relay(answer, id, out);
            return Ok(());
        }
        let text = op.map(|op| Arc::clone(&op.said));
        let text = text.as_ref().and_then(|said| std::str::from_utf8(&said.bytes).ok());
        let start = out.made.len();
        super::scrub::scrub(answer.kind, body(answer.frame), text, &mut out.made)?;
        self.relay_made(start, id, out);
        Ok(())
    }
}
