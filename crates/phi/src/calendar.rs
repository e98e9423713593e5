//! Civil dates in the proleptic Gregorian calendar, as plain numbers.
//!
//! Not here: time zones, clocks, parsing.

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
    use super::{days, year_of};
    use vestibule_core::Timestamp;

    #[test]
    fn agrees_with_the_core_calendar_on_every_day_of_a_thousand_years() {
        for day in days(1600, 1, 1)..days(2600, 1, 1) {
            let (_, year, month, d) = Timestamp(day * super::DAY_MICROS).civil();
            assert_eq!(days(year, i64::from(month), i64::from(d)), day);
            assert_eq!(year_of(day), year);
        }
    }
}
