//! Reading segments. Only good frames in their own place are believed.

use super::{FRAME_HEAD, HEADER, Header, checksum};
use crate::MAX_ENTRY;
use crate::hash::{Hash, leaf_hash};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Read this much at a time.
const READ: usize = 256 << 10;

/// What stands at a reader's place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A good frame.
    Frame(Hash),
    /// Zeros, or the end of the file: nothing was written here.
    Nothing,
    /// Bytes that are no good frame: torn, being written, or damaged.
    Bad,
}

/// Reads one segment, frame by frame.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    file: File,
    path: PathBuf,
    header: Header,
    buffer: Vec<u8>,
    /// Offset in the file of the buffer's first byte.
    start: u64,
    /// Place in the buffer.
    at: usize,
    next: u64,
    entry: std::ops::Range<usize>,
}

impl SegmentReader {
    /// `Ok(None)`: the header is not (yet) a good one, or is of another log or place.
    pub fn open(path: &Path, first: u64, origin: &Hash) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        let mut bytes = [0; HEADER];
        if let Err(error) = file.read_exact_at(&mut bytes, 0) {
            return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) };
        }
        let header = Header::decode(&bytes).filter(|h| h.first == first && h.origin == *origin);
        Ok(header.map(|header| Self {
            file,
            path: path.to_path_buf(),
            header,
            buffer: Vec::new(),
            start: HEADER as u64,
            at: 0,
            next: first,
            entry: 0..0,
        }))
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Index of the frame that [`Self::advance`] looks for.
    pub fn next_index(&self) -> u64 {
        self.next
    }

    /// Offset in the file of the frame that [`Self::advance`] looks for.
    pub fn offset(&self) -> u64 {
        self.start.saturating_add(self.at as u64)
    }

    /// The entry of the frame found last.
    pub fn entry(&self) -> &[u8] {
        self.buffer.get(self.entry.clone()).unwrap_or_default()
    }

    /// Looks at the next frame and steps over it if it is good.
    pub fn advance(&mut self) -> io::Result<Found> {
        match self.look() {
            Found::Frame(hash) => Ok(Found::Frame(hash)),
            // What is buffered may be older than the file, or too short.
            _ => {
                self.fill()?;
                Ok(self.look())
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.start = self.offset();
        self.at = 0;
        self.buffer.resize(READ, 0);
        let mut have = 0;
        while let Some(rest) = self.buffer.get_mut(have..).filter(|r| !r.is_empty()) {
            match self.file.read_at(rest, self.start.saturating_add(have as u64)) {
                Ok(0) => break,
                Ok(n) => have += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.buffer.truncate(have);
        Ok(())
    }

    fn look(&mut self) -> Found {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let Some((head, rest)) = rest.split_first_chunk::<FRAME_HEAD>() else {
            return if rest.iter().all(|b| *b == 0) { Found::Nothing } else { Found::Bad };
        };
        let length_bytes = [head[0], head[1], head[2], head[3]];
        let length = u32::from_le_bytes(length_bytes) as usize;
        if length == 0 && head.iter().all(|b| *b == 0) {
            return Found::Nothing;
        }
        let Some(entry) = rest.get(..length).filter(|e| !e.is_empty() && e.len() <= MAX_ENTRY) else {
            return Found::Bad;
        };
        let crc = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let mut hash = [0; 32];
        hash.copy_from_slice(&head[8..40]);
        if checksum(self.next, length_bytes, &hash, entry) != crc || leaf_hash(entry) != hash {
            return Found::Bad;
        }
        let from = self.at + FRAME_HEAD;
        self.entry = from..from + length;
        self.at = from + length;
        self.next = self.next.saturating_add(1);
        Found::Frame(hash)
    }
}

/// Number of bytes from `from` to the last byte of the file that is not zero.
pub(crate) fn used_after(path: &Path, from: u64) -> io::Result<u64> {
    let file = File::open(path)?;
    let mut buffer = vec![0; READ];
    let (mut at, mut used) = (from, 0);
    loop {
        let have = file.read_at(&mut buffer, at)?;
        if have == 0 {
            return Ok(used);
        }
        if let Some(last) = buffer.get(..have).and_then(|b| b.iter().rposition(|b| *b != 0)) {
            used = at.saturating_add(last as u64 + 1) - from;
        }
        at = at.saturating_add(have as u64);
    }
}
