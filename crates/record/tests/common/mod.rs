//! What the tests share.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
use std::path::{Path, PathBuf};
use std::time::Duration;
use vestibule_core::{Disclosure, OpId, PhiClass, Side, Timestamp};
use vestibule_record::{
    Archive, Ending, Event, Header, Moment, Options, RecordError, Recorder, RecordingKey, Summary, Writer,
};

/// A session's id of 25 November 2026 with this tail.
pub fn sid(tail: u32) -> String {
    format!("{:012x}{tail:020x}", 1_795_607_000_000_u64)
}

pub fn folder(dir: &Path, sid: &str) -> PathBuf {
    dir.join("2026/11/25").join(sid)
}

pub fn header(sid: &str) -> Header {
    Header {
        sid: sid.to_owned(),
        target: "clinic-target-name".to_owned(),
        protocol: "postgres".to_owned(),
        identity_id: "corp|u-17".to_owned(),
        identity_name: "ann.example@clinic.example".to_owned(),
        started: Timestamp(1_795_607_000_000_000),
    }
}

pub fn options(chunk_bytes: usize) -> Options {
    Options { chunk_bytes, chunk_age: Duration::from_secs(3_600), durable: false, threads: 2, ..Options::default() }
}

pub fn disclosure(rows: u64) -> Disclosure {
    let mut disclosure =
        Disclosure { rows, bytes: rows * 100, tag: Some("SELECT".to_owned()), ..Disclosure::default() };
    disclosure.masked.insert(PhiClass::Ssn, rows);
    disclosure
}

/// Records one operation: asked, ruled, answered with `bytes`, done.
pub fn operate(recorder: &mut Recorder, number: u64, bytes: &[u8]) -> Result<(), RecordError> {
    let (op, at) = (OpId(number), number * 1_000);
    recorder.event(at, Event::Asked { op, action: "SELECT", text: "select name from patient where ssn = '***'" })?;
    recorder.event(at + 10, Event::Ruled { op, ruling: "permit", detail: "" })?;
    recorder.event(at + 20, Event::Frames { side: Side::Client, op: Some(op), bytes })?;
    recorder.event(at + 30, Event::Done { op, disclosure: &disclosure(number) })
}

/// Bytes that do not compress away and are told apart by `number`.
pub fn frame(number: u64, length: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

/// A closed recording of `operations`, each waited for, so that the chunks are of the usual size.
pub async fn recorded(writer: &Writer, sid: &str, operations: u64) -> Summary {
    let mut recorder = writer.session(header(sid)).unwrap();
    for number in 1..=operations {
        operate(&mut recorder, number, &frame(number, 700)).unwrap();
        recorder.room().await.unwrap();
    }
    recorder.close().await.unwrap()
}

pub fn key() -> RecordingKey {
    RecordingKey::generate().unwrap()
}

/// Reads a recording to its end.
pub fn read(dir: &Path, key: &RecordingKey, sid: &str) -> Result<(Vec<Moment>, Ending), RecordError> {
    let mut moments = Archive::open(dir, vec![key.clone()]).recording(sid)?.moments();
    let mut all = Vec::new();
    for moment in &mut moments {
        all.push(moment?);
    }
    Ok((all, moments.ending().clone()))
}
