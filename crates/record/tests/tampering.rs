//! Whoever changes a recording without its key is found out: by its reader, or by what the ledger knows of it.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it cannot go on")]

mod common;

use common::{folder, key, options, read, recorded, sid};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use vestibule_record::{Archive, Ending, Moment, RecordError, RecordingKey, Sealed, Writer, inspect};

type Files = BTreeMap<PathBuf, Vec<u8>>;

struct Honest {
    dir: tempfile::TempDir,
    key: RecordingKey,
    sid: String,
    files: Files,
    moments: Vec<Moment>,
    digest: String,
    chunks: Vec<Sealed>,
}

async fn honest(tail: u32) -> Honest {
    let (dir, key, sid) = (tempfile::tempdir().unwrap(), key(), sid(tail));
    let writer = Writer::start(dir.path(), vec![key.public().clone()], options(4 << 10)).unwrap();
    let summary = recorded(&writer, &sid, 24).await;
    let files = fs::read_dir(folder(dir.path(), &sid)).unwrap().map(|e| e.unwrap().path());
    let files: Files = files.map(|path| (path.clone(), fs::read(&path).unwrap())).collect();
    let (moments, ending) = read(dir.path(), &key, &sid).unwrap();
    assert_eq!(ending, Ending::Closed { digest: summary.digest.clone() });
    let chunks = inspect(dir.path(), &sid).unwrap().chunks;
    Honest { dir, key, sid, files, moments, digest: summary.digest, chunks }
}

impl Honest {
    fn put(&self, files: &Files) {
        for entry in fs::read_dir(folder(self.dir.path(), &self.sid)).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (path, bytes) in files {
            fs::write(path, bytes).unwrap();
        }
    }

    /// What stands on the disk now is not the honest recording: that must not go unnoticed.
    fn noticed(&self, what: &str) {
        let mut seen = Vec::new();
        let reading =
            Archive::open(self.dir.path(), vec![self.key.clone()]).recording(&self.sid).and_then(|recording| {
                let mut moments = recording.moments();
                for moment in &mut moments {
                    seen.push(moment?);
                }
                Ok(moments.ending().clone())
            });
        // Whatever was shown before the damage is true.
        assert!(seen.len() <= self.moments.len() && seen == self.moments[..seen.len()], "{what}: shows what never was");
        if let Ok(Ending::Closed { digest }) = &reading {
            panic!("{what}: read as whole, with digest {digest} for {}", self.digest);
        }
        // What the reader cannot tell (a cut-off end), the digests on the ledger do.
        match inspect(self.dir.path(), &self.sid) {
            Ok(seen) => assert!(seen.digest.as_ref() != Some(&self.digest) || seen.chunks != self.chunks, "{what}"),
            Err(RecordError::Damaged { .. } | RecordError::Missing(_)) => {}
            Err(other) => panic!("{what}: {other}"),
        }
        if let Err(error) = reading {
            assert!(
                error.is_damage() || matches!(error, RecordError::Missing(_) | RecordError::NoKey { .. }),
                "{what}: {error}"
            );
        }
    }
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }
}

#[tokio::test]
async fn three_thousand_mutations() {
    let honest = honest(1).await;
    let paths: Vec<PathBuf> = honest.files.keys().cloned().collect();
    let mut dice = Dice(0x5eed_1234_5678_9abc);
    for round in 0..3_000 {
        let path = &paths[dice.roll(paths.len())];
        let mut bytes = honest.files[path].clone();
        // Heads and ends are where the thinking is; hit them more often.
        let span = if dice.roll(2) == 0 { bytes.len().min(80) } else { bytes.len() };
        let at = dice.roll(span);
        let what = match dice.roll(6) {
            0 | 1 => {
                bytes[at] ^= 1 << dice.roll(8);
                "a bit flipped"
            }
            2 => {
                bytes.truncate(at);
                "cut off"
            }
            3 => {
                bytes.insert(at, dice.roll(256) as u8);
                "a byte put in"
            }
            4 => {
                bytes.remove(at);
                "a byte taken out"
            }
            _ => {
                let from = dice.roll(bytes.len());
                let piece: Vec<u8> = bytes[from..].iter().copied().take(1 + dice.roll(64)).collect();
                bytes.extend(piece);
                "bytes appended"
            }
        };
        fs::write(path, &bytes).unwrap();
        honest.noticed(&format!("round {round}: {what} at {at} of {}", path.display()));
        fs::write(path, &honest.files[path]).unwrap();
    }
    assert_eq!(read(honest.dir.path(), &honest.key, &honest.sid).unwrap().0, honest.moments);
}

#[tokio::test]
async fn chunks_removed_swapped_and_moved() {
    let honest = honest(2).await;
    let chunk = |number: usize| folder(honest.dir.path(), &honest.sid).join(format!("{number:08}.chunk"));
    let count = honest.chunks.len();
    for number in 0..count {
        let mut files = honest.files.clone();
        files.remove(&chunk(number));
        honest.put(&files);
        honest.noticed(&format!("chunk {number} removed"));
        for other in 0..count {
            if other != number {
                let mut files = honest.files.clone();
                files.insert(chunk(number), honest.files[&chunk(other)].clone());
                honest.put(&files);
                honest.noticed(&format!("chunk {other} in the place of {number}"));
                files.insert(chunk(other), honest.files[&chunk(number)].clone());
                honest.put(&files);
                honest.noticed(&format!("chunks {other} and {number} swapped"));
            }
        }
    }
    let mut files = honest.files.clone();
    files.insert(chunk(count), honest.files[&chunk(count - 1)].clone());
    honest.put(&files);
    honest.noticed("one chunk too many");
    for cut in 0..count {
        let files: Files = honest
            .files
            .clone()
            .into_iter()
            .filter(|(path, _)| *path < chunk(cut) || path.ends_with("header"))
            .collect();
        honest.put(&files);
        honest.noticed(&format!("everything from chunk {cut} on removed"));
        // A cut-off end is told from a whole recording even by whoever has no ledger at hand.
        assert!(matches!(read(honest.dir.path(), &honest.key, &honest.sid), Ok((_, Ending::Open))));
    }
}

#[tokio::test]
async fn chunks_and_headers_of_another_session() {
    let (dir, key) = (tempfile::tempdir().unwrap(), key());
    let writer = Writer::start(dir.path(), vec![key.public().clone()], options(4 << 10)).unwrap();
    let (a, b) = (sid(3), sid(4));
    let kept = recorded(&writer, &a, 24).await;
    recorded(&writer, &b, 24).await;
    let swap = |name: &str| {
        let (one, other) = (folder(dir.path(), &a).join(name), folder(dir.path(), &b).join(name));
        let bytes = fs::read(&one).unwrap();
        fs::write(&one, fs::read(&other).unwrap()).unwrap();
        fs::write(&other, bytes).unwrap();
    };
    for name in ["header", "00000000.chunk", "00000003.chunk"] {
        swap(name);
        for sid in [&a, &b] {
            assert!(read(dir.path(), &key, sid).unwrap_err().is_damage(), "{name}");
        }
        swap(name);
    }
    // A whole recording under another session's id.
    fs::remove_dir_all(folder(dir.path(), &b)).unwrap();
    fs::create_dir(folder(dir.path(), &b)).unwrap();
    for entry in fs::read_dir(folder(dir.path(), &a)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder(dir.path(), &b).join(path.file_name().unwrap())).unwrap();
    }
    assert!(read(dir.path(), &key, &b).unwrap_err().is_damage());
    // Even with the id in the header rewritten, the keys are bound to the session.
    let header = folder(dir.path(), &b).join("header");
    fs::write(&header, fs::read_to_string(&header).unwrap().replace(&a, &b)).unwrap();
    assert!(read(dir.path(), &key, &b).unwrap_err().is_damage());
    assert_eq!(read(dir.path(), &key, &a).unwrap().1, Ending::Closed { digest: kept.digest });
}

#[tokio::test]
async fn what_the_recording_is_of_cannot_be_rewritten() {
    let honest = honest(5).await;
    let path = folder(honest.dir.path(), &honest.sid).join("header");
    let text = fs::read_to_string(&path).unwrap();
    for (what, changed) in [
        ("a space", text.replace("  ", "   ")),
        ("another key id", text.replace(honest.key.public().id(), "0000000000000000")),
        ("an unknown field", text.replacen('{', "{\"x\":1,", 1)),
        ("no recipients", {
            let (before, rest) = text.split_once('[').unwrap();
            format!("{before}[]{}", rest.split_once(']').unwrap().1)
        }),
        ("nothing", String::new()),
        ("deep nesting", "[".repeat(100_000)),
    ] {
        fs::write(&path, changed).unwrap();
        honest.noticed(what);
    }
}

#[test]
fn a_huge_file_is_not_read_into_memory() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path(), &sid(6));
    fs::create_dir_all(&folder).unwrap();
    sparse(&folder.join("header"), 1 << 40);
    assert!(read(dir.path(), &key(), &sid(6)).unwrap_err().is_damage());
}

fn sparse(path: &Path, length: u64) {
    fs::File::create(path).unwrap().set_len(length).unwrap();
}
