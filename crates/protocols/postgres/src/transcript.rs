//! What a person reads in a replay: the masked answers, as psql would show them in its plainest form.

use crate::wire::read::{Reader, error_field, row_description};
use crate::wire::{Front, body, front};
use vestibule_core::{Side, Transcript, TranscriptLine};

/// A value is shown up to here.
const LONGEST: usize = 400;
const MOST: usize = 64 << 20;

/// For replay.
pub(crate) fn transcript() -> Box<dyn Transcript> {
    Box::new(Reading::default())
}

#[derive(Debug, Default)]
struct Reading {
    carry: Vec<u8>,
    binary: Vec<bool>,
    lost: bool,
}

impl Transcript for Reading {
    fn read(&mut self, to: Side, bytes: &[u8], out: &mut Vec<TranscriptLine>) {
        if to != Side::Client || self.lost {
            return;
        }
        let mut carry = std::mem::take(&mut self.carry);
        carry.extend_from_slice(bytes);
        let mut rest = carry.as_slice();
        loop {
            match front(rest, MOST) {
                Ok(Front::Frame { kind, len }) => {
                    let (frame, after) = rest.split_at_checked(len).unwrap_or((rest, b""));
                    rest = after;
                    if let Some(text) = self.line(kind, body(frame)) {
                        out.push(TranscriptLine { text });
                    }
                }
                Ok(_) => break,
                Err(_) => {
                    out.push(TranscriptLine { text: "(the recorded bytes cannot be read from here on)".to_owned() });
                    self.lost = true;
                    return;
                }
            }
        }
        self.carry = rest.to_vec();
    }
}

impl Reading {
    fn line(&mut self, kind: u8, body: &[u8]) -> Option<String> {
        match kind {
            b'T' => {
                let columns = row_description(body).ok()?;
                self.binary = columns.iter().map(|c| c.binary).collect();
                Some(joined(columns.iter().map(|c| plain(c.name))))
            }
            b'D' => self.row(body),
            b'd' => Some(plain(body)),
            b'C' => Some(plain(body.strip_suffix(&[0]).unwrap_or(body))),
            b'E' | b'N' => {
                let field = |kind| error_field(body, kind).map(plain).unwrap_or_default();
                let mut text = format!("{}: {} ({})", field(b'S'), field(b'M'), field(b'C'));
                for (kind, word) in [(b'D', "DETAIL"), (b'H', "HINT")] {
                    if let Some(more) = error_field(body, kind) {
                        text = format!("{text} {word}: {}", plain(more));
                    }
                }
                Some(text)
            }
            b'A' => {
                let mut reader = Reader::new(body, "NotificationResponse");
                reader.u32().ok()?;
                Some(format!("notification on {}", plain(reader.string().ok()?)))
            }
            b's' => Some("(more rows to come)".to_owned()),
            b'G' => Some("(the client sends data)".to_owned()),
            _ => None,
        }
    }

    fn row(&self, body: &[u8]) -> Option<String> {
        let mut reader = Reader::new(body, "DataRow");
        let count = reader.count().ok()?;
        let mut values = Vec::with_capacity(count.min(body.len()));
        for at in 0..count {
            values.push(match reader.value().ok()? {
                None => "NULL".to_owned(),
                Some(value) if self.binary.get(at).copied().unwrap_or(false) => binary(value),
                Some(value) => plain(value),
            });
        }
        Some(joined(values.into_iter()))
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" | ")
}

/// Binary values as text where they are text, otherwise in hex.
fn binary(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if !text.chars().any(char::is_control) => plain(value),
        _ => {
            let mut out = String::from("\\x");
            for byte in value.iter().take(LONGEST / 2) {
                out.push_str(&format!("{byte:02x}"));
            }
            out
        }
    }
}

/// Without line ends and control characters, which could speak to a terminal.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out: String = text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::transcript;
    use crate::wire::build;
    use vestibule_core::Side;

    #[test]
    fn answers_become_lines_whatever_the_pieces() {
        let mut bytes = Vec::new();
        build::message(&mut bytes, b'T', |out| {
            out.extend_from_slice(b"\0\x02");
            out.extend_from_slice(b"name\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0");
            out.extend_from_slice(b"n\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\x01");
        });
        build::message(&mut bytes, b'D', |out| {
            out.extend_from_slice(b"\0\x02\0\0\0\x07a\x1b[31mb\0\0\0\x04\0\0\0\x07");
        });
        build::complete(&mut bytes, "SELECT 1");
        build::ready(&mut bytes, b'I');
        let mut lines = Vec::new();
        let mut reading = transcript();
        for piece in bytes.chunks(3) {
            reading.read(Side::Client, piece, &mut lines);
        }
        let lines: Vec<_> = lines.into_iter().map(|l| l.text).collect();
        assert_eq!(lines, ["name | n", "a [31mb | \\x00000007", "SELECT 1"]);
    }
}
