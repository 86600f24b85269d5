//! What a command tells of itself: a log on standard error, so that what it prints can be piped, and spans if it stays.

use std::sync::Arc;

use crate::config::Config;
use crate::telemetry::{self, Format, Telemetry};

/// What a command that ends at once logs, unless the filter was chosen.
const QUIET: &str = "warn";
const DEFAULT: &str = "info";

/// Starts the log, and the export of spans.
pub(super) fn start(config: &Config, format: Option<Format>, serves: bool) -> anyhow::Result<Arc<Telemetry>> {
    let mut settings = config.telemetry();
    settings.format = format.unwrap_or(settings.format);
    if !serves {
        if settings.filter == DEFAULT {
            QUIET.clone_into(&mut settings.filter);
        }
        // The files belong to the processes that stay.
        settings.files.clear();
    }
    let telemetry = Arc::new(telemetry::start(settings)?);
    if telemetry.has_files() {
        reopen_on_hang_up(Arc::clone(&telemetry))?;
    }
    Ok(telemetry)
}

/// Opens the log files anew at each SIGHUP, which is how those who rotate logs say that they have moved them.
fn reopen_on_hang_up(telemetry: Arc<Telemetry>) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() {
            telemetry.reopen();
            tracing::info!("the log files are open anew");
        }
    });
    Ok(())
}
