//! `deskhand sync-logs`.

use clap::Subcommand;

use super::print::line;
use crate::app::App;

#[derive(Debug, Subcommand)]
pub(super) enum SyncLogs {
    /// Remove the records of runs that ended long ago.
    Clean {
        /// How many days of records stay.
        #[arg(long, default_value_t = 30)]
        days: u32,
    },
}

pub(super) async fn run(command: SyncLogs, app: &App) -> anyhow::Result<()> {
    let SyncLogs::Clean { days } = command;
    let removed = app.work_orders.clean_sync_logs(days).await?;
    line(&format!("{removed} records of runs that ended more than {days} days ago are gone"))
}
