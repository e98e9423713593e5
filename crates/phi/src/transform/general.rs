//! Generalising: years, ages, ZIP prefixes.
//!
//! 45 CFR 164.514(b)(2)(i)(B) and (C). The boundary of 90 years is drawn from the day on which the mask is planned.
//! A date of any kind so long ago tells an age over 89 as well, so that all dates are held against it. Not here: dates
//! in running text.

use super::constant::{DAY, YEAR, fits};
use super::{when, zip};
use crate::Day;
use crate::calendar::{DAY_MICROS, days, year_of};
use std::fmt::Write as _;
use vestibule_core::{CannotMask, Masked, PhiClass, Transform, Value, ValueKind};

/// A text that cannot be generalised is redacted.
fn redacted(class: PhiClass, text: &mut String) -> Masked {
    text.push('[');
    text.push_str(class.name());
    text.push(']');
    Masked::Text
}

fn written(number: i64, text: &mut String) -> Masked {
    // Writing into a String cannot fail.
    let _ = write!(text, "{number}");
    Masked::Text
}

/// 1 January of the year; 1900 for what is 90 years ago.
#[derive(Debug)]
pub(super) struct Year {
    class: PhiClass,
    kind: ValueKind,
    over_89: i64,
}

impl Year {
    pub(super) fn new(class: PhiClass, kind: ValueKind, today: Day) -> Option<Self> {
        let fits = matches!(
            kind,
            ValueKind::Date | ValueKind::Timestamp | ValueKind::Text | ValueKind::Numeric | ValueKind::Integer(_)
        );
        fits.then_some(Self { class, kind, over_89: today.over_89() })
    }

    /// The year that is shown of a day; `None` beyond what every server can hold.
    fn of_day(&self, day: i64) -> Option<i64> {
        if !(days(1, 1, 1)..days(10_000, 1, 1)).contains(&day) {
            return None;
        }
        Some(if day <= self.over_89 { YEAR } else { year_of(day) })
    }

    /// The year that is shown of a year alone: hidden if anybody born in it can be over 89.
    fn of_year(&self, year: i64) -> i64 {
        if days(year, 1, 1) <= self.over_89 { YEAR } else { year }
    }

    fn of_number(&self, number: i64) -> Result<i64, CannotMask> {
        match number {
            1_800..=2_200 => Ok(self.of_year(number)),
            18_000_101..=22_001_231 => {
                let mut digits = itoa(number);
                let read = when::read(digits.as_text().ok_or(CannotMask)?).and_then(|w| w.day).ok_or(CannotMask)?;
                Ok(self.of_day(read).ok_or(CannotMask)? * 10_000 + 101)
            }
            _ => Err(CannotMask),
        }
    }

    fn of_text(&self, value: &str, text: &mut String) -> Masked {
        let Some(read) = when::read(value) else { return redacted(self.class, text) };
        let year = read.day.map_or_else(|| Some(self.of_year(read.year)), |day| self.of_day(day));
        match year {
            Some(year) => {
                read.write(year, text);
                Masked::Text
            }
            None => redacted(self.class, text),
        }
    }
}

impl Transform for Year {
    fn apply(&self, value: Value<'_>, text: &mut String) -> Result<Masked, CannotMask> {
        match (self.kind, value) {
            (ValueKind::Date, Value::Date(day)) => {
                let year = self.of_day(day.into()).ok_or(CannotMask)?;
                let day = if year == YEAR { i64::from(DAY) } else { days(year, 1, 1) };
                Ok(Masked::Date(i32::try_from(day).map_err(|_| CannotMask)?))
            }
            (ValueKind::Timestamp, Value::Timestamp(micros)) => {
                let year = self.of_day(micros.div_euclid(DAY_MICROS)).ok_or(CannotMask)?;
                Ok(Masked::Timestamp(days(year, 1, 1) * DAY_MICROS))
            }
            (ValueKind::Integer(bytes), Value::Integer(number)) => {
                let shown = self.of_number(number)?;
                if fits(shown, bytes) { Ok(Masked::Integer(shown)) } else { Err(CannotMask) }
            }
            (ValueKind::Numeric, Value::Text(value)) => {
                let shown = self.of_number(value.parse().map_err(|_| CannotMask)?)?;
                Ok(written(shown, text))
            }
            (ValueKind::Text, Value::Text(value)) => Ok(self.of_text(value, text)),
            _ => Err(CannotMask),
        }
    }
}

/// Eight digits on the stack.
struct Digits([u8; 8]);

impl Digits {
    fn as_text(&mut self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

fn itoa(mut number: i64) -> Digits {
    let mut digits = [b'0'; 8];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
    Digits(digits)
}

/// Ages: over 89 become 90; below, the first year of the band.
#[derive(Debug)]
pub(super) struct Age {
    class: PhiClass,
    kind: ValueKind,
    band: i64,
}

impl Age {
    pub(super) fn new(class: PhiClass, kind: ValueKind, band: i64) -> Option<Self> {
        let fits = matches!(kind, ValueKind::Integer(_) | ValueKind::Float(_) | ValueKind::Numeric | ValueKind::Text);
        fits.then_some(Self { class, kind, band })
    }

    const fn of(&self, years: i64) -> i64 {
        if years > 89 { 90 } else { years - years % self.band }
    }
}

impl Transform for Age {
    fn apply(&self, value: Value<'_>, text: &mut String) -> Result<Masked, CannotMask> {
        match (self.kind, value) {
            (ValueKind::Integer(_), Value::Integer(years)) if years >= 0 => Ok(Masked::Integer(self.of(years))),
            (ValueKind::Float(_), Value::Float(years)) if years >= 0.0 => {
                // Fractions of a year are elements of the birth date.
                let whole = (0..=89_u8).rev().find(|whole| f64::from(*whole) <= years).unwrap_or(0);
                let over = years >= 90.0;
                let shown = if over { 90 } else { self.of(i64::from(whole)) };
                u8::try_from(shown).map(|shown| Masked::Float(f64::from(shown))).map_err(|_| CannotMask)
            }
            (ValueKind::Numeric, Value::Text(value)) => {
                let years = whole_years(value).ok_or(CannotMask)?;
                Ok(written(self.of(years), text))
            }
            (ValueKind::Text, Value::Text(value)) => Ok(match whole_years(without_unit(value)) {
                Some(years) => written(self.of(years), text),
                None => redacted(self.class, text),
            }),
            _ => Err(CannotMask),
        }
    }
}

/// The whole years of `47` or `47.5`.
fn whole_years(value: &str) -> Option<i64> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let sound = (1..=9).contains(&whole.len()) && digits(whole) && digits(fraction);
    sound.then(|| whole.parse().ok()).flatten()
}

/// An age without the word for years; ages in months or days keep theirs, and are then no number.
fn without_unit(value: &str) -> &str {
    let value = value.trim();
    let number = value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || matches!(c, ' ' | '.' | '/'));
    let unit = value.strip_prefix(number).unwrap_or_default().trim();
    let years = ["", "y", "yr", "yrs", "yo", "y.o.", "y/o", "a", "year", "years", "years old"];
    if years.iter().any(|u| u.eq_ignore_ascii_case(unit)) { number } else { value }
}

/// The first three digits of a ZIP code, or 000.
#[derive(Debug)]
pub(super) struct Zip3 {
    kind: ValueKind,
}

impl Zip3 {
    pub(super) fn new(class: PhiClass, kind: ValueKind) -> Option<Self> {
        let fits = matches!(kind, ValueKind::Text | ValueKind::Integer(4 | 8) | ValueKind::Numeric);
        (fits && class == PhiClass::Zip).then_some(Self { kind })
    }
}

impl Transform for Zip3 {
    fn apply(&self, value: Value<'_>, text: &mut String) -> Result<Masked, CannotMask> {
        match (self.kind, value) {
            (ValueKind::Text, Value::Text(value)) => {
                let shown = zip::prefix_of_text(value).map_or(0, zip::shown);
                // Writing into a String cannot fail.
                let _ = write!(text, "{shown:03}");
                Ok(Masked::Text)
            }
            (ValueKind::Integer(_), Value::Integer(value)) => {
                Ok(Masked::Integer(zip::prefix_of_number(value).map_or(0, zip::shown).into()))
            }
            (ValueKind::Numeric, Value::Text(value)) => {
                let prefix = value.parse().ok().and_then(zip::prefix_of_number);
                Ok(written(prefix.map_or(0, zip::shown).into(), text))
            }
            _ => Err(CannotMask),
        }
    }
}
