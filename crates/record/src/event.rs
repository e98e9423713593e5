//! What a recording holds, and its bytes inside a chunk.
//!
//! Written without allocation: the hot path appends to a buffer that is reused.

use crate::RecordError;
use vestibule_core::{Disclosure, OpId, Side};

/// Something to record.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// Bytes were written to a side, as that side received them (masked).
    Frames {
        /// To whom.
        side: Side,
        /// On behalf of which operation.
        op: Option<OpId>,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// An operation was asked.
    Asked {
        /// Which.
        op: OpId,
        /// The protocol's word for it.
        action: &'a str,
        /// Its text, without PHI literals.
        text: &'a str,
    },
    /// An operation was ruled on.
    Ruled {
        /// Which.
        op: OpId,
        /// `permit`, or the kind of refusal.
        ruling: &'a str,
        /// The rule's words.
        detail: &'a str,
    },
    /// The gateway told the client something.
    Notice {
        /// What.
        text: &'a str,
    },
    /// An operation is over.
    Done {
        /// Which.
        op: OpId,
        /// What it disclosed.
        disclosure: &'a Disclosure,
    },
}

/// Something that was recorded, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Microseconds since the session began. Never less than the moment's before.
    pub at_us: u64,
    /// What.
    pub what: What,
}

/// Something that was recorded. As [`Event`], but owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Bytes were written to a side. What was written at once may come in several pieces.
    Frames {
        /// To whom.
        side: Side,
        /// On behalf of which operation.
        op: Option<OpId>,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// An operation was asked.
    Asked {
        /// Which.
        op: OpId,
        /// The protocol's word for it.
        action: String,
        /// Its text, without PHI literals.
        text: String,
    },
    /// An operation was ruled on.
    Ruled {
        /// Which.
        op: OpId,
        /// `permit`, or the kind of refusal.
        ruling: String,
        /// The rule's words.
        detail: String,
    },
    /// The gateway told the client something.
    Notice {
        /// What.
        text: String,
    },
    /// An operation is over.
    Done {
        /// Which.
        op: OpId,
        /// What it disclosed.
        disclosure: Disclosure,
    },
}

const FRAMES: u8 = 1;
const ASKED: u8 = 2;
const RULED: u8 = 3;
const NOTICE: u8 = 4;
const DONE: u8 = 5;
const TO_TARGET: u8 = 1;
const HAS_OP: u8 = 2;

/// Most bytes an event needs besides its texts.
const OVERHEAD: usize = 64;

impl Event<'_> {
    /// An upper bound of what [`Event::write`] appends; for a disclosure an estimate that is checked nowhere.
    pub(crate) fn size(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Frames { bytes, .. } => bytes.len(),
                Self::Asked { action, text, .. } => action.len().saturating_add(text.len()),
                Self::Ruled { ruling, detail, .. } => ruling.len().saturating_add(detail.len()),
                Self::Notice { text } => text.len(),
                Self::Done { .. } => 1_024,
            }
    }

    /// Appends the event, `after_us` after the one before it.
    pub(crate) fn write(&self, after_us: u64, out: &mut Vec<u8>) -> Result<(), RecordError> {
        match self {
            Self::Frames { side, op, bytes } => {
                begin(out, FRAMES, after_us);
                let to = if *side == Side::Target { TO_TARGET } else { 0 };
                out.push(to | if op.is_some() { HAS_OP } else { 0 });
                if let Some(op) = op {
                    varint(out, op.0);
                }
                blob(out, bytes);
            }
            Self::Asked { op, action, text } => {
                begin(out, ASKED, after_us);
                varint(out, op.0);
                blob(out, action.as_bytes());
                blob(out, text.as_bytes());
            }
            Self::Ruled { op, ruling, detail } => {
                begin(out, RULED, after_us);
                varint(out, op.0);
                blob(out, ruling.as_bytes());
                blob(out, detail.as_bytes());
            }
            Self::Notice { text } => {
                begin(out, NOTICE, after_us);
                blob(out, text.as_bytes());
            }
            Self::Done { op, disclosure } => {
                begin(out, DONE, after_us);
                varint(out, op.0);
                return json(out, disclosure);
            }
        }
        Ok(())
    }
}

fn begin(out: &mut Vec<u8>, kind: u8, after_us: u64) {
    out.push(kind);
    varint(out, after_us);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn blob(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// JSON behind its length, which is known only afterwards and so has a fixed width.
fn json(out: &mut Vec<u8>, disclosure: &Disclosure) -> Result<(), RecordError> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut *out, disclosure).map_err(|_| RecordError::Internal)?;
    let length = u32::try_from(out.len().saturating_sub(start).saturating_sub(4)).map_err(|_| RecordError::Internal)?;
    if let Some(slot) = out.get_mut(start..).and_then(|rest| rest.first_chunk_mut::<4>()) {
        *slot = length.to_be_bytes();
    }
    Ok(())
}

/// Reads events back. `None` anywhere: the bytes are not events.
pub(crate) struct Events<'a> {
    rest: &'a [u8],
    at_us: u64,
}

impl<'a> Events<'a> {
    pub const fn new(bytes: &'a [u8], from_us: u64) -> Self {
        Self { rest: bytes, at_us: from_us }
    }

    /// How many bytes are left.
    pub const fn left(&self) -> usize {
        self.rest.len()
    }

    pub fn read(&mut self) -> Option<Moment> {
        let kind = self.byte()?;
        let after = self.varint()?;
        self.at_us = self.at_us.checked_add(after)?;
        let what = match kind {
            FRAMES => self.frames()?,
            ASKED => What::Asked { op: self.op()?, action: self.text()?, text: self.text()? },
            RULED => What::Ruled { op: self.op()?, ruling: self.text()?, detail: self.text()? },
            NOTICE => What::Notice { text: self.text()? },
            DONE => self.done()?,
            _ => return None,
        };
        Some(Moment { at_us: self.at_us, what })
    }

    fn frames(&mut self) -> Option<What> {
        let flags = self.byte()?;
        if flags & !(TO_TARGET | HAS_OP) != 0 {
            return None;
        }
        let side = if flags & TO_TARGET == 0 { Side::Client } else { Side::Target };
        let op = if flags & HAS_OP == 0 { None } else { Some(self.op()?) };
        Some(What::Frames { side, op, bytes: self.blob()?.to_vec() })
    }

    fn done(&mut self) -> Option<What> {
        let op = self.op()?;
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        let (json, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        self.rest = rest;
        Some(What::Done { op, disclosure: serde_json::from_slice(json).ok()? })
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn op(&mut self) -> Option<OpId> {
        self.varint().map(OpId)
    }

    fn blob(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        Some(std::str::from_utf8(self.blob()?).ok()?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, Events, Moment, What};
    use proptest::prelude::*;
    use vestibule_core::{Disclosure, OpId, PhiClass, Side};

    fn side() -> impl Strategy<Value = Side> {
        prop_oneof![Just(Side::Client), Just(Side::Target)]
    }

    fn what() -> impl Strategy<Value = What> {
        let bytes = prop::collection::vec(any::<u8>(), 0..300);
        let counts = prop::collection::btree_map(prop::sample::select(PhiClass::ALL), any::<u64>(), 0..4);
        prop_oneof![
            (side(), any::<Option<u64>>(), bytes).prop_map(|(side, op, bytes)| What::Frames {
                side,
                op: op.map(OpId),
                bytes
            }),
            (any::<u64>(), ".*", ".*").prop_map(|(op, action, text)| What::Asked { op: OpId(op), action, text }),
            (any::<u64>(), ".*", ".*").prop_map(|(op, ruling, detail)| What::Ruled { op: OpId(op), ruling, detail }),
            ".*".prop_map(|text| What::Notice { text }),
            (any::<u64>(), any::<u64>(), counts, any::<Option<String>>()).prop_map(|(op, rows, masked, tag)| {
                What::Done { op: OpId(op), disclosure: Disclosure { rows, masked, tag, ..Disclosure::default() } }
            }),
        ]
    }

    fn event(what: &What) -> Event<'_> {
        match what {
            What::Frames { side, op, bytes } => Event::Frames { side: *side, op: *op, bytes },
            What::Asked { op, action, text } => Event::Asked { op: *op, action, text },
            What::Ruled { op, ruling, detail } => Event::Ruled { op: *op, ruling, detail },
            What::Notice { text } => Event::Notice { text },
            What::Done { op, disclosure } => Event::Done { op: *op, disclosure },
        }
    }

    /// The vector of `docs/spec/recording.md`.
    #[test]
    fn a_notice_has_these_bytes() {
        let mut bytes = Vec::new();
        Event::Notice { text: "hi" }.write(300, &mut bytes).unwrap();
        assert_eq!(bytes, [0x04, 0xac, 0x02, 0x02, 0x68, 0x69]);
    }

    proptest! {
        #[test]
        fn events_come_back(list in prop::collection::vec((0_u64..1 << 40, what()), 0..20)) {
            let mut bytes = Vec::new();
            for (after, what) in &list {
                let (before, event) = (bytes.len(), event(what));
                event.write(*after, &mut bytes).unwrap();
                prop_assert!(bytes.len() - before <= event.size());
            }
            let mut events = Events::new(&bytes, 5);
            let mut at_us = 5;
            for (after, what) in list {
                at_us += after;
                prop_assert_eq!(events.read(), Some(Moment { at_us, what }));
            }
            prop_assert!(events.left() == 0 && events.read().is_none());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut events = Events::new(&bytes, u64::MAX - 3);
            while events.read().is_some() {}
        }
    }
}
