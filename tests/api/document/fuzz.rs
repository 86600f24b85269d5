//! Random requests: whatever comes, no answer is a failure of the server, and every answer is what the document promises (the
//! fixture checks that of each).

use axum::body::Body;
use axum::http::{Request, header};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use super::stage::Stage;
use crate::fixtures::app::TOKEN;
use crate::fixtures::contract::{Operation, operations};

/// How many random requests each operation gets.
const EACH: usize = 24;

/// Values that programs trip over.
fn odd() -> impl Strategy<Value = Value> {
    let plain = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        Just(json!(0)),
        Just(json!(-1)),
        Just(json!("")),
        Just(json!("a\u{0}b")),
        Just(json!("019aa8c2-7c1e-7000-8000-000000000000")),
        Just(json!("2026-13-45T99:99:99Z")),
        Just(json!("+275760-09-13T00:00:00Z")),
        Just(json!("9999-12-31T23:59:59Z")),
        Just(json!("'; DROP TABLE jobs; --")),
        "\\PC{0,40}".prop_map(Value::from),
        Just(json!("x".repeat(5_000))),
    ];
    plain.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z_]{1,8}", inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Names of the fields that the document knows of a body.
fn fields(operation: &Operation) -> Vec<String> {
    let schema = &operation.told["requestBody"]["content"]["application/json"]["schema"];
    let resolve = |schema: &Value| {
        let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        pointer.and_then(|pointer| crate::fixtures::contract::document().pointer(pointer)).cloned()
    };
    let among = schema["oneOf"].as_array().and_then(|all| all.iter().find_map(resolve));
    let schema = resolve(schema).or(among).unwrap_or_else(|| schema.clone());
    schema["properties"].as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
}

/// A body that fits, of which some fields are odd.
fn bent(operation: &Operation) -> impl Strategy<Value = Value> + use<> {
    let (sample, fields) = (Stage::body(operation), fields(operation));
    let count = fields.len().max(1);
    prop::collection::vec((0..count, odd()), 1..4).prop_map(move |changes| {
        let mut body = sample.clone();
        for (place, value) in changes {
            if let (Some(object), Some(name)) = (body.as_object_mut(), fields.get(place)) {
                object.insert(name.clone(), value);
            }
        }
        body
    })
}

/// A query with the parameters that the document knows, and odd values.
fn query(operation: &Operation) -> impl Strategy<Value = String> + use<> {
    let parameters = operation.told["parameters"].as_array().cloned().unwrap_or_default();
    let names = parameters.iter().filter(|parameter| parameter["in"] == "query");
    let names: Vec<String> = names.filter_map(|parameter| parameter["name"].as_str().map(str::to_owned)).collect();
    let count = names.len();
    prop::collection::vec((0..count.max(1), odd()), 0..3).prop_map(move |pairs| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (place, value) in pairs {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            // Longer ones are refused before they are read.
            let text: String = text.chars().take(200).collect();
            query.append_pair(names.get(place).map_or("nothing", String::as_str), &text);
        }
        query.finish()
    })
}

#[tokio::test]
async fn no_random_request_breaks_the_server() {
    let stage = Stage::new().await;
    let mut runner = TestRunner::deterministic();
    for operation in operations().iter().filter(|operation| operation.id != "ready") {
        let (queries, bodies) = (query(operation), operation.takes_json().then(|| bent(operation)));
        for _ in 0..EACH {
            let query = queries.new_tree(&mut runner).expect("generates").current();
            let body = bodies.as_ref().map(|bodies| bodies.new_tree(&mut runner).expect("generates").current());
            let uri = format!("{}?{query}", stage.path(operation));
            let request = Request::builder()
                .method(operation.method.as_str())
                .uri(&uri)
                .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
                .header(header::CONTENT_TYPE, "application/json");
            let text = body.map(|body| body.to_string()).unwrap_or_default();
            let reply = stage.test.send(request.body(Body::from(text.clone())).expect("a request")).await;
            assert!(reply.status < 500, "{} {uri} {text}: {} {}", operation.method, reply.status, reply.text);
        }
    }
}

#[tokio::test]
async fn no_random_place_in_a_path_breaks_the_server() {
    let stage = Stage::new().await;
    let mut runner = TestRunner::deterministic();
    let places = "[\\PC&&[^/?#%]]{1,40}";
    for operation in operations().iter().filter(|operation| operation.path.contains('{')) {
        for _ in 0..EACH / 4 {
            let place: String = places.new_tree(&mut runner).expect("generates").current();
            let place: String = url::form_urlencoded::byte_serialize(place.as_bytes()).collect();
            let path: Vec<&str> = operation
                .path
                .split('/')
                .map(|step| if step.starts_with('{') { place.as_str() } else { step })
                .collect();
            let body = operation.takes_json().then(|| Stage::body(operation));
            let reply = stage.test.call(&operation.method, &path.join("/"), body).await;
            assert!(reply.status < 500, "{} {place}: {} {}", operation.path, reply.status, reply.text);
        }
    }
}
