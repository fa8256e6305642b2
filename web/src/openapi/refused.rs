//! Refused: an answer that is a problem document, for the descriptions of handlers.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::IntoResponses;
use utoipa::openapi::{Ref, RefOr, Response};

const PROBLEM: &str = "#/components/responses/Problem";

/// A handler may answer with this status and a problem document.
pub(crate) struct Refused<const STATUS: u16>;

impl<const STATUS: u16> IntoResponses for Refused<STATUS> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        BTreeMap::from([(STATUS.to_string(), Ref::new(PROBLEM).into())])
    }
}

pub(super) fn reference() -> Value {
    json!({"$ref": PROBLEM})
}

pub(super) fn problem() -> Value {
    json!({
        "description": "A problem document (RFC 9457)",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    })
}
