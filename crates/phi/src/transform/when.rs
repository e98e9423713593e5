//! Dates that were stored as text, in the forms people and standards write.
//!
//! What is not clearly one of these forms is not read, so that it is redacted: a year taken from the wrong digits
//! would show a day and a month. Two-digit years are never read. Not here: what is shown of a date.

use crate::calendar::{days, days_in};
use std::fmt::Write as _;

/// How a date was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `1931`
    Year,
    /// `19310502`, and more digits of time: HL7 v2, DICOM.
    Compact,
    /// `1931-05-02`, with this sign between.
    YearFirst(char),
    /// `05/02/1931` or `02.05.1931`, with this sign between.
    YearLast(char),
    /// `2 May 1931`, `May 2, 1931`, `2-May-1931`.
    Named,
}

/// A date that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct When {
    pub year: i64,
    /// The day, where it is certain which one is meant.
    pub day: Option<i64>,
    pub form: Form,
}

impl When {
    /// 1 January of `year`, as this date was written.
    pub(super) fn write(self, year: i64, text: &mut String) {
        // Writing into a String cannot fail.
        let _ = match self.form {
            Form::Year => write!(text, "{year:04}"),
            Form::Compact => write!(text, "{year:04}0101"),
            Form::YearFirst(sign) => write!(text, "{year:04}{sign}01{sign}01"),
            Form::YearLast(sign) => write!(text, "01{sign}01{sign}{year:04}"),
            Form::Named => write!(text, "1 Jan {year:04}"),
        };
    }
}

/// Reads a date, with or without a time after it.
pub(super) fn read(text: &str) -> Option<When> {
    let text = text.trim();
    if !text.is_ascii() || text.len() > 64 {
        return None;
    }
    compact(text).or_else(|| numbers(text)).or_else(|| named(text))
}

fn compact(text: &str) -> Option<When> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (date, rest) = text.split_at_checked(digits)?;
    if digits == 4 && rest.is_empty() {
        return Some(When { year: year(date)?, day: None, form: Form::Year });
    }
    // Six digits may be a year and month or a day, a month and a year: not read.
    if !matches!(digits, 8 | 10 | 12 | 14) || !is_time(rest) {
        return None;
    }
    let (y, m, d) = (year(date.get(..4)?)?, number(date.get(4..6)?)?, number(date.get(6..8)?)?);
    Some(When { year: y, day: Some(day(y, m, d)?), form: Form::Compact })
}

fn numbers(text: &str) -> Option<When> {
    let sign = text.chars().find(|c| !c.is_ascii_digit()).filter(|c| matches!(c, '-' | '/' | '.'))?;
    let (first, rest) = text.split_once(sign)?;
    let (second, rest) = rest.split_once(sign)?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (third, rest) = rest.split_at_checked(digits)?;
    if !is_time(rest) || rest.starts_with(['.', '-', '+']) {
        return None;
    }
    if first.len() == 4 {
        let y = year(first)?;
        return Some(When {
            year: y,
            day: Some(day(y, number(second)?, number(third)?)?),
            form: Form::YearFirst(sign),
        });
    }
    let (y, a, b) = (year(third)?, number(first)?, number(second)?);
    let day = match (day(y, a, b), day(y, b, a)) {
        (None, None) => return None,
        // Month first or day first: nobody can tell.
        (Some(one), Some(other)) if one != other => None,
        (one, other) => one.or(other),
    };
    Some(When { year: y, day, form: Form::YearLast(sign) })
}

fn named(text: &str) -> Option<When> {
    let mut words = text.split([' ', ',', '-']).filter(|w| !w.is_empty());
    let (a, b, y) = (words.next()?, words.next()?, year(words.next()?)?);
    let (m, d) = month(b).map(|m| (m, a)).or_else(|| month(a).map(|m| (m, b)))?;
    let d = number(d.trim_end_matches(['s', 't', 'n', 'd', 'r', 'h', '.']))?;
    if !words.all(is_time) {
        return None;
    }
    Some(When { year: y, day: Some(day(y, m, d)?), form: Form::Named })
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

fn month(word: &str) -> Option<i64> {
    let word = word.trim_end_matches('.').as_bytes();
    let is_meant = |name: &&str| {
        let name = name.as_bytes();
        (3..=name.len()).contains(&word.len()) && name.get(..word.len()).is_some_and(|n| n.eq_ignore_ascii_case(word))
    };
    MONTHS.iter().position(is_meant).and_then(|at| i64::try_from(at + 1).ok())
}

fn number(digits: &str) -> Option<i64> {
    let sound = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    sound.then(|| digits.parse().ok()).flatten()
}

/// Four digits that can be the year of something in a patient's life.
fn year(digits: &str) -> Option<i64> {
    let sound = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit());
    sound.then(|| digits.parse().ok()).flatten().filter(|y| (1800..=2200).contains(y))
}

fn day(y: i64, m: i64, d: i64) -> Option<i64> {
    ((1..=12).contains(&m) && (1..=days_in(y, m)).contains(&d)).then(|| days(y, m, d))
}

/// Nothing, or what can be a time of day and its zone.
fn is_time(rest: &str) -> bool {
    rest.bytes().all(|b| b.is_ascii_digit() || b" :.,+-TZAPMUCtzapmuc".contains(&b))
}
