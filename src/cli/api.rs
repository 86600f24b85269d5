//! `deskhand api`.

use clap::Args;

use super::serve::run as take;
use crate::app::Role;
use crate::config::Config;

/// Run the API alone.
#[derive(Debug, Args)]
pub(super) struct Api {}

pub(super) async fn run(_: Api, config: Config) -> anyhow::Result<()> {
    take(&[Role::Api], config).await
}
