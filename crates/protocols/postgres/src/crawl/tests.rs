//! Answers that are not what was asked for. Real ones are read in `tests/real_servers.rs`.

use super::Reader;
use super::questions::{QUESTIONS, Topic};
use crate::handshake;
use vestibule_core::{Crawl, Refusal};
use vestibule_sql::Catalog;

fn row(columns: &[Option<&str>]) -> Vec<u8> {
    let mut out = Vec::new();
    handshake::message(&mut out, b'D', |body| {
        body.extend_from_slice(&u16::try_from(columns.len()).unwrap().to_be_bytes());
        for column in columns {
            match column {
                None => body.extend_from_slice(&[0xff; 4]),
                Some(text) => {
                    body.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
                    body.extend_from_slice(text.as_bytes());
                }
            }
        }
    });
    out
}

fn rows(topic: Topic) -> Vec<Vec<u8>> {
    let all = |columns: &[&str]| row(&columns.iter().map(|text| Some(*text)).collect::<Vec<_>>());
    match topic {
        Topic::Nothing => vec![],
        Topic::Relations => vec![
            all(&["20000", "public", "patient", "p", "f"]),
            all(&["20001", "public", "patient_1", "r", "t"]),
            all(&["20002", "public", "adult", "v", "f"]),
        ],
        Topic::Domains => vec![all(&["21000", "25"]), all(&["21001", "21000"]), all(&["21002", "21002"])],
        Topic::Columns => vec![
            all(&["20000", "1", "id", "23"]),
            all(&["20000", "3", "mrn", "21001"]),
            all(&["20001", "1", "id", "21002"]),
            all(&["20002", "1", "id", "23"]),
        ],
        Topic::Definitions => vec![all(&["20002", " SELECT patient.id FROM public.patient;"])],
        // The second is an index; the third closes a circle, which no server has.
        Topic::Parents => vec![all(&["20001", "20000"]), all(&["29999", "29998"]), all(&["20000", "20001"])],
        Topic::Functions => vec![row(&[
            Some("public"),
            Some("f"),
            Some("f"),
            Some("v"),
            Some("plpgsql"),
            Some("t"),
            Some("f"),
            None,
            None,
        ])],
        Topic::Operators => vec![all(&["=~~="])],
    }
}

fn answers() -> Vec<u8> {
    let mut out = Vec::new();
    for (_, topic) in QUESTIONS {
        handshake::message(&mut out, b'T', |body| body.extend_from_slice(&[0, 0]));
        out.extend(rows(topic).concat());
        handshake::message(&mut out, b'C', |body| body.extend_from_slice(b"SELECT 1\0"));
        handshake::message(&mut out, b'Z', |body| body.push(b'T'));
    }
    out
}

fn read(bytes: &[u8], piece: usize) -> Result<Option<(std::sync::Arc<Catalog>, String)>, Refusal> {
    let mut reader = Reader::new();
    let mut received = Vec::new();
    for chunk in bytes.chunks(piece) {
        received.extend_from_slice(chunk);
        let (used, done) = reader.receive(&received, &mut Vec::new())?;
        received.drain(..used);
        if let Some((content, digest)) = done {
            return Ok(Some((content.downcast().unwrap(), digest)));
        }
    }
    Ok(None)
}

#[test]
fn answers_are_read_in_whatever_pieces_they_come() {
    let (catalog, digest) = read(&answers(), usize::MAX).unwrap().unwrap();
    let patient = catalog.relation("public", "patient").unwrap();
    assert!(patient.runs_code, "the code of a partition runs for whoever writes to the whole");
    assert_eq!(patient.columns.iter().map(|c| (c.number, c.type_oid)).collect::<Vec<_>>(), [(1, 23), (3, 25)]);
    assert!(!catalog.relation("public", "adult").unwrap().runs_code);
    assert_eq!(catalog.functions().len(), 1);
    for piece in 1..120 {
        assert_eq!(read(&answers(), piece).unwrap().unwrap().1, digest, "pieces of {piece}");
    }
}

#[test]
fn the_questions_are_all_asked_and_change_nothing() {
    let mut out = Vec::new();
    Reader::new().start(&mut out);
    let (mut rest, mut asked) = (&out[..], Vec::new());
    while let handshake::Framed::Whole { tag: b'Q', body, used } = handshake::tagged(rest, usize::MAX) {
        asked.push(std::str::from_utf8(body.strip_suffix(b"\0").unwrap()).unwrap());
        rest = &rest[used..];
    }
    assert!(rest.is_empty() && asked.iter().eq(QUESTIONS.iter().map(|(question, _)| question)));
    assert!(asked.iter().all(|question| !question.contains('\0') && !question.contains(';')));
    assert!(QUESTIONS[0].0.ends_with("READ ONLY") && QUESTIONS[QUESTIONS.len() - 1].0 == "COMMIT");
}

#[test]
fn an_error_ends_the_crawl_in_one_line() {
    let mut bytes = Vec::new();
    handshake::message(&mut bytes, b'E', |body| body.extend_from_slice(b"SERROR\0C42501\0Mpermission\ndenied\0\0"));
    let refusal = read(&bytes, usize::MAX).err().unwrap();
    assert!(refusal.message.contains("permission denied"), "{}", refusal.message);
    assert!(read(b"D\0\0\0\x06\0\x01", usize::MAX).is_err());
    assert!(read(b"D\xff\xff\xff\xff", usize::MAX).is_err());
    assert!(read(b"G\0\0\0\x04", usize::MAX).is_err());
}

#[test]
fn broken_answers_are_refused_or_incomplete_and_never_panic() {
    let whole = answers();
    let mut seed = 0x1234_5678_9abc_def1_u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    let mut refused = 0;
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        let at = next(bytes.len());
        match next(3) {
            0 => bytes[at] = u8::try_from(next(256)).unwrap(),
            1 => bytes.truncate(at.max(1)),
            _ => bytes.insert(at, u8::try_from(next(256)).unwrap()),
        }
        refused += usize::from(read(&bytes, 1 + next(400)).is_err());
    }
    assert!(refused > 1_000, "{refused}");
}
