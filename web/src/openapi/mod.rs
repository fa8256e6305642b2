//! OpenAPI: the description of the HTTP API, made of the handlers (`#[utoipa::path]`) and of the types that they send and read.
//!
//! What every request passes (`guard`) may refuse it, too: those answers are added to every path here, not at each handler. The older names
//! of a path are described as the path is. `tests/web/openapi.rs` holds it all to the truth.

mod parameters;
mod refused;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

pub(crate) use parameters::{
    AlertTimes, AuditPaging, CommandPath, Fleet, HistoryOf, HistoryOfMachines, Hottest, LetterPath, Letters,
    MachinePath, Machines, Moment, OfAlert, Paging, ReasonOnly, Rows, RulePath, SilencePath, SilencesOf, Synthetic,
    Watching,
};
pub(crate) use refused::Refused;

use crate::routes;

/// The document, made once.
pub(crate) static DOCUMENT: LazyLock<String> = LazyLock::new(|| document(&routes::described()).to_string());

const DESCRIPTION: &str =
    "Base units (ratio 0..1, bytes, seconds); times in milliseconds since the Unix epoch; unknown values are null.";

/// Refusals of any request: a body or an address that is too long, a name that the hub is not asked under, no time for an answer.
const BY_THE_GUARD: [&str; 4] = ["413", "414", "421", "504"];

fn document(described: &OpenApi) -> Value {
    let mut document = serde_json::to_value(described).expect("plain data serializes");
    document["info"] = json!({
        "title": "sysmonstm",
        "version": env!("CARGO_PKG_VERSION"),
        "description": DESCRIPTION,
        "license": {"name": "MIT", "identifier": "MIT"},
    });
    document["servers"] = json!([{"url": "/"}]);
    document["components"]["responses"]["Problem"] = refused::problem();
    let paths = document["paths"].as_object_mut().expect("a description has paths");
    for item in paths.values_mut() {
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            complete(operation);
        }
    }
    for (older, path) in routes::OLDER_NAMES {
        let mut item = paths[*path].clone();
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            operation["summary"] = format!("Another name of {path}").into();
            operation["operationId"] =
                format!("{}_as{}", name_of(operation), older.replace(['/', '{', '}', '-'], "_")).into();
        }
        paths.insert((*older).to_owned(), item);
    }
    let of_a_rule = paths["/api/v1/rules/{name}"].clone();
    describe_a_rule_called_preview(&of_a_rule, &mut paths["/api/v1/rules/preview"]);
    document
}

/// The preview's path is also that of a rule of this name.
fn describe_a_rule_called_preview(of_a_rule: &Value, preview: &mut Value) {
    for (method, operation) in of_a_rule.as_object().into_iter().flatten() {
        let mut operation = operation.clone();
        operation["summary"] = "Of the rule that is called `preview`".into();
        operation["operationId"] = format!("{}_called_preview", name_of(&operation)).into();
        if let Some(parameters) = operation["parameters"].as_array_mut() {
            parameters.retain(|parameter| parameter["in"] != "path");
        }
        preview[method.as_str()] = operation;
    }
}

/// A name that is unique among all operations, and what the guard may answer.
fn complete(operation: &mut Value) {
    let tag = operation["tags"][0].as_str().unwrap_or_default().to_owned();
    operation["operationId"] = format!("{tag}_{}", name_of(operation)).into();
    for status in BY_THE_GUARD {
        operation["responses"][status] = refused::reference();
    }
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        if parameter["in"] == "query" {
            let schema = std::mem::take(&mut parameter["schema"]);
            parameter["schema"] = or_empty(schema);
        }
    }
}

/// A query's parameter without a text counts as absent, as a page's form sends it.
fn or_empty(schema: Value) -> Value {
    let is_any_text = schema["type"] == "string" && ["enum", "pattern"].iter().all(|bound| schema.get(bound).is_none());
    if is_any_text || schema["type"] == "array" {
        return schema;
    }
    json!({"anyOf": [schema, {"type": "string", "maxLength": 0}]})
}

fn name_of(operation: &Value) -> &str {
    operation["operationId"].as_str().unwrap_or_default()
}
