//! The log: on standard error, so that what a command prints can be piped.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How the log is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Format {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// What a command that ends at once logs, unless the filter was chosen.
const QUIET: &str = "warn";
const DEFAULT: &str = "info";

/// Starts the log.
pub(super) fn start(filter: &str, format: Format, serves: bool) -> anyhow::Result<()> {
    let filter = if !serves && filter == DEFAULT { QUIET } else { filter };
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        anyhow::anyhow!(
            "log is {filter:?}: {error}; give it a level such as info, or a list such as info,deskhand=debug"
        )
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let started = match format {
        Format::Text => builder.with_ansi(colours).try_init(),
        Format::Json => builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}
