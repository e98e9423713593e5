//! A client that does nothing with what it reads, so that what is measured is the way and not the client.
//!
//! It logs in with a cleartext password, which the test server asks of one role, and everything in between passes on or
//! asks itself.

use super::ways::Way;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;
use vestibule_e2e::{Doing as _, Outcome, failure};

struct Raw {
    tcp: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Raw {
    fn connect(way: &Way) -> Outcome<Self> {
        let tcp = TcpStream::connect(("127.0.0.1", way.port)).doing("cannot connect")?;
        tcp.set_nodelay(true).doing("cannot set an option of the connection")?;
        let mut raw = Self { tcp, buffer: vec![0; 256 << 10], start: 0, end: 0 };
        let mut startup = vec![0, 3, 0, 0];
        for word in ["user", way.user, "database", way.database, ""] {
            startup.extend_from_slice(word.as_bytes());
            startup.push(0);
        }
        raw.send(None, &startup)?;
        loop {
            let (kind, body) = raw.message()?;
            match (kind, body.get(..4)) {
                (b'R', Some([0, 0, 0, 3])) => {
                    let password: Vec<u8> = way.password.bytes().chain([0]).collect();
                    raw.send(Some(b'p'), &password)?;
                }
                (b'Z', _) => return Ok(raw),
                (b'E', _) => return Err(failure(format!("{}: {}", way.name, String::from_utf8_lossy(&body)))),
                (b'R', Some([0, 0, 0, 0])) | (b'S' | b'K' | b'N', _) => {}
                _ => return Err(failure(format!("{} asks for a login this client does not know", way.name))),
            }
        }
    }

    fn send(&mut self, kind: Option<u8>, body: &[u8]) -> Outcome<()> {
        let mut bytes: Vec<u8> = kind.into_iter().collect();
        let length = u32::try_from(body.len() + 4).doing("the message is too long")?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(body);
        self.tcp.write_all(&bytes).doing("cannot write")
    }

    /// Makes at least `wanted` bytes available.
    fn fill(&mut self, wanted: usize) -> Outcome<()> {
        while self.end - self.start < wanted {
            if self.start + wanted > self.buffer.len() || self.start > self.buffer.len() / 2 {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.end, self.start) = (self.end - self.start, 0);
                let longer = self.buffer.len().max(wanted);
                self.buffer.resize(longer, 0);
            }
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            let read = self.tcp.read(room).doing("cannot read")?;
            if read == 0 {
                return Err(failure("the connection was closed"));
            }
            self.end += read;
        }
        Ok(())
    }

    /// The next message's kind and length; its body is skipped.
    fn skip(&mut self) -> Outcome<(u8, usize)> {
        self.fill(5)?;
        let head = self.buffer.get(self.start..self.start + 5).unwrap_or_default();
        let (kind, length) = match head {
            [kind, a, b, c, d] => (*kind, u32::from_be_bytes([*a, *b, *c, *d]) as usize + 1),
            _ => return Err(failure("no message")),
        };
        self.fill(length)?;
        if kind == b'E' {
            let body = self.buffer.get(self.start + 5..self.start + length).unwrap_or_default();
            return Err(failure(format!("the server says: {}", String::from_utf8_lossy(body))));
        }
        self.start += length;
        Ok((kind, length))
    }

    fn message(&mut self) -> Outcome<(u8, Vec<u8>)> {
        self.fill(5)?;
        let head = self.buffer.get(self.start..self.start + 5).unwrap_or_default();
        let (kind, length) = match head {
            [kind, a, b, c, d] => (*kind, u32::from_be_bytes([*a, *b, *c, *d]) as usize + 1),
            _ => return Err(failure("no message")),
        };
        self.fill(length)?;
        let body = self.buffer.get(self.start + 5..self.start + length).unwrap_or_default().to_vec();
        self.start += length;
        Ok((kind, body))
    }

    /// Runs a statement and skips everything up to the end of its answer; how many bytes that was.
    fn run(&mut self, sql: &str) -> Outcome<u64> {
        let text: Vec<u8> = sql.bytes().chain([0]).collect();
        self.send(Some(b'Q'), &text)?;
        let mut bytes = 0;
        loop {
            let (kind, length) = self.skip()?;
            bytes += length as u64;
            if kind == b'Z' {
                return Ok(bytes);
            }
        }
    }
}

/// Median time of one `SELECT 1`, in microseconds.
///
/// # Errors
/// When the way does not let this client in.
pub fn select_one_p50(way: &Way, times: usize) -> Outcome<f64> {
    let mut raw = Raw::connect(way)?;
    for _ in 0..times / 10 {
        raw.run("SELECT 1")?;
    }
    let mut taken = Vec::with_capacity(times);
    for _ in 0..times {
        let start = Instant::now();
        raw.run("SELECT 1")?;
        taken.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(super::median(&mut taken))
}

/// Reads the whole answer of a statement; bytes and seconds.
///
/// # Errors
/// When it fails.
pub fn read_all(way: &Way, sql: &str) -> Outcome<(u64, f64)> {
    let mut raw = Raw::connect(way)?;
    raw.run("SELECT 1")?;
    let start = Instant::now();
    let bytes = raw.run(sql)?;
    Ok((bytes, start.elapsed().as_secs_f64()))
}
