//! Replay: a recording as lines a person reads, streamed as NDJSON. That it is read is on the ledger first.

use super::sessions::{find, view};
use crate::caller::{Caller, Role};
use crate::problem::Problem;
use crate::stream;
use crate::wire::ReplayLine;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use vestibule_core::{Protocol, Side, Transcript, TranscriptLine};
use vestibule_gateway::Gateway;
use vestibule_record::{Archive, Ending, Moment, Moments, RecordError, What};

/// How often a live recording is looked at again.
const LOOK: Duration = Duration::from_millis(500);
/// Pieces that may wait for a slow reader.
const PIECES: usize = 16;
/// Lines are sent together up to so many bytes.
const PIECE: usize = 32 << 10;

/// Query of a replay.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// Go on while the session is live.
    #[serde(default)]
    follow: bool,
}

/// `GET /v1/sessions/{sid}/replay`
pub(crate) async fn replay(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Path(sid): Path<String>,
    Query(options): Query<Options>,
) -> Result<Response, Problem> {
    let caller = caller.unrestricted()?;
    let row = find(&gateway, &sid).await?;
    if row.identity_id != caller.identity.id() && !caller.has(&[Role::Admin, Role::Auditor]) {
        return Err(Problem::not_found("there is no such session that you may see"));
    }
    let protocol = protocol(&row.protocol)?;
    let archive = Archive::open(&gateway.config().layout.recordings(), vec![(*gateway.recording_key).clone()]);
    let opened = sid.clone();
    let recording = tokio::task::spawn_blocking(move || archive.recording(&opened)).await;
    let recording =
        recording.map_err(|e| Problem::fault("the recording could not be read", e))?.map_err(|e| not_opened(&e))?;
    let body = json!({
        "sid": sid, "by": caller.identity.id(), "name": caller.identity.name, "of": row.identity_id,
        "target": row.target, "follow": options.follow,
    });
    let noted = gateway.house.journal.note("record.read", &body).await;
    noted.map_err(|e| Problem::fault("reading the recording could not be recorded, so it is not shown", e))?;
    let (tell, told) = mpsc::channel::<Bytes>(PIECES);
    let first = ReplayLine::Session(Box::new(view(&gateway, &row)));
    let reader = Reader { moments: recording.moments(), transcript: protocol.transcript(), lines: Vec::new(), tell };
    tokio::spawn(reader.run(first, gateway, sid, options.follow));
    Ok(stream::ndjson(told))
}

fn protocol(id: &str) -> Result<&'static dyn Protocol, Problem> {
    let found = vestibule_protocols::all().iter().copied().find(|protocol| protocol.manifest().id == id);
    found.ok_or_else(|| Problem::not_found(format!("this version of the gateway does not speak `{id}`")))
}

fn not_opened(error: &RecordError) -> Problem {
    match error {
        RecordError::Missing(_) => Problem::not_found("the session was not recorded, or its recording is gone"),
        other => Problem::fault("the recording cannot be opened", other),
    }
}

/// What reads a recording for one answer.
struct Reader {
    moments: Moments,
    transcript: Box<dyn Transcript>,
    lines: Vec<TranscriptLine>,
    tell: mpsc::Sender<Bytes>,
}

impl Reader {
    async fn run(mut self, first: ReplayLine, gateway: Arc<Gateway>, sid: String, follow: bool) {
        let tell = self.tell.clone();
        if tell.send(stream::line(&first)).await.is_err() {
            return;
        }
        loop {
            // Whether it lives is asked before it is read: what is written in between is then read the next time.
            let live = gateway.house.live.list().iter().any(|live| *live.facts.sid == *sid);
            let (reader, ended) = match tokio::task::spawn_blocking(move || self.read()).await {
                Ok(read) => read,
                Err(error) => return tracing::error!(%error, "reading a recording failed"),
            };
            self = reader;
            let last = match ended {
                Err(line) => Some(line),
                Ok(()) if matches!(self.moments.ending(), Ending::Closed { .. }) => {
                    Some(ReplayLine::End { complete: true, note: None })
                }
                Ok(()) if follow && live => None,
                Ok(()) => Some(not_closed(live)),
            };
            match last {
                Some(line) => {
                    // A reader that went away has no use for the end.
                    let _ = tell.send(stream::line(&line)).await;
                    return;
                }
                None => tokio::time::sleep(LOOK).await,
            }
            if tell.is_closed() {
                return;
            }
        }
    }

    /// Reads what there is now. Blocks while the reader of the answer is slow.
    fn read(mut self) -> (Self, Result<(), ReplayLine>) {
        let mut piece = Vec::new();
        loop {
            let moment = match self.moments.next() {
                None => break,
                Some(Ok(moment)) => moment,
                Some(Err(error)) => {
                    let note = format!("it cannot be read further: {error}");
                    let _ = self.tell.blocking_send(Bytes::from(piece));
                    return (self, Err(ReplayLine::End { complete: false, note: Some(note) }));
                }
            };
            self.lines(moment, &mut piece);
            if piece.len() >= PIECE && self.tell.blocking_send(Bytes::from(std::mem::take(&mut piece))).is_err() {
                break;
            }
        }
        if !piece.is_empty() {
            // A reader that went away is noticed by the caller.
            let _ = self.tell.blocking_send(Bytes::from(piece));
        }
        (self, Ok(()))
    }

    fn lines(&mut self, moment: Moment, piece: &mut Vec<u8>) {
        let at_us = moment.at_us;
        match moment.what {
            What::Frames { side, bytes, .. } => {
                self.lines.clear();
                self.transcript.read(side, &bytes, &mut self.lines);
                // What reached the client came from the target.
                let from = if side == Side::Client { "target" } else { "client" };
                for line in self.lines.drain(..) {
                    push(piece, &ReplayLine::Line { at_us, from: from.to_owned(), text: line.text });
                }
            }
            What::Asked { op, action, text } => {
                let text = if text.is_empty() { action } else { text };
                push(piece, &ReplayLine::Operation { at_us, op: op.0, text: format!("asked: {text}") });
            }
            What::Ruled { op, ruling, detail } => {
                let text = if detail.is_empty() { ruling } else { format!("{ruling}: {detail}") };
                push(piece, &ReplayLine::Operation { at_us, op: op.0, text });
            }
            What::Notice { text } => {
                push(piece, &ReplayLine::Line { at_us, from: "gateway".to_owned(), text });
            }
            What::Done { op, disclosure } => {
                push(piece, &ReplayLine::Operation { at_us, op: op.0, text: done(&disclosure) });
            }
        }
    }
}

fn not_closed(live: bool) -> ReplayLine {
    let note = if live { "the session is open" } else { "the gateway ended while the session was open" };
    ReplayLine::End { complete: false, note: Some(note.to_owned()) }
}

fn push(piece: &mut Vec<u8>, line: &ReplayLine) {
    piece.extend_from_slice(&stream::line(line));
}

fn done(disclosed: &vestibule_core::Disclosure) -> String {
    let mut text = format!("done: {} rows", disclosed.rows);
    if disclosed.withheld > 0 {
        text += &format!(", {} withheld", disclosed.withheld);
    }
    for (word, counts) in [("masked", &disclosed.masked), ("revealed", &disclosed.revealed)] {
        if !counts.is_empty() {
            let list: Vec<_> = counts.iter().map(|(class, n)| format!("{class} {n}")).collect();
            text += &format!("; {word}: {}", list.join(", "));
        }
    }
    if let Some(error) = &disclosed.error {
        text += &format!("; error {error}");
    }
    text
}
