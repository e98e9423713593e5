//! PostgreSQL's MD5 login: `md5(md5(password ‖ user) ‖ salt)`. Weak, and still asked for by old accounts.

use md5::{Digest, Md5};
use zeroize::Zeroizing;

pub(super) fn proof(user: &[u8], password: &[u8], salt: &[u8]) -> String {
    let stored = Zeroizing::new(hex(&[password, user]));
    let proof = hex(&[stored.as_bytes(), salt]);
    format!("md5{proof}")
}

fn hex(parts: &[&[u8]]) -> String {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_rfc_1321_hold() {
        assert_eq!(hex(&[b"message ", b"digest"]), "f96b697d7cb7938d525a2f31aaf161d0");
        assert_eq!(hex(&[]), "d41d8cd98f00b204e9800998ecf8427e");
        assert!(proof(b"user", b"secret", &[1, 2, 3, 4]).starts_with("md5"));
        assert_ne!(proof(b"user", b"secret", &[1, 2, 3, 4]), proof(b"user", b"secret", &[1, 2, 3, 5]));
    }
}
