//! Routes: every path with its handler, one file per noun.

mod alerts;
mod audit;
mod catalogue;
mod commands;
mod config;
mod dead_letters;
mod fleet;
mod fragments;
pub(crate) mod health;
mod history;
mod history_shape;
mod live;
mod machines;
mod metrics;
mod openapi;
mod pipeline;
mod preview;
mod rule_body;
mod rules;
mod silences;
mod synthetic;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Path};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::request::Parts;
use http::{HeaderValue, header};
use model::MachineId;

use crate::assets;
use crate::error::Problem;
use crate::shapes::to_json;
use crate::state::Shared;

/// Whether made-up machines are listed among the real ones.
const SYNTHETIC: &[(&str, bool)] = &[("hide", false), ("show", true)];

/// Addresses of the dashboard's screens: one page serves them all.
pub(crate) const SCREENS: &[&str] =
    &["/", "/machines/{id}", "/alerts", "/rules", "/rules/{name}", "/pipeline", "/compare", "/audit", "/settings"];

pub(crate) fn all() -> Router<Arc<Shared>> {
    let api = Router::new()
        .route("/api/v1/machines", get(machines::list))
        .route("/api/v1/machines/{id}", get(machines::one))
        .route("/api/v1/machines/{id}/metrics", get(machines::metrics))
        .route("/api/v1/machines/{id}/processes", get(machines::processes))
        .route("/api/v1/machines/{id}/history", get(history::history))
        .route("/api/v1/machines/{id}/commands/{command}", post(commands::send))
        .route("/api/v1/history", get(history::of_machines))
        .route("/api/v1/fleet/rollups", get(fleet::rollups))
        .route("/api/v1/fleet/hottest", get(fleet::hottest))
        .route("/api/v1/metrics", get(catalogue::list))
        .route("/api/v1/alerts", get(alerts::active))
        .route("/api/v1/alerts/groups", get(alerts::groups))
        .route("/api/v1/alerts/history", get(alerts::history))
        .route("/api/v1/rules", get(rules::list).post(rules::create))
        .route(
            "/api/v1/rules/{name}",
            // A path of its own would hide a rule that is called `preview`.
            get(rules::one).put(rules::update).delete(rules::delete).post(preview::preview),
        )
        .route("/api/v1/silences", get(silences::list).post(silences::create))
        .route("/api/v1/silences/{silence}", get(silences::one).delete(silences::end))
        .route("/api/v1/dead-letters", get(dead_letters::list))
        .route("/api/v1/dead-letters/resend", post(dead_letters::resend_all))
        .route("/api/v1/dead-letters/{letter}", get(dead_letters::one))
        .route("/api/v1/dead-letters/{letter}/resend", post(dead_letters::resend))
        .route("/api/v1/audit", get(audit::list))
        .route("/api/v1/config", get(config::list))
        .route("/api/v1/pipeline", get(pipeline::figures))
        .route("/api/v1/synthetic", get(synthetic::figures))
        .route("/api/v1/openapi.json", get(openapi::document));
    let seeds = Router::new()
        .route("/api/machines", get(machines::list))
        .route("/api/machines/{id}", get(machines::one))
        .route("/api/machines/{id}/metrics", get(machines::metrics))
        .route("/api/machines/{id}/history", get(history::history));
    let own = Router::new()
        .route("/fragments/alerts", get(fragments::alerts))
        .route("/ws", get(live::upgrade))
        .route("/metrics", get(metrics::text))
        .route("/health", get(health::alive))
        .route("/healthz", get(health::alive))
        .route("/-/healthy", get(health::alive))
        .route("/ready", get(health::ready))
        .route("/readyz", get(health::ready))
        .route("/-/ready", get(health::ready));
    let screens = SCREENS.iter().fold(Router::new(), |router, path| router.route(path, get(assets::page)));
    api.merge(seeds).merge(own).merge(screens)
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

/// What else a path names: a rule, a silence.
struct Named(String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
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
