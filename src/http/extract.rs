//! What handlers take from a request. They stand in for axum's own so that every refusal is a [`Problem`] that names the field.

use axum::body::Bytes;
use axum::body::HttpBody;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request, rejection};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri, header};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::problem::Problem;
use crate::base::{FieldError, PageRequest};

/// The body, as JSON.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// The query, without `page` and `size`. Its type denies unknown fields: a filter that is misspelt must not show everything.
#[derive(Debug)]
pub struct Query<T>(pub T);

/// The query of a list that nothing narrows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unfiltered {}

/// The places in the path.
#[derive(Debug)]
pub struct Path<T>(pub T);

/// `?page&size`.
#[derive(Debug)]
pub struct Page(pub PageRequest);

/// `?page&size` as the document of the API tells it.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "it is only documented; `Page` reads the numbers")]
pub struct Paging {
    /// The number of the page; the first is 1, which is also what is meant if it is left out.
    #[param(minimum = 1, maximum = 1_000_000)]
    page: Option<u64>,
    /// How many items a page has; 20 if it is left out.
    #[param(minimum = 1, maximum = 200)]
    size: Option<u64>,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let media_type = request.headers().get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        if !media_type.is_some_and(is_json) {
            let given = media_type.map_or_else(|| "is missing".to_owned(), |given| format!("is {given:?}"));
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media_type",
                format!("the Content-Type {given}: send JSON with Content-Type: application/json"),
            ));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| of_body(&rejection))?;
        parse(&bytes).map(Self)
    }
}

/// A body that may be left out: at three in the morning nothing needs a form.
impl<S: Send + Sync, T: DeserializeOwned> OptionalFromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        if request.body().is_end_stream() {
            Ok(None)
        } else {
            <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        query(parts, |name| !PAGING.contains(&name)).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.path().contains("%00") {
            return Err(nul("the path"));
        }
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(path)) => Ok(Self(path)),
            Err(rejection) => Err(Problem::field(
                "",
                format!("the path does not fit: {}", rejection.body_text().trim_start_matches("Invalid URL: ")),
            )),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Numbers {
            page: Option<String>,
            size: Option<String>,
        }
        let Numbers { page, size } = query(parts, |name| PAGING.contains(&name))?;
        let number = |name: &str, text: Option<String>| -> Result<Option<u64>, Problem> {
            let read = |text: String| {
                let wrong = format!("{text:?} is no {name}: give a whole number, the first {name} being 1");
                text.parse().map_err(|_| Problem::field(&format!("/{name}"), wrong))
            };
            text.map(read).transpose()
        };
        Ok(Self(PageRequest::new(number("page", page)?, number("size", size)?)?))
    }
}

const PAGING: [&str; 2] = ["page", "size"];

/// Reads those parameters of the query that are asked for.
fn query<T: DeserializeOwned>(parts: &Parts, wanted: impl Fn(&str) -> bool) -> Result<T, Problem> {
    let all = parts.uri.query().unwrap_or_default();
    if all.contains("%00") {
        return Err(nul("the query"));
    }
    let some: Vec<&str> = all.split('&').filter(|pair| wanted(pair.split('=').next().unwrap_or_default())).collect();
    let uri = Uri::try_from(format!("/?{}", some.join("&"))).map_err(|error| Problem::field("", error.to_string()))?;
    axum::extract::Query::try_from_uri(&uri).map(|axum::extract::Query(query)| query).map_err(|rejection| {
        let text = rejection.body_text();
        let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
        // The name of the parameter stands in front, if the parameter is known.
        let (name, message) = text.split_once(": ").unwrap_or(("", text));
        let pointer = if is_word(name) { format!("/{name}") } else { named(message).map_or_else(String::new, at) };
        Problem::field(&pointer, plain(message))
    })
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn at(name: &str) -> String {
    format!("/{}", escape(name))
}

/// Refuses a text that only one of our databases would take.
fn nul(place: &str) -> Problem {
    Problem::field("", format!("{place} holds the character NUL, which cannot be kept: leave it out"))
}

/// Says whether JSON has the character NUL in one of its texts, where it can only stand as an escape.
fn has_nul(json: &[u8]) -> bool {
    if !json.contains(&b'\\') {
        return false;
    }
    let is_escape = |at: &usize| json[..*at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0;
    let places = json.windows(6).enumerate().filter(|(_, window)| window.eq_ignore_ascii_case(b"\\u0000"));
    places.map(|(at, _)| at).any(|at| is_escape(&at))
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn of_body(rejection: &rejection::BytesRejection) -> Problem {
    let status = rejection.status();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large();
    }
    Problem::of_status(status, "the body could not be read to its end".to_owned())
}

/// Refuses a body beyond the limit of `server.body_limit_bytes`.
pub(super) fn too_large() -> Problem {
    let cure = "send less at once, or raise server.body_limit_bytes";
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("the body is larger than allowed: {cure}"))
}

/// Reads JSON; a refusal says where it went wrong.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Serde would take a list as well, its items for the fields in the order of the source.
    let is_other = bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{');
    if is_other && serde_json::from_slice::<IgnoredAny>(bytes).is_ok() {
        return Err(Problem::field("", "the body has to be a JSON object, as in {\"kind\": \"work_orders.sync\"}"));
    }
    if has_nul(bytes) {
        return Err(nul("the body"));
    }
    // To know the place costs a note of every key; only who is refused needs it.
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer(error.path());
        of_json(error.inner(), pointer)
    })?;
    reader.end().map_err(|error| of_json(&error, String::new()))?;
    Ok(value)
}

fn of_json(error: &serde_json::Error, mut pointer: String) -> Problem {
    if !error.is_data() {
        return Problem::new(StatusCode::BAD_REQUEST, "json", format!("the body is not JSON: {error}"));
    }
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
    if let Some(name) = named(&message)
        && pointer.rsplit('/').next() != Some(name)
    {
        pointer.push_str(&at(name));
    }
    Problem::invalid(vec![FieldError { pointer, message: plain(&message) }])
}

/// Finds the field that a message is about: Serde tells some faults at the object around it.
fn named(message: &str) -> Option<&str> {
    let starts = ["missing field `", "unknown field `", "duplicate field `"];
    let rest = starts.iter().find_map(|start| message.strip_prefix(start))?;
    rest.split_once('`').map(|(name, _)| name)
}

/// Puts words of a programmer into words of a reader.
fn plain(message: &str) -> String {
    let words = [
        ("expected u32", "expected a whole number"),
        ("expected u64", "expected a whole number"),
        ("expected usize", "expected a whole number"),
        ("expected i64", "expected a whole number"),
        ("invalid digit found in string", "it is no whole number"),
        ("expected a sequence", "expected a list"),
    ];
    words.iter().fold(message.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", escape(key))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// Escapes a key as RFC 6901 says.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use serde::Deserialize;
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only decoding is tested")]
    struct Order {
        kind: String,
        args: Option<Box<RawValue>>,
        #[serde(default)]
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only decoding is tested")]
    struct Item {
        count: u32,
    }

    async fn refusal(text: &str) -> (u16, serde_json::Value) {
        let response = parse::<Order>(text.as_bytes()).expect_err("refused").into_response();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 10_000).await.expect("a small body");
        (status, serde_json::from_slice(&bytes).expect("JSON"))
    }

    #[test]
    fn arguments_keep_their_text() {
        let order: Order = parse(br#"{"kind":"a.b","args":{"n": 1.0}}"#).expect("fits");
        assert_eq!(order.args.expect("given").get(), r#"{"n": 1.0}"#);
    }

    #[tokio::test]
    async fn a_wrong_field_is_named_by_its_pointer() {
        for (text, pointer) in [
            (r"{}", "/kind"),
            (r#"{"kind":1}"#, "/kind"),
            (r#"{"kind":"a","item":[]}"#, "/item"),
            (r#"{"kind":"a","items":[{"count":1},{"count":"x"}]}"#, "/items/1/count"),
            (r#"{"kind":"a","items":[{}]}"#, "/items/0/count"),
        ] {
            let (status, body) = refusal(text).await;
            assert_eq!((status, body["errors"][0]["pointer"].as_str()), (400, Some(pointer)), "{text}: {body}");
            assert!(!body["detail"].as_str().expect("text").contains("line"), "{body}");
        }
    }

    #[tokio::test]
    async fn what_is_not_json_is_told_with_the_place() {
        for text in ["", "{", "{\"kind\":\"a\"} x", "nonsense"] {
            let (status, body) = refusal(text).await;
            assert_eq!((status, body["code"].as_str()), (400, Some("json")), "{text}");
            assert!(body["detail"].as_str().expect("text").contains("line 1"), "{body}");
        }
    }

    #[test]
    fn nul_is_found_and_not_its_likeness() {
        for (json, found) in [
            (r#""a\u0000""#, true),
            (r#""\\\u0000""#, true),
            (r#""\\u0000""#, false),
            (r#""u0000""#, false),
            ("", false),
        ] {
            assert_eq!(has_nul(json.as_bytes()), found, "{json}");
        }
    }

    #[test]
    fn media_types_of_json_are_known() {
        for (media_type, expected) in [
            ("application/json", true),
            ("application/json; charset=utf-8", true),
            ("application/merge-patch+json", true),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
        ] {
            assert_eq!(is_json(media_type), expected, "{media_type}");
        }
    }
}
