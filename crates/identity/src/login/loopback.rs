//! The address on this machine that the browser comes back to (RFC 8252, 7.3).
//!
//! One request is answered with meaning: the one whose `state` is ours. Whatever else other programs or pages send here
//! is turned away, and the wait goes on: nobody can end a login by knocking.

use super::{CodeAnswer, CodeLogin, LoginError};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longest head of a request.
const MAX_HEAD: usize = 16 << 10;
/// How long a browser may take for its request: another may wait behind it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A port on loopback, chosen by the system.
#[derive(Debug)]
pub struct Loopback {
    listener: TcpListener,
    port: u16,
}

impl Loopback {
    /// Takes a free port.
    ///
    /// # Errors
    /// If there is none.
    pub async fn bind() -> Result<Self, LoginError> {
        let here = |e: std::io::Error| LoginError::Here(format!("no port of this machine can be used: {e}"));
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.map_err(here)?;
        let port = listener.local_addr().map_err(here)?.port();
        Ok(Self { listener, port })
    }

    /// Where the provider sends the browser.
    #[must_use]
    pub fn redirect_uri(&self) -> String {
        format!("http://127.0.0.1:{}/callback", self.port)
    }

    /// Waits for the browser, at most `patience`.
    ///
    /// # Errors
    /// [`LoginError::Expired`] if it does not come.
    pub async fn answer(self, login: &CodeLogin, patience: Duration) -> Result<CodeAnswer, LoginError> {
        let wait = async {
            loop {
                // A connection that fails is the other side's.
                let Ok((stream, _)) = self.listener.accept().await else { continue };
                let served = tokio::time::timeout(PATIENCE, self.serve(stream, login)).await;
                if let Ok(Some(answer)) = served {
                    return answer;
                }
            }
        };
        tokio::time::timeout(patience, wait).await.map_err(|_| LoginError::Expired)
    }

    async fn serve(&self, mut stream: TcpStream, login: &CodeLogin) -> Option<CodeAnswer> {
        let head = read_head(&mut stream).await?;
        let answer = self.read(&head).filter(|answer| answer.belongs_to(login));
        let page = match &answer {
            Some(CodeAnswer { code: Ok(_), .. }) => page("200 OK", "You are logged in. You can close this window."),
            Some(_) => page("200 OK", "The login did not work. The terminal says why."),
            None => page("404 Not Found", "There is nothing here."),
        };
        let _ = stream.write_all(page.as_bytes()).await;
        let _ = stream.shutdown().await;
        answer
    }

    /// The answer in a request, if it is for us by name: a page that points a name of its own at this machine is not.
    fn read(&self, head: &str) -> Option<CodeAnswer> {
        let mut lines = head.split("\r\n");
        let query = lines.next()?.strip_prefix("GET /callback?")?.strip_suffix(" HTTP/1.1")?;
        let host = format!("127.0.0.1:{}", self.port);
        let mut hosts = lines.filter_map(|l| l.split_once(':')).filter(|(name, _)| name.eq_ignore_ascii_case("host"));
        let ours = hosts.next().is_some_and(|(_, value)| value.trim() == host) && hosts.next().is_none();
        if ours { CodeAnswer::parse(query) } else { None }
    }
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        if head.len() > MAX_HEAD || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8(head).ok()
}

fn page(status: &str, words: &str) -> String {
    let body = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Vestibule</title><p>{words}</p></html>\n"
    );
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\nContent-Security-Policy: default-src 'none'\r\nReferrer-Policy: no-referrer\r\n\
         X-Content-Type-Options: nosniff\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::{CodeAnswer, Loopback};

    #[tokio::test]
    async fn only_a_request_for_us_by_name_is_an_answer() {
        let here = Loopback::bind().await.unwrap();
        let head = |line: &str, host: &str| format!("{line}\r\nHost: {host}\r\n\r\n");
        let own = format!("127.0.0.1:{}", here.port);
        let good = "GET /callback?code=c&state=s HTTP/1.1";
        assert!(here.read(&head(good, &own)).is_some());
        assert!(here.read(&head(good, "evil.example")).is_none());
        assert!(here.read(&format!("{good}\r\nHost: {own}\r\nHost: evil.example\r\n\r\n")).is_none());
        assert!(here.read(&format!("{good}\r\n\r\n")).is_none());
        for line in
            ["POST /callback?code=c&state=s HTTP/1.1", "GET /?code=c&state=s HTTP/1.1", "GET /callback HTTP/1.1"]
        {
            assert!(here.read(&head(line, &own)).is_none(), "{line}");
        }
        for query in [
            "code=c",
            "state=s",
            "code=c&code=d&state=s",
            "code=c&state=s&state=t",
            "code=&state=s",
            "code=c&error=e&state=s",
        ] {
            assert!(CodeAnswer::parse(query).is_none(), "{query}");
        }
        let refused = CodeAnswer::parse("error=access_denied%1b[31m&state=s").unwrap();
        assert_eq!(refused.code.unwrap_err(), "access_deniedm");
    }
}
