//! Series by name, as a JSON object: the bulk of every document, written without looking at each character twice.

use model::SeriesKey;

/// Appends `,"field":{name:value,...}` to an object that is complete so far.
pub(super) fn append<'a, V: serde::Serialize>(
    out: &mut Vec<u8>,
    field: &str,
    entries: impl Iterator<Item = (&'a SeriesKey, V)>,
) {
    // It is open again.
    let end = out.pop();
    debug_assert_eq!(end, Some(b'}'));
    out.extend_from_slice(b",\"");
    out.extend_from_slice(field.as_bytes());
    out.extend_from_slice(b"\":{");
    let first = out.len();
    for (key, value) in entries {
        if first < out.len() {
            out.push(b',');
        }
        name(out, key);
        out.push(b':');
        serde_json::to_writer(&mut *out, &value).expect("numbers serialize");
    }
    out.extend_from_slice(b"}}");
}

/// A name as its `Display`, as a JSON string. Metrics and labels' names are letters, digits, dots and underscores by their validation.
fn name(out: &mut Vec<u8>, key: &SeriesKey) {
    if !key.labels.iter().all(|(_, value)| is_plain(value)) {
        serde_json::to_writer(out, &key.to_string()).expect("text serializes");
        return;
    }
    out.push(b'"');
    out.extend_from_slice(key.metric.as_bytes());
    for (index, (name, value)) in key.labels.iter().enumerate() {
        out.push(if index == 0 { b'{' } else { b',' });
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"=\\\"");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\\\"");
    }
    if !key.labels.is_empty() {
        out.push(b'}');
    }
    out.push(b'"');
}

/// Neither the name's own quoting nor JSON's changes it.
fn is_plain(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;

    #[test]
    fn a_name_is_that_of_the_series_whatever_its_labels_hold() {
        for value in ["", "sda", "/a b'c", "a\"b", "a\\b", "grün", "\u{200b}", "a{b}=c,d"] {
            let labels = Labels::parse([("device", value), ("x", "1")]).unwrap();
            for key in
                [SeriesKey::parse("disk.used", labels).unwrap(), SeriesKey::parse("cpu", Labels::none()).unwrap()]
            {
                let mut out = b"{\"a\":1}".to_vec();
                append(&mut out, "series", [(&key, 0.5), (&key, f64::NAN)].into_iter());
                let wanted = serde_json::to_string(&key.to_string()).unwrap();
                assert_eq!(
                    String::from_utf8(out).unwrap(),
                    format!("{{\"a\":1,\"series\":{{{wanted}:0.5,{wanted}:null}}}}")
                );
            }
        }
        let mut out = b"{\"a\":1}".to_vec();
        append(&mut out, "times", std::iter::empty::<(&SeriesKey, i64)>());
        assert_eq!(out, b"{\"a\":1,\"times\":{}}");
    }
}
