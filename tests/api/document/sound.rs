//! The document itself.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::fixtures::TestApp;
use crate::fixtures::contract::{document, operations};

/// Walks every reference of a document.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_one() {
    let mut found = BTreeSet::new();
    references(document(), &mut found);
    assert!(found.len() > 20);
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("references stay within the document");
        assert!(document().pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for (name, schema) in document()["components"]["schemas"].as_object().expect("schemas") {
        assert!(jsonschema::meta::is_valid(schema), "{name} is no JSON schema: {schema}");
    }
}

#[test]
fn every_operation_has_a_name_of_its_own_and_says_what_it_does() {
    assert_eq!(document()["openapi"], "3.1.0");
    let tags: BTreeSet<&str> =
        document()["tags"].as_array().expect("tags").iter().filter_map(|tag| tag["name"].as_str()).collect();
    let mut names = BTreeSet::new();
    for operation in operations() {
        let (id, told) = (&operation.id, &operation.told);
        assert!(names.insert(id), "two operations are called {id}");
        assert!(told["summary"].as_str().is_some_and(|summary| summary.ends_with('.')), "{id} needs a sentence");
        assert!(
            tags.contains(told["tags"][0].as_str().unwrap_or_default()),
            "{id}: its tag has no sentence in openapi.rs"
        );
        assert!(told["security"].is_array(), "{id} does not say who may call it");
        assert_eq!(
            told["responses"]["default"]["content"]["application/problem+json"]["schema"]["$ref"],
            "#/components/schemas/Problem"
        );
        let creates =
            operation.method == "POST" && ["201", "202"].iter().any(|status| told["responses"][*status].is_object());
        assert_eq!(operation.takes_key(), creates, "{id}: what creates takes an idempotency key");
        let empty = Vec::new();
        let parameters = told["parameters"].as_array().unwrap_or(&empty);
        let places: BTreeSet<&str> =
            operation.path.split('/').filter_map(|step| step.strip_prefix('{')?.strip_suffix('}')).collect();
        let of_path = |parameter: &&Value| parameter["in"] == "path";
        let named: BTreeSet<&str> =
            parameters.iter().filter(of_path).filter_map(|parameter| parameter["name"].as_str()).collect();
        assert_eq!(places, named, "{id}: the places of {}", operation.path);
        for parameter in parameters {
            assert!(parameter["description"].is_string(), "{id}: {} needs a sentence", parameter["name"]);
        }
    }
}

#[test]
fn every_field_has_its_sentence() {
    let mut silent = Vec::new();
    for (name, schema) in document()["components"]["schemas"].as_object().expect("schemas") {
        // What wraps another one has its sentences there.
        if ["Data_", "List_", "Walked_"].iter().any(|wrap| name.starts_with(wrap)) {
            continue;
        }
        for (field, told) in schema["properties"].as_object().into_iter().flatten() {
            let is_told = ["description", "$ref"].iter().any(|key| told[*key].is_string()) || told["oneOf"].is_array();
            if !is_told {
                silent.push(format!("{name}.{field}"));
            }
        }
    }
    assert!(silent.is_empty(), "these fields need a sentence: {}", silent.join(", "));
}

#[tokio::test]
async fn the_document_and_its_page_are_served_to_everybody() {
    let test = TestApp::new().await;
    let get = async |path: &str| {
        let request = axum::http::Request::builder().uri(path).body(axum::body::Body::empty());
        test.send(request.expect("a request")).await
    };
    let served: Value = get("/openapi.json").await.json();
    assert_eq!(&served, document());
    assert_eq!(get("/docs").await.headers["location"], "docs/index.html");
    let page = get("/docs/index.html").await;
    assert_eq!((page.status, page.headers["content-type"].to_str().expect("text")), (200, "text/html"));
    let script = get("/docs/swagger-initializer.js").await;
    assert!(script.text.contains("openapi.json"), "{}", script.text);
    assert!(!page.text.contains("https://"), "the page fetches nothing from elsewhere");
    get("/docs/nothing").await.refused(404, "not_found");
}
