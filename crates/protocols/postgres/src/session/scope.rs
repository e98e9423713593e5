//! Knowing what names mean: waiting for answers that may change it, and asking the target for its search path.

use super::Session;
use super::awaited::{Awaited, What};
use super::back::Answer;
use super::refuse::No;
use super::registry::Prepared;
use super::text::{Meant, Said};
use crate::wire::read::Reader;
use crate::wire::{body, build, malformed};
use std::sync::Arc;
use vestibule_core::{Side, Steps, WireError};

/// The name of our own statements; a client that takes it only makes the question fail, and then nothing is known.
const NAME: &[u8] = b"_vestibule_scope";
/// What is asked, in this order. SHOW takes no snapshot, so a transaction can still be told how it is to run.
const QUESTIONS: [&str; 4] =
    ["SHOW search_path", "SHOW role", "SHOW standard_conforming_strings", "SHOW client_encoding"];
/// For each: ParseComplete, BindComplete, DataRow, CommandComplete, two times CloseComplete.
const ANSWERS: u8 = 6;
/// With more than this unanswered, nothing more is read.
const MOST_AWAITED: usize = 32_768;

impl Session {
    /// Whether a text can be read now. If not, what is needed has been asked for, and the client's bytes wait.
    pub(super) fn can_read(&mut self, out: &mut Steps) -> bool {
        if self.ops.waiting_for > 0 || self.awaited.len() > MOST_AWAITED {
            self.nudge(out);
            return false;
        }
        // A failed transaction answers nothing; what it accepts needs no names.
        if self.names.path.is_some() || self.catalog.is_none() || self.status == b'E' {
            return true;
        }
        if self.awaited.is_empty() {
            self.ask_scope(out);
        } else {
            self.nudge(out);
        }
        false
    }

    /// Makes the target answer what it was asked in a pipeline without a Sync.
    pub(super) fn nudge(&mut self, out: &mut Steps) {
        if self.unsynced && !self.flushed && !self.awaited.is_empty() {
            out.write(Side::Target, None, |made| build::bare(made, b'H'));
            self.flushed = true;
        }
    }

    fn ask_scope(&mut self, out: &mut Steps) {
        // Inside a pipeline a Sync would commit what the client has not finished.
        let sync = !self.unsynced;
        out.write(Side::Target, None, |made| {
            for question in QUESTIONS {
                build::parse(made, NAME, question);
                build::bind(made, NAME, NAME);
                build::execute(made, NAME);
                build::close_name(made, b'P', NAME);
                build::close_name(made, b'S', NAME);
            }
            build::bare(made, if sync { b'S' } else { b'H' });
        });
        self.flushed = true;
        self.awaited.push_back(Awaited::new(What::Scope { answers: 0, path: None, sync }, None));
    }

    /// The answers to our own question.
    pub(super) fn scope_answered(&mut self, answer: Answer<'_>, out: &mut Steps) -> Result<(), WireError> {
        let Some(Awaited { what: What::Scope { answers, path, sync }, .. }) = self.awaited.front_mut() else {
            return Ok(());
        };
        let sync = *sync;
        match answer.kind {
            b'D' => {
                let mut reader = Reader::new(body(answer.frame), "DataRow");
                reader.count()?;
                let value = reader.value()?.unwrap_or_default();
                match *answers / ANSWERS {
                    0 => *path = Some(String::from_utf8_lossy(value).into_owned()),
                    1 => {
                        let path = path.take().unwrap_or_default();
                        self.names.learn(&path, value);
                    }
                    2 => self.names.parameter(b"standard_conforming_strings", value),
                    _ => self.names.parameter(b"client_encoding", value),
                }
            }
            b'1' | b'2' | b'C' | b'3' => {}
            b'E' if sync => self.names.learn("", b"none"),
            b'E' => {
                // Nothing is known, and the client's pipeline has failed with our question.
                self.names.learn("", b"none");
                let no = No::ours("58000", "the gateway could not ask for the settings of the session", "try again");
                out.write(Side::Client, None, |made| no.write(made));
                self.skip_answers(None, out);
                return Ok(());
            }
            b'Z' if sync => {
                if let [status] = body(answer.frame) {
                    self.status = *status;
                }
                self.awaited.pop_front();
                return Ok(());
            }
            _ => return Err(malformed("an answer that our own question does not have")),
        }
        if let Some(Awaited { what: What::Scope { answers, .. }, .. }) = self.awaited.front_mut() {
            *answers = answers.saturating_add(1);
            let all = ANSWERS.saturating_mul(u8::try_from(QUESTIONS.len()).unwrap_or(u8::MAX));
            if *answers >= all && !sync {
                self.awaited.pop_front();
            }
        }
        Ok(())
    }

    /// What `text` says now.
    pub(super) fn read_text(&mut self, text: &[u8]) -> Arc<Said> {
        let key = self.names.number(self.version);
        let scope = self.names.scope(self.catalog.as_deref());
        self.texts.read(key, text, &scope, self.names.readable)
    }

    /// The number of the scope in force.
    pub(super) fn scope_number(&mut self) -> u32 {
        self.names.number(self.version)
    }

    /// The statement as it is to be understood now: names may mean something else than when it was prepared.
    pub(super) fn current(&mut self, prepared: Prepared) -> Prepared {
        let scope = self.scope_number();
        if prepared.scope == scope {
            return prepared;
        }
        let said = self.read_text(&prepared.said.bytes);
        let found = said.meant.get(prepared.index);
        let meant = if prepared.inner { found.and_then(|m| m.inner.as_ref()) } else { found }.map(Arc::clone);
        // The same text cannot say less than before; if it does, nothing is known of it.
        let meant = meant.unwrap_or_else(|| Meant::opaque(&said.bytes));
        Prepared { said, meant, scope, index: prepared.index, inner: prepared.inner }
    }
}
