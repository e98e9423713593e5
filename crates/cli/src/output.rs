//! What is printed: aligned tables and plain lines for people, JSON for machines.
//!
//! What comes from others (names, statements, reasons) is made harmless for a terminal first: no control characters,
//! no escape sequences, no text that runs backwards.

use serde::Serialize;

/// One line on standard output. A reader that went away (`| head`) is no error.
pub fn line(text: impl AsRef<str>) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// A value as JSON on standard output.
pub fn json(value: &impl Serialize) {
    line(serde_json::to_string_pretty(value).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}")));
}

/// One line on standard error: progress, warnings, errors.
#[expect(clippy::print_stderr, reason = "the one place that writes to standard error")]
pub fn note(text: impl AsRef<str>) {
    eprintln!("{}", text.as_ref());
}

/// Rows below headings, columns aligned by characters, two spaces apart; no trailing spaces.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|r| r.iter().map(|c| safe(c)).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count());
        cells.chain(headings.get(column).map(|h| h.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let render = |cells: &mut dyn Iterator<Item = &str>| {
        let mut out = String::new();
        for (cell, width) in cells.zip(&widths) {
            out.push_str(cell);
            out.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
        }
        out.trim_end().to_owned()
    };
    let mut lines = vec![render(&mut headings.iter().copied())];
    lines.extend(rows.iter().map(|r| render(&mut r.iter().map(String::as_str))));
    lines.join("\n")
}

/// Text of others, harmless for a terminal and on one line.
pub fn safe(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' | '\r' => ' ',
            // Bidirectional controls can make a statement look like another one.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Text of others, harmless for a terminal, its lines kept.
pub fn safe_lines(text: &str) -> String {
    text.lines().map(safe).collect::<Vec<_>>().join("\n")
}

/// The text, or its beginning and an ellipsis.
pub fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::{safe, short, table};

    #[test]
    fn tables_are_aligned() {
        let rows = [vec!["R-7".into(), "Zoë".into()], vec!["R-1042".into(), "Bo".into()]];
        assert_eq!(table(&["NUMBER", "WHO"], &rows), "NUMBER  WHO\nR-7     Zoë\nR-1042  Bo");
        assert_eq!(table(&["NUMBER", "WHO"], &[]), "NUMBER  WHO");
    }

    #[test]
    fn text_of_others_cannot_drive_the_terminal() {
        assert_eq!(safe("a\u{1b}[2Jb\nc\u{202e}d"), "a\u{fffd}[2Jb c\u{fffd}d");
        assert_eq!(short("statement", 5), "stat…");
        assert_eq!(short("short", 5), "short");
    }
}
