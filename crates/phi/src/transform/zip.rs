//! Three-digit ZIP prefixes under 45 CFR 164.514(b)(2)(i)(B).
//!
//! Not here: ZIP codes of other countries; they come out as 000.

/// The prefixes whose ZIP codes together hold more than 20,000 people, as inclusive ranges: from the 2020 Census
/// (ZIP code tabulation areas), less the prefixes that the guidance of the Department of Health and Human Services
/// lists on the 2000 Census (063, 790, 830, 831, 890 are not in the later list). Every other prefix is unknown or too
/// small. Where the two censuses disagree, the stricter counts.
#[rustfmt::skip]
const POPULOUS: [(u16, u16); 78] = [
    (6, 7), (9, 35), (37, 54), (56, 58), (60, 62), (64, 89), (100, 101), (103, 191), (193, 201), (206, 212),
    (214, 268), (270, 310), (312, 331), (333, 339), (341, 342), (344, 344), (346, 347), (349, 352), (354, 368),
    (370, 374), (376, 398), (400, 418), (420, 427), (430, 458), (460, 508), (510, 516), (520, 528), (530, 532),
    (534, 535), (537, 551), (553, 554), (557, 567), (570, 577), (580, 588), (590, 620), (622, 631), (633, 641),
    (644, 648), (650, 658), (660, 662), (664, 681), (683, 691), (693, 693), (700, 701), (703, 708), (710, 714),
    (716, 731), (734, 741), (743, 752), (754, 770), (773, 789), (791, 816), (820, 820), (822, 822), (824, 829),
    (832, 838), (840, 841), (843, 847), (850, 853), (855, 857), (859, 860), (863, 865), (870, 871), (873, 875),
    (877, 877), (880, 883), (891, 891), (894, 895), (897, 898), (900, 900), (902, 908), (910, 928), (930, 937),
    (939, 941), (943, 961), (967, 968), (970, 986), (988, 999),
];

/// What may be shown of a prefix: itself, or 0.
pub(crate) fn shown(prefix: u16) -> u16 {
    let populous = POPULOUS.iter().any(|(from, to)| (*from..=*to).contains(&prefix));
    if populous { prefix } else { 0 }
}

/// The prefix of a ZIP code as text: five digits, or nine with or without a dash.
pub(crate) fn prefix_of_text(zip: &str) -> Option<u16> {
    let (five, four) = match zip.trim().as_bytes() {
        [five @ .., b'-', a, b, c, d] if five.len() == 5 => (five, [*a, *b, *c, *d]),
        [five @ .., a, b, c, d] if five.len() == 5 => (five, [*a, *b, *c, *d]),
        five if five.len() == 5 => (five, *b"0000"),
        _ => return None,
    };
    if !five.iter().chain(&four).all(u8::is_ascii_digit) {
        return None;
    }
    Some(five.iter().take(3).fold(0, |n, d| n * 10 + u16::from(d - b'0')))
}

/// The prefix of a ZIP code as a number, which has lost its leading zeros: five digits or nine.
pub(crate) fn prefix_of_number(zip: i64) -> Option<u16> {
    let prefix = match zip {
        0..=99_999 => zip / 100,
        100_000..=999_999_999 => zip / 1_000_000,
        _ => return None,
    };
    u16::try_from(prefix).ok()
}
