//! `deskhand serve`, `scheduler` and `worker`: processes that stay.

use clap::Args;
use deskhand_jobs::worker::QueueSet;

use super::print::line;
use crate::app::{App, Role, Running, stop_signal};
use crate::config::Config;

/// Run the API, the scheduler and a worker in one process.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The parts of the work that this process takes.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Role::ALL)]
    roles: Vec<Role>,
}

/// Run the scheduler alone: schedules, the relay, the search for lost jobs.
#[derive(Debug, Args)]
pub(super) struct Scheduler {}

/// Run a worker alone.
#[derive(Debug, Args)]
pub(super) struct Worker {
    /// The queues it serves: mail,reports takes all of the first before any of the second; mail=5,reports=1 shares by weight.
    /// Else those of the settings.
    #[arg(long)]
    queues: Option<QueueSet>,
    /// How many jobs it runs at once; else the number of the settings.
    #[arg(long)]
    concurrency: Option<usize>,
}

pub(super) async fn serve(command: Serve, config: Config) -> anyhow::Result<()> {
    run(&command.roles, config).await
}

pub(super) async fn scheduler(_: Scheduler, config: Config) -> anyhow::Result<()> {
    run(&[Role::Scheduler], config).await
}

pub(super) async fn worker(command: Worker, mut config: Config) -> anyhow::Result<()> {
    if let Some(queues) = command.queues {
        config.worker.queues = queues;
    }
    config.worker.concurrency = command.concurrency.unwrap_or(config.worker.concurrency);
    config.check()?;
    run(&[Role::Worker], config).await
}

/// Takes roles until a signal says stop.
pub(super) async fn run(roles: &[Role], config: Config) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let app = App::open(config).await?;
    let made = if roles.contains(&Role::Api) { Some(app.bootstrap().await?) } else { None };
    let mut running = Running::start(&app, roles, &stop).await?;
    if let Some(address) = running.address() {
        line(&format!("deskhand serves http://{address}"))?;
    }
    if let Some(address) = running.health_address() {
        line(&format!("health and figures at http://{address}/ready and /metrics"))?;
    }
    line(&format!("database {}, queue {}", app.db.url(), crate::base::shown(&app.config.queue.url)))?;
    match made {
        Some(Some(token)) => line(&format!("the token with all rights, shown this once: {}", token.expose()))?,
        Some(None) if app.config.admin_token.is_empty() => {
            line("the first token was shown at the first start; `deskhand token create NAME` makes another")?;
        }
        _ => {}
    }
    let early = tokio::select! {
        // What ends because it was told to has not ended early.
        biased;
        () = stop.cancelled() => None,
        part = running.ended_early() => Some(part),
    };
    stop.cancel();
    running.finished().await;
    app.close().await;
    match early {
        Some(part) => {
            anyhow::bail!("the {part} ended by itself, so the process stops: its log says why; start it again")
        }
        None => Ok(()),
    }
}
