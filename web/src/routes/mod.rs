//! Routes: every path with its handler, one file per noun.

pub(crate) mod alert_filter;
mod alerts;
mod audit;
mod catalogue;
pub(crate) mod commands;
mod config;
mod dead_letters;
mod fleet;
pub(crate) mod fragments;
pub(crate) mod health;
pub(crate) mod history;
mod history_shape;
mod live;
mod machines;
mod metrics;
mod openapi;
mod pipeline;
mod preview;
mod processes;
mod resolved_alerts;
mod rule_body;
mod rules;
mod silences;
mod synthetic;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Path};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::request::Parts;
use http::{HeaderValue, header};
use model::MachineId;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::assets;
use crate::error::{Document, Problem};
use crate::shapes::to_json;
use crate::state::Shared;

/// Whether made-up machines are listed among the real ones.
const SYNTHETIC: &[(&str, bool)] = &[("hide", false), ("show", true)];

/// Addresses of the dashboard's screens: one page serves them all.
pub(crate) const SCREENS: &[&str] =
    &["/", "/machines/{id}", "/alerts", "/rules", "/rules/{name}", "/pipeline", "/compare", "/audit", "/settings"];

/// Older and other names of paths, which answer as the path does.
pub(crate) const OLDER_NAMES: &[(&str, &str)] = &[
    ("/api/machines", "/api/v1/machines"),
    ("/api/machines/{id}", "/api/v1/machines/{id}"),
    ("/api/machines/{id}/metrics", "/api/v1/machines/{id}/metrics"),
    ("/api/machines/{id}/history", "/api/v1/machines/{id}/history"),
    ("/healthz", "/health"),
    ("/-/healthy", "/health"),
    ("/readyz", "/ready"),
    ("/-/ready", "/ready"),
];

pub(crate) fn all() -> Router<Arc<Shared>> {
    let older = Router::new()
        .route("/api/machines", get(machines::list))
        .route("/api/machines/{id}", get(machines::one))
        .route("/api/machines/{id}/metrics", get(machines::metrics))
        .route("/api/machines/{id}/history", get(history::history))
        .route("/healthz", get(health::alive))
        .route("/-/healthy", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/-/ready", get(health::ready));
    let screens = SCREENS.iter().fold(Router::new(), |router, path| router.route(path, get(assets::page)));
    Router::from(api()).merge(older).merge(screens)
}

/// What the handlers say of themselves.
pub(crate) fn described() -> OpenApi {
    api().into_openapi()
}

/// Of what is no route: the body of every refusal.
#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(Document<'static>)))]
struct Beside;

fn api() -> OpenApiRouter<Arc<Shared>> {
    // A rule may be called `preview`, too.
    let preview =
        routes!(preview::preview).map(|methods| methods.get(rules::one).put(rules::update).delete(rules::delete));
    OpenApiRouter::with_openapi(<Beside as utoipa::OpenApi>::openapi())
        .routes(routes!(machines::list))
        .routes(routes!(machines::one))
        .routes(routes!(machines::metrics))
        .routes(routes!(processes::processes))
        .routes(routes!(history::history))
        .routes(routes!(commands::send))
        .routes(routes!(history::of_machines))
        .routes(routes!(fleet::rollups))
        .routes(routes!(fleet::hottest))
        .routes(routes!(catalogue::list))
        .routes(routes!(alerts::active))
        .routes(routes!(alerts::groups))
        .routes(routes!(alerts::history))
        .routes(routes!(rules::list, rules::create))
        .routes(routes!(rules::one, rules::update, rules::delete))
        .routes(preview)
        .routes(routes!(silences::list, silences::create))
        .routes(routes!(silences::one, silences::end))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::resend_all))
        .routes(routes!(dead_letters::one))
        .routes(routes!(dead_letters::resend))
        .routes(routes!(audit::list))
        .routes(routes!(config::list))
        .routes(routes!(pipeline::figures))
        .routes(routes!(synthetic::figures))
        .routes(routes!(openapi::document))
        .routes(routes!(fragments::alerts))
        .routes(routes!(live::upgrade))
        .routes(routes!(metrics::text))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
}

/// The machine that a path names.
struct OfMachine(MachineId);

impl<S: Send + Sync> FromRequestParts<S> for OfMachine {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let named = Path::<String>::from_request_parts(parts, state).await;
        let Ok(Path(named)) = named else {
            return Err(Problem::bad_query("the path is not valid UTF-8"));
        };
        match MachineId::parse(&named) {
            Ok(id) => Ok(Self(id)),
            Err(invalid) => Err(Problem::not_found("unknown_machine", invalid.to_string())),
        }
    }
}

/// Of the one path that names something without a parameter.
const PREVIEW: &str = "preview";

/// What else a path names: a rule, a silence, a dead letter.
struct Named(String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Option::<Path<String>>::from_request_parts(parts, state).await {
            Ok(Some(Path(name))) => Ok(Self(name)),
            Ok(None) => Ok(Self(PREVIEW.to_owned())),
            Err(_not_text) => Err(Problem::bad_query("the path is not valid UTF-8")),
        }
    }
}

fn unknown_machine(id: &MachineId) -> Problem {
    Problem::not_found("unknown_machine", format!("no machine is called {id}; /api/v1/machines lists them"))
}

pub(crate) fn json(shape: &impl serde::Serialize) -> Response {
    let media = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, media)], to_json(shape)).into_response()
}
