//! HTTP: a hub's REST interface, asked from blocking threads. Every call has a deadline.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

/// For one answer, from the connection to its last byte.
const TIMEOUT: Duration = Duration::from_secs(20);
/// A machine of a thousand series with an hour of minutes is some 10 MB.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("the hub at {url} does not answer: {source}; is --hub right?")]
    Ask { url: String, source: Box<ureq::Error> },
    #[error("{url} answered {status}: {detail}")]
    Status { url: String, status: u16, detail: String },
    #[error("{url} answered no JSON: {source}")]
    NotJson { url: String, source: serde_json::Error },
    #[error("a task ended by itself: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// A hub's HTTP side. Clones share connections.
#[derive(Debug, Clone)]
pub struct Hub {
    agent: Agent,
    /// Without a slash at the end.
    base: String,
}

impl Hub {
    /// `url` is `http://HOST:PORT`; the scheme may be left out.
    #[must_use]
    pub fn at(url: &str) -> Self {
        let base = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let config = Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build();
        Self { agent: config.into(), base: base.trim_end_matches('/').to_owned() }
    }

    /// `ws://HOST:PORT/ws`
    #[must_use]
    pub fn live_url(&self) -> String {
        format!("{}/ws", self.base.replacen("http", "ws", 1))
    }

    /// # Errors
    /// When the answer is no success or no JSON.
    pub fn get(&self, path: &str) -> Result<Value, HttpError> {
        let url = format!("{}{path}", self.base);
        let answer = self.agent.get(&url).call();
        read(url, answer)
    }

    /// An answer as it is.
    ///
    /// # Errors
    /// When the answer is no success.
    pub fn text(&self, path: &str) -> Result<String, HttpError> {
        let url = format!("{}{path}", self.base);
        text(&url, self.agent.get(&url).call())
    }

    /// # Errors
    /// When the answer is no success or no JSON.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, HttpError> {
        let url = format!("{}{path}", self.base);
        let answer = self.agent.post(&url).content_type("application/json").send(body.to_string());
        read(url, answer)
    }

    /// # Errors
    /// When the answer is no success.
    pub fn delete(&self, path: &str) -> Result<(), HttpError> {
        let url = format!("{}{path}", self.base);
        let answer = self.agent.delete(&url).call();
        text(&url, answer).map(drop)
    }

    /// Asks from a thread that may wait.
    ///
    /// # Errors
    /// As what is asked.
    pub async fn ask<T, F>(&self, ask: F) -> Result<T, HttpError>
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> Result<T, HttpError> + Send + 'static,
    {
        let hub = self.clone();
        tokio::task::spawn_blocking(move || ask(&hub)).await?
    }
}

type Called = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

fn read(url: String, answer: Called) -> Result<Value, HttpError> {
    let text = text(&url, answer)?;
    serde_json::from_str(&text).map_err(|source| HttpError::NotJson { url, source })
}

fn text(url: &str, answer: Called) -> Result<String, HttpError> {
    let failed = |source| HttpError::Ask { url: url.to_owned(), source: Box::new(source) };
    let mut answer = answer.map_err(failed)?;
    let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(failed)?;
    if answer.status().is_success() {
        return Ok(text);
    }
    // A problem document says in `detail` what is wrong.
    let problem: Option<Value> = serde_json::from_str(&text).ok();
    let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str());
    let detail = detail.unwrap_or(&text).chars().take(500).collect();
    Err(HttpError::Status { url: url.to_owned(), status: answer.status().as_u16(), detail })
}

/// A text as part of a query.
#[must_use]
pub fn escaped(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_leave_out_its_scheme_and_end_in_a_slash() {
        assert_eq!(Hub::at("127.0.0.1:8000/").live_url(), "ws://127.0.0.1:8000/ws");
        assert_eq!(Hub::at("http://hub").live_url(), "ws://hub/ws");
        assert_eq!(escaped("a b/ä"), "a%20b%2F%C3%A4");
    }
}
