//! `report.html`: one page that people read and print. No script, nothing from elsewhere.

use crate::cell::{html, visible};
use crate::pack::Told;
use crate::readme;
use crate::summary::{OTHERS, RecordingState, Share};
use crate::tables::{self, Table};
use std::collections::BTreeMap;
use std::fmt::{Result, Write as _};
use vestibule_ledger::hex;

const STYLE: &str = include_str!("report.css");
/// Most rows of one breakdown on the page; the tables have all.
const SHOWN: usize = 40;
/// Most findings on the page; `pack.json` has up to a thousand.
const FINDINGS: usize = 200;

/// The page.
pub(crate) fn page(told: &Told<'_>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = fill(told, &mut out);
    out
}

fn fill(told: &Told<'_>, out: &mut String) -> Result {
    let origin = html(&told.base.checkpoint.origin);
    writeln!(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
    writeln!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
    writeln!(
        out,
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    )?;
    writeln!(out, "<meta name=\"color-scheme\" content=\"light dark\">\n<title>Evidence: {origin}</title>")?;
    writeln!(out, "<style>\n{STYLE}</style>\n</head>\n<body>\n<main>")?;
    head(told, out)?;
    numbers(told, out)?;
    completeness(told, out)?;
    findings(told, out)?;
    breakdowns(told, out)?;
    files(told, out)?;
    yourself(out)?;
    columns(out)?;
    writeln!(out, "</main>\n</body>\n</html>")
}

fn head(told: &Told<'_>, out: &mut String) -> Result {
    let (request, checkpoint) = (told.request, &told.base.checkpoint);
    writeln!(out, "<header>\n<p class=\"kicker\">Evidence of access</p>\n<h1>{}</h1>", html(&checkpoint.origin))?;
    writeln!(
        out,
        "<p class=\"period\">from <time>{}</time> up to and without <time>{}</time></p>\n</header>",
        request.period.start, request.period.end
    )?;
    let class = if told.whole { "good" } else { "bad" };
    writeln!(out, "<section class=\"verdict {class}\"><p>{}</p>", html(&readme::verdict(told)))?;
    writeln!(out, "<dl>\n<dt>Checkpoint</dt><dd>{} entries</dd>", thousands(checkpoint.size))?;
    writeln!(out, "<dt>Root</dt><dd><code>{}</code></dd>", hex(&checkpoint.root))?;
    let covered = match told.summary.range {
        Some((first, last)) => format!("{} to {}", thousands(first), thousands(last)),
        None => "none".to_owned(),
    };
    writeln!(out, "<dt>Entries of the period</dt><dd>{covered}</dd>")?;
    writeln!(out, "<dt>Verified with</dt><dd><code>{}</code></dd>\n</dl>\n</section>", html(&request.key.to_line()))
}

fn numbers(told: &Told<'_>, out: &mut String) -> Result {
    let counts = &told.summary.counts;
    let sum = |map: &BTreeMap<String, u64>| map.values().fold(0, |sum: u64, n| sum.saturating_add(*n));
    let event = |name: &str| counts.approvals.get(name).copied().unwrap_or_default();
    let tiles = [
        ("Sessions", counts.sessions, String::new()),
        ("Operations", counts.permitted.saturating_add(counts.denied), format!("{} refused", thousands(counts.denied))),
        ("Turned away", counts.turned_away, "connections".to_owned()),
        ("Approvals asked", event("requested"), format!("{} said yes, {} no", event("granted"), event("denied"))),
        ("Rows disclosed", counts.rows, String::new()),
        ("Values masked", sum(&counts.masked), String::new()),
        ("Values revealed", sum(&counts.revealed), "PHI shown by policy".to_owned()),
        ("Extent unknown", counts.extent_unknown, "operations".to_owned()),
    ];
    writeln!(out, "<section class=\"tiles\">")?;
    for (name, number, more) in tiles {
        writeln!(
            out,
            "<div><p class=\"name\">{name}</p><p class=\"number\">{}</p><p class=\"more\">{}</p></div>",
            thousands(number),
            html(&more)
        )?;
    }
    writeln!(out, "</section>")
}

fn completeness(told: &Told<'_>, out: &mut String) -> Result {
    writeln!(out, "<section>\n<h2>What this covers, and what it does not</h2>\n<ul>")?;
    for line in readme::completeness(told) {
        writeln!(out, "<li>{}</li>", html(&line))?;
    }
    writeln!(out, "</ul>\n</section>")
}

fn findings(told: &Told<'_>, out: &mut String) -> Result {
    let report = &told.base.report;
    if report.findings.is_empty() {
        return Ok(());
    }
    writeln!(out, "<section class=\"findings\">\n<h2>What is wrong with the ledger</h2>\n<ol>")?;
    for finding in report.findings.iter().take(FINDINGS) {
        writeln!(out, "<li>{}</li>", html(&finding.to_string()))?;
    }
    let rest = report.more.saturating_add(report.findings.len().saturating_sub(FINDINGS) as u64);
    if rest > 0 {
        writeln!(out, "<li>and {} more; see <code>pack.json</code></li>", thousands(rest))?;
    }
    writeln!(out, "</ol>\n</section>")
}

fn breakdowns(told: &Told<'_>, out: &mut String) -> Result {
    let summary = told.summary;
    shares(out, "By target", "Target", &summary.targets)?;
    shares(out, "By identity", "Identity", &summary.identities)?;
    classes(told, out)?;
    plain(out, "Operations by effect", "Effect", &summary.counts.effects)?;
    plain(out, "Why something was refused", "In the words the client was given", &summary.refusals)?;
    plain(out, "Requests for approval", "Event", &summary.counts.approvals)?;
    recordings(told, out)?;
    plain(out, "Ledger entries of the period", "Kind", &summary.counts.kinds)
}

fn classes(told: &Told<'_>, out: &mut String) -> Result {
    let (masked, revealed) = (&told.summary.counts.masked, &told.summary.counts.revealed);
    let mut all: Vec<&String> = masked.keys().chain(revealed.keys()).collect();
    all.sort();
    all.dedup();
    let of = |map: &BTreeMap<String, u64>, class: &str| thousands(map.get(class).copied().unwrap_or_default());
    let rows = all.into_iter().map(|class| vec![visible(class), of(masked, class), of(revealed, class)]).collect();
    grid(out, "PHI in answers", &["Class", "Values masked", "Values revealed"], rows)
}

fn recordings(told: &Told<'_>, out: &mut String) -> Result {
    let counts = &told.summary.counts.recordings;
    let row = |state: &RecordingState| {
        let count = counts.get(state)?;
        Some(vec![format!("{}: {}", state.name(), state.means()), thousands(*count)])
    };
    grid(out, "Recordings", &["State", "Sessions"], RecordingState::ALL.iter().filter_map(row).collect())
}

fn shares(out: &mut String, title: &str, name: &str, map: &BTreeMap<String, Share>) -> Result {
    let mut list: Vec<_> = map.iter().collect();
    // The busiest first; names break ties, so that the page is always the same.
    list.sort_by_key(|(name, share)| {
        (name.as_str() == OTHERS, std::cmp::Reverse(share.permitted.saturating_add(share.denied)), name.as_str())
    });
    let rows = list.into_iter().map(|(name, s)| {
        let numbers = [s.sessions, s.permitted, s.denied, s.rows, s.masked, s.revealed];
        std::iter::once(visible(name)).chain(numbers.map(thousands)).collect()
    });
    let heads = [name, "Sessions", "Permitted", "Refused", "Rows", "Masked", "Revealed"];
    grid(out, title, &heads, rows.collect())
}

fn plain(out: &mut String, title: &str, name: &str, map: &BTreeMap<String, u64>) -> Result {
    let mut list: Vec<_> = map.iter().collect();
    list.sort_by_key(|(name, count)| (name.as_str() == OTHERS, std::cmp::Reverse(**count), name.as_str()));
    grid(out, title, &[name, "Count"], list.into_iter().map(|(n, c)| vec![visible(n), thousands(*c)]).collect())
}

/// A table whose first column is text and the others numbers.
fn grid(out: &mut String, title: &str, heads: &[&str], rows: Vec<Vec<String>>) -> Result {
    writeln!(out, "<section>\n<h2>{}</h2>", html(title))?;
    if rows.is_empty() {
        return writeln!(out, "<p class=\"none\">None in the period.</p>\n</section>");
    }
    let left_out = rows.len().saturating_sub(SHOWN);
    writeln!(out, "<div class=\"scroll\"><table>\n<thead><tr>")?;
    for head in heads {
        write!(out, "<th scope=\"col\">{}</th>", html(head))?;
    }
    writeln!(out, "</tr></thead>\n<tbody>")?;
    for row in rows.iter().take(SHOWN) {
        write!(out, "<tr>")?;
        for cell in row {
            write!(out, "<td>{}</td>", html(cell))?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody>\n</table></div>")?;
    if left_out > 0 {
        writeln!(out, "<p class=\"none\">and {left_out} more, in the tables beside this page</p>")?;
    }
    writeln!(out, "</section>")
}

fn files(told: &Told<'_>, out: &mut String) -> Result {
    writeln!(out, "<section>\n<h2>The tables beside this page</h2>\n<dl class=\"files\">")?;
    for (table, (_, rows)) in tables::ALL.iter().zip(told.rows) {
        let (id, noun) = (table.id, if *rows == 1 { "row" } else { "rows" });
        writeln!(
            out,
            "<dt>{}: {} {noun} <a href=\"{id}.csv\">{id}.csv</a> <a href=\"{id}.jsonl\">{id}.jsonl</a></dt>",
            html(table.title),
            thousands(*rows)
        )?;
        writeln!(out, "<dd>{}</dd>", html(table.about))?;
    }
    writeln!(out, "</dl>\n</section>")
}

fn yourself(out: &mut String) -> Result {
    writeln!(out, "<section>\n<h2>To check it yourself, offline</h2>\n<ol class=\"commands\">")?;
    for (why, command) in readme::commands() {
        writeln!(out, "<li>{}<pre>{}</pre></li>", html(why), html(&command))?;
    }
    writeln!(out, "</ol>")?;
    writeln!(
        out,
        "<p>A pack is made from the ledger alone. Made again from the same ledger, for the same period, it has the \
         same tables, byte for byte. A key that comes with what it is to verify proves nothing: compare it with the \
         one you were given by another way.</p>\n</section>"
    )
}

fn columns(out: &mut String) -> Result {
    writeln!(out, "<section class=\"columns\">\n<h2>What each column means</h2>")?;
    for table in tables::ALL {
        meanings(out, table)?;
    }
    writeln!(out, "</section>")
}

fn meanings(out: &mut String, table: &Table) -> Result {
    writeln!(out, "<h3>{}</h3>\n<table class=\"meanings\">\n<tbody>", html(table.title))?;
    for column in table.columns {
        writeln!(out, "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td></tr>", column.name, html(column.means))?;
    }
    writeln!(out, "</tbody>\n</table>")
}

/// `1 234 567`, with blanks at which no line breaks.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + 8);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{a0}');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_read_in_threes() {
        let all = [0, 999, 1_000, 1_234_567].map(super::thousands);
        assert_eq!(all, ["0", "999", "1\u{a0}000", "1\u{a0}234\u{a0}567"]);
    }
}
