//! Points in time as plain numbers. Reading a clock is the business of the rooms that have one.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Microseconds since 1970-01-01T00:00:00Z, without leap seconds (POSIX time).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From whole POSIX seconds. Saturates.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Whole POSIX seconds, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This point in time moved by `seconds`. Saturates.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// Days since 1970-01-01 and the civil date (year, month, day) in UTC.
    #[must_use]
    pub const fn civil(self) -> (i64, i64, u8, u8) {
        let days = self.0.div_euclid(86_400_000_000);
        // Days-to-civil for the proleptic Gregorian calendar, era by era of 400 years.
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + (month <= 2) as i64;
        (days, year, month as u8, day as u8)
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-24T15:55:42.123Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, year, month, day) = self.civil();
        let micros = self.0.rem_euclid(86_400_000_000);
        let (ms, s) = (micros / 1_000 % 1_000, micros / 1_000_000);
        let (h, m, s) = (s / 3_600, s / 60 % 60, s % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
    }
}

/// The text is no point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotATime;

impl fmt::Display for NotATime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a time; write `2026-11-24` or `2026-11-24T08:00:00Z`")
    }
}

impl std::error::Error for NotATime {}

/// RFC 3339, or a date alone, which is its midnight in UTC.
impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let (date, rest) = text.split_at_checked(10).ok_or(NotATime)?;
        let midnight = days(date).ok_or(NotATime)?.saturating_mul(86_400);
        if rest.is_empty() {
            return Ok(Self::from_seconds(midnight));
        }
        let rest = rest.strip_prefix(['T', 't', ' ']).ok_or(NotATime)?;
        let (clock, rest) = rest.split_at_checked(8).ok_or(NotATime)?;
        let (fraction, zone) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
            None => ("0", rest),
        };
        let seconds = clock_seconds(clock).ok_or(NotATime)?;
        let offset = zone_seconds(zone).ok_or(NotATime)?;
        let micros = micros(fraction).ok_or(NotATime)?;
        let whole = Self::from_seconds(midnight.saturating_add(seconds).saturating_sub(offset));
        Ok(Self(whole.0.saturating_add(micros)))
    }
}

fn number(text: &str, least: i64, most: i64) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|n| (least..=most).contains(n))
}

/// Days since 1970-01-01 of `YYYY-MM-DD`.
fn days(date: &str) -> Option<i64> {
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let (widths, more) = ((year.len(), month.len(), day.len()), parts.next());
    if widths != (4, 2, 2) || more.is_some() {
        return None;
    }
    let (year, month, day) = (number(year, 0, 9_999)?, number(month, 1, 12)?, number(day, 1, 31)?);
    let y = if month <= 2 { year - 1 } else { year };
    let (era, yoe) = (y.div_euclid(400), y.rem_euclid(400));
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
    // The 31st of a shorter month would come out as a day of the next one.
    let (_, back_year, back_month, back_day) = Timestamp(days.checked_mul(86_400_000_000)?).civil();
    ((back_year, i64::from(back_month), i64::from(back_day)) == (year, month, day)).then_some(days)
}

fn clock_seconds(clock: &str) -> Option<i64> {
    let mut parts = clock.split(':');
    let (h, m, s) = (parts.next()?, parts.next()?, parts.next()?);
    // 60 is a leap second, which POSIX time does not count.
    Some(number(h, 0, 23)? * 3_600 + number(m, 0, 59)? * 60 + number(s, 0, 60)?.min(59))
}

fn zone_seconds(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let (sign, rest) = match zone.strip_prefix('+') {
        Some(rest) => (1, rest),
        None => (-1, zone.strip_prefix('-')?),
    };
    let (h, m) = rest.split_once(':')?;
    Some(sign * (number(h, 0, 23)? * 3_600 + number(m, 0, 59)? * 60))
}

fn micros(fraction: &str) -> Option<i64> {
    let six: String = fraction.chars().chain(std::iter::repeat('0')).take(6).collect();
    number(fraction, 0, i64::MAX).or_else(|| (fraction.len() > 18).then_some(0)).and(number(&six, 0, 999_999))
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn renders_rfc3339() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_seconds(951_782_400).to_string(), "2000-02-29T00:00:00.000Z");
        assert_eq!(Timestamp(1_795_535_742_123_456).to_string(), "2026-11-24T15:55:42.123Z");
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn reads_what_people_write() {
        for (text, shown) in [
            ("2026-11-24", "2026-11-24T00:00:00.000Z"),
            ("2026-11-24T08:15:30Z", "2026-11-24T08:15:30.000Z"),
            ("2000-02-29T23:59:60.1234567+01:30", "2000-02-29T22:29:59.123Z"),
            ("1969-12-31 23:59:59.999-00:00", "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), shown, "{text}");
        }
        for text in [
            "",
            "2026-11",
            "2026-02-29",
            "2026-13-01",
            "2026-11-24T",
            "2026-11-24T25:00:00Z",
            "2026-1-024",
            "2026-11-24T08:00:00",
            "２026-11-24",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
