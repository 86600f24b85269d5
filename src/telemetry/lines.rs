//! The log: one line an event, for people or as a flat JSON object, with what the spans around it say.

use std::borrow::Cow;
use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serializer};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::fields::{self, Fields, Said, is_for_collectors};
use super::sinks::Sinks;

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

/// What a line for people says of the spans around it; the rest would make it unreadable.
const SUFFIXES: [&str; 7] = ["request_id", "job_id", "kind", "queue", "attempt", "tenant", "trace_id"];

/// What stands in every line; a field of the same name gives way.
const OWN: [&str; 4] = ["ts", "level", "target", MESSAGE];

/// The field under which an event tells its text.
const MESSAGE: &str = "message";

/// Writes events as lines.
pub(super) struct Lines {
    pub(super) format: Format,
    /// Whether lines are coloured, for a terminal.
    pub(super) colours: bool,
    pub(super) sinks: Sinks,
    /// Whether spans are also for a collector, and keep what only collectors want.
    pub(super) exported: bool,
}

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        fields::keep(attributes, id, &context, self.exported);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        fields::update(id, values, &context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut told = Told::of(event);
        // From the innermost span outwards: what is nearest wins.
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<Fields>() {
                told.around(fields);
            }
        }
        let now = Utc::now();
        let (metadata, target) = (event.metadata(), event.metadata().target());
        let render = |colours| match self.format {
            Format::Text => text(&told, metadata, now, colours),
            Format::Json => json(&told, metadata, now),
        };
        self.sinks.write(target, self.colours, render);
    }
}

/// What an event and the spans around it say.
#[derive(Default)]
struct Told {
    own: Fields,
    around: Fields,
}

impl Told {
    fn of(event: &Event<'_>) -> Self {
        let mut told = Self::default();
        event.record(&mut told.own);
        told
    }

    fn around(&mut self, fields: &Fields) {
        for (name, said) in fields.iter() {
            let known = self.own.get(name).is_some() || self.around.get(name).is_some();
            if !is_for_collectors(name) && !known {
                self.around.copy(name, said);
            }
        }
    }

    fn message(&self) -> &str {
        self.own.text(MESSAGE).unwrap_or_default()
    }

    /// Returns the fields of the event.
    fn own(&self) -> impl Iterator<Item = (&'static str, Said<'_>)> {
        self.own.iter().filter(|(name, _)| *name != MESSAGE)
    }
}

fn written(now: DateTime<Utc>) -> String {
    now.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn json(told: &Told, metadata: &Metadata<'_>, now: DateTime<Utc>) -> String {
    let (ts, level) = (written(now), metadata.level().as_str().to_lowercase());
    let head = [("ts", ts.as_str()), ("level", &level), ("target", metadata.target()), (MESSAGE, told.message())]
        .map(|(name, text)| (Cow::Borrowed(name), Said::Text(text)));
    let fields = told.own().chain(told.around.iter()).map(|(name, said)| match name {
        name if OWN.contains(&name) => (Cow::Owned(format!("{name}_")), said),
        name => (Cow::Borrowed(name), said),
    });
    let mut line = Vec::new();
    // Texts, numbers and flags have a JSON form, and memory takes every write.
    let _ = serde_json::Serializer::new(&mut line).collect_map(head.into_iter().chain(fields));
    line.push(b'\n');
    String::from_utf8(line).unwrap_or_default()
}

fn text(told: &Told, metadata: &Metadata<'_>, now: DateTime<Utc>, colours: bool) -> String {
    let (level, target) = (metadata.level(), metadata.target());
    let (dim, colour, end) = match (colours, *level) {
        (false, _) => ("", "", ""),
        (true, Level::ERROR) => ("\x1b[2m", "\x1b[31m", "\x1b[0m"),
        (true, Level::WARN) => ("\x1b[2m", "\x1b[33m", "\x1b[0m"),
        (true, _) => ("\x1b[2m", "\x1b[32m", "\x1b[0m"),
    };
    let mut line = format!("{dim}{}{end} {colour}{level:>5}{end} {dim}{target}{end}: ", written(now));
    escape(&mut line, told.message());
    for (name, value) in told.own() {
        pair(&mut line, name, value);
    }
    let around: Vec<_> = told.around.iter().filter(|(name, _)| SUFFIXES.contains(name)).collect();
    if !around.is_empty() {
        line.push_str(dim);
        for (name, value) in around {
            pair(&mut line, name, value);
        }
        line.push_str(end);
    }
    line.push('\n');
    line
}

fn pair(line: &mut String, name: &str, said: Said<'_>) {
    line.push(' ');
    line.push_str(name);
    line.push('=');
    // Memory takes every write.
    let _ = match said {
        Said::Text(text) if text.is_empty() || text.contains([' ', '"', '=']) => {
            line.push('"');
            escape(line, &text.replace('"', "\\\""));
            line.push('"');
            Ok(())
        }
        Said::Text(text) => {
            escape(line, text);
            Ok(())
        }
        Said::Whole(value) => write!(line, "{value}"),
        Said::Natural(value) => write!(line, "{value}"),
        Said::Float(value) => write!(line, "{value}"),
        Said::Flag(value) => write!(line, "{value}"),
    };
}

/// Writes a text so that it stays on its line and paints nothing: what others have sent must not look like a line of ours.
fn escape(line: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing_subscriber::filter::EnvFilter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no test panics here").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Returns what the work logs.
    pub(in crate::telemetry) fn logged(format: Format, filter: &str, work: impl FnOnce()) -> String {
        let memory = Memory::default();
        let lines = Lines { format, colours: false, sinks: Sinks::to(Box::new(memory.clone())), exported: false };
        let filter = EnvFilter::try_new(filter).expect("a filter");
        let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter));
        tracing::subscriber::with_default(subscriber, work);
        let bytes = memory.0.lock().expect("no test panics here").clone();
        String::from_utf8(bytes).expect("text")
    }

    fn work() {
        let request =
            tracing::error_span!("request", request_id = "r1", trace_id = "t1", path = "/x", otel.kind = "server");
        request.in_scope(|| {
            tracing::info!("within the request");
            let job = tracing::error_span!("job", job_id = 7, trace_id = "t2", outcome = tracing::field::Empty);
            job.record("outcome", "succeeded");
            job.in_scope(|| tracing::warn!(level = 3, error = "no \"luck\"\nINFO forged", "job {} ended", 7));
        });
        tracing::info!(target: "elsewhere", "outside");
    }

    #[test]
    fn every_line_says_what_the_spans_around_it_say_as_flat_fields() {
        let text = logged(Format::Json, "info", work);
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let told = |line: &Value, name: &str| line[name].clone();
        assert_eq!(told(&lines[0], "message"), "within the request");
        assert_eq!((told(&lines[0], "request_id"), told(&lines[0], "trace_id")), ("r1".into(), "t1".into()));
        assert_eq!(told(&lines[0], "otel.kind"), Value::Null, "that is for collectors");
        for (name, value) in [
            ("message", Value::from("job 7 ended")),
            ("level", "warn".into()),
            ("level_", 3.into()),
            ("job_id", 7.into()),
            ("outcome", "succeeded".into()),
            ("trace_id", "t2".into()),
            ("request_id", "r1".into()),
        ] {
            assert_eq!(told(&lines[1], name), value, "{name} of {}", lines[1]);
        }
        assert_eq!((told(&lines[2], "target"), told(&lines[2], "trace_id")), ("elsewhere".into(), Value::Null));
        assert!(DateTime::parse_from_rfc3339(lines[2]["ts"].as_str().expect("text")).is_ok());
    }

    #[test]
    fn a_line_for_people_has_a_short_suffix_and_stays_one_line() {
        let text = logged(Format::Text, "info", work);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].ends_with(": within the request request_id=r1 trace_id=t1"), "{}", lines[0]);
        let rest = r#": job 7 ended level=3 error="no \"luck\"\nINFO forged" job_id=7 trace_id=t2 request_id=r1"#;
        assert!(lines[1].ends_with(rest), "{}", lines[1]);
    }

    #[test]
    fn a_filter_by_target_lets_the_context_of_what_is_left_stand() {
        let text = logged(Format::Json, "error,deskhand::telemetry=warn", work);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(r#""request_id":"r1""#), "{text}");
    }
}
