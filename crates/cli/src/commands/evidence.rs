//! `evidence`: the files of a period, from the gateway into a directory.

use crate::args::{Evidence, Globals};
use crate::failure::{Done, Failure, Kind};
use crate::output::{json, line};
use crate::signed::Known;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};
use vestibule_api::wire::{EvidenceBody, EvidencePiece};

/// Longest line of the stream, in bytes.
const MAX_LINE: usize = 4 << 20;

/// `evidence`
pub async fn write(args: &Evidence, globals: &Globals) -> Done {
    if args.out.exists() {
        let what = format!("{} is there already", args.out.display());
        return Err(Failure::new(Kind::Usage, what, "", "name a directory that does not exist yet"));
    }
    let client = Known::find(globals)?.signed_in()?;
    let body = EvidenceBody { from: args.from.clone(), to: args.to.clone() };
    let mut answer = client.post_stream("/v1/evidence", &body).await?;
    let mut unpacking = Unpacking { out: args.out.clone(), open: None, files: Vec::new(), ended: false };
    let mut pending = Vec::new();
    let broke_off = || {
        Failure::new(Kind::Unreachable, "the export broke off before its end", "", "remove what came, and run it again")
    };
    while let Some(piece) = answer.chunk().await.map_err(|_| broke_off())? {
        pending.extend_from_slice(&piece);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let rest = pending.split_off(end + 1);
            unpacking.take(&std::mem::replace(&mut pending, rest))?;
        }
        if pending.len() > MAX_LINE {
            return Err(Failure::new(Kind::Other, "a line of the export is too long", "", ""));
        }
    }
    if !unpacking.ended {
        return Err(broke_off());
    }
    let whole = whole(&args.out)?;
    if globals.json {
        json(&json!({ "out": args.out, "files": unpacking.files, "whole": whole }));
    } else {
        line(format!("Wrote {} files to {}:", unpacking.files.len(), args.out.display()));
        unpacking.files.iter().for_each(|file| line(format!("  {file}")));
        line("Begin with report.html; README.txt says how to verify all of it without the gateway.");
    }
    if whole { Ok(()) } else { Err(not_whole(&args.out)) }
}

/// What `pack.json` says of the pack: whether the ledger and the recordings it is made of are in order.
fn whole(out: &Path) -> Result<bool, Failure> {
    let path = out.join("pack.json");
    let unread = |why: &dyn std::fmt::Display| {
        let what = format!("{} cannot be read, so it is not known whether the pack is whole", path.display());
        Failure::new(Kind::NotInOrder, what, why, "use the gateway's own version of `vestibule`, and run it again")
    };
    let bytes = fs::read(&path).map_err(|e| unread(&e))?;
    let said: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| unread(&e))?;
    said.get("whole").and_then(serde_json::Value::as_bool).ok_or_else(|| unread(&"it does not say"))
}

fn not_whole(out: &Path) -> Failure {
    Failure::new(
        Kind::NotInOrder,
        format!("the pack in {} is NOT whole", out.display()),
        "the ledger or a recording that it is made of is not as it was written",
        "read what was found in report.html; keep the pack and a copy of the ledger's directory as evidence",
    )
}

struct Unpacking {
    out: PathBuf,
    open: Option<(String, File)>,
    files: Vec<String>,
    ended: bool,
}

impl Unpacking {
    fn take(&mut self, bytes: &[u8]) -> Done {
        let piece: EvidencePiece = serde_json::from_slice(bytes).map_err(|e| {
            Failure::new(Kind::Other, "a line of the export is not understood", e, "use the gateway's own version")
        })?;
        if piece.end {
            self.ended = true;
            return Ok(());
        }
        let data = BASE64
            .decode(&piece.data)
            .map_err(|e| Failure::new(Kind::Other, "a piece of the export is damaged", e, "run it again"))?;
        let mut file = match self.open.take() {
            Some((name, file)) if name == piece.file => file,
            _ => self.create(&piece.file)?,
        };
        file.write_all(&data).map_err(|e| unwritten(&self.out, e))?;
        if piece.last {
            return file.sync_all().map_err(|e| unwritten(&self.out, e));
        }
        self.open = Some((piece.file, file));
        Ok(())
    }

    /// Only below the directory that was named: the gateway must not be able to write elsewhere on this machine.
    fn create(&mut self, name: &str) -> Result<File, Failure> {
        let relative = Path::new(name);
        let plain = !name.is_empty() && relative.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain {
            return Err(Failure::new(
                Kind::Other,
                "the export names a file outside of its directory",
                "",
                "tell the gateway's operators",
            ));
        }
        let path = self.out.join(relative);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.map_err(|e| unwritten(&path, e))?;
        self.files.push(name.to_owned());
        OpenOptions::new().write(true).create_new(true).open(&path).map_err(|e| unwritten(&path, e))
    }
}

fn unwritten(path: &Path, e: std::io::Error) -> Failure {
    Failure::new(Kind::Other, format!("{} cannot be written", path.display()), e, "check the space and the permissions")
}

#[cfg(test)]
mod tests {
    use super::{Unpacking, whole};
    use crate::failure::Kind;

    #[test]
    fn a_gateway_cannot_write_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let mut unpacking = Unpacking { out: dir.path().join("out"), open: None, files: Vec::new(), ended: false };
        for name in ["../x", "/etc/x", "a/../../x", "", "."] {
            assert_eq!(unpacking.create(name).unwrap_err().kind, Kind::Other, "{name}");
        }
        assert!(unpacking.create("csv/sessions.csv").is_ok());
        assert!(unpacking.create("csv/sessions.csv").is_err(), "the same file twice");
    }

    #[test]
    fn a_pack_that_does_not_say_that_it_is_whole_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let said = |text: &str| {
            std::fs::write(dir.path().join("pack.json"), text).unwrap();
            whole(dir.path()).map_err(|failure| failure.kind)
        };
        assert_eq!(said(r#"{"whole":true}"#), Ok(true));
        assert_eq!(said(r#"{"whole":false}"#), Ok(false));
        for text in ["", "{}", r#"{"whole":"true"}"#, r#"{"whole":1}"#, "[true]"] {
            assert_eq!(said(text), Err(Kind::NotInOrder), "{text}");
        }
        std::fs::remove_file(dir.path().join("pack.json")).unwrap();
        assert_eq!(whole(dir.path()).map_err(|failure| failure.kind), Err(Kind::NotInOrder));
    }
}
