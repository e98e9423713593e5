//! Making text safe to show: the requester wrote it, and the approver must see all of it.
//!
//! A statement can carry terminal escapes that wipe a line, or bidirectional controls that make a reader see
//! another order than the server runs ("Trojan Source", CVE-2021-42574). They are shown as escapes instead.

use std::fmt::Write;

/// `text` with everything that could hide or reorder a part of it written as `\u{…}`. Line feeds and tabs stay.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hides(c) {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

fn hides(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        // Soft hyphen, Arabic letter mark, Hangul and Khmer fillers, Mongolian separators.
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' => true,
        // Zero-width characters, line and paragraph separators, embeddings, overrides, isolates, joiners.
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        // Fillers, variation selectors, byte-order mark, interlinear annotation, tags.
        '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' => true,
        '\u{e0000}'..='\u{e0fff}' => true,
        c => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn nothing_can_hide_what_is_approved() {
        assert_eq!(visible("SELECT 1\n\t-- naïve 患者"), "SELECT 1\n\t-- naïve 患者");
        assert_eq!(visible("DROP TABLE t; \r\x1b[2KSELECT 1"), "DROP TABLE t; \\u{d}\\u{1b}[2KSELECT 1");
        assert_eq!(visible("a\u{202e}b\u{200b}c\u{9b}d"), "a\\u{202e}b\\u{200b}c\\u{9b}d");
    }
}
