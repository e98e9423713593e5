//! "Did you mean": the nearest of some known names.
//!
//! Not here: anything that decides; a suggestion is only ever printed.

/// The known name nearest to `word`, if it is at most two edits away (one, for short words).
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    let allowed = if word.chars().count() <= 3 { 1 } else { 2 };
    known.into_iter().map(|k| (edits(word, k), k)).filter(|(d, _)| *d <= allowed).min().map(|(_, k)| k)
}

/// Levenshtein distance, in characters.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, above) in b.iter().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(x != *y)).min(above + 1).min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_typos_and_nothing_far() {
        let known = ["name", "birth-date", "ssn", "mrn"];
        assert_eq!(nearest("birthdate", known), Some("birth-date"));
        assert_eq!(nearest("sns", known), None);
        assert_eq!(nearest("snn", known), Some("ssn"));
        assert_eq!(nearest("diagnosis", known), None);
    }
}
