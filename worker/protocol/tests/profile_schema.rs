//! The schema of profiles says what their reader does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

use reelpool_protocol::Profile;
use reelpool_protocol::profile::SCHEMA;
use serde_json::{Value, json};

/// The schema's part at a path of fields.
fn schema(path: &[&str]) -> Value {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    path.iter().fold(schema, |schema, field| schema["properties"][field].clone())
}

/// A document that has `value` at a path of fields.
fn document(path: &[&str], value: &Value) -> Value {
    path.iter().rev().fold(value.clone(), |inner, field| json!({ *field: inner }))
}

/// The paths of all fields that hold no fields themselves.
fn fields(schema: &Value, path: &[String], found: &mut Vec<Vec<String>>) {
    match schema["properties"].as_object() {
        Some(properties) => {
            assert_eq!(schema["additionalProperties"], false, "{path:?}");
            for (name, inner) in properties {
                fields(inner, &[path, std::slice::from_ref(name)].concat(), found);
            }
        }
        None => found.push(path.to_vec()),
    }
}

#[test]
fn the_schema_names_the_fields_of_a_profile_and_their_defaults() {
    let mut found = Vec::new();
    fields(&schema(&[]), &[], &mut found);
    assert_eq!(found.len(), 12);
    let default = serde_json::to_value(Profile::default()).unwrap();
    let video: Value = schema(&["video"]);
    for path in found {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let is = path.iter().fold(&default, |value, field| &value[field]);
        let field = schema(&path);
        let said = match path[..] {
            ["video", name @ ("preset" | "crf")] => &video["else"]["properties"][name]["default"],
            _ => &field["default"],
        };
        assert_eq!(said, is, "{path:?}");
        assert!(field["description"].as_str().is_some_and(|text| text.ends_with('.')), "{path:?}");
    }
    let av1 = serde_json::to_value(Profile::built_in("av1").unwrap()).unwrap();
    for name in ["preset", "crf"] {
        assert_eq!(video["then"]["properties"][name]["default"], av1["video"][name]);
    }
}

#[test]
fn the_schema_has_the_bounds_of_the_reader() {
    let video = schema(&["video"]);
    let numbers = [
        (vec!["audio", "kbps"], schema(&["audio", "kbps"])),
        (vec!["audio", "loudness"], schema(&["audio", "loudness"])),
        (vec!["segmentSeconds"], schema(&["segmentSeconds"])),
        (vec!["chunkSeconds"], schema(&["chunkSeconds"])),
        (vec!["video", "maxKbps", "720p"], schema(&["video", "maxKbps"])["additionalProperties"].clone()),
        (vec!["video", "crf"], video["else"]["properties"]["crf"].clone()),
        (vec!["video", "crf"], video["then"]["properties"]["crf"].clone()),
        (vec!["video", "preset"], video["then"]["properties"]["preset"]["anyOf"][0].clone()),
    ];
    for (index, (path, bounds)) in numbers.into_iter().enumerate() {
        let taken = |number: i64| {
            let mut document = document(&path, &json!(number));
            if index >= 6 {
                document["video"]["codec"] = json!("av1");
            }
            Profile::from_value(&document).is_ok()
        };
        let (least, most) = (bounds["minimum"].as_i64().unwrap(), bounds["maximum"].as_i64().unwrap());
        let answers = [least - 1, least, most, most + 1].map(taken);
        assert_eq!(answers, [false, true, true, false], "{path:?} {least} to {most}");
    }
    let words = [
        (vec!["video", "codec"], schema(&["video", "codec"])),
        (vec!["video", "preset"], video["else"]["properties"]["preset"].clone()),
        (vec!["quality"], schema(&["quality"])),
        (vec!["packaging"], schema(&["packaging"])["items"].clone()),
    ];
    for (path, words) in words {
        let wrap = |word: Value| if path == ["packaging"] { json!([word]) } else { word };
        let words = words["enum"].as_array().unwrap();
        for word in words {
            Profile::from_value(&document(&path, &wrap(word.clone()))).unwrap();
        }
        let error = Profile::from_value(&document(&path, &wrap(json!("?")))).unwrap_err().to_string();
        let all: Vec<_> = words.iter().map(|word| word.as_str().unwrap()).collect();
        assert!(error.contains(&all.join(", ")), "{error}");
    }
}
