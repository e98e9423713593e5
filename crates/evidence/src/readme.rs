//! `README.txt`: what the pack is, and how to check it without us.

use crate::pack::{MANIFEST, Told};
use crate::summary::RecordingState;
use crate::tables;
use std::fmt::Write as _;
use vestibule_ledger::hex;

/// Commands by which an auditor checks a pack: what each does, and its words.
pub(crate) fn commands() -> [(&'static str, String); 5] {
    [
        ("That no file of this pack was changed since it was made:", format!("sha256sum -c {MANIFEST}")),
        (
            "That the whole ledger is what was logged, and that the pack's checkpoint is a beginning of it. LEDGER is \
             your copy of the ledger's directory; take the key from your own files, not from here:",
            "vestibule ledger verify LEDGER --key YOUR-COPY.vkey --since checkpoint".to_owned(),
        ),
        (
            "What one row says, from the ledger itself. N is the row's entry:",
            "vestibule ledger show N --dir LEDGER".to_owned(),
        ),
        (
            "That this entry is in the log, as a proof for a third party:",
            "vestibule ledger proof N --dir LEDGER".to_owned(),
        ),
        (
            "With no program of ours: the ledger is a C2SP tlog-tiles log, and any verifier of such logs accepts it with",
            "the files `checkpoint` and `ledger.vkey`, and LEDGER as the tiles".to_owned(),
        ),
    ]
}

/// What the pack covers and what it does not, one statement a line.
pub(crate) fn completeness(told: &Told<'_>) -> Vec<String> {
    let (report, summary, size) = (&told.base.report, told.summary, told.base.checkpoint.size);
    let mut lines = Vec::new();
    lines.push(match summary.range {
        Some((first, last)) => format!(
            "All {size} entries up to the checkpoint were read. Of the period are {}; the first is entry {first}, the \
             last is entry {last}.",
            summary.counts.entries
        ),
        None => format!("All {size} entries up to the checkpoint were read. None of them bears a time of the period."),
    });
    if let Some((from, why)) = &summary.stopped {
        lines.clear();
        lines.push(format!("ENTRIES ARE MISSING HERE: reading stopped at entry {from} of {size}: {why}."));
    }
    if summary.unreadable > 0 {
        lines.push(format!(
            "ENTRIES THAT ARE IN NO TABLE because they could not be understood: {}.",
            summary.unreadable
        ));
    }
    let s = report.sessions;
    lines.push(format!(
        "Sessions of the whole ledger: {}. Ended in order: {}; abandoned when the gateway died: {}; open at the \
         checkpoint: {}. Entries of a session are numbered without gaps and each names the one before it, so that \
         a missing one would be found.",
        s.opened, s.closed, s.abandoned, s.open
    ));
    lines.push(format!(
        "Starts of the gateway: {}; ends that were not in order: {}. What happened while it was not running, it does \
         not know.",
        report.epochs, report.crashes
    ));
    lines.push(format!(
        "Operations of the period that are of unknown extent, because the gateway died while they ran and what they \
         disclosed is not known: {}.",
        summary.counts.extent_unknown
    ));
    if report.unsigned > 0 {
        lines.push(format!(
            "Newer entries that no checkpoint covered yet, and that are therefore not in this pack: {}.",
            report.unsigned
        ));
    }
    if let Some(since) = report.since {
        lines.push(format!(
            "The ledger continues the older checkpoint over {since} entries: nothing of it was rewritten."
        ));
    }
    lines.push(
        "Access to the systems by any other way than through the gateway leaves no trace here. Times are the \
         gateway's clock; the order is the ledger's."
            .to_owned(),
    );
    lines
}

/// `README.txt`
pub(crate) fn text(told: &Told<'_>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = fill(told, &mut out);
    out
}

fn fill(told: &Told<'_>, out: &mut String) -> std::fmt::Result {
    let (request, checkpoint) = (told.request, &told.base.checkpoint);
    writeln!(out, "EVIDENCE OF {}", checkpoint.origin)?;
    writeln!(out, "from {} up to and without {}\n", request.period.start, request.period.end)?;
    writeln!(out, "{}\n", verdict(told))?;
    writeln!(out, "Checkpoint  {} entries, root {}", checkpoint.size, hex(&checkpoint.root))?;
    writeln!(out, "Key         {}\n", request.key.to_line())?;
    for line in completeness(told) {
        paragraph(out, "- ", &line)?;
    }
    writeln!(out, "\nFILES")?;
    for (table, (_, rows)) in tables::ALL.iter().zip(told.rows) {
        writeln!(out, "  {0}.csv, {0}.jsonl (rows: {rows})", table.id)?;
        paragraph(out, "      ", table.about)?;
    }
    writeln!(out, "  report.html: the same to read and to print; needs no network")?;
    writeln!(out, "  pack.json: the numbers and findings, for programs")?;
    writeln!(out, "  checkpoint: the signed checkpoint this pack was made against")?;
    writeln!(out, "  ledger.vkey: the key it was verified with")?;
    writeln!(out, "  {MANIFEST}: SHA-256 of every file above\n")?;
    paragraph(
        out,
        "",
        "In the CSV files a cell that a spreadsheet would take for a formula begins with an apostrophe, and control \
         characters are spelled out (\\n, \\u{202e}). The JSON Lines files have every value exactly as it is on the \
         ledger.",
    )?;
    writeln!(out, "\nCOLUMNS")?;
    for table in tables::ALL {
        writeln!(out, "  {}", table.id)?;
        for column in table.columns {
            writeln!(out, "    {:<18} {}", column.name, column.means)?;
        }
    }
    writeln!(out, "\nSTATES OF A RECORDING")?;
    for state in RecordingState::ALL {
        writeln!(out, "    {:<18} {}", state.name(), state.means())?;
    }
    writeln!(out, "\nTO CHECK IT YOURSELF")?;
    for (why, command) in commands() {
        paragraph(out, "  ", why)?;
        writeln!(out, "      {command}")?;
    }
    Ok(())
}

/// The result in one sentence.
pub(crate) fn verdict(told: &Told<'_>) -> String {
    let report = &told.base.report;
    if told.whole {
        return "VERIFIED: the ledger is whole, and every entry of the period is in this pack.".to_owned();
    }
    if !report.is_whole() {
        let n = report.more.saturating_add(report.findings.len() as u64);
        return format!(
            "THE LEDGER DOES NOT VERIFY (findings: {n}). Do not rely on this pack before that is explained."
        );
    }
    if told.summary.stopped.is_some() || told.summary.unreadable > 0 {
        return "THE PACK IS INCOMPLETE: not every entry of the ledger could be read.".to_owned();
    }
    let bad = told.summary.counts.recordings.iter().filter(|(state, _)| state.is_bad()).map(|(_, n)| n).sum::<u64>();
    format!(
        "THE LEDGER IS WHOLE, BUT NOT EVERY RECORDING: missing, different from what it noted, or unreadable: {bad}."
    )
}

/// Wraps at 100 columns.
fn paragraph(out: &mut String, lead: &str, text: &str) -> std::fmt::Result {
    let blank = " ".repeat(lead.len());
    let (mut line, mut prefix) = (String::new(), lead);
    for word in text.split_whitespace() {
        if !line.is_empty() && prefix.len() + line.len() + word.len() >= 100 {
            writeln!(out, "{prefix}{line}")?;
            line.clear();
            prefix = &blank;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(out, "{prefix}{line}")
}
