//! What spans and events say, as values.

use std::fmt::{Debug, Write};
use std::ops::Range;

use serde::Serialize;
use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// About as many bytes as the texts of a span have.
const USUAL_BYTES: usize = 192;

/// A value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Said<'a> {
    Text(&'a str),
    Whole(i64),
    Natural(u64),
    Float(f64),
    Flag(bool),
}

/// The fields of one span or event, in the order in which they were told. A span is made for each job and each request, so all texts
/// share one piece of memory.
#[derive(Debug, Default)]
pub(super) struct Fields {
    told: Vec<(&'static str, Kept)>,
    texts: String,
    /// Whether fields for collectors only are kept too.
    all: bool,
}

#[derive(Debug, Clone)]
enum Kept {
    Text(Range<usize>),
    Other(Said<'static>),
}

impl Fields {
    /// Returns what was told under a name.
    pub(super) fn get(&self, name: &str) -> Option<Said<'_>> {
        self.told.iter().find(|(told, _)| *told == name).map(|(_, kept)| self.said(kept))
    }

    /// Returns the text that was told under a name.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Said::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, Said<'_>)> {
        self.told.iter().map(|(name, kept)| (*name, self.said(kept)))
    }

    /// Takes over what somebody else was told.
    pub(super) fn copy(&mut self, name: &'static str, said: Said<'_>) {
        match said {
            Said::Text(text) => self.write(name, |texts| texts.push_str(text)),
            Said::Whole(value) => self.set(name, Said::Whole(value)),
            Said::Natural(value) => self.set(name, Said::Natural(value)),
            Said::Float(value) => self.set(name, Said::Float(value)),
            Said::Flag(value) => self.set(name, Said::Flag(value)),
        }
    }

    fn said<'a>(&'a self, kept: &'a Kept) -> Said<'a> {
        match kept {
            Kept::Text(place) => Said::Text(&self.texts[place.clone()]),
            Kept::Other(said) => *said,
        }
    }

    fn set(&mut self, name: &'static str, said: Said<'static>) {
        self.keep(name, Kept::Other(said));
    }

    fn write(&mut self, name: &'static str, write: impl FnOnce(&mut String)) {
        if self.all || !is_for_collectors(name) {
            let from = self.texts.len();
            write(&mut self.texts);
            self.keep(name, Kept::Text(from..self.texts.len()));
        }
    }

    fn keep(&mut self, name: &'static str, kept: Kept) {
        if !self.all && is_for_collectors(name) {
            return;
        }
        match self.told.iter_mut().find(|(told, _)| *told == name) {
            Some((_, before)) => *before = kept,
            None => self.told.push((name, kept)),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), Said::Float(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), Said::Whole(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), Said::Natural(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), Said::Flag(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field.name(), |texts| texts.push_str(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.write(field.name(), |texts| {
            // A value that cannot be shown is shown as far as it can be; a text takes everything.
            let _ = write!(texts, "{value:?}");
        });
    }
}

/// Says whether a field is told to collectors and not to the log: those with a dot in their name.
pub(super) fn is_for_collectors(name: &str) -> bool {
    name.as_bytes().contains(&b'.')
}

/// Keeps the fields of a new span beside it, once for all who listen.
pub(super) fn keep<S>(attributes: &Attributes<'_>, id: &Id, context: &Context<'_, S>, all: bool)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let Some(span) = context.span(id) else { return };
    let mut extensions = span.extensions_mut();
    if extensions.get_mut::<Fields>().is_none() {
        let told = Vec::with_capacity(attributes.fields().len());
        let mut fields = Fields { told, texts: String::with_capacity(USUAL_BYTES), all };
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
