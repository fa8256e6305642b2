//! Problem: every refusal of the HTTP API, as an RFC 9457 document with a stable code and a sentence that says what to do.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use model::query::QueryError;
use model::rule::Fault;

/// Seconds after which a client may try again what is unavailable just now.
const RETRY_AFTER_S: u32 = 5;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {detail}")]
pub struct Problem {
    pub status: StatusCode,
    /// Never changes its meaning: what programs look at.
    pub code: &'static str,
    /// For a person.
    pub detail: String,
    pub retry_after_s: Option<u32>,
    /// What is wrong with which field of the body.
    pub faults: Vec<Fault>,
}

#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Document<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), retry_after_s: None, faults: Vec::new() }
    }

    pub(crate) fn bad_query(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_query", detail)
    }

    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// A rule that makes no sense, with everything that is wrong with it.
    pub(crate) fn invalid_rule(faults: Vec<Fault>) -> Self {
        let said: Vec<&str> = faults.iter().map(|fault| fault.said.as_str()).collect();
        Self { faults: faults.clone(), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_rule", said.join("; ")) }
    }

    /// Worth another try in a few seconds.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail) }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let detail = error.to_string();
        match error {
            QueryError::Unavailable(_) => Self::unavailable("history_unavailable", detail),
            QueryError::Timeout(_) => Self::new(StatusCode::GATEWAY_TIMEOUT, "query_timeout", detail),
            QueryError::Failed(_) => {
                // The cause may name files and tables: it goes into the log, not to whoever asked.
                tracing::error!(error = %detail, "history query failed");
                let said = "the stored data could not be read; the hub's log says why";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "history_failed", said)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            errors: &self.faults,
        };
        let body = serde_json::to_vec(&document).expect("plain data serializes");
        let media = HeaderValue::from_static("application/problem+json");
        let mut response = (self.status, [(header::CONTENT_TYPE, media)], body).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Answers a known path asked with a method that it does not take; axum adds the `Allow` header.
pub async fn method_not_allowed(method: http::Method) -> Problem {
    let detail = format!("{method} is not possible here; the Allow header lists what is");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
