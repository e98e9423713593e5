//! One side of a session: what was received and not yet consumed, what is to be sent and not yet taken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use vestibule_upstream::Transport;

/// Bytes asked of the kernel at once.
const READ: usize = 64 << 10;
/// A single piece at least this long is handed to the kernel without being copied first.
const DIRECT: usize = 16 << 10;
/// With more than this unsent, the other side is not read.
const HIGH_WATER: usize = 1 << 20;

/// A connection with its buffers.
#[derive(Debug)]
pub(crate) struct Half {
    transport: Transport,
    received: Vec<u8>,
    start: usize,
    end: usize,
    unsent: Vec<u8>,
    sent: usize,
    dirty: bool,
    ended: bool,
}

impl Half {
    pub fn new(transport: Transport, received: Vec<u8>) -> Self {
        let end = received.len();
        Self { transport, received, start: 0, end, unsent: Vec::new(), sent: 0, dirty: false, ended: false }
    }

    /// What was received and not consumed.
    pub fn pending(&self) -> &[u8] {
        self.received.get(self.start..self.end).unwrap_or_default()
    }

    pub fn consume(&mut self, bytes: usize) {
        self.start = self.start.saturating_add(bytes).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    pub const fn ended(&self) -> bool {
        self.ended
    }

    /// Whether the other side may be read: what it sends can be taken on.
    pub fn has_room(&self) -> bool {
        self.unsent.len().saturating_sub(self.sent) < HIGH_WATER
    }

    pub fn has_unsent(&self) -> bool {
        self.dirty || self.sent < self.unsent.len()
    }

    /// Makes room behind the pending bytes; `false` if `most` bytes are pending already.
    fn make_room(&mut self, most: usize) -> bool {
        if self.end.saturating_sub(self.start) >= most {
            return false;
        }
        if self.received.len().saturating_sub(self.end) < READ / 4 {
            if self.start > 0 {
                self.received.copy_within(self.start..self.end, 0);
                self.end = self.end.saturating_sub(self.start);
                self.start = 0;
            }
            if self.received.len().saturating_sub(self.end) < READ / 4 {
                let longer = self.received.len().max(READ / 2).saturating_mul(2).min(most.saturating_add(READ));
                self.received.resize(longer.max(self.end.saturating_add(READ / 4)), 0);
            }
        } else if self.start == self.end && self.received.len() > 4 * READ {
            // One long message need not keep its memory for the rest of the session.
            self.received.truncate(READ);
            self.received.shrink_to_fit();
        }
        true
    }

    /// Reads once. `Ok(0)` is the end of the stream. Pending for ever while `most` bytes wait to be consumed.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<usize>> {
        if self.ended || !self.make_room(most) {
            return Poll::Pending;
        }
        let Some(room) = self.received.get_mut(self.end..) else { return Poll::Pending };
        let mut buffer = ReadBuf::new(room);
        ready!(Pin::new(&mut self.transport).poll_read(cx, &mut buffer))?;
        let read = buffer.filled().len();
        self.end = self.end.saturating_add(read);
        self.ended = read == 0;
        Poll::Ready(Ok(read))
    }

    /// Queues bytes; long pieces are tried at once when nothing is queued and `direct` allows it.
    pub fn push(&mut self, bytes: &[u8], direct: bool) -> io::Result<()> {
        let mut rest = bytes;
        if direct && bytes.len() >= DIRECT && self.sent == self.unsent.len() {
            let mut cx = Context::from_waker(Waker::noop());
            while !rest.is_empty() {
                match Pin::new(&mut self.transport).poll_write(&mut cx, rest) {
                    Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                    Poll::Ready(Ok(wrote)) => rest = rest.get(wrote..).unwrap_or_default(),
                    Poll::Ready(Err(error)) => return Err(error),
                    Poll::Pending => break,
                }
            }
            self.dirty = self.transport.is_tls();
        }
        self.unsent.extend_from_slice(rest);
        Ok(())
    }

    /// Sends what is queued as far as the peer takes it.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.unsent.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let wrote = ready!(Pin::new(&mut self.transport).poll_write(cx, rest))?;
            if wrote == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent = self.sent.saturating_add(wrote);
            self.dirty = self.transport.is_tls();
        }
        self.unsent.clear();
        self.sent = 0;
        if self.unsent.capacity() > 4 * HIGH_WATER {
            self.unsent = Vec::new();
        }
        if self.dirty {
            ready!(Pin::new(&mut self.transport).poll_flush(cx))?;
            self.dirty = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends as much as goes without waiting; the rest goes when the driver polls.
    pub fn send_now(&mut self) -> io::Result<()> {
        match self.poll_send(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => Ok(()),
        }
    }

    /// Sends everything, then closes the writing side.
    pub async fn finish(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_send(cx)).await?;
        std::future::poll_fn(|cx| Pin::new(&mut self.transport).poll_shutdown(cx)).await
    }
}
