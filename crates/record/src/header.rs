//! The header of a recording: for which keys the session's key is wrapped, and, encrypted, what the recording is of.

use crate::error::RecordError;
use crate::key::{RecordingKey, RecordingPublicKey};
use crate::place::Place;
use crate::seal::{self, SessionKey, Use, Wrapped};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use vestibule_core::Timestamp;

/// Largest header read.
pub(crate) const MAX_HEADER: u64 = 256 << 10;
/// Most recording keys one recording is sealed to.
const MAX_RECIPIENTS: usize = 64;

/// What a recording is of. Stored encrypted: a stolen disk does not tell who worked where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The session's id.
    pub sid: String,
    /// The target's name.
    pub target: String,
    /// The protocol's id: whose transcript tells what the frames mean.
    pub protocol: String,
    /// Who, as `issuer|subject`.
    pub identity_id: String,
    /// Who, for display.
    pub identity_name: String,
    /// When the session began.
    pub started: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    vestibule_recording: u32,
    sid: String,
    recipients: Vec<Recipient>,
    about: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipient {
    kid: String,
    enc: String,
    key: String,
}

const VERSION: u32 = 1;

fn bound(place: &Place) -> Vec<u8> {
    format!("vestibule recording header\0{}", place.sid()).into_bytes()
}

/// A new session's key and the bytes of its header.
pub(crate) fn make(
    place: &Place,
    header: &Header,
    recipients: &[RecordingPublicKey],
) -> Result<(SessionKey, Vec<u8>), RecordError> {
    let internal = |_| RecordError::Internal;
    let (key, bytes) = SessionKey::generate()?;
    let mut about = serde_json::to_vec(header).map_err(internal)?;
    key.seal(Use::About, &bound(place), &mut about, 0)?;
    let wrap = |to: &RecordingPublicKey| {
        let wrapped = seal::wrap(&bytes, to, place.sid())?;
        Ok(Recipient { kid: to.id().to_owned(), enc: BASE64.encode(wrapped.enc), key: BASE64.encode(wrapped.key) })
    };
    let stored = Stored {
        vestibule_recording: VERSION,
        sid: place.sid().to_owned(),
        recipients: recipients.iter().map(wrap).collect::<Result<_, RecordError>>()?,
        about: BASE64.encode(about),
    };
    let mut text = serde_json::to_vec_pretty(&stored).map_err(internal)?;
    text.push(b'\n');
    Ok((key, text))
}

fn parse(place: &Place, bytes: &[u8]) -> Result<Stored, RecordError> {
    let bad = |what| RecordError::header(place.sid(), what);
    let stored: Stored = serde_json::from_slice(bytes).map_err(|_| bad("is not a recording's header"))?;
    if stored.vestibule_recording != VERSION {
        return Err(bad("is of a version this program does not know; use a newer one"));
    }
    if stored.sid != place.sid() {
        return Err(bad("is of another session"));
    }
    if stored.recipients.is_empty() || stored.recipients.len() > MAX_RECIPIENTS {
        return Err(bad("names no recording key, or too many"));
    }
    Ok(stored)
}

/// The ids of the keys that open a recording, without any of them.
pub(crate) fn recipients(place: &Place, bytes: &[u8]) -> Result<Vec<String>, RecordError> {
    Ok(parse(place, bytes)?.recipients.into_iter().map(|r| r.kid).collect())
}

/// Opens a header with whichever of `keys` it is sealed to.
pub(crate) fn open(place: &Place, bytes: &[u8], keys: &[RecordingKey]) -> Result<(SessionKey, Header), RecordError> {
    let bad = |what| RecordError::header(place.sid(), what);
    let decode = |text: &str| BASE64.decode(text).map_err(|_| bad("is not in its form"));
    let stored = parse(place, bytes)?;
    let ours = |r: &Recipient| keys.iter().find(|k| k.public().id() == r.kid);
    let found = stored.recipients.iter().find_map(|r| ours(r).map(|key| (r, key)));
    let Some((recipient, key)) = found else {
        let ids: Vec<&str> = stored.recipients.iter().map(|r| r.kid.as_str()).collect();
        return Err(RecordError::NoKey { sid: place.sid().to_owned(), sealed_to: ids.join(", ") });
    };
    let wrapped = Wrapped { enc: decode(&recipient.enc)?, key: decode(&recipient.key)? };
    let key = seal::unwrap(&wrapped, key, place.sid()).ok_or_else(|| bad("does not give the session's key"))?;
    let mut about = decode(&stored.about)?;
    let about = key.open(Use::About, &bound(place), &mut about).ok_or_else(|| bad("is not what was written"))?;
    let header: Header = serde_json::from_slice(about).map_err(|_| bad("does not say what it is of"))?;
    if header.sid != place.sid() {
        return Err(bad("is of another session"));
    }
    Ok((key, header))
}
