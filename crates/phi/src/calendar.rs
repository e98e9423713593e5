//! Civil dates in the proleptic Gregorian calendar, as plain numbers.
//!
//! Not here: time zones, clocks, parsing.

/// A calendar day, handed in by whoever has a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    /// The year, as people count.
    pub year: i64,
    /// The month, 1 to 12.
    pub month: u8,
    /// The day of the month, from 1.
    pub day: u8,
}

impl Day {
    /// The last day (counted from 1970-01-01) on which a person can have been born who is over 89 today: the 90th
    /// birthday is today, or tomorrow. One day early, because "today" is a day in UTC and the person, the client and
    /// a session over midnight may be a day ahead. Who was born on 29 February has the birthday on 28 February.
    pub(crate) const fn over_89(self) -> i64 {
        let tomorrow = days(self.year, self.month as i64, self.day as i64) + 1;
        let (year, month, day) = civil(tomorrow);
        if month == 2 && day == 28 {
            // Ninety years ago there may have been a 29th.
            return days(year - 90, 3, 1) - 1;
        }
        days(year - 90, month, day)
    }
}

/// The civil date (year, month, day) of a day counted from 1970-01-01.
pub(crate) const fn civil(day: i64) -> (i64, i64, i64) {
    let year = year_of(day);
    let of_year = day - days(year, 1, 1);
    let mut month = 12;
    while month > 1 && days(year, month, 1) - days(year, 1, 1) > of_year {
        month -= 1;
    }
    (year, month, day - days(year, month, 1) + 1)
}

/// How many days a month has.
pub(crate) const fn days_in(year: i64, month: i64) -> i64 {
    let next = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
    next - days(year, month, 1)
}

/// Days since 1970-01-01 of a civil date. `month` is 1 to 12.
pub(crate) const fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

/// The civil year of a day counted from 1970-01-01.
pub(crate) const fn year_of(day: i64) -> i64 {
    let z = day + 719_468;
    let (era, doe) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    // Days are counted from 1 March, so that January and February (doy ≥ 306) belong to the next civil year.
    yoe + era * 400 + (doy >= 306) as i64
}

/// Microseconds in a day.
pub(crate) const DAY_MICROS: i64 = 86_400_000_000;

#[cfg(test)]
mod tests {
    use super::{Day, civil, days, year_of};
    use vestibule_core::Timestamp;

    #[test]
    fn the_boundary_of_90_moves_every_day_and_over_leap_days() {
        let boundary = |year, month, day| civil(Day { year, month, day }.over_89());
        assert_eq!(boundary(2026, 11, 24), (1936, 11, 25));
        assert_eq!(boundary(2026, 12, 31), (1937, 1, 1));
        // Born 29 February 1936: 90 on 28 February 2026, so hidden from the 27th on.
        assert_eq!(boundary(2026, 2, 26), (1936, 2, 27));
        assert_eq!(boundary(2026, 2, 27), (1936, 2, 29));
        assert_eq!(boundary(2026, 2, 28), (1936, 3, 1));
        // 2028 has a 29 February, 1938 has none.
        assert_eq!(boundary(2028, 2, 27), (1938, 2, 28));
        assert_eq!(boundary(2028, 2, 28), (1938, 3, 1));
        let mut last = i64::MIN;
        for day in days(2024, 1, 1)..days(2033, 1, 1) {
            let (year, month, d) = civil(day);
            let now = Day { year, month: month as u8, day: d as u8 }.over_89();
            assert!(now >= last, "the boundary went back on {year}-{month}-{d}");
            last = now;
        }
    }

    #[test]
    fn agrees_with_the_core_calendar_on_every_day_of_a_thousand_years() {
        for day in days(1600, 1, 1)..days(2600, 1, 1) {
            let (_, year, month, d) = Timestamp(day * super::DAY_MICROS).civil();
            assert_eq!(days(year, i64::from(month), i64::from(d)), day);
            assert_eq!(year_of(day), year);
            assert_eq!(civil(day), (year, i64::from(month), i64::from(d)));
        }
    }
}
