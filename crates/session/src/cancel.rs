//! Cancel requests: they come on a connection of their own, with the key that the gateway gave the session's client.

use crate::{House, Place};
use std::net::IpAddr;
use std::sync::Arc;
use vestibule_core::Established;

/// Passes a cancel request to the session it means. Answers nothing: the protocol has no answer, and an answer would
/// tell which keys exist.
pub(crate) fn request(house: &House, key: &[u8], source: IpAddr) {
    match house.live.cancellable(key, source) {
        Some(session) => session.cancel(),
        None => tracing::warn!(%source, "cancel request with an unknown key, or from another address than the session"),
    }
}

/// Cancels what the session runs at the target, beside the session.
pub(crate) fn at_target(place: Arc<Place>, established: Arc<Established>) {
    tokio::spawn(async move {
        if let Err(error) = vestibule_upstream::cancel(&place.target, place.protocol, &established).await {
            tracing::warn!(target = %place.target.name, %error, "could not pass a cancel request on");
        }
    });
}
