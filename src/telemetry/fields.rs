//! What spans and events say, as values.

use std::fmt::Debug;

use serde_json::Value;
use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The fields of one span or event, in the order in which they were told.
#[derive(Debug, Default)]
pub(super) struct Fields {
    told: Vec<(&'static str, Value)>,
    /// Whether fields for collectors only are kept too.
    all: bool,
}

impl Fields {
    /// Returns what was told under a name.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.told.iter().find(|(told, _)| *told == name).map(|(_, value)| value)
    }

    /// Returns the text that was told under a name.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// Takes out the text that was told under a name.
    pub(super) fn take_text(&mut self, name: &str) -> Option<String> {
        let place = self.told.iter().position(|(told, value)| *told == name && value.is_string())?;
        match self.told.remove(place).1 {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.told.iter().map(|(name, value)| (*name, value))
    }

    fn set(&mut self, field: &Field, value: Value) {
        let name = field.name();
        if !self.all && is_for_collectors(name) {
            return;
        }
        match self.told.iter_mut().find(|(told, _)| *told == name) {
            Some((_, before)) => *before = value,
            None => self.told.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, format!("{value:?}").into());
    }
}

/// Says whether a field is told to collectors and not to the log: those with a dot in their name.
pub(super) fn is_for_collectors(name: &str) -> bool {
    name.contains('.')
}

/// Keeps the fields of a new span beside it, once for all who listen.
pub(super) fn keep<S>(attributes: &Attributes<'_>, id: &Id, context: &Context<'_, S>, all: bool)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let Some(span) = context.span(id) else { return };
    let mut extensions = span.extensions_mut();
    if extensions.get_mut::<Fields>().is_none() {
        let mut fields = Fields { told: Vec::with_capacity(attributes.fields().len()), all };
        attributes.record(&mut fields);
        extensions.insert(fields);
    }
}

/// Keeps what a span tells later.
pub(super) fn update<S>(id: &Id, values: &Record<'_>, context: &Context<'_, S>)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    if let Some(span) = context.span(id)
        && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
    {
        values.record(fields);
    }
}
