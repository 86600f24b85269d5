//! `deskhand migrate`.

use clap::Args;

use super::print;
use crate::app::App;

/// Opening the app migrates; this command is for who wants it done before anything starts.
#[derive(Debug, Args)]
pub(super) struct Migrate {}

pub(super) fn run(_: Migrate, app: &App) -> anyhow::Result<()> {
    print::line(&format!("the database {} has the shape of this version", app.db.url()))
}
