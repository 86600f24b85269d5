//! `deskhand openapi`.

use clap::Args;

use super::print::line;
use crate::http;

/// Print the document of the API, OpenAPI 3.1 as JSON.
#[derive(Debug, Args)]
pub(super) struct Openapi {}

pub(super) fn run(_: Openapi) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(&http::document())?)
}
