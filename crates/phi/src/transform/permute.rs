//! Whole numbers to whole numbers of the same width, one to one, under a key.
//!
//! A balanced Feistel network with the keyed hash as its round function, walked until the result is of the right
//! range. One to one, so that equal tokens mean equal numbers, which a truncated hash could not promise. Not a
//! standard mode of encryption; the result is a pseudonym, never called de-identified.

use aws_lc_rs::hmac;

/// Rounds. Four suffice in theory for few observations; small ranges want more.
const ROUNDS: u8 = 8;

/// The token of `number`. Numbers that fit 32 bits map into 32 bits with their sign, whatever the width of their
/// column, so that columns of different widths can be joined; all others map among themselves.
pub(super) fn number(number: i64, key: &hmac::Key) -> i64 {
    match i32::try_from(number) {
        Ok(small) => {
            let walk = |x: u64| network(x, 16, key);
            // The sign decides the half of the range; walking stays in it.
            let half = |x: u64| (x >> 31) & 1;
            let start = u64::from(small.cast_unsigned());
            let mut x = walk(start);
            while half(x) != half(start) {
                x = walk(x);
            }
            i64::from(u32::try_from(x).unwrap_or(0).cast_signed())
        }
        Err(_) => {
            let mut x = network(number.cast_unsigned(), 32, key);
            while i32::try_from(x.cast_signed()).is_ok() {
                x = network(x, 32, key);
            }
            x.cast_signed()
        }
    }
}

/// One pass over `2 × half` bits.
fn network(x: u64, half: u32, key: &hmac::Key) -> u64 {
    let mask = (1_u64 << half) - 1;
    let (mut left, mut right) = (x >> half & mask, x & mask);
    for round in 0..ROUNDS {
        let mut input = [0_u8; 11];
        let (head, tail) = input.split_at_mut(3);
        // "n" keeps these hashes apart from those of texts.
        head.copy_from_slice(&[b'n', half.to_le_bytes()[0], round]);
        tail.copy_from_slice(&right.to_be_bytes());
        let tag = hmac::sign(key, &input);
        let f = tag.as_ref().iter().take(8).fold(0_u64, |f, b| f << 8 | u64::from(*b));
        (left, right) = (right, (left ^ f) & mask);
    }
    left << half | right
}
