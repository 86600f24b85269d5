//! From what an API shows to a ticket, and back.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::plan::Places;
use crate::base::clock::cut;
use crate::work_orders::adapters::Deleted;
use crate::work_orders::adapters::fields::{text, texts};
use crate::work_orders::model::{Remote, RowError, end_of_day, parse_instant};

/// Numbers from here on are milliseconds since 1970, smaller ones seconds: 1973 against the year 5138.
const FIRST_MS: i64 = 100_000_000_000;

/// What one item of a list is.
pub(super) enum Found {
    There(Box<Remote>),
    Deleted(Deleted),
}

pub(super) fn read(places: &Places, item: &Value) -> Result<Found, RowError> {
    let optional = |place: &Option<String>| place.as_ref().and_then(|place| text(item, place));
    let Some(external_id) = text(item, &places.id) else {
        let known_as = optional(&places.key).or_else(|| text(item, &places.title));
        return Err(RowError::nameless(known_as, format!("the ticket has no id at {}", places.id)));
    };
    let updated_at = instant(item, &places.updated);
    if places.deleted.as_ref().is_some_and(|place| is_set(item.pointer(place))) {
        return Ok(Found::Deleted(Deleted { external_id, at: updated_at }));
    }
    if text(item, &places.title).is_none() && text(item, &places.status).is_none() {
        let message = format!("the ticket came without title and status, at {} and {}", places.title, places.status);
        return Err(RowError::of(external_id, message));
    }
    let due = places.due.as_ref().and_then(|place| {
        instant(item, place).and_then(|at| match item.pointer(place) {
            Some(Value::String(text)) => end_of_day(text),
            _ => Some(at),
        })
    });
    Ok(Found::There(Box::new(Remote {
        external_key: optional(&places.key).unwrap_or_else(|| external_id.clone()),
        title: text(item, &places.title).unwrap_or_else(|| external_id.clone()),
        description: optional(&places.description).unwrap_or_default(),
        status: text(item, &places.status).unwrap_or_default(),
        priority: optional(&places.priority).unwrap_or_default(),
        reporter: optional(&places.reporter),
        reporter_email: optional(&places.reporter_email),
        assignee: optional(&places.assignee),
        assignee_email: optional(&places.assignee_email),
        reported_at: places.created.as_ref().and_then(|place| instant(item, place)),
        due_date: due,
        category: optional(&places.category),
        tags: places.tags.as_ref().map(|place| texts(item.pointer(place))).unwrap_or_default(),
        // Only web addresses: it becomes a link on our pages.
        url: optional(&places.url).filter(|url| url.starts_with("https://") || url.starts_with("http://")),
        updated_at,
        external_id,
        ..Remote::default()
    })))
}

fn is_set(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(_) => true,
    }
}

fn instant(item: &Value, place: &str) -> Option<DateTime<Utc>> {
    match item.pointer(place)? {
        Value::String(text) => parse_instant(text),
        Value::Number(number) => {
            let whole = number.as_i64();
            let at = match whole {
                Some(ms) if ms >= FIRST_MS => DateTime::from_timestamp_millis(ms),
                Some(seconds) => DateTime::from_timestamp(seconds, 0),
                None => number.as_f64().and_then(|seconds| DateTime::from_timestamp_micros((seconds * 1e6) as i64)),
            };
            at.map(cut)
        }
        _ => None,
    }
}

/// Puts a value at a place, with all objects on the way.
pub(super) fn put(body: &mut Value, place: &str, value: Value) {
    let mut at = body;
    for step in place.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[step];
    }
    *at = value;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_put_where_they_are_read() {
        let mut body = json!({});
        put(&mut body, "/fields/status/name", json!("Open"));
        put(&mut body, "/fields/title", json!("x"));
        put(&mut body, "/a~1b", json!(1));
        assert_eq!(body, json!({"fields": {"status": {"name": "Open"}, "title": "x"}, "a/b": 1}));
        put(&mut body, "", json!(2));
        assert_eq!(body, json!(2));
    }

    #[test]
    fn times_are_dates_or_numbers() {
        let expected = parse_instant("2026-11-22T10:00:00Z");
        for value in [
            json!("2026-11-22T10:00:00Z"),
            json!("2026-11-22T18:00:00+0800"),
            json!(1_795_341_600),
            json!(1_795_341_600_000_i64),
        ] {
            assert_eq!(instant(&json!({"at": value}), "/at"), expected, "{value}");
        }
        for value in [json!(null), json!("soon"), json!([]), json!("2026-11-22T10:00:00")] {
            assert_eq!(instant(&json!({"at": value}), "/at"), None, "{value}");
        }
    }

    #[test]
    fn what_is_deleted_says_so_in_its_own_way() {
        let places =
            Places { id: "/id".into(), status: "/id".into(), deleted: Some("/gone".into()), ..Places::default() };
        for (gone, expected) in [
            (json!(true), true),
            (json!("2026-01-01T00:00:00Z"), true),
            (json!(1), true),
            (json!(false), false),
            (json!(null), false),
            (json!(""), false),
            (json!(0), false),
        ] {
            let found = read(&places, &json!({"id": 7, "gone": gone})).expect("it has an id");
            assert_eq!(matches!(found, Found::Deleted(_)), expected, "{gone}");
        }
    }
}
