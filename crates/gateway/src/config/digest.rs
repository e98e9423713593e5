//! The name of a version of the configuration.

use super::rules::Rules;
use aws_lc_rs::digest::{Context, SHA256};
use std::fmt::Write;

/// SHA-256, in hex, over the file's text and the digests of policies and data map, each with its length before it.
pub(super) fn digest(text: &str, rules: &Rules) -> String {
    let mut context = Context::new(&SHA256);
    for part in ["vestibule-config-v1", text, &rules.policy_digest, &rules.data_map_digest] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    hex(context.finish().as_ref())
}

/// Bytes in hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        // Writing into a String cannot fail.
        let _ = write!(out, "{b:02x}");
        out
    })
}
