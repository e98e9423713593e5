//! The session's key: made, wrapped to recording keys, used. AES-256-GCM by AWS-LC; HPKE (RFC 9180) with
//! DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM in base mode.

use crate::RecordError;
use crate::key::{RecordingKey, RecordingPublicKey};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _};
use zeroize::Zeroizing;

/// Length of the authentication tag.
pub(crate) const TAG: usize = 16;
const INFO: &[u8] = b"vestibule recording key 1";

/// What a nonce is for. The key is the session's own and each chunk is sealed once, so that a counter is enough.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Use {
    /// What the recording is of.
    About,
    /// A chunk.
    Chunk(u64),
}

impl Use {
    fn nonce(self) -> Nonce {
        let (domain, number) = match self {
            Self::About => (0_u32, 0),
            Self::Chunk(number) => (1, number),
        };
        let mut nonce = [0; NONCE_LEN];
        for (into, from) in nonce.iter_mut().zip(domain.to_be_bytes().into_iter().chain(number.to_be_bytes())) {
            *into = from;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

/// A session's key.
pub(crate) struct SessionKey(LessSafeKey);

impl SessionKey {
    /// A new key, and its bytes for wrapping.
    pub fn generate() -> Result<(Self, Zeroizing<[u8; 32]>), RecordError> {
        let mut bytes = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(bytes.as_mut()).map_err(|_| RecordError::Crypto("getting random bytes"))?;
        Ok((Self::from_bytes(bytes.as_ref())?, bytes))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let key =
            UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| RecordError::Crypto("setting up the session's key"))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Encrypts what stands in `buffer` from `from` on, and appends the tag.
    pub fn seal(&self, what: Use, aad: &[u8], buffer: &mut Vec<u8>, from: usize) -> Result<(), RecordError> {
        let failed = |_| RecordError::Crypto("encrypting a recording");
        let plain = buffer.get_mut(from..).unwrap_or_default();
        let tag = self.0.seal_in_place_separate_tag(what.nonce(), Aad::from(aad), plain).map_err(failed)?;
        buffer.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Decrypts in place. `None`: it was not sealed so.
    pub fn open<'a>(&self, what: Use, aad: &[u8], sealed: &'a mut [u8]) -> Option<&'a [u8]> {
        self.0.open_in_place(what.nonce(), Aad::from(aad), sealed).ok().map(|plain| &*plain)
    }
}

/// A session's key, wrapped: the encapsulated key and the ciphertext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrapped {
    pub enc: Vec<u8>,
    pub key: Vec<u8>,
}

fn bound(sid: &str, kid: &str) -> Vec<u8> {
    format!("{sid}\n{kid}").into_bytes()
}

/// Wraps a session's key so that only the private half of `to` gets it out, and only for this session.
pub(crate) fn wrap(key: &[u8; 32], to: &RecordingPublicKey, sid: &str) -> Result<Wrapped, RecordError> {
    let failed = |_| RecordError::Crypto("wrapping the session's key to a recording key");
    let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(to.as_bytes()).map_err(failed)?;
    let (enc, wrapped) = hpke::single_shot_seal::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &public,
        INFO,
        key,
        &bound(sid, to.id()),
    )
    .map_err(failed)?;
    Ok(Wrapped { enc: enc.to_bytes().to_vec(), key: wrapped })
}

/// Gets a session's key out. `None`: it was not wrapped to this key for this session.
pub(crate) fn unwrap(wrapped: &Wrapped, with: &RecordingKey, sid: &str) -> Option<SessionKey> {
    let private = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(with.expose()).ok()?;
    let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&wrapped.enc).ok()?;
    let key = hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &private,
        &enc,
        INFO,
        &wrapped.key,
        &bound(sid, with.public().id()),
    )
    .ok()?;
    SessionKey::from_bytes(&Zeroizing::new(key)).ok()
}

/// The public half of a private key.
pub(crate) fn public_of(private: &[u8; 32]) -> Result<[u8; 32], RecordError> {
    let private = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(private)
        .map_err(|_| RecordError::Crypto("reading a recording key"))?;
    let mut public = [0; 32];
    public.copy_from_slice(&X25519HkdfSha256::sk_to_pk(&private).to_bytes());
    Ok(public)
}

#[cfg(test)]
mod tests {
    use super::{SessionKey, Use, unwrap, wrap};
    use crate::RecordingKey;

    #[test]
    fn a_wrapped_key_opens_for_its_key_and_session_only() {
        let (a, b) = (RecordingKey::generate().unwrap(), RecordingKey::generate().unwrap());
        let (key, bytes) = SessionKey::generate().unwrap();
        let wrapped = wrap(&bytes, a.public(), "s1").unwrap();
        let mut sealed = b"..hello".to_vec();
        key.seal(Use::Chunk(3), b"aad", &mut sealed, 2).unwrap();
        let opened = unwrap(&wrapped, &a, "s1").unwrap();
        assert_eq!(opened.open(Use::Chunk(3), b"aad", &mut sealed.clone()[2..]).unwrap(), b"hello");
        assert!(opened.open(Use::Chunk(4), b"aad", &mut sealed.clone()[2..]).is_none());
        assert!(opened.open(Use::About, b"aad", &mut sealed.clone()[2..]).is_none());
        assert!(opened.open(Use::Chunk(3), b"AAD", &mut sealed.clone()[2..]).is_none());
        assert!(unwrap(&wrapped, &b, "s1").is_none());
        assert!(unwrap(&wrapped, &a, "s2").is_none());
    }
}
