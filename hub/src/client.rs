//! Client: one blocking HTTP request to a hub, for the commands that ask a running one. No TLS: it talks to its own machine.
//!
//! Cheap on purpose: a container runs `health` every minute for as long as it lives.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use thiserror::Error;

/// A hub that needs longer than this for one small answer is not well.
const TIMEOUT: Duration = Duration::from_secs(5);
/// An order may wait for the disk many times over.
const ORDER_TIMEOUT: Duration = Duration::from_secs(60);
/// A thousand dead letters are some 700 KiB.
const ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;

#[derive(Debug, Error)]
pub enum AskError {
    #[error("{0:?} is no URL of a hub; write http://HOST:PORT/PATH")]
    Url(String),
    #[error("no hub answers at {authority}: {source}; is it running, and is http.address the same?")]
    Connect { authority: String, source: io::Error },
    #[error("the hub at {authority} does not answer: {source}")]
    Answer { authority: String, source: io::Error },
    #[error("what answers at {0} does not speak HTTP")]
    NotHttp(String),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// # Errors
/// When there is no answer; an answer with any status is none.
pub fn get(url: &str) -> Result<Answer, AskError> {
    request("GET", url, TIMEOUT)
}

/// Orders something that takes no body.
///
/// # Errors
/// When there is no answer; whether it was done is then unknown.
pub fn post(url: &str) -> Result<Answer, AskError> {
    request("POST", url, ORDER_TIMEOUT)
}

fn request(method: &str, url: &str, timeout: Duration) -> Result<Answer, AskError> {
    let (authority, path) = parse(url).ok_or_else(|| AskError::Url(url.to_owned()))?;
    let mut stream =
        connect(authority, timeout).map_err(|source| AskError::Connect { authority: authority.to_owned(), source })?;
    let answer = ask(&mut stream, method, (authority, path))
        .map_err(|source| AskError::Answer { authority: authority.to_owned(), source })?;
    read_answer(&answer).ok_or_else(|| AskError::NotHttp(authority.to_owned()))
}

/// Host with port, and path. Scheme and port may be left out.
fn parse(url: &str) -> Option<(&str, &str)> {
    let rest = match url.split_once("://") {
        Some(("http", rest)) => rest,
        Some(_) => return None,
        None => url,
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let has_blank = url.chars().any(|c| c.is_whitespace() || c.is_control());
    (!authority.is_empty() && !has_blank).then_some((authority, path))
}

fn connect(authority: &str, timeout: Duration) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = match authority.to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(_no_port) => (authority, 80).to_socket_addrs()?.collect(),
    };
    let mut refused = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn ask(stream: &mut TcpStream, method: &str, (authority, path): (&str, &str)) -> io::Result<Vec<u8>> {
    let path = if path.is_empty() { "/" } else { path };
    // HTTP/1.0: the body then ends with the connection and is never chunked.
    let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {authority}\r\nAccept: application/json\r\n{length}\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

fn read_answer(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut words = head.lines().next()?.split(' ');
    let status = words.next()?.starts_with("HTTP/").then(|| words.next())??;
    Some(Answer { status: status.parse().ok()?, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_leave_out_scheme_and_path() {
        let cases = [
            ("http://127.0.0.1:8000/health", Some(("127.0.0.1:8000", "/health"))),
            ("[::1]:8000", Some(("[::1]:8000", ""))),
            ("localhost/ready?x=1", Some(("localhost", "/ready?x=1"))),
            ("https://a/health", None),
            ("http:///health", None),
            ("http://a/x y", None),
        ];
        for (url, parts) in cases {
            assert_eq!(parse(url), parts, "{url}");
        }
    }

    #[test]
    fn an_answer_is_read_with_its_status_and_body() {
        let answer = read_answer(b"HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\nno\r\n\r\n").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (503, "no\r\n\r\n"));
        for strange in [&b"SSH-2.0-x\r\n\r\n"[..], b"", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 ok\r\n\r\n"] {
            assert_eq!(read_answer(strange), None);
        }
    }
}
