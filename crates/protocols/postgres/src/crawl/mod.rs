//! Reads a target's catalog over a session of the gateway's own: plain questions in the simple protocol, all sent at
//! once, in one snapshot of the target.
//!
//! Left out on purpose: TOAST tables and other sessions' temporary tables. What is not in a catalog is unknown, and what
//! is unknown is masked.
//!
//! What is found is a [`vestibule_sql::Catalog`]. Not here: the search path, which is a session's own and is asked there;
//! how statements are read by it (`vestibule-sql`); when it is read (the gateway).

mod collect;
mod questions;
#[cfg(test)]
mod tests;

use crate::handshake::{self, Fields, Framed};
use collect::Collected;
use questions::QUESTIONS;
use std::any::Any;
use std::sync::Arc;
use vestibule_core::{Crawl, Refusal, RefusalKind};

/// Longest message: a view's definition or a function's body.
const LONGEST: usize = 32 << 20;
/// Most bytes of all answers together; a database with 50,000 columns has about 10 MiB.
const MOST_BYTES: usize = 512 << 20;

fn refuse(what: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Target, what, "check what the gateway's account may read in pg_catalog at the target")
}

/// A crawl.
pub(crate) struct Reader {
    /// Which question is being answered.
    at: usize,
    collected: Collected,
    bytes: usize,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self { at: 0, collected: Collected::default(), bytes: 0 }
    }

    /// Reads one message; whether it was the last.
    fn message(&mut self, tag: u8, body: &[u8]) -> Result<bool, Refusal> {
        let (_, topic) = QUESTIONS.get(self.at).ok_or_else(|| refuse("the target says more than it was asked"))?;
        match tag {
            b'D' => {
                let row = row(body).ok_or_else(|| refuse("the target sends a row that is none"))?;
                let taken = self.collected.take(*topic, &row);
                taken.ok_or_else(|| refuse(format!("the target answers something else than its {}", topic.name())))?;
                Ok(false)
            }
            b'Z' => {
                self.at += 1;
                Ok(self.at == QUESTIONS.len())
            }
            // What the rows are made of is fixed by the question; notices and parameters do not matter here.
            b'T' | b'C' | b'N' | b'S' | b'A' => Ok(false),
            b'E' => Err(refuse(format!("the target does not tell its {}: {}", topic.name(), words(body)))),
            _ => Err(refuse("the target answers a question about its catalog with something else")),
        }
    }
}

impl Crawl for Reader {
    fn start(&mut self, out: &mut Vec<u8>) {
        for (question, _) in QUESTIONS {
            handshake::message(out, b'Q', |body| handshake::string(body, question.as_bytes()));
        }
    }

    fn receive(
        &mut self,
        bytes: &[u8],
        _out: &mut Vec<u8>,
    ) -> Result<(usize, Option<(Arc<dyn Any + Send + Sync>, String)>), Refusal> {
        let mut consumed = 0;
        loop {
            let rest = bytes.get(consumed..).unwrap_or_default();
            match handshake::tagged(rest, LONGEST) {
                Framed::Part => return Ok((consumed, None)),
                Framed::Bad(_) => return Err(refuse("a part of the target's catalog is too long, or no message")),
                Framed::Whole { tag, body, used } => {
                    consumed += used;
                    self.bytes += used;
                    if self.bytes > MOST_BYTES {
                        return Err(refuse("the target's catalog is too large"));
                    }
                    if self.message(tag, body)? {
                        let catalog = std::mem::take(&mut self.collected).finish();
                        let digest = catalog.digest().to_owned();
                        return Ok((consumed, Some((Arc::new(catalog), digest))));
                    }
                }
            }
        }
    }
}

/// The columns of a `DataRow`, as text.
fn row(body: &[u8]) -> Option<Vec<Option<&str>>> {
    let mut fields = Fields(body);
    let count = usize::from(fields.u16()?);
    let mut columns = Vec::with_capacity(count.min(16));
    for _ in 0..count {
        columns.push(match fields.u32()? {
            u32::MAX => None,
            length => Some(std::str::from_utf8(fields.bytes(usize::try_from(length).ok()?)?).ok()?),
        });
    }
    fields.is_empty().then_some(columns)
}

/// The message of an error, for the operators, in one line.
fn words(body: &[u8]) -> String {
    let mut fields = Fields(body);
    while let Some(field) = fields.byte().filter(|field| *field != 0) {
        let Some(value) = fields.string() else { break };
        if field == b'M' {
            let text = String::from_utf8_lossy(value);
            return text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
        }
    }
    "no reason given".to_owned()
}
