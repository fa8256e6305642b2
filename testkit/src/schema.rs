//! Schema: whether a JSON value is as a document describes it: as much of JSON Schema as ours use.

use serde_json::Value;

/// Panics with the place where `value` is not as `schema`, a part of `document`, says. A field that is not described is a breach, too.
#[track_caller]
pub fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Err(breach) = find_breach(document, schema, value, at) {
        panic!("{breach}");
    }
}

/// # Errors
/// The first place where `value` is not as described.
pub fn find_breach(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let schema = resolve(document, schema);
    if let Some(options) = schema["oneOf"].as_array() {
        let is_null = |option: &&Value| option["type"] == "null";
        let chosen = options.iter().find(|option| is_null(option) == value.is_null());
        return find_breach(document, chosen.ok_or(format!("{at}: {value} is none of the options"))?, value, at);
    }
    if schema["allOf"].is_array() {
        return find_breach_of_fields(document, &parts(document, schema), value, at);
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    if !types.iter().any(|name| is_of(value, name)) {
        return Err(format!("{at}: {value} is none of {types:?}"));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return Err(format!("{at}: {value} is none of {}", schema["enum"]));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        let described = schema["prefixItems"].get(index).unwrap_or(&schema["items"]);
        find_breach(document, described, item, &format!("{at}[{index}]"))?;
    }
    find_breach_of_fields(document, &[schema], value, at)
}

/// The objects that a value has the fields of, all together.
fn parts<'a>(document: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let schema = resolve(document, schema);
    match schema["allOf"].as_array() {
        Some(all) => all.iter().flat_map(|part| parts(document, part)).collect(),
        None => vec![schema],
    }
}

fn find_breach_of_fields(document: &Value, parts: &[&Value], value: &Value, at: &str) -> Result<(), String> {
    let Some(fields) = value.as_object() else {
        return if parts.len() == 1 { Ok(()) } else { Err(format!("{at}: {value} is no object")) };
    };
    let required = parts.iter().flat_map(|part| part["required"].as_array()).flatten().filter_map(Value::as_str);
    if let Some(missing) = required.into_iter().find(|name| !fields.contains_key(*name)) {
        return Err(format!("{at}: {missing} is missing"));
    }
    for (name, field) in fields {
        let described = parts.iter().map(|part| part["properties"].get(name).unwrap_or(&part["additionalProperties"]));
        let Some(described) = described.into_iter().find(|one| one.is_object()) else {
            return Err(format!("{at}: {name} is not described"));
        };
        find_breach(document, described, field, &format!("{at}.{name}"))?;
    }
    Ok(())
}

/// Follows a `$ref` inside the document. Panics when it leads nowhere: the document is wrong, not the value.
#[track_caller]
pub fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(name) => {
            let found = name.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
            found.unwrap_or_else(|| panic!("{name} leads nowhere"))
        }
        None => schema,
    }
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_as_described_or_the_breach_says_where() {
        let document = json!({
            "$defs": {"word": {"type": "string", "enum": ["up", "down"]}},
            "type": "object",
            "properties": {
                "status": {"$ref": "#/$defs/word"},
                "seen": {"oneOf": [{"type": "null"}, {"type": "integer"}]},
                "list": {"type": "array", "items": {"type": "number"}},
            },
            "additionalProperties": false,
            "required": ["status"],
        });
        let breach = |value: Value| find_breach(&document, &document, &value, "it").err();
        assert_eq!(breach(json!({"status": "up", "seen": null, "list": [1, 2.5]})), None);
        let cases = [
            (json!({"seen": 1}), "it: status is missing"),
            (json!({"status": "gone"}), "it.status: \"gone\" is none of [\"up\",\"down\"]"),
            (json!({"status": "up", "seen": 1.5}), "it.seen: 1.5 is none of [\"integer\"]"),
            (json!({"status": "up", "list": [1, "a"]}), "it.list[1]: \"a\" is none of [\"number\"]"),
            (json!({"status": "up", "more": 1}), "it: more is not described"),
            (json!([]), "it: [] is none of [\"object\"]"),
        ];
        for (value, said) in cases {
            assert_eq!(breach(value.clone()).as_deref(), Some(said), "{value}");
        }
    }
}
