//! `deskhand doctor`: what works, what does not, and the cure.

use clap::Args;
use deskhand_jobs::outcome;
use serde::Serialize;

use super::print::Output;
use crate::app::{App, open_queue};
use crate::base::{Vault, shown};
use crate::config::Config;
use crate::db::Db;

/// Check the settings, the key, the database, the queue and the workers.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Serialize)]
struct Finding {
    part: &'static str,
    ok: bool,
    detail: String,
}

pub(super) async fn run(command: Doctor, config: Config) -> anyhow::Result<()> {
    // That there is a configuration means that it has been checked.
    let mut findings = vec![fine("settings", "every key exists and fits".to_owned())];
    findings.push(match Vault::load_or_create(&config.secrets.key_file) {
        Ok(_) => fine("secrets", format!("the key is {}", config.secrets.key_file.display())),
        Err(error) => bad("secrets", &error),
    });
    database(&config, &mut findings).await;
    queue(&config, &mut findings).await;
    if findings.iter().all(|finding| finding.ok) {
        schedules(config, &mut findings).await;
    }
    command.output.rows(&findings, ["", "PART", "FOUND"], |finding| {
        let mark = if finding.ok { "ok" } else { "BAD" };
        [mark.to_owned(), finding.part.to_owned(), finding.detail.clone()]
    })?;
    let wrong = findings.iter().filter(|finding| !finding.ok).count();
    anyhow::ensure!(wrong == 0, "{wrong} of {} checks failed", findings.len());
    Ok(())
}

async fn database(config: &Config, findings: &mut Vec<Finding>) {
    let db = match Db::open(&config.database.url).await {
        Ok(db) => db,
        Err(error) => return findings.push(bad("database", &error)),
    };
    findings.push(match db.check().await {
        Ok(found) => fine("database", format!("{} at {}, {}", found.version, db.url(), found.durability)),
        Err(error) => bad("database", &error),
    });
    findings.push(match db.is_migrated().await {
        Ok(true) => fine("migrations", "the database has the shape of this version".to_owned()),
        Ok(false) => {
            let detail = "some are missing: run `deskhand migrate`, or start a process and it does".to_owned();
            Finding { part: "migrations", ok: false, detail }
        }
        Err(error) => bad("migrations", &error),
    });
    db.close().await;
}

async fn queue(config: &Config, findings: &mut Vec<Finding>) {
    let queue = match open_queue(&config.queue).await {
        Ok(queue) => queue,
        Err(error) => return findings.push(bad("queue", &error)),
    };
    findings.push(match queue.check().await {
        Ok(found) => {
            let url = shown(&config.queue.url);
            fine("queue", format!("{} at {url}, {}", found.version, found.durability))
        }
        Err(error) => bad("queue", &error),
    });
    findings.push(match queue.workers().await {
        Ok(workers) if workers.is_empty() => {
            fine("workers", "none is alive: start one with `deskhand serve` or `deskhand worker`".to_owned())
        }
        Ok(workers) => fine("workers", format!("{} alive", workers.len())),
        Err(error) => bad("workers", &error),
    });
    match queue.queues().await {
        Ok(queues) => {
            for queue in queues.iter().filter(|queue| queue.paused || queue.dead > 0) {
                let paused = if queue.paused { ", paused" } else { "" };
                let detail = format!("{}: {} ready, {} dead{paused}", queue.name, queue.ready, queue.dead);
                findings.push(fine("queue", detail));
            }
        }
        Err(error) => findings.push(bad("queues", &error)),
    }
}

/// Only with everything else in order: what a schedule asks for is known to the open app.
async fn schedules(config: Config, findings: &mut Vec<Finding>) {
    let count = config.schedules.len();
    let app = match App::open(config).await {
        Ok(app) => app,
        Err(error) => return findings.push(bad("schedules", &error)),
    };
    findings.push(match app.check_schedules() {
        Ok(()) => fine("schedules", format!("{count} declared, each can fire")),
        Err(error) => bad("schedules", &error),
    });
    app.close().await;
}

fn fine(part: &'static str, detail: String) -> Finding {
    Finding { part, ok: true, detail }
}

fn bad(part: &'static str, error: &(dyn std::error::Error + 'static)) -> Finding {
    Finding { part, ok: false, detail: outcome::chain(error) }
}
