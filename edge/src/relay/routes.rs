//! Routes: every path of the edge, and what each request passes before it is answered.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::time::timeout;
use web::{Opening, Peer, Problem};

use super::crowd::Refusal;
use super::page::{ASSETS, Asset};
use super::{Relay, address, upstream, viewer};
use crate::protocol::PUBLISH_PATH;

const URI_BYTES_MAX: usize = 2 * 1024;
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// A picture that is older than this is shown with a warning.
pub(super) const STALE_AFTER_MS: i64 = 30_000;

/// The page brings its own script and style, and talks to nobody else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

const ALWAYS: [(HeaderName, HeaderValue); 4] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
];
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Whoever asks, as far as a proxy that is trusted says so.
#[derive(Debug, Clone, Copy)]
struct Client(std::net::IpAddr);

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    version: &'static str,
    /// Whether a hub is connected.
    publisher: &'static str,
    /// Milliseconds since its newest message.
    age_ms: Option<i64>,
    viewers: usize,
}

pub(super) fn router(relay: &Arc<Relay>) -> Router {
    let mut router = Router::new()
        .route("/", get(page))
        .route("/ws", get(watch))
        .route(PUBLISH_PATH, get(publish))
        .route("/api/v1/snapshot", get(snapshot))
        .route("/metrics", get(metrics));
    for asset in ASSETS.iter() {
        router = router.route(&asset.path, get(move || async { file(asset) }));
    }
    for path in ["/health", "/healthz", "/-/healthy"] {
        router = router.route(path, get(health));
    }
    for path in ["/ready", "/readyz", "/-/ready"] {
        router = router.route(path, get(ready));
    }
    router
        .fallback(unknown)
        .method_not_allowed_fallback(web::method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(relay), guard))
        .with_state(Arc::clone(relay))
}

async fn guard(State(relay): State<Arc<Relay>>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let mut response = match admit(&relay, &mut request) {
        Ok(()) => timeout(ANSWERS_WITHIN, next.run(request)).await.unwrap_or_else(|_elapsed| {
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "request_timeout", "no answer within 10 s; ask later")
                .into_response()
        }),
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(NO_STORE);
    relay.meters.answered(&route, response.status());
    response
}

fn admit(relay: &Relay, request: &mut Request) -> Result<(), Problem> {
    let peer = request.extensions().get::<Peer>().expect("the server names the other end of each connection").0.ip();
    let client = address::client(peer, request.headers(), &relay.settings.trusted_proxies);
    request.extensions_mut().insert(Client(client));
    let uri_bytes = request.uri().path_and_query().map_or(0, |text| text.as_str().len());
    if URI_BYTES_MAX < uri_bytes {
        let detail = format!("the address has {uri_bytes} bytes; use at most {URI_BYTES_MAX}");
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "uri_too_long", detail));
    }
    relay.crowd.request(client).map_err(|refusal| refuse(relay, refusal))
}

fn refuse(relay: &Relay, refusal: Refusal) -> Problem {
    relay.meters.refused(refusal.as_str());
    let limits = relay.settings.limits;
    let (status, detail) = match refusal {
        Refusal::Viewers => {
            let detail = format!("all {} live places are taken; the page works without one", limits.viewers_max);
            (StatusCode::SERVICE_UNAVAILABLE, detail)
        }
        Refusal::ViewersOfAddress => {
            let most = limits.viewers_per_address_max;
            (StatusCode::TOO_MANY_REQUESTS, format!("this address has {most} live places already; close some"))
        }
        Refusal::Requests => {
            let most = limits.requests_per_s;
            (
                StatusCode::TOO_MANY_REQUESTS,
                format!("this address asks more than {most} times a second; ask less often"),
            )
        }
        Refusal::Addresses => {
            (StatusCode::SERVICE_UNAVAILABLE, String::from("too many are asking just now; try again in a moment"))
        }
    };
    Problem { retry_after_s: Some(5), ..Problem::new(status, refusal.as_str(), detail) }
}

async fn page(State(relay): State<Arc<Relay>>) -> Response {
    let shown = relay.board.shown();
    let status = if shown.is_some() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = relay.page.of(shown.as_deref(), relay.now_ms());
    (status, [(header::CONTENT_TYPE, HTML)], body).into_response()
}

async fn snapshot(State(relay): State<Arc<Relay>>) -> Result<Response, Problem> {
    let Some(shown) = relay.board.shown() else {
        return Err(Problem::unavailable("nothing_to_show", "no hub has published here yet"));
    };
    Ok(([(header::CONTENT_TYPE, JSON)], shown.document()).into_response())
}

fn file(asset: &'static Asset) -> Response {
    let media = HeaderValue::from_static(asset.media_type);
    ([(header::CONTENT_TYPE, media), (header::CACHE_CONTROL, FOR_EVER)], asset.text).into_response()
}

async fn watch(
    State(relay): State<Arc<Relay>>,
    Extension(Client(client)): Extension<Client>,
    opening: Opening,
) -> Result<Response, Problem> {
    let seat = relay.crowd.viewer(client).map_err(|refusal| refuse(&relay, refusal))?;
    let (response, upgrade) = opening.accept();
    let conversing = Arc::clone(&relay);
    relay.spawn(async move {
        // A connection that breaks before its upgrade takes the seat with it.
        if let Ok(Ok(stream)) = timeout(ANSWERS_WITHIN, upgrade).await {
            viewer::converse(TokioIo::new(stream), conversing, seat).await;
        }
    });
    Ok(response)
}

async fn publish(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if !upstream::is_authorized(&relay, &headers) {
        relay.meters.publisher("unauthorized");
        let detail = "publishing needs the edge's token: set the same EDGE_TOKEN for the hub and for the edge";
        let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
        return (challenge, Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)).into_response();
    }
    let Ok(upgrade) = upgrade else {
        relay.meters.publisher("no_websocket");
        let detail = "this path speaks WebSocket only; docs/EDGE.md describes it";
        return Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", detail).into_response();
    };
    relay.meters.publisher("accepted");
    let conversing = Arc::clone(&relay);
    // axum runs the conversation in a task of its own, which ends with the drain: `upstream` listens for it.
    upstream::with_limits(upgrade).on_upgrade(move |socket| upstream::converse(socket, conversing))
}

async fn health() -> Response {
    json(&Health { status: "alive", version: env!("CARGO_PKG_VERSION") })
}

async fn ready(State(relay): State<Arc<Relay>>) -> Response {
    let age_ms = relay.board.shown().map(|shown| (relay.now_ms() - shown.received).max(0));
    let has_publisher = relay.board.has_publisher();
    let status = match age_ms {
        None => "unavailable",
        Some(age_ms) if has_publisher && age_ms < STALE_AFTER_MS => "ready",
        Some(_) => "degraded",
    };
    let body = json(&Ready {
        status,
        version: env!("CARGO_PKG_VERSION"),
        publisher: if has_publisher { "up" } else { "down" },
        age_ms,
        viewers: relay.crowd.viewers(),
    });
    match age_ms {
        Some(_) => body,
        None => (StatusCode::SERVICE_UNAVAILABLE, body).into_response(),
    }
}

async fn metrics(State(relay): State<Arc<Relay>>) -> Response {
    let media = HeaderValue::from_static(runtime::metrics::CONTENT_TYPE);
    ([(header::CONTENT_TYPE, media)], relay.meters.render()).into_response()
}

async fn unknown() -> Problem {
    Problem::not_found("unknown_path", "nothing is here; the page is at /")
}

fn json(value: &impl Serialize) -> Response {
    ([(header::CONTENT_TYPE, JSON)], crate::protocol::to_json(value)).into_response()
}
