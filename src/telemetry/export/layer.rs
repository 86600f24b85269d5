//! Listens to spans that have a place in a trace, and hands them on when they end.

use std::time::SystemTime;

use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::batch::Batches;
use super::span::exported;
use crate::telemetry::fields::{self, Fields};

/// Exports spans.
pub(in crate::telemetry) struct Export(pub(in crate::telemetry) Batches);

/// When a span began.
struct Began(SystemTime);

impl Export {
    /// Says whether a collector wants to know of spans of this place in the code: of those that name what they are to it.
    pub(in crate::telemetry) fn wants(metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.fields().field("otel.kind").is_some()
    }
}

impl Export {
    /// Hands a span on, once.
    fn end<'a, S: LookupSpan<'a>>(&self, span: &SpanRef<'a, S>) {
        let mut extensions = span.extensions_mut();
        let Some(Began(from)) = extensions.remove::<Began>() else { return };
        if let Some(data) =
            extensions.get_mut::<Fields>().and_then(|fields| exported(span.name(), fields, from, SystemTime::now()))
        {
            self.0.add(data);
        }
    }
}

impl<S> Layer<S> for Export
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        fields::keep(attributes, id, &context, true);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Began(SystemTime::now()));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        fields::update(id, values, &context);
        // Work that says so has ended. The span itself may stay: a connection that was opened within it, and waits for
        // the next call, holds it.
        if let Some(span) = context.span(id)
            && span.extensions().get::<Fields>().is_some_and(|fields| fields.get("otel.ended").is_some())
        {
            self.end(&span);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(span) = context.span(&id) {
            self.end(&span);
        }
    }
}
