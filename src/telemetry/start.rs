//! Starting the log and the export of spans, and stopping them in good order.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, registry};

use super::export::{Batches, Export};
use super::lines::{Format, Lines};
use super::panics;
use super::sinks::Sinks;
use crate::base::{Error, Result, Secret, shown};

/// What is told, how and where to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which lines are written: a level, or a list with levels for targets.
    pub filter: String,
    /// How lines are written.
    pub format: Format,
    /// Files that also have the lines of a logger or target.
    pub files: BTreeMap<String, PathBuf>,
    /// Who takes spans, if anybody does.
    pub collector: Option<Collector>,
}

/// Who takes spans.
#[derive(Debug, Clone)]
pub struct Collector {
    /// The address of the collector; `/v1/traces` is added.
    pub endpoint: String,
    /// The name of this program there.
    pub service_name: String,
    /// The part of the traces that begin here which is recorded, 0 to 1.
    pub sample_ratio: f64,
    /// What is sent along, such as a key.
    pub headers: BTreeMap<String, Secret>,
}

/// What tells of the process, to be stopped with it.
pub struct Telemetry {
    sinks: Sinks,
    batches: Option<Batches>,
}

/// Starts to tell of the process, panics included.
///
/// # Errors
/// [`Error::Invalid`] names a setting that does not fit, [`Error::Internal`] if a log was started before.
pub fn start(settings: Settings) -> Result<Telemetry> {
    let wanted = Wanted::read(&settings.filter)?;
    let files = settings.files.iter().map(|(logger, path)| (logger.as_str(), path.clone()));
    let sinks = Sinks::to(Box::new(std::io::stderr())).and_files(files)?;
    let batches = settings.collector.map(batches).transpose()?;
    let lines = Lines {
        format: settings.format,
        colours: settings.format == Format::Text && std::io::stderr().is_terminal(),
        sinks: sinks.clone(),
        exported: batches.is_some(),
    };
    match (&batches, wanted) {
        // Who alone listens filters for all: a filter by layer looks each span up at each step.
        (None, Wanted::Levels(targets)) => listen(registry().with(lines).with(*targets)),
        (None, Wanted::Spans(filter)) => listen(registry().with(lines).with(*filter)),
        (Some(batches), wanted) => {
            let lines = match wanted {
                Wanted::Levels(targets) => lines.with_filter(*targets).boxed(),
                Wanted::Spans(filter) => lines.with_filter(*filter).boxed(),
            };
            let export = Export(batches.clone()).with_filter(filter_fn(Export::wants));
            listen(registry().with(lines).with(export))
        }
    }?;
    panics::log();
    Ok(Telemetry { sinks, batches })
}

// Without the bridge from the `log` crate: its question whether a line is wanted leaves a mark that makes filters by layer pass
// over the next span. Everything here that logs does so by `tracing`.
fn listen(subscriber: impl Subscriber + Send + Sync) -> Result<()> {
    tracing::subscriber::set_global_default(subscriber).map_err(|error| Error::internal("cannot start the log", error))
}

impl Telemetry {
    /// Says whether lines go to files, which somebody may want to rotate.
    pub fn has_files(&self) -> bool {
        self.sinks.has_files()
    }

    /// Opens the log files anew.
    pub fn reopen(&self) {
        self.sinks.reopen();
    }

    /// Sends the last spans.
    pub async fn finish(&self) {
        if let Some(batches) = &self.batches {
            batches.finish().await;
        }
    }
}

/// Which lines are written.
enum Wanted {
    /// By levels for targets, which is asked for each place in the code once.
    Levels(Box<Targets>),
    /// By spans or fields too, which is asked whenever a span begins, is entered or tells something.
    Spans(Box<EnvFilter>),
}

impl Wanted {
    fn read(text: &str) -> Result<Self> {
        let of_spans = text.contains(['[', '{']);
        if !of_spans && let Ok(targets) = text.parse::<Targets>() {
            return Ok(Self::Levels(Box::new(targets)));
        }
        EnvFilter::try_new(text).map(|filter| Self::Spans(Box::new(filter))).map_err(|error| {
            let cure = "give it a level such as info, or a list such as info,deskhand=debug";
            Error::field("/log/filter", format!("log.filter is {text:?}: {error}; {cure}"))
        })
    }
}

fn batches(collector: Collector) -> Result<Batches> {
    let failed = |error| Error::internal("cannot make the client of the collector", error);
    let client = super::export::Client::new().map_err(failed)?;
    let name = shown(&collector.endpoint);
    let headers = collector.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(of_traces(&collector.endpoint))
        .with_headers(headers.collect())
        // Ours does it: that of the crate would hold a thread of the runtime.
        .with_retry_policy(RetryPolicy::disabled())
        .build()
        .map_err(|error| {
            Error::field("/telemetry/otlp_endpoint", format!("telemetry.otlp_endpoint is {name}: {error}"))
        })?;
    let resource = Resource::builder()
        .with_service_name(collector.service_name)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", uuid::Uuid::now_v7().to_string()))
        .build();
    exporter.set_resource(&resource);
    deskhand_jobs::trace::record_part(collector.sample_ratio);
    Ok(Batches::start(exporter, name))
}

/// Names the place for traces at a collector, as its documentation does.
fn of_traces(endpoint: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    if endpoint.ends_with("/v1/traces") { endpoint.to_owned() } else { format!("{endpoint}/v1/traces") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_list_of_levels_or_names_spans_and_anything_else_is_refused_with_the_cure() {
        for good in ["info", "info,deskhand=debug", "off", "info,deskhand[job]=debug", "[job{kind=a}]=trace"] {
            assert!(Wanted::read(good).is_ok(), "{good}");
        }
        let refused = Wanted::read("deskhand=loud").err().expect("no level").to_string();
        assert!(refused.contains("deskhand=loud") && refused.contains("info,deskhand=debug"), "{refused}");
    }

    #[test]
    fn the_address_of_a_collector_is_taken_with_or_without_its_path() {
        for given in ["http://c:4318", "http://c:4318/", "http://c:4318/v1/traces"] {
            assert_eq!(of_traces(given), "http://c:4318/v1/traces");
        }
    }
}
