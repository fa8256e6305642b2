//! OpenAPI: the description of the HTTP API, made of one table of paths and the shapes in `openapi/schemas.json`.
//!
//! Kept by hand and held to the truth by `tests/openapi.rs`: every path of the table answers, and every answer fits its schema.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// The document, made once.
pub(crate) static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());

const SCHEMAS: &str = include_str!("openapi/schemas.json");

/// A change, of a path that is also read with GET.
struct Write {
    path: &'static str,
    method: &'static str,
    summary: &'static str,
    /// Names of its parameters in the query.
    params: &'static [&'static str],
    /// Schema of the body that it takes.
    takes: Option<&'static str>,
    /// And of what it answers with.
    answers: Option<&'static str>,
    /// Status and meaning of success.
    status: &'static str,
    problems: &'static [&'static str],
}

/// A path that is read with GET.
struct Path {
    path: &'static str,
    summary: &'static str,
    /// Query parameters, by their names in `schemas.json`.
    params: &'static [&'static str],
    answer: Answer,
    /// Reads stored data, which may be unavailable or slow.
    asks_history: bool,
}

#[derive(Clone, Copy)]
enum Answer {
    /// JSON of this schema.
    Json(&'static str),
    Other(&'static str),
}

use Answer::{Json, Other};

const fn path(path: &'static str, summary: &'static str, params: &'static [&'static str], answer: Answer) -> Path {
    Path { path, summary, params, answer, asks_history: false }
}

const fn stored(row: Path) -> Path {
    Path { asks_history: true, ..row }
}

const HISTORY: &[&str] = &["metric", "from", "to", "agg", "max_points", "tier"];

const PATHS: &[Path] = &[
    path(
        "/api/v1/machines",
        "Machines, in id order",
        &["limit", "machine_cursor", "status", "q", "synthetic"],
        Json("MachinePage"),
    ),
    path("/api/v1/machines/{id}", "One machine with all its series", &[], Json("MachineFull")),
    path("/api/v1/machines/{id}/metrics", "The newest value of each series", &[], Json("Metrics")),
    path("/api/v1/machines/{id}/processes", "The busiest and largest processes", &[], Json("ProcessTable")),
    stored(path("/api/v1/machines/{id}/history", "Series over a range", HISTORY, Json("History"))),
    stored(path(
        "/api/v1/history",
        "One metric of several machines over a range",
        &["machines", "one_metric", "from", "to", "agg", "max_points", "tier"],
        Json("MachinesHistory"),
    )),
    stored(path(
        "/api/v1/fleet/rollups",
        "A metric's minutes over all machines, or those with a tag",
        &["one_metric", "tag", "from", "to"],
        Json("FleetRollups"),
    )),
    path(
        "/api/v1/fleet/hottest",
        "The machines with the highest values in the newest complete minute",
        &["some_metric", "k"],
        Json("Hottest"),
    ),
    path("/api/v1/metrics", "The catalogue of metrics", &[], Json("MetricPage")),
    path(
        "/api/v1/alerts",
        "Firing alerts, worst and newest first",
        &["limit", "cursor", "synthetic"],
        Json("AlertPage"),
    ),
    path(
        "/api/v1/alerts/groups",
        "Firing alerts by what they share, worst first",
        &["limit", "cursor"],
        Json("GroupPage"),
    ),
    stored(path(
        "/api/v1/alerts/history",
        "Alerts of the past, newest first",
        &["from", "to", "machine", "rule", "limit", "cursor"],
        Json("AlertPage"),
    )),
    path("/api/v1/rules", "Threshold rules in force", &["limit", "cursor"], Json("RulePage")),
    path("/api/v1/rules/{name}", "One rule in force", &[], Json("Rule")),
    path(
        "/api/v1/silences",
        "Silences, the one that ends last first",
        &["limit", "cursor", "silence_state"],
        Json("SilencePage"),
    ),
    path("/api/v1/silences/{silence}", "One silence", &[], Json("Silence")),
    stored(path(
        "/api/v1/dead-letters",
        "What was refused, newest first",
        &["limit", "cursor", "reject_reason", "letter_state"],
        Json("DeadLetterPage"),
    )),
    stored(path(
        "/api/v1/dead-letters/{letter}",
        "One dead letter with what was kept of it",
        &[],
        Json("DeadLetterFull"),
    )),
    path(
        "/api/v1/audit",
        "Who changed which rule, silence or collector, newest first",
        &["limit", "cursor"],
        Json("AuditPage"),
    ),
    path("/api/v1/config", "The settings that the hub runs with, secrets masked", &[], Json("Config")),
    path("/api/v1/pipeline", "The hub's rates, lag, queues and sinks", &[], Json("Pipeline")),
    path("/api/v1/synthetic", "How long made-up transactions take through the hub", &[], Json("Synthetic")),
    path("/api/v1/openapi.json", "This document", &[], Other("application/json")),
    path(
        "/api/machines",
        "Older name of /api/v1/machines",
        &["limit", "machine_cursor", "status", "q", "synthetic"],
        Json("MachinePage"),
    ),
    path("/api/machines/{id}", "Older name of /api/v1/machines/{id}", &[], Json("MachineFull")),
    path("/api/machines/{id}/metrics", "Older name of /api/v1/machines/{id}/metrics", &[], Json("Metrics")),
    stored(path("/api/machines/{id}/history", "Older name of /api/v1/machines/{id}/history", HISTORY, Json("History"))),
    stored(path("/fragments/alerts", "Rows of an alerts table", &["state", "limit"], Other("text/html"))),
    path("/health", "Whether the process answers", &[], Json("Alive")),
    path("/ready", "Whether the hub can do its work", &[], Json("Ready")),
    path("/metrics", "The hub's own counters, for Prometheus", &[], Other("text/plain")),
];

const WRITES: &[Write] = &[
    Write {
        path: "/api/v1/machines/{id}/commands/{command}",
        method: "post",
        summary: "Ask something harmless of a connected collector: pause, resume, collect_now, resend_layout, focus",
        params: &[],
        takes: None,
        answers: None,
        status: "202",
        problems: &["400", "403", "404", "409", "503"],
    },
    Write {
        path: "/api/v1/rules",
        method: "post",
        summary: "Make a rule of the hub's own",
        params: &[],
        takes: Some("NewRule"),
        answers: Some("Rule"),
        status: "201",
        problems: &["400", "403", "409", "413", "415", "422", "500", "503"],
    },
    Write {
        path: "/api/v1/rules/preview",
        method: "post",
        summary: "What a rule would have done in the last 24 hours; changes nothing",
        params: &[],
        takes: Some("NewRule"),
        answers: Some("RulePreview"),
        status: "200",
        problems: &["400", "403", "413", "415", "422", "500", "503", "504"],
    },
    Write {
        path: "/api/v1/rules/{name}",
        method: "put",
        summary: "Replace a rule of the hub's own whole",
        params: &[],
        takes: Some("NewRule"),
        answers: Some("Rule"),
        status: "200",
        problems: &["400", "403", "404", "409", "413", "415", "422", "500", "503"],
    },
    Write {
        path: "/api/v1/rules/{name}",
        method: "delete",
        summary: "Delete a rule of the hub's own; its alerts resolve",
        params: &[],
        takes: None,
        answers: None,
        status: "204",
        problems: &["400", "403", "404", "409", "500", "503"],
    },
    Write {
        path: "/api/v1/silences",
        method: "post",
        summary: "Make a silence: alerts go on, nobody is told",
        params: &[],
        takes: Some("NewSilence"),
        answers: Some("Silence"),
        status: "201",
        problems: &["400", "403", "409", "413", "415", "422", "500", "503"],
    },
    Write {
        path: "/api/v1/silences/{silence}",
        method: "delete",
        summary: "End a silence now; one that has not begun never will",
        params: &[],
        takes: None,
        answers: None,
        status: "204",
        problems: &["400", "403", "404", "500", "503"],
    },
    Write {
        path: "/api/v1/dead-letters/{letter}/resend",
        method: "post",
        summary: "Send a dead letter again: its samples as any others, or its row to the server that refused it",
        params: &[],
        takes: None,
        answers: Some("ResendReport"),
        status: "200",
        problems: &["400", "403", "404", "409", "500", "503", "504"],
    },
    Write {
        path: "/api/v1/dead-letters/resend",
        method: "post",
        summary: "Send all dead letters again, or those of one reason: some in each call, until there are no more",
        params: &["reject_reason"],
        takes: None,
        answers: Some("ResendReport"),
        status: "200",
        problems: &["400", "403", "500", "503", "504"],
    },
];

fn document() -> Value {
    let mut components: Value = serde_json::from_str(SCHEMAS).expect("schemas.json is valid JSON, as a test shows");
    let machine_id =
        json!({"name": "id", "in": "path", "required": true, "schema": {"$ref": "#/components/schemas/MachineId"}});
    components["parameters"]["id"] = machine_id;
    components["parameters"]["name"] =
        json!({"name": "name", "in": "path", "required": true, "schema": {"type": "string"}});
    components["parameters"]["silence"] =
        json!({"name": "silence", "in": "path", "required": true, "schema": {"type": "string"}});
    components["parameters"]["letter"] =
        json!({"name": "letter", "in": "path", "required": true, "schema": {"type": "string"}});
    components["parameters"]["command"] =
        json!({"name": "command", "in": "path", "required": true, "schema": {"type": "string"}});
    let mut paths: Map<String, Value> = PATHS.iter().map(|path| (path.path.to_owned(), path.document())).collect();
    for write in WRITES {
        paths.entry(write.path).or_insert_with(|| json!({}))[write.method] = write.document();
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "sysmonstm",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Base units (ratio 0..1, bytes, seconds); times in milliseconds since the Unix epoch; unknown values are null.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": components,
    })
}

/// References to what a path and its query say.
fn parameters(path: &str, query: &[&str]) -> Vec<Value> {
    let in_path =
        ["id", "name", "silence", "letter", "command"].into_iter().filter(|name| path.contains(&format!("{{{name}}}")));
    in_path
        .chain(query.iter().copied())
        .map(|name| json!({"$ref": format!("#/components/parameters/{name}")}))
        .collect()
}

impl Write {
    fn document(&self) -> Value {
        let content =
            |schema: &str| json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}});
        let mut responses = json!({self.status: {"description": self.summary}});
        let parameters = parameters(self.path, self.params);
        for status in self.problems {
            responses[*status] = json!({"$ref": "#/components/responses/Problem"});
        }
        let mut document = json!({"summary": self.summary, "parameters": parameters});
        if let Some(answered) = self.answers {
            responses[self.status]["content"] = content(answered);
        }
        if let Some(taken) = self.takes {
            document["requestBody"] = json!({"required": true, "content": content(taken)});
        }
        document["responses"] = responses;
        document
    }
}

impl Path {
    fn document(&self) -> Value {
        let parameters = parameters(self.path, self.params);
        json!({"get": {"summary": self.summary, "parameters": parameters, "responses": self.responses()}})
    }

    fn responses(&self) -> Value {
        let content = match self.answer {
            Json(schema) => json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}}),
            Other(media) => json!({media: {}}),
        };
        let mut responses = json!({"200": {"description": self.summary, "content": content}});
        let problem = json!({"$ref": "#/components/responses/Problem"});
        let mut may_answer = |status: &str| responses[status] = problem.clone();
        if self.path.starts_with("/api/") || !self.params.is_empty() {
            may_answer("400");
        }
        if self.path.contains('{') {
            may_answer("404");
        }
        if self.asks_history {
            ["500", "503", "504"].iter().for_each(|status| may_answer(status));
        }
        if self.path == "/ready" {
            responses["503"] = responses["200"].clone();
        }
        responses
    }
}
