//! A recording on a disk that somebody wrote to.
//!
//! Bytes: what is done (bits: 1 the header, else the chunk; 2 replaced as a whole, else bytes changed; 4 one chunk more
//! behind the last), then the bytes of it: the whole, or a place (two bytes) and a value each.
//!
//! Rules: what was changed is never read to a good end; what is read before that is what was recorded; and looking from
//! outside agrees.

use crate::input::Input;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::LazyLock;
use tempfile::TempDir;
use vestibule_record::{Archive, Ending, Moment, RecordingKey, inspect};

const SID: &str = "01a2128473c00000000000000000000f";
const KEY: &str = include_str!("../../crates/record/tests/vectors/recording.key");
const HEADER: &[u8] =
    include_bytes!("../../crates/record/tests/vectors/recordings/2026/11/25/01a2128473c00000000000000000000f/header");
const CHUNK: &[u8] = include_bytes!(
    "../../crates/record/tests/vectors/recordings/2026/11/25/01a2128473c00000000000000000000f/00000000.chunk"
);

struct Bench {
    dir: TempDir,
    folder: PathBuf,
    key: RecordingKey,
    /// What was recorded.
    moments: Vec<Moment>,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let dir = TempDir::new().expect("a temporary directory");
    let key = dir.path().join("recording.key");
    fs::write(&key, KEY).expect("a file");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("rights");
    let key = RecordingKey::read(&key).expect("the key of the vectors");
    let folder = dir.path().join("recordings/2026/11/25").join(SID);
    fs::create_dir_all(&folder).expect("a directory");
    let mut bench = Bench { dir, folder, key, moments: Vec::new() };
    bench.store(HEADER, CHUNK, None);
    let (moments, good) = bench.read();
    assert!(good && !moments.is_empty(), "the vectors cannot be read");
    bench.moments = moments;
    bench
});

impl Bench {
    fn store(&self, header: &[u8], chunk: &[u8], more: Option<&[u8]>) {
        let first = [("header", Some(header)), ("00000000.chunk", Some(chunk)), ("00000001.chunk", more)];
        for (name, bytes) in first {
            // A file written over is flushed to the disk by some file systems; a new one is not.
            let path = self.folder.join(name);
            let _ = fs::remove_file(&path);
            if let Some(bytes) = bytes {
                fs::write(path, bytes).expect("a file");
            }
        }
    }

    /// What can be read, and whether that is all of it and well.
    fn read(&self) -> (Vec<Moment>, bool) {
        let archive = Archive::open(&self.dir.path().join("recordings"), vec![self.key.clone()]);
        let Ok(recording) = archive.recording(SID) else { return (Vec::new(), false) };
        if let Ok(from) = recording.moments_from(1) {
            from.for_each(drop);
        }
        let (mut iterator, mut moments) = (recording.moments(), Vec::new());
        let good = loop {
            match iterator.next() {
                Some(Ok(moment)) => moments.push(moment),
                Some(Err(_)) => break false,
                None => break matches!(iterator.ending(), Ending::Closed { .. }),
            }
        };
        (moments, good)
    }
}

fn changed(original: &[u8], whole: bool, mut input: Input<'_>) -> Vec<u8> {
    if whole {
        return input.0.to_vec();
    }
    let mut bytes = original.to_vec();
    while !input.0.is_empty() {
        let (at, value) = (usize::from(input.u16()), input.byte());
        let at = at % bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= value;
        }
    }
    bytes
}

/// Reads one recording.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let what = input.byte();
    let (header, chunk, more) = match what & 5 {
        1 => (changed(HEADER, what & 2 != 0, input), CHUNK.to_vec(), None),
        4 | 5 => (HEADER.to_vec(), CHUNK.to_vec(), Some(changed(CHUNK, what & 2 != 0, input))),
        _ => (HEADER.to_vec(), changed(CHUNK, what & 2 != 0, input), None),
    };
    let same = header == HEADER && chunk == CHUNK && more.is_none();
    let bench = &*BENCH;
    bench.store(&header, &chunk, more.as_deref());
    let (moments, good) = bench.read();
    assert_eq!(good, same, "what was changed is read to a good end, or what was not is refused");
    assert!(bench.moments.starts_with(&moments), "something is read that was not recorded");
    let outside = inspect(&bench.dir.path().join("recordings"), SID);
    if same {
        assert!(outside.is_ok_and(|seen| seen.digest.is_some()), "a good recording is refused from outside");
    }
}
