//! Assets: the dashboard, embedded at build time. Every screen is the same page; its script looks at the address.
//!
//! Names are looked up in a fixed table of embedded files, so no path leads anywhere else. `name.br` and `name.gz` beside a file are
//! its compressed forms. Files under `assets/` carry a hash in their name and may be kept for ever; all else is asked for again by ETag.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::error::Problem;

#[derive(RustEmbed)]
#[folder = "ui/dist/"]
struct Dist;

const PAGE: &str = "index.html";
const HASHED: &str = "assets/";
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// What is shown when the program was built without its dashboard.
const NOT_BUILT: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>sysmonstm</title></head><body>\n\
     <h1>The dashboard is not built into this program</h1>\n\
     <p>Run <code>scripts/build-ui.sh</code> (it needs Node.js 20 or newer) and build the program again.</p>\n\
     <p>The API works: <a href=\"/api/v1/machines\">/api/v1/machines</a>, <a href=\"/api/v1/openapi.json\">/api/v1/openapi.json</a>, \
     <a href=\"/ready\">/ready</a>.</p>\n</body></html>\n";

/// A screen of the dashboard.
pub(crate) async fn page(headers: HeaderMap) -> Response {
    page_with(StatusCode::OK, &headers)
}

/// Everything that is no route: a file of the dashboard, or nothing. A browser gets the page to say so, a program a problem.
pub(crate) async fn fallback(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let is_read = method == Method::GET || method == Method::HEAD;
    if is_read && let Some(response) = file::<Dist>(path, StatusCode::OK, &headers) {
        return response;
    }
    let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let is_api = path.starts_with("api/");
    if is_read && !is_api && accepted.is_some_and(|accept| accept.contains("text/html")) {
        return page_with(StatusCode::NOT_FOUND, &headers);
    }
    let shown: String = uri.path().chars().take(128).collect();
    Problem::not_found("unknown_path", format!("nothing is at {shown}; /api/v1/openapi.json lists what there is"))
        .into_response()
}

fn page_with(status: StatusCode, headers: &HeaderMap) -> Response {
    file::<Dist>(PAGE, status, headers).unwrap_or_else(|| {
        let media = [(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))];
        (status, media, NOT_BUILT).into_response()
    })
}

fn file<Files: RustEmbed>(path: &str, status: StatusCode, headers: &HeaderMap) -> Option<Response> {
    let plain = Files::get(path)?;
    let (found, encoding) =
        compressed::<Files>(path, headers).map_or((plain, None), |(file, encoding)| (file, Some(encoding)));
    let etag = etag(&found);
    let mut response = if status == StatusCode::OK && is_known(&etag, headers) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let body = match found.data {
            Cow::Borrowed(embedded) => Body::from(embedded),
            Cow::Owned(read) => Body::from(read),
        };
        (status, body).into_response()
    };
    let keep = if path.starts_with(HASHED) { FOR_EVER } else { ASK_AGAIN };
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(path)));
    answer.insert(header::ETAG, etag);
    answer.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    answer.insert(header::CACHE_CONTROL, keep);
    if let Some(encoding) = encoding {
        answer.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Some(response)
}

fn compressed<Files: RustEmbed>(path: &str, headers: &HeaderMap) -> Option<(EmbeddedFile, &'static str)> {
    let accepts = |name: &str| lists(headers.get(header::ACCEPT_ENCODING), name);
    ENCODINGS
        .iter()
        .filter(|(name, _)| accepts(name))
        .find_map(|(name, suffix)| Some((Files::get(&format!("{path}{suffix}"))?, *name)))
}

fn is_known(etag: &HeaderValue, headers: &HeaderMap) -> bool {
    etag.to_str().is_ok_and(|etag| lists(headers.get(header::IF_NONE_MATCH), etag))
}

/// Whether a comma-separated header has exactly this item. One with a weight (`br;q=0.5`) is passed over, which is always right, if not best.
fn lists(header: Option<&HeaderValue>, wanted: &str) -> bool {
    let text = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(',').any(|item| item.trim() == wanted)
}

fn etag(file: &EmbeddedFile) -> HeaderValue {
    let hash = file.metadata.sha256_hash();
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("\"{hex}\"")).expect("hexadecimal digits fit a header")
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[derive(RustEmbed)]
    #[folder = "tests/assets/"]
    struct Fixture;

    /// Status, the headers that matter, and the body.
    async fn get(path: &str, asked: &[(http::HeaderName, &str)]) -> Option<String> {
        let headers = asked.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        let (parts, body) = file::<Fixture>(path, StatusCode::OK, &headers)?.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let shown = [header::CONTENT_TYPE, header::CACHE_CONTROL, header::CONTENT_ENCODING]
            .map(|name| parts.headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned());
        Some(format!("{} {} {:?}", parts.status.as_u16(), shown.join(" | "), String::from_utf8_lossy(&body)))
    }

    #[tokio::test]
    async fn files_come_with_their_type_and_how_long_they_may_be_kept() {
        expect_test::expect![[r#"
            Some("200 text/html; charset=utf-8 | no-cache | - \"page\\n\"")
            Some("200 text/javascript; charset=utf-8 | public, max-age=31536000, immutable | - \"plain\\n\"")
            Some("200 text/javascript; charset=utf-8 | public, max-age=31536000, immutable | br \"as brotli\\n\"")
            Some("200 text/javascript; charset=utf-8 | public, max-age=31536000, immutable | - \"plain\\n\"")
            None
            None
        "#]]
        .assert_eq(
            &[
                get("index.html", &[(header::ACCEPT_ENCODING, "br")]).await,
                get("assets/main-1a2b.js", &[]).await,
                get("assets/main-1a2b.js", &[(header::ACCEPT_ENCODING, "gzip, br")]).await,
                get("assets/main-1a2b.js", &[(header::ACCEPT_ENCODING, "br;q=0")]).await,
                get("assets/", &[]).await,
                get("../Cargo.toml", &[]).await,
            ]
            .map(|found| format!("{found:?}\n"))
            .concat(),
        );
    }

    #[tokio::test]
    async fn what_the_browser_has_is_not_sent_again() {
        let etag = etag(&Fixture::get("index.html").unwrap());
        let asked = format!("\"other\", {}", etag.to_str().unwrap());
        let answer = get("index.html", &[(header::IF_NONE_MATCH, &asked)]).await.unwrap();
        assert!(answer.starts_with("304 ") && answer.ends_with("\"\""), "{answer}");
    }
}
