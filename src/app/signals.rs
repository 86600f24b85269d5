//! SIGTERM and SIGINT mean: stop in good order.

use tokio_util::sync::CancellationToken;

/// Returns a token that fires at the first SIGTERM or SIGINT. A second signal ends the process at once.
///
/// # Errors
/// If the operating system does not let signals be handled.
pub fn stop_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};

    let stop = CancellationToken::new();
    let fired = stop.clone();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let name = next().await;
        tracing::info!("stopping on {name}; once more to stop at once");
        fired.cancel();
        let name = next().await;
        tracing::warn!("stopped at once on a second {name}");
        std::process::exit(130);
    });
    Ok(stop)
}
