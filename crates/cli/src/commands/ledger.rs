//! `ledger`: verifying and reading, without a gateway and without a network.

use crate::args::{Entry, Globals, Ledger, LedgerDir, Verify};
use crate::commands::house;
use crate::failure::{Done, Failure, Kind};
use crate::output::{json, line, note, safe_lines};
use std::path::{Path, PathBuf};
use vestibule_ledger::{Older, Reader, Report, VerifierKey, VerifyOptions};

/// `ledger …`
pub fn run(command: Ledger, globals: &Globals) -> Done {
    match command {
        Ledger::Verify(args) => verify(&args, globals),
        Ledger::Checkpoint(args) => checkpoint(&args, globals),
        Ledger::Show(args) => show(&args, globals),
        Ledger::Proof(args) => proof(&args, globals),
    }
}

/// The directory that was named, or that of the configuration.
fn dir(args: &LedgerDir, globals: &Globals) -> Result<PathBuf, Failure> {
    match &args.dir {
        Some(dir) => Ok(dir.clone()),
        None => house::load(&globals.config).map(|resolved| resolved.layout.ledger()),
    }
}

fn reader(dir: &Path) -> Result<Reader, Failure> {
    Reader::open(dir)
        .map_err(|e| Failure::new(Kind::NotFound, "the ledger cannot be read", e, "name its directory with `--dir`"))
}

fn verify(args: &Verify, globals: &Globals) -> Done {
    let key = verifier(&args.key)?;
    let mut options = VerifyOptions::new(key);
    if let Some(file) = &args.since {
        let text = read(file, "the older checkpoint")?;
        options = options.since(Older { from: file.display().to_string(), note: text });
    }
    let report = vestibule_ledger::verify(&args.dir, &options)
        .map_err(|e| Failure::new(Kind::NotFound, "the ledger cannot be read", e, "name the directory of a ledger"))?;
    if globals.json {
        json(&as_json(&report));
    } else {
        line(report.to_string().trim_end());
    }
    if report.is_whole() { Ok(()) } else { Err(unsound(&report)) }
}

fn unsound(report: &Report) -> Failure {
    let what = format!("the ledger does NOT verify: {} findings", report.findings.len());
    Failure::new(Kind::NotInOrder, what, "", "keep this copy as evidence, and compare it with an older one")
}

fn as_json(report: &Report) -> serde_json::Value {
    let sessions = &report.sessions;
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    serde_json::json!({
        "origin": report.origin, "verified": report.is_whole(), "entries": report.entries, "unsigned": report.unsigned,
        "size": report.checkpoint.as_ref().map(|c| c.size),
        "root": report.checkpoint.as_ref().map(|c| vestibule_ledger::hex(&c.root)),
        "sessions": {
            "opened": sessions.opened, "closed": sessions.closed, "abandoned": sessions.abandoned, "open": sessions.open,
        },
        "extent_unknown": report.extent_unknown, "epochs": report.epochs, "crashes": report.crashes,
        "findings": findings, "more": report.more,
    })
}

/// A verifier key: the line itself, or a file that holds it.
fn verifier(given: &str) -> Result<VerifierKey, Failure> {
    let line =
        if given.matches('+').count() >= 2 { given.to_owned() } else { read(Path::new(given), "the verifier key")? };
    VerifierKey::parse(line.trim()).map_err(|e| {
        let next = "write the line `name+hash+key` that `vestibule init` printed, or a file that holds it";
        Failure::new(Kind::Usage, "that is no verifier key", e, next)
    })
}

fn read(file: &Path, what: &str) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|e| {
        Failure::new(Kind::NotFound, format!("{what} in {} cannot be read", file.display()), e, "check the path")
    })
}

fn checkpoint(args: &LedgerDir, globals: &Globals) -> Done {
    let dir = dir(args, globals)?;
    line(read(&dir.join("checkpoint"), "the checkpoint")?.trim_end());
    Ok(())
}

fn show(args: &Entry, globals: &Globals) -> Done {
    let dir = dir(&args.at, globals)?;
    let reader = reader(&dir)?;
    let missing = |why: String| Failure::new(Kind::NotFound, format!("entry {} cannot be read", args.index), why, "");
    let (_, bytes) = reader
        .entries(args.index)
        .next()
        .ok_or_else(|| missing("there is no such entry".to_owned()))?
        .map_err(|e| missing(e.to_string()))?;
    let text = String::from_utf8_lossy(&bytes);
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(value) if !globals.json => json(&value),
        Ok(_) => line(&*text),
        Err(_) => {
            note("vestibule: the entry is no JSON; shown as it is");
            line(safe_lines(&text));
        }
    }
    Ok(())
}

fn proof(args: &Entry, globals: &Globals) -> Done {
    let dir = dir(&args.at, globals)?;
    let proof = vestibule_ledger::inclusion_proof(&dir, args.index)
        .map_err(|e| Failure::new(Kind::NotFound, format!("there is no proof for entry {}", args.index), e, ""))?;
    line(proof.to_text().trim_end());
    Ok(())
}
