//! A client of PostgreSQL in the clear that remembers every message it received, also where the connection broke in the
//! middle: libpq throws that away, and what a client received is what must be on the record.
#![allow(dead_code, clippy::allow_attributes, reason = "every test file uses a part of this")]

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// A connection.
pub struct Wire {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

/// What came back.
#[derive(Debug, Default, Clone)]
pub struct Answer {
    /// The letters of the messages, in order.
    pub kinds: Vec<u8>,
    /// Number of rows.
    pub rows: usize,
    /// Command tags.
    pub tags: Vec<String>,
    /// SQLSTATE and message of the last error.
    pub error: Option<String>,
    /// Texts of notices.
    pub notices: Vec<String>,
}

impl Answer {
    /// Whether anything arrived that answers a statement. A notice may only say that it waits.
    pub fn is_response(&self) -> bool {
        self.kinds.iter().any(|kind| !b"NZS".contains(kind))
    }

    /// Whether it ended well.
    pub fn is_good(&self) -> bool {
        self.error.is_none() && self.kinds.last() == Some(&b'Z')
    }

    fn take(&mut self, kind: u8, body: &[u8]) {
        self.kinds.push(kind);
        match kind {
            b'D' => self.rows += 1,
            b'C' => self.tags.push(String::from_utf8_lossy(body).trim_end_matches('\0').to_owned()),
            b'E' => self.error = Some(words(body)),
            b'N' => self.notices.push(words(body)),
            _ => {}
        }
    }
}

fn words(body: &[u8]) -> String {
    let fields = body.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let told = fields.filter_map(|field| field.strip_prefix(['C', 'M', 'H']).map(str::to_owned));
    told.collect::<Vec<_>>().join(" ")
}

fn push(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.push(kind);
    out.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    out.extend_from_slice(body);
}

/// A startup message.
pub fn startup(database: &str, application: &str) -> Vec<u8> {
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    for word in ["user", "whoever", "database", database, "application_name", application, ""] {
        body.extend_from_slice(word.as_bytes());
        body.push(0);
    }
    let mut out = u32::try_from(body.len() + 4).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(&body);
    out
}

/// A simple query.
pub fn query(sql: &str) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out, b'Q', &[sql.as_bytes(), b"\0"].concat());
    out
}

/// Parse, Bind, Describe, Execute of the unnamed statement.
pub fn execute(sql: &str) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out, b'P', &[b"\0", sql.as_bytes(), b"\0\0\0"].concat());
    push(&mut out, b'B', &[0; 8]);
    push(&mut out, b'D', b"P\0");
    push(&mut out, b'E', &[0; 5]);
    out
}

/// Sync.
pub const SYNC: [u8; 5] = [b'S', 0, 0, 0, 4];

impl Wire {
    /// A TCP connection on which nothing has been said.
    pub fn silent(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), Duration::from_secs(10))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_write_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Logs in with a token as the password.
    pub fn login(port: u16, token: &str, application: &str) -> io::Result<Self> {
        let mut wire = Self::silent(port)?;
        wire.send(&startup("clinic", application))?;
        loop {
            let (kind, body) = wire.message()?;
            match (kind, body.get(..4)) {
                (b'R', Some([0, 0, 0, 3])) => {
                    let mut out = Vec::new();
                    push(&mut out, b'p', &[token.as_bytes(), b"\0"].concat());
                    wire.send(&out)?;
                }
                (b'Z', _) => return Ok(wire),
                (b'E', _) => return Err(io::Error::other(words(&body))),
                _ => {}
            }
        }
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next message.
    pub fn message(&mut self) -> io::Result<(u8, Vec<u8>)> {
        loop {
            if let Some(length) = self.buffer.get(1..5) {
                let end = 1 + u32::from_be_bytes(length.try_into().unwrap()) as usize;
                if self.buffer.len() >= end {
                    let (kind, body) = (self.buffer[0], self.buffer[5..end].to_vec());
                    self.buffer.drain(..end);
                    return Ok((kind, body));
                }
            }
            let mut chunk = [0; 16 << 10];
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.buffer.extend_from_slice(&chunk[..read]),
            }
        }
    }

    /// Sends `bytes` and takes messages until the server is ready again. What came before an error is in `into`.
    pub fn converse(&mut self, bytes: &[u8], into: &mut Answer) -> io::Result<()> {
        self.send(bytes)?;
        self.until_ready(into)
    }

    /// Takes messages until the server is ready again.
    pub fn until_ready(&mut self, into: &mut Answer) -> io::Result<()> {
        loop {
            let (kind, body) = self.message()?;
            into.take(kind, &body);
            if kind == b'Z' {
                return Ok(());
            }
        }
    }

    /// Runs a statement to its end.
    pub fn ask(&mut self, sql: &str) -> io::Result<Answer> {
        let mut answer = Answer::default();
        self.converse(&query(sql), &mut answer)?;
        Ok(answer)
    }
}
