//! Rule body: a rule (or a silence) as a client sends it, read strictly.
//!
//! Only as JSON, and from no foreign page: a web page that somebody visits may send a form to this hub, but neither a JSON type nor an
//! `Origin` of ours with it.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, StatusCode, header};
use model::Rule;
use model::command::RuleSource;
use serde_json::{Map, Value};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::error::Problem;
use crate::guard::BODY_BYTES_MAX;
use crate::state::Shared;

const MEDIA: &str = "application/json";

/// A request's JSON object.
pub(super) struct Sent(Map<String, Value>);

impl FromRequest<Arc<Shared>> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Problem> {
        shared.app.settings.hosts.check_origin(request.uri(), request.headers())?;
        if !is_json(request.headers()) {
            let detail = format!("send the body as {MEDIA}");
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "not_json", detail));
        }
        // A body without a length passes the guard: it is counted here.
        let Ok(bytes) = to_bytes(request.into_body(), BODY_BYTES_MAX).await else {
            let detail = format!("the body was cut off, or has more than {BODY_BYTES_MAX} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail));
        };
        match serde_json::from_slice(&bytes) {
            Ok(fields) => Ok(Self(fields)),
            Err(error) => Err(bad_body(format!("the body is not a JSON object: {error}"))),
        }
    }
}

/// How the body of a rule is described: a rule that may have its name in the path, and may say what the hub said of it.
pub(super) struct NewRule;

impl PartialSchema for NewRule {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut rule)) = Rule::schema() else { unreachable!("a struct is an object") };
        rule.required.retain(|field| field != "name");
        rule.properties.insert("source".to_owned(), RuleSource::schema());
        let series = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer));
        let series = series.minimum(Some(0)).maximum(Some(u32::MAX)).build();
        rule.properties.insert("unjudged_series".to_owned(), series.into());
        Schema::Object(rule).into()
    }
}

impl ToSchema for NewRule {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Rule::schemas(schemas);
    }
}

impl Sent {
    /// What else a client may send, by its name for a person.
    pub(super) fn read<T: serde::de::DeserializeOwned>(self, what: &str) -> Result<T, Problem> {
        serde_json::from_value(Value::Object(self.0))
            .map_err(|error| bad_body(format!("this is not a {what}: {error}")))
    }

    /// The rule; under the path's name where there is one.
    pub(super) fn rule(mut self, name: Option<&str>) -> Result<Rule, Problem> {
        // A rule that was read and is sent back says who keeps it and how it fares, which is not the sender's to say.
        self.leave_out::<RuleSource>("source")?;
        self.leave_out::<u32>("unjudged_series")?;
        if let Some(name) = name {
            let given = self.0.insert("name".to_owned(), name.into());
            if given.is_some_and(|given| given != name) {
                return Err(bad_body("a rule keeps its name; create one of the new name and delete the old one"));
            }
        }
        self.read("rule")
    }

    /// Drops what only the hub says of a rule, if it could be what the hub said.
    fn leave_out<T: serde::de::DeserializeOwned>(&mut self, field: &str) -> Result<(), Problem> {
        let said = self.0.remove(field).map_or(Ok(None), |said| serde_json::from_value::<T>(said).map(Some));
        said.map(drop)
            .map_err(|error| bad_body(format!("`{field}` is not the sender's to say; leave it out ({error})")))
    }

    /// A rule that is only tried out, and so may have no name yet.
    pub(super) fn unnamed_rule(mut self) -> Result<Rule, Problem> {
        self.0.entry("name").or_insert_with(|| "preview".into());
        self.rule(None)
    }
}

/// The rule in base units, or everything that is wrong with it.
pub(super) fn checked(rule: Rule) -> Result<Rule, Problem> {
    let rule = rule.in_base_units();
    let mut faults = rule.faults();
    faults.extend(rule.out_of_reach());
    if faults.is_empty() { Ok(rule) } else { Err(Problem::invalid_rule(faults)) }
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
    let media = given.and_then(|media| media.split(';').next());
    media.is_some_and(|media| media.trim().eq_ignore_ascii_case(MEDIA))
}

pub(super) fn bad_body(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_body", detail)
}
