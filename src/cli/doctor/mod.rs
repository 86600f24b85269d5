//! `deskhand doctor`: what works, what does not, and the cure.
//!
//! A file for each part. Each reads what there is to know and lets pure functions judge it, so that every bad case has its test.
//! To add a check: a function that returns [`Finding`]s, and its line in [`run`].

mod database;
mod files;
mod finding;
mod flow;
mod queue;
mod secrets;

use std::path::PathBuf;

use clap::Args;

use super::print::Output;
use crate::app::App;
use crate::config::Config;
use finding::{Finding, Level};

/// Check settings, files, the key, the database, the queue, schedules, workers and what is stuck.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(command: Doctor, config: Config, file: Option<PathBuf>) -> anyhow::Result<()> {
    // That there is a configuration means that it has been checked.
    let mut findings = vec![Finding::ok("settings", "every key exists and fits")];
    findings.extend(secrets::check(&config));
    findings.extend(files::check(&config, file.as_deref()));
    findings.extend(database::check(&config).await);
    findings.extend(queue::check(&config).await);
    // What flows is known to the open app, and that needs all of this.
    if findings.iter().all(|finding| finding.level != Level::Bad) {
        findings.extend(flow(config).await);
    }
    command.output.rows(&findings, ["", "PART", "FOUND", "CURE"], |finding| {
        let cure = finding.cure.clone().unwrap_or_default();
        [finding.level.mark().to_owned(), finding.part.to_owned(), finding.detail.clone(), cure]
    })?;
    let wrong = findings.iter().filter(|finding| finding.level == Level::Bad).count();
    anyhow::ensure!(wrong == 0, "{wrong} of {} checks failed", findings.len());
    Ok(())
}

async fn flow(config: Config) -> Vec<Finding> {
    let app = match App::open(config).await {
        Ok(app) => app,
        Err(error) => return vec![Finding::failed("app", &error)],
    };
    let findings = flow::check(&app).await;
    app.close().await;
    findings
}
