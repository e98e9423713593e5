//! Each method against the regulation, and what no method may ever do.

use super::{build, zip};
use crate::calendar::{DAY_MICROS, days, year_of};
use crate::profile::{BUILT_IN_PROFILES, Method, Profile};
use crate::{Day, MaskKeys};
use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, prop_assert_ne, prop_assume, proptest};
use vestibule_core::{CannotMask, Masked, PhiClass, Value, ValueKind};

const TODAY: Day = Day { year: 2026, month: 11, day: 24 };

const KINDS: [ValueKind; 14] = [
    ValueKind::Text,
    ValueKind::Integer(2),
    ValueKind::Integer(4),
    ValueKind::Integer(8),
    ValueKind::Numeric,
    ValueKind::Float(4),
    ValueKind::Float(8),
    ValueKind::Boolean,
    ValueKind::Date,
    ValueKind::Timestamp,
    ValueKind::Uuid,
    ValueKind::Json,
    ValueKind::Bytes,
    ValueKind::Inet,
];

fn keys() -> MaskKeys {
    MaskKeys::derive(&[7; 32], "clinic")
}

fn on(
    today: Day,
    method: &Method,
    class: PhiClass,
    kind: ValueKind,
    value: Value<'_>,
) -> Result<(Masked, String), CannotMask> {
    let mut text = String::new();
    let masked = build(method, class, kind, &keys(), today).unwrap().apply(value, &mut text)?;
    Ok((masked, text))
}

fn masked(method: &Method, class: PhiClass, kind: ValueKind, value: Value<'_>) -> Result<Masked, CannotMask> {
    on(TODAY, method, class, kind, value).map(|(masked, _)| masked)
}

fn text(method: &Method, class: PhiClass, value: &str) -> String {
    on(TODAY, method, class, ValueKind::Text, Value::Text(value)).unwrap().1
}

/// Whether the masked form can stand where a value of the kind stood.
fn is_of(kind: ValueKind, masked: Masked, text: &str) -> bool {
    match (kind, masked) {
        (_, Masked::Null) => true,
        (ValueKind::Text, Masked::Text) => !text.is_empty(),
        (ValueKind::Json, Masked::Text) => text.starts_with('"') && text.ends_with('"') && text.len() > 2,
        (ValueKind::Numeric, Masked::Text) => text.parse::<i64>().is_ok(),
        (ValueKind::Inet, Masked::Text) => text.parse::<std::net::IpAddr>().is_ok(),
        (ValueKind::Integer(2), Masked::Integer(n)) => i16::try_from(n).is_ok(),
        (ValueKind::Integer(4), Masked::Integer(n)) => i32::try_from(n).is_ok(),
        (ValueKind::Integer(8), Masked::Integer(_))
        | (ValueKind::Float(_), Masked::Float(_))
        | (ValueKind::Boolean, Masked::Boolean(_))
        | (ValueKind::Date, Masked::Date(_))
        | (ValueKind::Timestamp, Masked::Timestamp(_))
        | (ValueKind::Uuid, Masked::Uuid(_))
        | (ValueKind::Bytes, Masked::Bytes) => true,
        _ => false,
    }
}

/// Runs of four letters or digits, lower-cased: what is left of an identifier if any of them survives.
fn runs(value: &str) -> Vec<String> {
    let chars: Vec<char> = value.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    chars.windows(4).map(|w| w.iter().collect()).collect()
}

/// The 18 identifiers of 45 CFR 164.514(b)(2)(i) and the 16 of (e)(2): what each profile does with each class.
#[test]
fn profiles_do_what_the_regulation_asks() {
    let mut table = String::new();
    for class in PhiClass::ALL {
        let row: Vec<_> =
            BUILT_IN_PROFILES.iter().map(|p| Profile::built_in(p).unwrap().method(*class).to_string()).collect();
        table += &format!("{:<14}{}\n", class.name(), row.join(" | "));
    }
    insta::assert_snapshot!(table, @"
    name          redact | token | redact
    address       redact | redact | redact
    zip           zip3 | zip3 | keep
    date          year | year | keep
    birth-date    year | year | keep
    age           age-90 | age-band | keep
    phone         redact | token | redact
    fax           redact | token | redact
    email         redact | token | redact
    ssn           redact | token | redact
    mrn           redact | token | redact
    beneficiary   redact | token | redact
    account       redact | token | redact
    license       redact | token | redact
    vehicle       redact | token | redact
    device        redact | token | redact
    url           redact | redact | redact
    ip            redact | redact | redact
    biometric     redact | redact | redact
    photo         redact | redact | redact
    unique        redact | token | token
    clinical      redact | redact | redact
    free-text     redact | redact | redact
    unclassified  redact | redact | redact
    ");
}

#[test]
fn redacted_values_are_constants_of_their_type() {
    let mut page = String::new();
    for kind in KINDS {
        let (masked, text) = on(TODAY, &Method::Redact, PhiClass::Ssn, kind, Value::Text("078-05-1120")).unwrap();
        assert!(is_of(kind, masked, &text), "{kind:?}");
        page += &format!("{kind:?}: {masked:?} {text}\n");
    }
    insta::assert_snapshot!(page, @r#"
    Text: Text [ssn]
    Integer(2): Integer(0) 
    Integer(4): Integer(0) 
    Integer(8): Integer(0) 
    Numeric: Text 0
    Float(4): Float(0.0) 
    Float(8): Float(0.0) 
    Boolean: Null 
    Date: Date(-25567) 
    Timestamp: Timestamp(-2208988800000000) 
    Uuid: Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) 
    Json: Text "[ssn]"
    Bytes: Bytes 
    Inet: Text 0.0.0.0
    "#);
    assert_eq!(days(1900, 1, 1), -25_567);
    assert!(build(&Method::Redact, PhiClass::Ssn, ValueKind::Other, &keys(), TODAY).is_none());
    assert!(build(&Method::Null, PhiClass::Ssn, ValueKind::Other, &keys(), TODAY).is_some());
}

/// A mistake in the plan must not show a value.
#[test]
fn keep_asked_for_as_a_transform_redacts() {
    assert_eq!(text(&Method::Keep, PhiClass::Ssn, "078-05-1120"), "[ssn]");
}

#[test]
fn replacements_are_of_the_type_or_redacted() {
    let by = |by: &str, kind| {
        let (masked, text) = on(TODAY, &Method::Replace(by.into()), PhiClass::Name, kind, Value::Integer(1)).unwrap();
        assert!(is_of(kind, masked, &text) || by.is_empty(), "{by} {kind:?}");
        format!("{masked:?} {text}")
    };
    assert_eq!(by("Jane Doe", ValueKind::Text), "Text Jane Doe");
    assert_eq!(by("a\"b\\\n", ValueKind::Json), "Text \"a\\\"b\\\\\\u000a\"");
    assert_eq!(by("40000", ValueKind::Integer(2)), "Integer(0) ");
    assert_eq!(by("-7", ValueKind::Integer(2)), "Integer(-7) ");
    assert_eq!(by("Jane", ValueKind::Integer(8)), "Integer(0) ");
    assert_eq!(by("NaN", ValueKind::Float(8)), "Float(0.0) ");
    assert_eq!(by("1.5", ValueKind::Float(8)), "Float(1.5) ");
    assert_eq!(by("1e5; DROP", ValueKind::Numeric), "Text 0");
    assert_eq!(by("true", ValueKind::Boolean), "Boolean(true) ");
    assert_eq!(by("2000-01-01", ValueKind::Date), "Date(10957) ");
    assert_eq!(by("2000", ValueKind::Date), "Date(-25567) ");
    assert_eq!(by("10.0.0.1", ValueKind::Inet), "Text 10.0.0.1");
    assert_eq!(by("x", ValueKind::Bytes), "Bytes ");
    assert!(by("6ba7b810-9dad-11d1-80b4-00c04fd430c8", ValueKind::Uuid).starts_with("Uuid([107, 167, 184, 16,"));
}

#[test]
fn parts_are_never_more_than_half() {
    let last4 = Method::Partial { first: 0, last: 4 };
    assert_eq!(text(&last4, PhiClass::Ssn, "078-05-1120"), "***-**-1120");
    assert_eq!(text(&last4, PhiClass::Phone, "(617) 555-0123"), "(***) ***-0123");
    assert_eq!(text(&last4, PhiClass::Mrn, "A12345"), "******");
    assert_eq!(text(&last4, PhiClass::Ssn, ""), "");
    assert_eq!(text(&last4, PhiClass::Mrn, "12:34\u{2060}5678"), "**:*".replace(':', "*") + "**5678");
    assert_eq!(text(&Method::Partial { first: 1, last: 0 }, PhiClass::Name, "Mary Ann"), "M*******");
    assert_eq!(text(&Method::Partial { first: 1, last: 0 }, PhiClass::Name, "Al"), "A*");
    assert_eq!(text(&Method::Partial { first: 1, last: 0 }, PhiClass::Name, "Y"), "*");
    let number = masked(&last4, PhiClass::Ssn, ValueKind::Integer(8), Value::Integer(78_051_120));
    assert_eq!(number, Ok(Masked::Integer(0)));
}

#[test]
fn zip_prefixes_follow_population() {
    let zip3 = |zip: &str| text(&Method::Zip3, PhiClass::Zip, zip);
    // Both sides of small areas, and the shapes of a ZIP code.
    for (zip, shown) in [
        ("02138", "021"),
        ("02138-1234", "021"),
        ("021381234", "021"),
        (" 02138 ", "021"),
        ("10001", "100"),
        ("10292", "000"),
        ("10301", "103"),
        ("03601", "000"),
        ("03501", "035"),
        ("03701", "037"),
        ("05901", "000"),
        ("82101", "000"),
        ("82001", "820"),
        ("00000", "000"),
        ("99999", "999"),
        ("K1A 0B1", "000"),
        ("0213", "000"),
        ("02138-12", "000"),
        ("٠٢١٣٨", "000"),
        ("", "000"),
    ] {
        let want = if shown == "999" { format!("{:03}", zip::shown(999)) } else { shown.to_owned() };
        assert_eq!(zip3(zip), want, "{zip}");
    }
    let number = |zip| masked(&Method::Zip3, PhiClass::Zip, ValueKind::Integer(4), Value::Integer(zip));
    assert_eq!(number(2_138), Ok(Masked::Integer(21)));
    assert_eq!(number(21_381_234), Ok(Masked::Integer(21)));
    assert_eq!(number(3_601), Ok(Masked::Integer(0)));
    assert_eq!(number(-1), Ok(Masked::Integer(0)));
}

#[test]
fn every_prefix_of_the_reference_list_is_hidden_and_the_rest_is_known() {
    // 2020 Census (18), and those of the guidance that the 2000 Census adds.
    let small = [36, 59, 102, 202, 203, 204, 205, 369, 556, 692, 753, 772, 821, 823, 878, 879, 884, 893];
    let guidance = [36, 59, 63, 102, 203, 556, 692, 790, 821, 823, 830, 831, 878, 879, 884, 890, 893];
    for prefix in small.into_iter().chain(guidance) {
        assert_eq!(zip::shown(prefix), 0, "{prefix:03}");
    }
    assert_eq!((0..=u16::MAX).filter(|p| zip::shown(*p) != 0).count(), 871);
    assert!((1000..=u16::MAX).all(|p| zip::shown(p) == 0));
}

#[test]
fn ages_over_89_are_one() {
    let age = |years| masked(&Method::Age90, PhiClass::Age, ValueKind::Integer(4), Value::Integer(years));
    for years in 0..150 {
        assert_eq!(age(years), Ok(Masked::Integer(years.min(90))));
    }
    assert_eq!(age(-1), Err(CannotMask));
    let band = |years| masked(&Method::AgeBand, PhiClass::Age, ValueKind::Integer(4), Value::Integer(years));
    assert_eq!((band(0), band(4), band(5)), (Ok(Masked::Integer(0)), Ok(Masked::Integer(0)), Ok(Masked::Integer(5))));
    assert_eq!((band(89), band(90)), (Ok(Masked::Integer(85)), Ok(Masked::Integer(90))));
    let float = |years| masked(&Method::Age90, PhiClass::Age, ValueKind::Float(8), Value::Float(years));
    assert_eq!(float(89.999), Ok(Masked::Float(89.0)));
    assert_eq!(float(f64::INFINITY), Ok(Masked::Float(90.0)));
    assert_eq!((float(f64::NAN), float(-0.5)), (Err(CannotMask), Err(CannotMask)));
    let words = |age: &str| text(&Method::Age90, PhiClass::Age, age);
    assert_eq!((words("47"), words("47.5"), words("94yo")), ("47".into(), "47".into(), "90".into()));
    assert_eq!((words("102 years old"), words("94 Y")), ("90".into(), "90".into()));
    for odd in ["18 months", "33000 days", "ninety-four", "-3", "", "4 7", "99999999999999999999"] {
        assert_eq!(words(odd), "[age]", "{odd}");
    }
}

#[test]
fn dates_become_years_and_old_years_go() {
    let date = |y, m, d| {
        let day = i32::try_from(days(y, m, d)).unwrap();
        match masked(&Method::Year, PhiClass::BirthDate, ValueKind::Date, Value::Date(day)) {
            Ok(Masked::Date(day)) => crate::calendar::civil(day.into()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(date(1985, 5, 2), (1985, 1, 1));
    // 90 tomorrow (one day early), 90 the day after.
    assert_eq!(date(1936, 11, 25), (1900, 1, 1));
    assert_eq!(date(1936, 11, 26), (1936, 1, 1));
    assert_eq!(date(1931, 5, 2), (1900, 1, 1));
    let day = masked(&Method::Year, PhiClass::Date, ValueKind::Date, Value::Date(i32::MAX));
    assert_eq!(day, Err(CannotMask), "infinity");
    let at = days(2024, 2, 29) * DAY_MICROS + 12_345;
    let stamp = masked(&Method::Year, PhiClass::Date, ValueKind::Timestamp, Value::Timestamp(at));
    assert_eq!(stamp, Ok(Masked::Timestamp(days(2024, 1, 1) * DAY_MICROS)));
    let number = |n| masked(&Method::Year, PhiClass::BirthDate, ValueKind::Integer(4), Value::Integer(n));
    assert_eq!(number(1985), Ok(Masked::Integer(1985)));
    assert_eq!(number(1936), Ok(Masked::Integer(1900)), "some born in 1936 are 90");
    assert_eq!(number(1937), Ok(Masked::Integer(1937)));
    assert_eq!(number(19_850_502), Ok(Masked::Integer(19_850_101)));
    assert_eq!(number(19_310_502), Ok(Masked::Integer(19_000_101)));
    assert_eq!(number(19_851_502), Err(CannotMask));
    assert_eq!(number(20_514), Err(CannotMask));
}

#[test]
fn dates_in_text_keep_their_form_or_go() {
    let year = |date: &str| text(&Method::Year, PhiClass::BirthDate, date);
    for (date, shown) in [
        ("1985-05-02", "1985-01-01"),
        ("1985-05-02T10:11:12.5+01:00", "1985-01-01"),
        ("1985-05-02 10:11:12+00", "1985-01-01"),
        ("1985/05/02", "1985/01/01"),
        ("05/02/1985", "01/01/1985"),
        ("13.05.1985", "01.01.1985"),
        ("5/2/1985 3:04 PM", "01/01/1985"),
        ("2 May 1985", "1 Jan 1985"),
        ("May 2nd, 1985", "1 Jan 1985"),
        ("2-MAY-1985", "1 Jan 1985"),
        ("19850502", "19850101"),
        ("19850502101112+0100", "19850101"),
        ("1985", "1985"),
        ("1931-05-02", "1900-01-01"),
        ("05/02/1931", "01/01/1900"),
        ("2 May 1931", "1 Jan 1900"),
        ("19310502", "19000101"),
        ("1936", "1900"),
        // Month or day first: 90 by one reading, 89 by the other.
        ("12/11/1936", "01/01/1900"),
        ("26.11.1936", "01.01.1936"),
    ] {
        assert_eq!(year(date), shown, "{date}");
    }
    for odd in [
        "05/02/85",
        "850502",
        "020585",
        "200531",
        "20051931",
        "1985-13-02",
        "1985-02-30",
        "30 Feb 1985",
        "1985-05",
        "born 1985",
        "2 May 1985, Boston",
        "1985-05-02; 617-555-0123",
        "Mai 1985",
        "1985-05-02-617",
        "02051985",
        "1985.05.02.617",
        "198505021",
        "",
        "٢٠٢٤",
        "1799-01-01",
        "2201-01-01",
        "2 M 1985",
        "yesterday",
    ] {
        assert_eq!(year(odd), "[birth-date]", "{odd}");
    }
}

#[test]
fn equal_values_written_differently_get_equal_tokens() {
    let token = |class, value: &str| text(&Method::Token, class, value);
    let same = |class, values: &[&str]| {
        for value in values {
            assert_eq!(token(class, value), token(class, values[0]), "{value}");
        }
    };
    same(PhiClass::Ssn, &["078-05-1120", "078051120", " 078 05 1120 "]);
    same(PhiClass::Phone, &["+1 (617) 555-0123", "617.555.0123", "1-617-555-0123"]);
    same(PhiClass::Email, &["Ada@Clinic.example", "ada@clinic.example "]);
    same(PhiClass::Name, &["O'Brien  Mary", "o’brien mary", "O-BRIEN, MARY"]);
    same(PhiClass::Mrn, &["mrn 00-123", "MRN00123"]);
    for (class, a, b) in [
        (PhiClass::Mrn, "00123", "123"),
        (PhiClass::Name, "Ann Lee", "Annlee"),
        (PhiClass::Ssn, "unknown", "none"),
        (PhiClass::Ssn, "---", ""),
        (PhiClass::Ssn, "12345678X", "12345678"),
        (PhiClass::Unique, "a", "A"),
    ] {
        assert_ne!(token(class, a), token(class, b), "{a} {b}");
    }
    let (mrn, account) = (token(PhiClass::Mrn, "123"), token(PhiClass::Account, "123"));
    assert_ne!(mrn.strip_prefix("mrn_"), account.strip_prefix("account_"));
    assert!(token(PhiClass::Ssn, "078-05-1120").starts_with("ssn_"));
    assert_eq!(token(PhiClass::Ssn, "078-05-1120").len(), 20);
}

#[test]
fn tokens_stay_the_same_over_versions() {
    // Whoever joins on stored tokens relies on it: a change here is a break that the change log must name.
    let number =
        |n, bytes| masked(&Method::Token, PhiClass::Mrn, ValueKind::Integer(bytes), Value::Integer(n)).unwrap();
    let page = format!(
        "{}\n{}\n{:?}\n{:?}\n",
        text(&Method::Token, PhiClass::Ssn, "078-05-1120"),
        text(&Method::Token, PhiClass::Name, "Ada Lovelace"),
        number(123_456, 4),
        number(i64::MAX, 8),
    );
    insta::assert_snapshot!("tokens", page);
}

#[test]
fn numbers_have_no_twins_and_join_over_widths() {
    let token = |n, bytes| masked(&Method::Token, PhiClass::Mrn, ValueKind::Integer(bytes), Value::Integer(n)).unwrap();
    let mut seen = std::collections::HashSet::new();
    for n in (0..1_500).chain(-100..0) {
        let Masked::Integer(t) = token(n, 4) else { panic!() };
        assert!(seen.insert(t), "{n} has a twin");
        assert_eq!(t < 0, n < 0);
        assert_eq!(token(n, 8), Masked::Integer(t));
    }
    assert_eq!(token(5, 2), Masked::Integer(0), "too few values: redacted");
    let wide = masked(&Method::Token, PhiClass::Mrn, ValueKind::Integer(4), Value::Integer(1 << 40));
    assert_eq!(wide, Err(CannotMask), "not a value of four bytes");
}

#[test]
fn a_row_costs_no_allocation_of_text() {
    let mut buffer = String::with_capacity(64);
    let at = buffer.as_ptr();
    for (method, class) in [
        (Method::Redact, PhiClass::Ssn),
        (Method::Token, PhiClass::Ssn),
        (Method::Partial { first: 0, last: 4 }, PhiClass::Ssn),
        (Method::Year, PhiClass::BirthDate),
        (Method::Zip3, PhiClass::Zip),
    ] {
        let transform = build(&method, class, ValueKind::Text, &keys(), TODAY).unwrap();
        buffer.clear();
        transform.apply(Value::Text("1985-05-02 02138"), &mut buffer).unwrap();
        assert!(buffer.as_ptr() == at && !buffer.is_empty());
    }
}

/// The classes whose values identify by themselves.
const DIRECT: [PhiClass; 9] = [
    PhiClass::Phone,
    PhiClass::Fax,
    PhiClass::Email,
    PhiClass::Ssn,
    PhiClass::Mrn,
    PhiClass::Beneficiary,
    PhiClass::Account,
    PhiClass::License,
    PhiClass::Unique,
];

proptest! {
    #[test]
    fn nothing_of_a_direct_identifier_survives(
        digits in prop::collection::vec("[0-9]{4,12}", 1..3), class in prop::sample::select(&DIRECT[..]),
        profile in prop::sample::select(&BUILT_IN_PROFILES[..]),
    ) {
        let value = digits.join("-");
        let method = Profile::built_in(profile).unwrap().method(class).clone();
        let shown = text(&method, class, &value);
        // A token's letters and digits are those of a hash: that it contains a run by chance is 1 in 10^5.
        let body = shown.strip_prefix(class.name()).unwrap_or(&shown);
        if method == Method::Token {
            prop_assert!(body.len() == 17 && body.starts_with('_'));
        } else {
            prop_assert!(!runs(&value).iter().any(|run| shown.contains(run.as_str())), "{} in {}", value, shown);
        }
    }

    #[test]
    fn whatever_the_value_the_result_is_of_the_type(
        value in any::<String>(), number in any::<i64>(), float in any::<f64>(), uuid in any::<[u8; 16]>(),
        class in prop::sample::select(PhiClass::ALL), kind in prop::sample::select(&KINDS[..]),
        profile in prop::sample::select(&BUILT_IN_PROFILES[..]), which in 0..8_usize,
    ) {
        let day = (number % 4_000_000) as i32;
        let values = [
            Value::Text(&value), Value::Integer(number), Value::Float(float), Value::Boolean(number > 0),
            Value::Date(day), Value::Timestamp(number), Value::Uuid(uuid), Value::Bytes(value.as_bytes()),
        ];
        let method = Profile::built_in(profile).unwrap().method(class).clone();
        let once = on(TODAY, &method, class, kind, values[which]);
        prop_assert_eq!(&once, &on(TODAY, &method, class, kind, values[which]));
        if let Ok((masked, text)) = once {
            prop_assert!(is_of(kind, masked, &text), "{:?} {} as {:?}: {:?} {}", method, class, kind, masked, text);
        }
    }

    #[test]
    fn only_the_year_of_a_date_is_told(day in days(1800, 1, 1)..days(2200, 1, 1), now in days(2024, 1, 1)..days(2080, 1, 1)) {
        let (year, month, d) = crate::calendar::civil(now);
        let today = Day { year, month: month as u8, day: d as u8 };
        let value = Value::Date(day as i32);
        let Ok((Masked::Date(shown), _)) = on(today, &Method::Year, PhiClass::BirthDate, ValueKind::Date, value) else { panic!() };
        let (y, m, dd) = crate::calendar::civil(shown.into());
        prop_assert_eq!((m, dd), (1, 1));
        let (by, bm, bd) = crate::calendar::civil(day);
        // Counted as people count: whole years, the birthday included.
        let age = year - by - i64::from((month, d) < (bm, bd));
        if age >= 90 {
            prop_assert_eq!(y, 1900, "{}-{}-{} on {:?}", by, bm, bd, today);
        } else if now - day < 90 * 365 {
            prop_assert_eq!(y, year_of(day));
        }
        let iso = format!("{by:04}-{bm:02}-{bd:02}");
        let (_, text) = on(today, &Method::Year, PhiClass::BirthDate, ValueKind::Text, Value::Text(&iso)).unwrap();
        prop_assert_eq!(text, format!("{y:04}-01-01"));
    }

    #[test]
    fn tokens_are_equal_exactly_when_values_are(a in "[0-9]{3}-?[0-9]{2}-?[0-9]{4}", b in "[0-9]{3}-?[0-9]{2}-?[0-9]{4}") {
        let equal = a.replace('-', "") == b.replace('-', "");
        let token = |v: &str| text(&Method::Token, PhiClass::Ssn, v);
        prop_assert_eq!(token(&a) == token(&b), equal);
        prop_assert_eq!(token(&a), token(&a.replace('-', "")));
    }

    #[test]
    fn other_keys_give_other_tokens(value in "[a-z0-9]{1,20}", number in any::<i64>()) {
        let other = MaskKeys::derive(&[8; 32], "clinic");
        let class = PhiClass::Account;
        let mut theirs = String::new();
        build(&Method::Token, class, ValueKind::Text, &other, TODAY).unwrap().apply(Value::Text(&value), &mut theirs).unwrap();
        prop_assert_ne!(text(&Method::Token, class, &value), theirs);
        let with = |keys: &MaskKeys| build(&Method::Token, class, ValueKind::Integer(8), keys, TODAY).unwrap()
            .apply(Value::Integer(number), &mut String::new()).unwrap();
        prop_assume!(i32::try_from(number).is_err());
        let ours = keys();
        prop_assert_ne!(with(&ours), with(&other));
        prop_assert_ne!(with(&other), Masked::Integer(number));
    }

    #[test]
    fn parts_tell_at_most_half(value in "\\PC{0,24}", first in 0..16_u8, last in 0..16_u8, class in prop::sample::select(&DIRECT[..])) {
        let shown = text(&Method::Partial { first, last }, class, &value);
        prop_assert_eq!(shown.chars().count(), value.chars().count());
        let kept = shown.chars().filter(|c| c.is_alphanumeric()).count();
        let formatted = class != PhiClass::Email;
        let counted = value.chars().filter(|c| !formatted || c.is_alphanumeric()).count();
        prop_assert!(kept <= counted / 2, "{} of {}", shown, value);
    }
}
