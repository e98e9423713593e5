//! Where a session's recording is: `<yyyy>/<mm>/<dd>/<sid>`, from the time in the session's id.
//!
//! By day, so that retention can drop whole directories and no directory grows without end.

use crate::RecordError;
use vestibule_core::Timestamp;

/// The name of the header.
pub(crate) const HEADER: &str = "header";

/// The keys of a session's objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    sid: String,
    folder: String,
}

impl Place {
    /// The place of a session. Ids are the session driver's: 12 hexadecimal digits of milliseconds, 20 of chance.
    ///
    /// INVARIANT: nothing but lower-case hexadecimal digits gets into a path.
    pub fn of(sid: &str) -> Result<Self, RecordError> {
        let bad = || RecordError::Sid(sid.chars().take(64).collect());
        if sid.len() != 32 || !sid.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(bad());
        }
        let ms = sid.get(..12).and_then(|ms| i64::from_str_radix(ms, 16).ok()).ok_or_else(bad)?;
        let (_, year, month, day) = Timestamp(ms.saturating_mul(1_000)).civil();
        Ok(Self { sid: sid.to_owned(), folder: format!("{year:04}/{month:02}/{day:02}/{sid}") })
    }

    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// `2026/11/25/<sid>`
    pub fn folder(&self) -> &str {
        &self.folder
    }

    pub fn header(&self) -> String {
        format!("{}/{HEADER}", self.folder)
    }

    pub fn chunk(&self, number: u64) -> String {
        format!("{}/{number:08}.chunk", self.folder)
    }

    /// The number of the chunk with this name, if it is one.
    pub fn number(name: &str) -> Option<u64> {
        let digits = name.strip_suffix(".chunk")?;
        let number = digits.parse().ok()?;
        (format!("{number:08}") == digits).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn a_place_follows_from_the_id() {
        let place = Place::of("01a2105b4e4b00112233445566778899").unwrap();
        let ms = i64::from_str_radix("01a2105b4e4b", 16).unwrap();
        let at = vestibule_core::Timestamp(ms * 1_000).to_string();
        let day = at.split_once('T').unwrap().0.replace('-', "/");
        assert_eq!(place.folder(), format!("{day}/01a2105b4e4b00112233445566778899"));
        assert!(place.chunk(7).ends_with("/00000007.chunk"));
        assert_eq!(Place::number("00000007.chunk"), Some(7));
        assert_eq!(Place::number("123456789.chunk"), Some(123_456_789));
    }

    #[test]
    fn nothing_but_an_id_becomes_a_path() {
        for bad in ["", "..", "../../../../../../../../etc/passwd", "01A2105b4e4b00112233445566778899", "/", "01a2"] {
            assert!(Place::of(bad).is_err(), "{bad}");
        }
        for bad in ["7.chunk", "+0000007.chunk", "00000007.chunk.tmp", "0000007x.chunk", "header"] {
            assert_eq!(Place::number(bad), None, "{bad}");
        }
    }
}
