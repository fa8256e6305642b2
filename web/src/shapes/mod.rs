//! Shapes: the JSON of docs/API.md and docs/LIVE_PROTOCOL.md, one type per object, each made by one named function.
//!
//! Base units; times in milliseconds since the Unix epoch. What is not known is `null`: serde_json writes NaN and infinity so, too.

pub(crate) mod alert;
pub(crate) mod dead_letter;
pub(crate) mod group;
pub(crate) mod machine;
pub(crate) mod rule;
pub(crate) mod seeds;
pub(crate) mod silence;
pub(crate) mod summary;

use model::catalogue::unit_of;
use model::ids::MACHINE_ID_BYTES_MAX;
use model::{Labels, SeriesKey, Timestamp};
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

/// What names a series, beside its values.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = Series)]
pub(crate) struct SeriesShape<'a> {
    metric: &'a str,
    #[schema(value_type = BTreeMap<String, String>)]
    labels: &'a Labels,
    unit: &'static str,
}

impl<'a> SeriesShape<'a> {
    pub(crate) fn of(key: &'a SeriesKey) -> Self {
        Self { metric: &key.metric, labels: &key.labels, unit: unit_of(&key.metric) }
    }
}

/// Milliseconds; `None` for the time that stands for "never".
pub(crate) fn millis(time: Timestamp) -> Option<i64> {
    (time != Timestamp::MIN).then(|| time.millis())
}

/// How a machine's id is described: as `MachineId::parse` takes it.
pub(crate) fn machine_id() -> Object {
    let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
    text.pattern(Some("^[A-Za-z0-9][A-Za-z0-9._:-]*$"))
        .min_length(Some(1))
        .max_length(Some(MACHINE_ID_BYTES_MAX))
        .build()
}

/// JSON text of one of our own shapes.
pub(crate) fn to_json(shape: &impl serde::Serialize) -> String {
    serde_json::to_string(shape).expect("plain data with string keys serializes")
}
