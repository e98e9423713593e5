//! The number people call a request by.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A request's number, written `R-1042`. Never used twice by one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Number(pub u64);

/// What was given is not a request's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a request's number looks like R-1042")]
pub struct NotANumber;

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "R-{}", self.0)
    }
}

impl From<Number> for String {
    fn from(number: Number) -> Self {
        number.to_string()
    }
}

impl TryFrom<String> for Number {
    type Error = NotANumber;
    fn try_from(text: String) -> Result<Self, NotANumber> {
        text.parse()
    }
}

impl FromStr for Number {
    type Err = NotANumber;
    /// `R-1042`, `r-1042` or `1042`.
    fn from_str(text: &str) -> Result<Self, NotANumber> {
        let digits = text.strip_prefix("R-").or_else(|| text.strip_prefix("r-")).unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotANumber);
        }
        digits.parse().map(Self).map_err(|_| NotANumber)
    }
}

#[cfg(test)]
mod tests {
    use super::{NotANumber, Number};

    #[test]
    fn is_read_as_people_write_it() {
        for text in ["R-1042", "r-1042", "1042"] {
            assert_eq!(text.parse(), Ok(Number(1042)));
        }
        for text in ["", "R-", "R--1", "+1", "-1", "1042 ", "R-99999999999999999999", "R-1042; DROP"] {
            assert_eq!(text.parse::<Number>(), Err(NotANumber), "{text}");
        }
        assert_eq!(Number(7).to_string(), "R-7");
    }
}
