//! `deskhand sync`: external systems, now.

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;

use super::enqueue::send_off;
use super::print::{Output, at, line, or_dash, short};
use super::sync_wait::{self, all_good, wait};
use crate::app::App;
use crate::base::PageRequest;
use crate::work_orders::model::{SyncLog, System, SystemId};
use crate::work_orders::{Asked, LogFilter};

/// Sync external systems now, or tell how they stand.
#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = false, args = ["all", "system", "status"])]
pub(super) struct Sync {
    /// Sync every active system.
    #[arg(long)]
    all: bool,
    /// Sync one system.
    #[arg(long, value_name = "ID")]
    system: Option<SystemId>,
    /// Show the systems and their last runs.
    #[arg(long)]
    status: bool,
    /// Wait until the runs have ended; a failed one is an error. On a terminal a line tells how far they are.
    #[arg(long, conflicts_with = "status")]
    wait: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Status {
    id: SystemId,
    name: String,
    system_type: String,
    is_active: bool,
    last_sync_at: Option<DateTime<Utc>>,
    blocked_until: Option<DateTime<Utc>>,
    failure_streak: i64,
    last_run: Option<LastRun>,
}

#[derive(Serialize)]
struct LastRun {
    status: String,
    fetched: i64,
    created: i64,
    updated: i64,
    failed: i64,
    error_message: Option<String>,
}

pub(super) async fn run(command: Sync, app: &App) -> anyhow::Result<()> {
    if command.status {
        return status(app, command.output).await;
    }
    let jobs = match command.system {
        Some(id) => vec![app.work_orders.sync_now(&app.actor(), id).await?],
        None => app.work_orders.sync_all(Some(&app.actor())).await?,
    };
    send_off(app).await;
    if command.wait && !jobs.is_empty() {
        let ended = wait(app, &jobs).await?;
        let text = || ended.iter().map(sync_wait::told).collect::<Vec<_>>().join("\n");
        command.output.one(&ended, text)?;
        anyhow::ensure!(all_good(&ended), "not every run went well: deskhand sync --status tells of each system");
        return Ok(());
    }
    command.output.one(&jobs, || match jobs.as_slice() {
        [] => "there is no active system: make one with POST /api/v1/work-order-systems".to_owned(),
        jobs => jobs.iter().map(told).collect::<Vec<_>>().join("\n"),
    })
}

fn told(asked: &Asked) -> String {
    let how = if asked.joined { "was under way already" } else { "is on its way" };
    format!("job {} {how}", asked.job_id)
}

async fn status(app: &App, output: Output) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut page = Some(1);
    while let Some(number) = page {
        let systems = app
            .work_orders
            .systems(&app.tenant(), PageRequest::new(Some(number), Some(PageRequest::MAX_SIZE))?)
            .await?;
        page = systems.next;
        for system in systems.items {
            rows.push(status_of(app, system).await?);
        }
    }
    if rows.is_empty() && !output.is_json() {
        return line("there is no system yet: make one with POST /api/v1/work-order-systems");
    }
    output.rows(&rows, ["SYSTEM", "NAME", "TYPE", "ACTIVE", "LAST SYNC", "LAST RUN", "ERROR"], |row| {
        let run = row.last_run.as_ref();
        [
            row.id.to_string(),
            row.name.clone(),
            row.system_type.clone(),
            if row.is_active { "yes" } else { "no" }.to_owned(),
            or_dash(row.last_sync_at.map(at)),
            or_dash(run.map(|run| format!("{} ({} fetched, {} failed)", run.status, run.fetched, run.failed))),
            short(run.and_then(|run| run.error_message.as_deref()).unwrap_or("-"), 60),
        ]
    })
}

async fn status_of(app: &App, system: System) -> anyhow::Result<Status> {
    let filter = LogFilter { system: Some(system.id), ..LogFilter::default() };
    let latest = app.work_orders.sync_logs(&app.tenant(), &filter, PageRequest::new(Some(1), Some(1))?).await?;
    Ok(Status {
        id: system.id,
        name: system.name,
        system_type: system.system_type,
        is_active: system.is_active,
        last_sync_at: system.last_sync_at,
        blocked_until: system.blocked_until,
        failure_streak: system.failure_streak,
        last_run: latest.items.into_iter().next().map(LastRun::from),
    })
}

impl From<SyncLog> for LastRun {
    fn from(log: SyncLog) -> Self {
        Self {
            status: log.status.to_string(),
            fetched: log.counts.fetched,
            created: log.counts.created,
            updated: log.counts.updated,
            failed: log.counts.failed,
            error_message: log.error_message,
        }
    }
}
