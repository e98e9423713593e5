//! RFC 6962 section 2.1 hashing: SHA-256 with a leading 0x00 for leaves and 0x01 for nodes.

use aws_lc_rs::digest::{Context, SHA256, digest};

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// The hash of one entry: `SHA-256(0x00 || entry)`.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[0]);
    context.update(entry);
    array(context.finish().as_ref())
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)`.
#[must_use]
pub(crate) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = [1_u8; 65];
    input[1..33].copy_from_slice(left);
    input[33..65].copy_from_slice(right);
    sha256(&input)
}

/// Plain SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    array(digest(&SHA256, bytes).as_ref())
}

/// The root of a tree without leaves: `SHA-256("")`.
pub(crate) fn empty_root() -> Hash {
    sha256(&[])
}

fn array(digest: &[u8]) -> Hash {
    let mut out = [0; 32];
    out.copy_from_slice(digest);
    out
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Lower-case hexadecimal digits, as bytes.
pub(crate) fn hex_bytes(hash: &Hash) -> [u8; 64] {
    let mut out = [0; 64];
    for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(hash) {
        // INVARIANT: a nibble is below 16.
        pair[0] = DIGITS.get(usize::from(byte >> 4)).copied().unwrap_or(b'0');
        pair[1] = DIGITS.get(usize::from(byte & 15)).copied().unwrap_or(b'0');
    }
    out
}

/// A hash in lower-case hexadecimal.
#[must_use]
pub fn hex(hash: &Hash) -> String {
    hex_bytes(hash).iter().map(|b| char::from(*b)).collect()
}

/// Reads 64 lower-case hexadecimal digits.
#[must_use]
pub fn parse_hex(text: &str) -> Option<Hash> {
    let mut out = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(pairs) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(out)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{empty_root, hex, leaf_hash, node_hash, parse_hex};

    #[test]
    fn rfc_6962_constants() {
        // SHA-256 of nothing, and of the single byte 0x00: published constants.
        assert_eq!(hex(&empty_root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hex(&leaf_hash(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        // From RFC 6962's reference test tree: the leaves "" and 0x00.
        let two = node_hash(&leaf_hash(b""), &leaf_hash(&[0]));
        assert_eq!(hex(&two), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
    }

    #[test]
    fn hex_round_trips_and_is_strict() {
        let hash = leaf_hash(b"x");
        assert_eq!(parse_hex(&hex(&hash)), Some(hash));
        assert_eq!(parse_hex(&hex(&hash).to_uppercase()), None);
        assert_eq!(parse_hex("00"), None);
    }
}
