//! From the fields of a span to what a collector takes: our names for people become those of the semantic conventions.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, Key, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::telemetry::fields::{Fields, Said};

/// What the conventions call our fields. Any other is `deskhand.` and its name.
const NAMES: [(&str, &str); 8] = [
    ("method", "http.request.method"),
    ("route", "http.route"),
    ("path", "url.path"),
    ("status", "http.response.status_code"),
    ("host", "server.address"),
    ("queue", "messaging.destination.name"),
    ("job_id", "messaging.message.id"),
    ("error", "error.message"),
];

/// Fields that are the place of a span and no attributes of it.
const PLACE: [&str; 3] = ["trace_id", "span_id", "parent_span_id"];

/// Makes what is sent of a span that has ended; `None` if it has no place in a trace, or its trace is not recorded.
pub(super) fn exported(name: &'static str, fields: &Fields, from: SystemTime, to: SystemTime) -> Option<SpanData> {
    if fields.get("otel.sampled") != Some(Said::Flag(true)) {
        return None;
    }
    let trace_id = TraceId::from_hex(fields.text("trace_id")?).ok()?;
    let span_id = SpanId::from_hex(fields.text("span_id")?).ok()?;
    let parent = fields.text("parent_span_id").and_then(|id| SpanId::from_hex(id).ok());
    let (kind, operation) = match fields.text("otel.kind") {
        Some("server") => (SpanKind::Server, None),
        Some("client") => (SpanKind::Client, None),
        Some("producer") => (SpanKind::Producer, Some("send")),
        Some("consumer") => (SpanKind::Consumer, Some("process")),
        _ => (SpanKind::Internal, None),
    };
    let mut attributes: Vec<KeyValue> = fields
        .iter()
        .filter(|(name, _)| !PLACE.contains(name) && !name.starts_with("otel."))
        .map(|(name, value)| KeyValue::new(named(name), of_said(value)))
        .collect();
    if let Some(operation) = operation {
        attributes.push(KeyValue::new("messaging.system", "deskhand"));
        attributes.push(KeyValue::new("messaging.operation.type", operation));
    }
    Some(SpanData {
        span_context: SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, TraceState::default()),
        parent_span_id: parent.unwrap_or(SpanId::INVALID),
        parent_span_is_remote: parent.is_some() && matches!(kind, SpanKind::Server | SpanKind::Consumer),
        name: titled(name, &kind, fields),
        span_kind: kind,
        start_time: from,
        end_time: to,
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: status(fields),
        instrumentation_scope: InstrumentationScope::builder("deskhand")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    })
}

/// Of few values, as the conventions ask: the route and not the path, the kind and not the job.
fn titled(name: &'static str, kind: &SpanKind, fields: &Fields) -> Cow<'static, str> {
    let text = |name| fields.text(name).unwrap_or_default();
    let (first, second) = match kind {
        SpanKind::Server => (text("method"), text("route")),
        SpanKind::Client => (text("method"), text("host")),
        SpanKind::Consumer => ("process", text("kind")),
        SpanKind::Producer | SpanKind::Internal => (name, text("kind")),
    };
    if second.is_empty() { Cow::Borrowed(name) } else { Cow::Owned(format!("{first} {second}")) }
}

fn status(fields: &Fields) -> Status {
    let code = match fields.get("status") {
        Some(Said::Natural(code)) => code,
        _ => 0,
    };
    match fields.text("error") {
        Some(error) => Status::error(error.to_owned()),
        None if code >= 500 => Status::error(code.to_string()),
        None => Status::Unset,
    }
}

fn named(name: &'static str) -> Key {
    match NAMES.iter().find(|(ours, _)| *ours == name) {
        Some((_, theirs)) => Key::from_static_str(theirs),
        None if name.contains('.') => Key::from_static_str(name),
        None => Key::new(format!("deskhand.{name}")),
    }
}

fn of_said(said: Said<'_>) -> opentelemetry::Value {
    match said {
        Said::Text(text) => text.to_owned().into(),
        Said::Whole(value) => value.into(),
        Said::Natural(value) => i64::try_from(value).map_or_else(|_| (value as f64).into(), Into::into),
        Said::Float(value) => value.into(),
        Said::Flag(flag) => flag.into(),
    }
}
