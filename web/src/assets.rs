//! Assets: the dashboard, embedded at build time. Every screen is the same page; its script looks at the address.
//!
//! Names are looked up in a fixed table of embedded files, so no path leads anywhere else. `name.br` and `name.gz` beside a file are
//! its compressed forms. Files under `assets/` carry a hash in their name and may be kept for ever; all else is asked for again by ETag.

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
    if is_read && let Some(response) = file(path, StatusCode::OK, &headers) {
        return response;
    }
    let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let is_api = path.starts_with("api/");
    if is_read && !is_api && accepted.is_some_and(|accept| accept.contains("text/html")) {
        return page_with(StatusCode::NOT_FOUND, &headers);
    }
    let shown: String = uri.path().chars().take(128).collect();
    Problem::not_found(
        "unknown_path",
        format!("nothing is at {shown}; /api/v1/openapi.json lists what there is"),
    )
    .into_response()
}

fn page_with(status: StatusCode, headers: &HeaderMap) -> Response {
    file(PAGE, status, headers).unwrap_or_else(|| {
        let media = [(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        )];
        (status, media, NOT_BUILT).into_response()
    })
}

fn file(path: &str, status: StatusCode, headers: &HeaderMap) -> Option<Response> {
    let plain = Dist::get(path)?;
    let (found, encoding) = compressed(path, headers).map_or((plain, None), |(file, encoding)| (file, Some(encoding)));
    let etag = etag(&found);
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == etag);
    let mut response = if is_known && status == StatusCode::OK {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        (status, Body::from(found.data.into_owned())).into_response()
    };
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(path)));
    answer.insert(header::ETAG, etag);
    answer.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    answer.insert(
        header::CACHE_CONTROL,
        if path.starts_with(HASHED) { FOR_EVER } else { ASK_AGAIN },
    );
    if let Some(encoding) = encoding {
        answer.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Some(response)
}

fn compressed(path: &str, headers: &HeaderMap) -> Option<(EmbeddedFile, &'static str)> {
    let accepted = headers.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
    let accepts = |name: &str| accepted.split(',').any(|one| one.trim() == name);
    ENCODINGS
        .iter()
        .filter(|(name, _)| accepts(name))
        .find_map(|(name, suffix)| Some((Dist::get(&format!("{path}{suffix}"))?, *name)))
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
