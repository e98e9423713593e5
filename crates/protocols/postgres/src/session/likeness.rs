//! Texts that differ only in numbers: read once.
//!
//! A client that writes its values into the text says something new each time, and PostgreSQL's grammar costs more than
//! all else the gateway does for a short query. So the numbers of the simplest texts are put aside before looking the
//! text up. Only where that is certain: ASCII without quotes, comments, parameters, brackets or anything else that could
//! make a digit part of another token, and without two numbers that are only an operator apart (`1 = 1` is a condition,
//! `1 = 2` is none). Only plain reads are kept (see [`super::text`]); a number in them changes no effect, no relation and
//! no lineage. Anything else is read anew.

use std::ops::Range;

/// Longer texts, and more numbers, are read as they are.
const LONGEST: usize = 4_096;
const MOST_NUMBERS: usize = 32;

/// The text without its numbers, and where they are. `None`: it is not simple enough.
pub(super) fn likeness(text: &[u8]) -> Option<(Vec<u8>, Vec<Range<usize>>)> {
    if text.len() > LONGEST {
        return None;
    }
    let mut key = Vec::with_capacity(text.len());
    let mut numbers: Vec<Range<usize>> = Vec::new();
    // Whether a word stood since the last number, so that the next one is not compared with it.
    let mut apart = true;
    let mut rest = text.iter().enumerate().peekable();
    let mut before = b' ';
    while let Some((at, byte)) = rest.next() {
        match byte {
            b'0'..=b'9' if !is_word(before) => {
                let mut end = at.saturating_add(1);
                while let Some((next, _)) = rest.next_if(|(_, b)| b.is_ascii_digit()) {
                    end = next.saturating_add(1);
                }
                let joined = rest.peek().is_some_and(|(_, b)| is_word(**b) || **b == b'.');
                // Ten digits may be too many for an integer, which would make it a constant of another kind.
                if joined || before == b'.' || !apart || end.saturating_sub(at) > 9 || numbers.len() >= MOST_NUMBERS {
                    return None;
                }
                numbers.push(at..end);
                key.push(b'#');
                apart = false;
                before = b'0';
                continue;
            }
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' => apart = true,
            b',' => apart = true,
            b' ' | b'\n' | b'\t' | b'(' | b')' | b'=' | b'<' | b'>' | b'.' | b';' | b'+' => {}
            b'*' if before != b'/' => {}
            b'-' if before != b'-' => {}
            _ => return None,
        }
        key.push(*byte);
        before = *byte;
    }
    (!numbers.is_empty()).then_some((key, numbers))
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::likeness;

    #[test]
    fn numbers_are_put_aside_only_where_they_are_certain() {
        let like = |text: &str| likeness(text.as_bytes()).map(|(key, n)| (String::from_utf8(key).unwrap(), n));
        assert_eq!(
            like("SELECT a FROM t2 WHERE id = 17;"),
            Some(("SELECT a FROM t2 WHERE id = #;".into(), vec![std::ops::Range { start: 28, end: 30 }]))
        );
        assert_eq!(like("SELECT f(1, a, 22) LIMIT 3").unwrap().1, [9..10, 15..17, 25..26]);
        for text in [
            "SELECT 1 WHERE 1 = 1",
            "SELECT a WHERE (1) = (1)",
            "SELECT 'x' WHERE id = 1",
            "SELECT \"1\"",
            "SELECT 1 -- 2",
            "SELECT 1 /* 2 */",
            "SELECT $1",
            "SELECT $$1$$",
            "SELECT a[1]",
            "SELECT 1.5",
            "SELECT .5",
            "SELECT 1e5",
            "SELECT 0x10",
            "SELECT 1_000",
            "SELECT 12345678901",
            "SELECT \u{661}",
            "SELECT E'\\1'",
            "SELECT a",
            "SELECT 1 | 2",
        ] {
            assert_eq!(like(text), None, "{text}");
        }
    }
}
