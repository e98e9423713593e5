//! Answers of unknown length: NDJSON, line by line, with back-pressure.

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use serde::Serialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Bytes as they come.
struct Pieces(mpsc::Receiver<Bytes>);

impl Stream for Pieces {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|piece| piece.map(Ok))
    }
}

/// An answer that goes on as long as there are pieces.
pub(crate) fn ndjson(pieces: mpsc::Receiver<Bytes>) -> Response {
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(Pieces(pieces))).into_response()
}

/// One value as one line.
pub(crate) fn line(value: &impl Serialize) -> Bytes {
    // What travels here is made of strings, numbers and lists, which always have a JSON form.
    let mut bytes = serde_json::to_vec(value).unwrap_or_default();
    bytes.push(b'\n');
    Bytes::from(bytes)
}
