//! The one table of keys: what may stand in `vestibule.toml`. The reader, the reference page and the JSON schema are
//! all drawn from it, so that they cannot disagree.
//!
//! Not here: what the values mean together (see the sections' own modules).

/// One key of a section.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The key's name.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// Whether it must be there, and what holds if it is not.
    pub presence: Presence,
    /// What it means, in one or two sentences.
    pub help: &'static str,
}

/// What a key's value is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Text.
    Text,
    /// A name: letters, digits, `-`, `_`, `.`; up to 63 characters.
    Name,
    /// `host:port`.
    Address,
    /// A file or directory; relative to the configuration file.
    Path,
    /// True or false.
    Boolean,
    /// A whole number between the two, inclusive.
    Integer(i64, i64),
    /// A length of time such as `"15m"`, between the two, inclusive, in seconds.
    Duration(u64, u64),
    /// A list of texts.
    Texts,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Texts by name.
    Map,
    /// A table with keys of its own.
    Table(&'static Section),
}

/// Whether a key must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It must.
    Required,
    /// If it is not there, this holds (as it would be written).
    Default(&'static str),
    /// It need not; the help says what holds then.
    Optional,
}

/// A section of the file, or a table inside one.
#[derive(Debug)]
pub struct Section {
    /// Its name, without brackets.
    pub name: &'static str,
    /// How it stands in the file.
    pub form: Form,
    /// What it is for.
    pub help: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// How a section stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `[name]`, at most once; all of its keys have defaults, or it is required.
    Once {
        /// Whether the section must be there.
        required: bool,
    },
    /// `[[name]]`, any number of times, at least `min`.
    Many {
        /// How often it must be there.
        min: usize,
    },
    /// `{ … }` inside another section.
    Inline,
}

impl Section {
    /// The key of that name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|k| k.name == name)
    }

    /// The section as a person writes it: `[api]`, `[[target]]`.
    #[must_use]
    pub fn heading(&self) -> String {
        match self.form {
            Form::Once { .. } => format!("[{}]", self.name),
            Form::Many { .. } => format!("[[{}]]", self.name),
            Form::Inline => format!("{} = {{ … }}", self.name),
        }
    }
}

impl Kind {
    /// The kind in words, as used in errors and in the reference: "a whole number from 1 to 10".
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Text => "text in quotes".into(),
            Self::Name => "a name of letters, digits, `-`, `_` and `.`, in quotes".into(),
            Self::Address => "an address `\"host:port\"`".into(),
            Self::Path => "a path in quotes".into(),
            Self::Boolean => "`true` or `false`, without quotes".into(),
            Self::Integer(min, max) => format!("a whole number from {min} to {max}, without quotes"),
            Self::Duration(min, max) => {
                format!("a length of time from `\"{}\"` to `\"{}\"`", spell_seconds(*min), spell_seconds(*max))
            }
            Self::Texts => "a list of texts: `[\"…\", \"…\"]`".into(),
            Self::Choice(words) => {
                format!("one of {}", words.iter().map(|w| format!("`\"{w}\"`")).collect::<Vec<_>>().join(", "))
            }
            Self::Map => "texts by name: `{ name = \"…\" }`".into(),
            Self::Table(section) => {
                let keys: Vec<_> = section.keys.iter().map(|k| k.name).collect();
                format!("a table with the keys {}", keys.join(", "))
            }
        }
    }
}

/// Seconds as a person writes them: `90s`, `15m`, `8h`, `7d`.
#[must_use]
pub fn spell_seconds(seconds: u64) -> String {
    match seconds {
        0 => "0s".into(),
        s if s % 86_400 == 0 => format!("{}d", s / 86_400),
        s if s % 3_600 == 0 => format!("{}h", s / 3_600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// Reads `"15m"`; `None` if it is not a whole number followed by `s`, `m`, `h` or `d`.
#[must_use]
pub fn parse_seconds(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.strip_prefix(digits)? {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// The word nearest to `given`, if one is near enough to be what was meant.
#[must_use]
pub fn nearest<'a>(given: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_ascii_lowercase().replace('-', "_");
    let near = words.into_iter().map(|w| (distance(&given, &w.replace('-', "_")), w)).min_by_key(|(d, _)| *d)?;
    let allowed = (given.chars().count() / 3).clamp(1, 3);
    (near.0 <= allowed).then_some(near.1)
}

/// Edit distance with transposition (optimal string alignment) of two short words.
fn distance(a: &str, b: &str) -> usize {
    // A word longer than any key is no misspelling of one; do not spend quadratic time on it.
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let at = |v: &[usize], k: usize| v.get(k).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&above, j) + usize::from(ca != cb)).min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(cb) && b.get(j - 1) == Some(ca);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::{nearest, parse_seconds, spell_seconds};

    #[test]
    fn lengths_of_time_round_trip() {
        for seconds in [0, 1, 59, 60, 90, 3_600, 5_400, 86_400, 90_000] {
            assert_eq!(parse_seconds(&spell_seconds(seconds)), Some(seconds));
        }
        for wrong in ["", "m", "15", "15 m", "-1s", "1.5h", "99999999999999999999s", "184467440737095516d", "1w", "١s"]
        {
            assert_eq!(parse_seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_nearest_word_is_the_one_meant() {
        let words = ["listen", "allow_cleartext", "max_connections", "tls"];
        assert_eq!(nearest("lisen", words), Some("listen"));
        assert_eq!(nearest("lsiten", words), Some("listen"));
        assert_eq!(nearest("allow-cleartext", words), Some("allow_cleartext"));
        assert_eq!(nearest("MaxConnections", words), Some("max_connections"));
        assert_eq!(nearest("colour", words), None);
        assert_eq!(nearest(&"x".repeat(10_000), words), None);
    }
}
