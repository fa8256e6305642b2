//! Parameters: those of paths and queries, one function each, with the bounds that `params` and the handlers enforce.

use model::RejectReason;
use model::fleet::HOTTEST_MAX;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Required, Schema};

use crate::params::{LIMIT_MAX, OFFSET_MAX};
use crate::routes::alert_filter::Q_CHARS_MAX;
use crate::routes::commands::COMMANDS;
use crate::routes::fragments::ROWS_MAX;
use crate::routes::history::{MACHINES_MAX, METRICS_MAX, POINTS_DEFAULT, POINTS_MAX};
use crate::shapes::machine_id;

/// The parameters that a handler has, by what they are of.
macro_rules! parameters {
    ($($(#[$doc:meta])* $name:ident: $($parameter:expr),+;)+) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl IntoParams for $name {
            fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                vec![$($parameter),+]
            }
        }
    )+};
}

parameters! {
    MachinePath: in_path("id", machine_id());
    RulePath: in_path("name", text());
    SilencePath: in_path("silence", text());
    LetterPath: in_path("letter", text());
    CommandPath: in_path("command", words(COMMANDS.map(|(word, _)| word)));
    /// A page of a list.
    Paging: limit(), cursor();
    /// A page of a list that grows at its head.
    AuditPaging: limit(), id_cursor();
    Machines: limit(), machine_cursor(), status(), q();
    Synthetic: synthetic();
    AlertTimes: from(), to();
    OfAlert: machine_of_alert(), rule_of_alert();
    /// Rows of an alerts table.
    Rows: row_state(), q_of_alert(), severity(), row_limit(), row_cursor();
    SilencesOf: silence_state();
    Letters: letter_state();
    ReasonOnly: reason();
    Moment: at();
    HistoryOf: metrics(), from(), to(), agg(), max_points(), tier();
    HistoryOfMachines: machines(), metric(Required::True), from(), to(), agg(), max_points(), tier();
    Fleet: metric(Required::True), tag(), from(), to();
    Hottest: metric(Required::False), k();
    Watching: subscribe();
}

fn query(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
}

fn in_path(name: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
    parameter.required(Required::True).schema(Some(schema)).build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String))
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> ObjectBuilder {
    text().enum_values(Some(words))
}

fn whole(least: usize, most: usize) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer)).minimum(Some(least)).maximum(Some(most))
}

fn repeated(of: impl Into<RefOr<Schema>>, least: usize, most: usize) -> ArrayBuilder {
    ArrayBuilder::new().items(of.into()).min_items(Some(least)).max_items(Some(most))
}

fn limit() -> Parameter {
    query("limit", "Most entries of the page", whole(1, LIMIT_MAX)).build()
}

fn cursor() -> Parameter {
    query("cursor", "`next` of the page before", whole(0, OFFSET_MAX)).build()
}

fn id_cursor() -> Parameter {
    let whole = ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer)).minimum(Some(0));
    query("cursor", "`next` of the page before", whole).build()
}

fn machine_cursor() -> Parameter {
    query("cursor", "`next` of the page before", machine_id()).build()
}

fn status() -> Parameter {
    query("status", "Only machines of this status", words(["up", "stale", "down"])).build()
}

fn q() -> Parameter {
    query("q", "Part of the id or of a tag, as in `role:db`", text()).build()
}

fn synthetic() -> Parameter {
    let said =
        "`show` lists made-up machines (ids that begin with `synthetic-`) among the real ones; `hide` where absent";
    query("synthetic", said, words(["hide", "show"])).build()
}

fn from() -> Parameter {
    let said = "Begin of the range, included: RFC 3339, unix seconds, `now` or `now-1h`";
    query("from", said, text()).example(Some("now-1h".into())).build()
}

fn to() -> Parameter {
    let said = "End of the range, not included: RFC 3339, unix seconds, `now` or `now-1h`";
    query("to", said, text()).example(Some("now".into())).build()
}

fn at() -> Parameter {
    let said = "The instant, where it is absent the newest table: RFC 3339, unix seconds, `now` or `now-1h`";
    query("at", said, text()).example(Some("now-5m".into())).build()
}

fn machine_of_alert() -> Parameter {
    query("machine", "Only alerts of this machine", machine_id()).build()
}

fn rule_of_alert() -> Parameter {
    query("rule", "Only alerts of this rule", text()).build()
}

fn row_state() -> Parameter {
    query("state", "Firing alerts, or those resolved in the last 7 days", words(["active", "resolved"])).build()
}

fn q_of_alert() -> Parameter {
    let said =
        "Words, in any case, each of them part of the rule's name or summary, the machine, the metric or a label";
    query("q", said, text().max_length(Some(Q_CHARS_MAX))).build()
}

fn severity() -> Parameter {
    query("severity", "Only alerts of this severity", words(["critical", "warning", "info"])).build()
}

fn row_limit() -> Parameter {
    query("limit", "Most rows of the answer; 100 where absent", whole(1, ROWS_MAX)).build()
}

fn row_cursor() -> Parameter {
    query("cursor", "`x-next-cursor` of the page before; only of resolved alerts", text()).build()
}

fn silence_state() -> Parameter {
    query("state", "Only those that stand so", words(["pending", "active", "ended"])).build()
}

fn letter_state() -> Parameter {
    query("state", "`waiting`: without those that were sent again", words(["all", "waiting"])).build()
}

fn reason() -> Parameter {
    query("reason", "Only what was refused for this reason", words(RejectReason::ALL.map(RejectReason::as_str))).build()
}

fn metrics() -> Parameter {
    let said = "Catalogue name or older alias, repeatable; all metrics where absent";
    query("metric", said, repeated(text(), 0, METRICS_MAX)).explode(Some(true)).build()
}

fn metric(required: Required) -> Parameter {
    let said = "Catalogue name or older alias";
    query("metric", said, text()).required(required).example(Some("system.cpu.utilization".into())).build()
}

fn machines() -> Parameter {
    let said = "Id of a machine, repeatable";
    let machines = query("machine", said, repeated(machine_id(), 1, MACHINES_MAX)).explode(Some(true));
    machines.required(Required::True).example(Some(serde_json::json!(["db-1"]))).build()
}

fn agg() -> Parameter {
    let said = "Which figure of a window `v` is; `avg` where absent";
    query("agg", said, words(["avg", "min", "max", "last", "sum", "count"])).build()
}

fn max_points() -> Parameter {
    let said = format!("Most points of a series (one of 1 has 2); {POINTS_DEFAULT} where absent");
    query("max_points", &said, whole(1, POINTS_MAX)).build()
}

fn tier() -> Parameter {
    let said = "Storage tier; `auto`, which is the default, picks by the length and age of the range";
    query("tier", said, words(["auto", "raw", "minute", "hour"])).build()
}

fn tag() -> Parameter {
    let said = "`role=db` for the machines with that tag, `role` for each of its values; all machines where absent";
    query("tag", said, text()).build()
}

fn subscribe() -> Parameter {
    query("subscribe", "The first `subscribe` message, sent with the address to save a round trip", text()).build()
}

fn k() -> Parameter {
    query("k", "Machines per metric", whole(1, HOTTEST_MAX)).build()
}
