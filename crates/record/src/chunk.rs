//! One chunk: a clear head of 72 bytes, then events, compressed and encrypted. The head is authenticated together
//! with the session's id, so that no chunk fits another place.

use crate::error::RecordError;
use crate::place::Place;
use crate::seal::{SessionKey, TAG, Use};
use crate::sha256;

/// zstd's level for chunks of the usual size.
const LEVEL: i32 = 1;
/// And for those that grew because the writer was behind: it leaves out the coding of literals and is several times as
/// fast. Recording shares the machine with the data path.
const HURRY: i32 = -3;
/// A chunk of more bytes than this grew.
const GREW: usize = 640 << 10;

/// Length of the head.
pub(crate) const HEAD: usize = 72;
/// Most bytes of events in one chunk.
pub(crate) const MAX_PLAIN: usize = 256 << 20;
/// Largest chunk read: what does not compress grows a little.
pub(crate) const MAX_CHUNK: u64 = (MAX_PLAIN + (MAX_PLAIN >> 7) + 1_024) as u64;
const MAGIC: [u8; 4] = *b"VCHK";
const VERSION: u8 = 1;
const LAST: u8 = 1;

/// A chunk that is on storage. Its digest belongs on the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Its number in the session, from 0.
    pub number: u64,
    /// SHA-256 of the whole chunk as stored, in hex. The chunk holds `previous`, so this covers all before it.
    pub sha256: String,
    /// Its length as stored.
    pub bytes: u64,
    /// Time of its first event, in microseconds since the session began.
    pub from_us: u64,
    /// Time of its last event.
    pub to_us: u64,
    /// SHA-256 of the chunk before it, or of the header for the first, in hex.
    pub previous: String,
    /// Whether it is the last one of a closed recording.
    pub last: bool,
}

/// What stands in a chunk's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub number: u64,
    pub from_us: u64,
    pub to_us: u64,
    pub plain: u32,
    pub events: u32,
    pub previous: [u8; 32],
    pub last: bool,
}

impl Head {
    fn to_bytes(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        let flags = if self.last { LAST } else { 0 };
        let fields = MAGIC
            .into_iter()
            .chain([VERSION, flags, 0, 0])
            .chain(self.number.to_be_bytes())
            .chain(self.from_us.to_be_bytes())
            .chain(self.to_us.to_be_bytes())
            .chain(self.plain.to_be_bytes())
            .chain(self.events.to_be_bytes())
            .chain(self.previous);
        bytes.iter_mut().zip(fields).for_each(|(into, from)| *into = from);
        bytes
    }

    /// Reads a head. `Err`: what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        const SHORT: &str = "is cut off";
        let mut rest = bytes;
        let start = take::<8>(&mut rest).ok_or(SHORT)?;
        let [m0, m1, m2, m3, version, flags, z0, z1] = start;
        if [m0, m1, m2, m3] != MAGIC {
            return Err("is not a chunk of a recording");
        }
        if version != VERSION {
            return Err("is of a version this program does not know; use a newer one");
        }
        if flags & !LAST != 0 || [z0, z1] != [0, 0] {
            return Err("has a head that no writer makes");
        }
        Ok(Self {
            number: u64::from_be_bytes(take(&mut rest).ok_or(SHORT)?),
            from_us: u64::from_be_bytes(take(&mut rest).ok_or(SHORT)?),
            to_us: u64::from_be_bytes(take(&mut rest).ok_or(SHORT)?),
            plain: u32::from_be_bytes(take(&mut rest).ok_or(SHORT)?),
            events: u32::from_be_bytes(take(&mut rest).ok_or(SHORT)?),
            previous: take(&mut rest).ok_or(SHORT)?,
            last: flags & LAST != 0,
        })
    }

    /// What the head must be in its place. `Err`: what is wrong.
    pub fn check(&self, number: u64, previous: Option<&[u8; 32]>) -> Result<(), &'static str> {
        if self.number != number {
            return Err("is not in its own place");
        }
        if previous.is_some_and(|previous| *previous != self.previous) {
            return Err("does not follow what stands before it");
        }
        if self.from_us > self.to_us || self.plain as usize > MAX_PLAIN {
            return Err("has a head that no writer makes");
        }
        Ok(())
    }

    /// The note of this chunk, whose stored bytes have this digest and length.
    pub fn sealed(&self, digest: &[u8; 32], bytes: u64) -> Sealed {
        Sealed {
            number: self.number,
            sha256: crate::hex(digest),
            bytes,
            from_us: self.from_us,
            to_us: self.to_us,
            previous: crate::hex(&self.previous),
            last: self.last,
        }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*taken)
}

/// What a chunk is bound to.
fn bound(place: &Place, head: &[u8]) -> Vec<u8> {
    let mut aad = b"vestibule recording chunk\0".to_vec();
    aad.extend_from_slice(place.sid().as_bytes());
    aad.extend_from_slice(head);
    aad
}

/// Compresses and encrypts; reused from chunk to chunk by one thread.
pub(crate) struct Sealer {
    zstd: zstd::bulk::Compressor<'static>,
    level: i32,
    out: Vec<u8>,
}

/// What the sealer keeps of a chunk that was larger than usual.
const KEEP: usize = 4 << 20;

impl Sealer {
    pub fn new() -> Result<Self, RecordError> {
        let zstd = zstd::bulk::Compressor::new(LEVEL).map_err(|_| RecordError::Crypto("setting up compression"))?;
        Ok(Self { zstd, level: LEVEL, out: Vec::new() })
    }

    fn level(&mut self, level: i32) -> Result<(), RecordError> {
        if self.level != level {
            self.zstd.set_compression_level(level).map_err(|_| RecordError::Crypto("setting up compression"))?;
            self.level = level;
        }
        Ok(())
    }

    /// The bytes of a chunk, and their digest.
    pub fn seal(
        &mut self,
        place: &Place,
        key: &SessionKey,
        head: &Head,
        plain: &[u8],
    ) -> Result<(&[u8], [u8; 32]), RecordError> {
        self.level(if plain.len() > GREW { HURRY } else { LEVEL })?;
        let head_bytes = head.to_bytes();
        let packed = zstd::zstd_safe::compress_bound(plain.len());
        if self.out.capacity() > KEEP.max(packed.saturating_mul(2)) {
            self.out = Vec::new();
        }
        self.out.clear();
        self.out.resize(HEAD + packed, 0);
        let room = self.out.get_mut(HEAD..).unwrap_or_default();
        let failed = |_| RecordError::Crypto("compressing a recording");
        let written = self.zstd.compress_to_buffer(plain, room).map_err(failed)?;
        self.out.truncate(HEAD + written);
        self.out.iter_mut().zip(head_bytes).for_each(|(into, from)| *into = from);
        key.seal(Use::Chunk(head.number), &bound(place, &head_bytes), &mut self.out, HEAD)?;
        Ok((&self.out, sha256(&self.out)))
    }
}

/// Decrypts and unpacks a stored chunk whose head was checked. `Err`: what is wrong with it.
pub(crate) fn open(place: &Place, key: &SessionKey, head: &Head, mut stored: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    let (head_bytes, sealed) = stored.split_at_mut_checked(HEAD).ok_or("is cut off")?;
    if sealed.len() < TAG {
        return Err("is cut off");
    }
    let aad = bound(place, head_bytes);
    let packed = key.open(Use::Chunk(head.number), &aad, sealed).ok_or("is not what was written")?;
    // Only what the writer sealed gets here, so its own length may be trusted with memory.
    let plain = zstd::bulk::decompress(packed, head.plain as usize).map_err(|_| "does not unpack")?;
    if plain.len() != head.plain as usize {
        return Err("does not unpack to its length");
    }
    Ok(plain)
}
