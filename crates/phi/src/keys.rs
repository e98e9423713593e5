//! The keys behind tokens: one for each tenant and class, from one secret.
//!
//! Not here: where the secret is kept, and its rotation.

use aws_lc_rs::hmac;
use std::fmt;
use std::sync::Arc;
use vestibule_core::PhiClass;

/// Keyed hashes, one for each class, so that equal values of different classes (or tenants) give different tokens
/// and a token of one class says nothing about another.
#[derive(Clone)]
pub struct MaskKeys(Arc<[hmac::Key]>);

impl MaskKeys {
    /// Derives the keys with HKDF-SHA-256 (RFC 5869): salt `vestibule/mask/1`, info `tenant`, a zero byte, the
    /// class's name. The same secret and tenant give the same tokens for ever; a new secret gives new ones.
    #[must_use]
    pub fn derive(secret: &[u8; 32], tenant: &str) -> Self {
        let salt = hmac::Key::new(hmac::HMAC_SHA256, b"vestibule/mask/1");
        let extracted = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&salt, secret).as_ref());
        let of_class = |class: &PhiClass| {
            // One block of output is HMAC(PRK, info ‖ 0x01): RFC 5869 section 2.3 with L = HashLen.
            let mut expand = hmac::Context::with_key(&extracted);
            expand.update(tenant.as_bytes());
            expand.update(&[0]);
            expand.update(class.name().as_bytes());
            expand.update(&[1]);
            hmac::Key::new(hmac::HMAC_SHA256, expand.sign().as_ref())
        };
        Self(PhiClass::ALL.iter().map(of_class).collect())
    }

    /// The key of a class.
    pub(crate) fn of(&self, class: PhiClass) -> Option<hmac::Key> {
        self.0.get(class as usize).cloned()
    }
}

impl fmt::Debug for MaskKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKeys(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::MaskKeys;
    use aws_lc_rs::{hkdf, hmac};
    use vestibule_core::PhiClass;

    #[test]
    fn is_hkdf() {
        let keys = MaskKeys::derive(&[7; 32], "clinic");
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"vestibule/mask/1").extract(&[7; 32]);
        let okm = prk.expand(&[b"clinic", b"\0", b"ssn"], hmac::HMAC_SHA256).unwrap();
        let reference = hmac::Key::from(okm);
        let ours = keys.of(PhiClass::Ssn).unwrap();
        assert_eq!(hmac::sign(&ours, b"x").as_ref(), hmac::sign(&reference, b"x").as_ref());
    }

    #[test]
    fn tenants_and_classes_do_not_share() {
        let (a, b) = (MaskKeys::derive(&[7; 32], "a"), MaskKeys::derive(&[7; 32], "b"));
        let sign = |k: &MaskKeys, c| hmac::sign(&k.of(c).unwrap(), b"x").as_ref().to_vec();
        assert_ne!(sign(&a, PhiClass::Ssn), sign(&b, PhiClass::Ssn));
        assert_ne!(sign(&a, PhiClass::Ssn), sign(&a, PhiClass::Mrn));
        assert_eq!(format!("{a:?}"), "MaskKeys(…)");
    }
}
