//! One value of a table, as CSV and as JSON; and text made safe for the programs that people open it with.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use vestibule_core::Timestamp;

/// One value of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Not known or not applicable.
    Empty,
    /// Text.
    Text(String),
    /// A number.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// A point in time.
    Time(Timestamp),
    /// Several texts.
    List(Vec<String>),
    /// Numbers by name.
    Counts(BTreeMap<String, u64>),
}

impl Cell {
    /// Text, or nothing if there is none.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() { Self::Empty } else { Self::Text(text) }
    }

    pub fn number(number: Option<u64>) -> Self {
        number.map_or(Self::Empty, Self::Number)
    }

    pub fn time(time: Option<Timestamp>) -> Self {
        time.map_or(Self::Empty, Self::Time)
    }

    pub fn list(list: &[String]) -> Self {
        if list.is_empty() { Self::Empty } else { Self::List(list.to_vec()) }
    }

    pub fn counts(counts: &BTreeMap<String, u64>) -> Self {
        if counts.is_empty() { Self::Empty } else { Self::Counts(counts.clone()) }
    }

    /// Exact, for machines.
    pub fn json(&self) -> Value {
        match self {
            Self::Empty => Value::Null,
            Self::Text(text) => Value::from(text.as_str()),
            Self::Number(number) => Value::from(*number),
            Self::Flag(flag) => Value::from(*flag),
            Self::Time(time) => Value::from(time.to_string()),
            Self::List(list) => list.iter().map(String::as_str).collect(),
            Self::Counts(counts) => {
                Value::Object(counts.iter().map(|(name, n)| (name.clone(), Value::from(*n))).collect::<Map<_, _>>())
            }
        }
    }

    /// For people: one line, nothing invisible.
    pub fn words(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) => visible(text),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
            Self::Time(time) => time.to_string(),
            Self::List(list) => visible(&list.join("; ")),
            Self::Counts(counts) => {
                let list: Vec<String> = counts.iter().map(|(name, n)| format!("{name}={n}")).collect();
                visible(&list.join("; "))
            }
        }
    }

    /// Appends the cell as RFC 4180 has it.
    pub fn csv(&self, out: &mut String) {
        match self {
            Self::Empty => {}
            Self::Number(_) | Self::Flag(_) | Self::Time(_) => out.push_str(&self.words()),
            Self::Text(_) | Self::List(_) | Self::Counts(_) => {
                out.push('"');
                let words = self.words();
                if is_formula(&words) {
                    out.push('\'');
                }
                out.push_str(&words.replace('"', "\"\""));
                out.push('"');
            }
        }
    }
}

/// Whether a spreadsheet would run it: `=`, `+`, `-`, `@` at the beginning, also behind blanks or in full width.
fn is_formula(text: &str) -> bool {
    let start = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\'' || c == '"');
    start.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}

/// Whether a character has no picture of its own, or changes how others are seen.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Text on one line in which nothing hides: control and direction characters are spelled out.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_hidden(c) => out.push_str(&format!("\\u{{{:04x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Text for HTML, in elements and in double-quoted attributes.
pub(crate) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Cell, html, visible};
    use vestibule_core::Timestamp;

    fn csv(cell: &Cell) -> String {
        let mut out = String::new();
        cell.csv(&mut out);
        out
    }

    #[test]
    fn no_cell_is_a_formula() {
        for evil in ["=1+1", "+1", "-1", "@SUM(A1)", "  =1", "\u{a0}=1", "'=1", "\"=1", "＝1", "＠x"] {
            let written = csv(&Cell::text(evil));
            assert!(written.starts_with("\"'"), "{written}");
            assert!(csv(&Cell::list(&[evil.to_owned()])).starts_with("\"'"), "{evil}");
        }
        // A tab or line end before it is spelled out, and so no longer a blank.
        assert_eq!(csv(&Cell::text("\t=1")), "\"\\t=1\"");
        assert_eq!(csv(&Cell::text("a=1")), "\"a=1\"");
        assert_eq!(csv(&Cell::Number(7)), "7");
    }

    #[test]
    fn quotes_and_lines_stay_in_their_cell() {
        assert_eq!(csv(&Cell::text("a\"b,c\r\nd")), "\"a\"\"b,c\\r\\nd\"");
        assert_eq!(csv(&Cell::Empty), "");
        assert_eq!(csv(&Cell::Time(Timestamp(0))), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn nothing_hides() {
        assert_eq!(visible("a\0b\u{202e}c\u{feff}\u{1b}[31m"), "a\\u{0000}b\\u{202e}c\\u{feff}\\u{001b}[31m");
        assert_eq!(visible("Zoë 李 \u{1f600}"), "Zoë 李 \u{1f600}");
        assert_eq!(html("<script>'\"&\u{202e}"), "&lt;script&gt;&#39;&quot;&amp;\\u{202e}");
    }
}
