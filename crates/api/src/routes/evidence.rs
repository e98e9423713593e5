//! Exporting evidence. That it was exported, by whom and for which period, is on the ledger before the first byte leaves.

use super::time;
use crate::caller::{Caller, Role};
use crate::problem::Problem;
use crate::stream;
use crate::wire::{EvidenceBody, EvidencePiece};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;
use vestibule_gateway::Gateway;
use vestibule_ledger::VerifierKey;

/// Bytes of a file in one piece.
const PIECE: usize = 192 << 10;
/// Pieces that may wait for a slow reader.
const PIECES: usize = 8;

/// `POST /v1/evidence`: the files of a period, as NDJSON of [`EvidencePiece`].
pub(crate) async fn export(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Json(body): Json<EvidenceBody>,
) -> Result<Response, Problem> {
    let caller = caller.with(&[Role::Auditor, Role::Admin])?;
    let (from, to) = (time(&body.from)?, time(&body.to)?);
    if from >= to {
        return Err(Problem::bad_request("`from` must be before `to`"));
    }
    let noted = json!({
        "by": caller.identity.id(), "name": caller.identity.name, "from": from.to_string(), "to": to.to_string(),
    });
    let noted = gateway.house.journal.note("evidence.exported", &noted).await;
    noted.map_err(|e| Problem::fault("the export could not be recorded, so nothing was exported", e))?;
    // The export itself is part of what is exported.
    gateway.house.ledger.checkpoint_now().await.map_err(|e| Problem::fault("no checkpoint could be signed", e))?;
    let layout = gateway.config().layout.clone();
    let folder = Scratch::new(layout.root())?;
    let written = tokio::task::spawn_blocking(move || {
        let key = std::fs::read_to_string(layout.ledger_vkey()).map_err(|e| e.to_string())?;
        let key = VerifierKey::parse(key.trim()).map_err(|e| e.to_string())?;
        let out = folder.0.join("evidence");
        let request = vestibule_evidence::Request {
            ledger: layout.ledger(),
            key,
            recordings: Some(layout.recordings()),
            period: from..to,
            older: None,
        };
        vestibule_evidence::make(&request, &out).map_err(|e| e.to_string())?;
        Ok::<_, String>(folder)
    });
    let folder = written
        .await
        .map_err(|e| Problem::fault("the evidence could not be written", e))?
        .map_err(|e| Problem::fault("the evidence could not be written", e))?;
    let (tell, told) = mpsc::channel::<Bytes>(PIECES);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = send(&folder.0.join("evidence"), &tell) {
            tracing::warn!(%error, "an export of evidence broke off");
        }
    });
    Ok(stream::ndjson(told))
}

/// A folder that is removed when it is no longer needed.
struct Scratch(PathBuf);

impl Scratch {
    fn new(root: &Path) -> Result<Self, Problem> {
        let failed = |e: &dyn std::fmt::Display| Problem::fault("no folder could be made for the evidence", e);
        let mut chance = [0_u8; 8];
        aws_lc_rs::rand::fill(&mut chance).map_err(|_| failed(&"the system gave no random bytes"))?;
        let name: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = root.join(format!("export-{name}"));
        std::fs::create_dir(&path).map_err(|e| failed(&e))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "a folder of an export could not be removed");
        }
    }
}

fn send(folder: &Path, tell: &mpsc::Sender<Bytes>) -> Result<(), String> {
    let mut files: Vec<PathBuf> = Vec::new();
    list(folder, &mut files).map_err(|e| e.to_string())?;
    files.sort();
    let gone = |_| "the client went away".to_owned();
    for file in &files {
        let name = file.strip_prefix(folder).unwrap_or(file).to_string_lossy().into_owned();
        let mut open = std::fs::File::open(file).map_err(|e| e.to_string())?;
        loop {
            let mut bytes = Vec::new();
            open.by_ref().take(PIECE as u64).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
            let last = bytes.len() < PIECE;
            let piece = EvidencePiece { file: name.clone(), data: BASE64.encode(&bytes), last, end: false };
            tell.blocking_send(stream::line(&piece)).map_err(gone)?;
            if last {
                break;
            }
        }
    }
    let end = EvidencePiece { file: String::new(), data: String::new(), last: true, end: true };
    tell.blocking_send(stream::line(&end)).map_err(gone)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
