//! `deskhand queues`.

use std::num::NonZeroU32;
use std::sync::Arc;

use clap::{Args, Subcommand};
use deskhand_jobs::queue::{Audit, Drift, GroupInfo};
use deskhand_jobs::{GroupKey, Limits, QueueName, Rate};
use serde::Serialize;

use super::print::{Output, line, or_dash};
use crate::app::App;
use crate::dispatch::Auditor;
use crate::http::find_queue;

#[derive(Debug, Subcommand)]
pub(super) enum Queues {
    /// Show the queues and how full they are.
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Stop handing out jobs of a queue; what runs goes on.
    Pause {
        /// The queue.
        queue: QueueName,
    },
    /// Hand out jobs of a queue again.
    Resume {
        /// The queue.
        queue: QueueName,
    },
    /// Limit how many jobs of a queue run at once, over all workers.
    Limit {
        /// The queue.
        queue: QueueName,
        /// How many.
        #[arg(long, value_name = "N", required_unless_present = "none")]
        concurrency: Option<NonZeroU32>,
        /// As many as workers take.
        #[arg(long, conflicts_with = "concurrency")]
        none: bool,
    },
    /// Show the groups of a queue, their limits and how many of their jobs run and wait.
    Groups {
        /// The queue.
        queue: QueueName,
        #[command(flatten)]
        output: Output,
    },
    /// Fix the limits of a group, whatever limits its jobs bring.
    LimitGroup(LimitGroup),
    /// Prove that each job is in exactly one place; shows what is not so. The scheduler does it every ten minutes, with repair.
    Audit {
        /// Repair what is not so: a job that is nowhere becomes ready, what is left of jobs that are gone is removed.
        #[arg(long)]
        repair: bool,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Args)]
pub(super) struct LimitGroup {
    /// The queue.
    queue: QueueName,
    /// The key of the group.
    group: GroupKey,
    /// How many of its jobs run at once.
    #[arg(long, value_name = "N", required_unless_present_any = ["starts", "none"])]
    concurrency: Option<u32>,
    /// How many of its jobs start within the period.
    #[arg(long, value_name = "N", requires = "per_ms")]
    starts: Option<u32>,
    /// The period, in milliseconds.
    #[arg(long, value_name = "MS", requires = "starts")]
    per_ms: Option<u64>,
    /// How many may start at once after a rest.
    #[arg(long, value_name = "N", default_value_t = 1)]
    burst: u32,
    /// Take it back: the limits that its jobs bring hold again.
    #[arg(long, conflicts_with_all = ["concurrency", "starts"])]
    none: bool,
}

impl LimitGroup {
    fn limits(&self) -> Option<Limits> {
        let rate = self.starts.zip(self.per_ms).map(|(starts, per_ms)| Rate { starts, per_ms, burst: self.burst });
        (!self.none).then_some(Limits { concurrency: self.concurrency, rate })
    }
}

/// How many groups are read at once.
const GROUPS_AT_ONCE: usize = 500;

/// A contradiction and where it was found.
#[derive(Serialize)]
struct Found {
    queue: QueueName,
    #[serde(flatten)]
    drift: Drift,
}

pub(super) async fn run(command: Queues, app: &App) -> anyhow::Result<()> {
    match command {
        Queues::List { output } => {
            let heads = ["QUEUE", "PAUSED", "LIMIT", "READY", "SCHEDULED", "RUNNING", "DEAD", "SUCCEEDED", "FAILED"];
            output.rows(&app.queue.queues().await?, heads, |queue| {
                [
                    queue.name.to_string(),
                    if queue.paused { "yes" } else { "no" }.to_owned(),
                    or_dash(queue.concurrency),
                    queue.ready.to_string(),
                    queue.scheduled.to_string(),
                    queue.running.to_string(),
                    queue.dead.to_string(),
                    queue.succeeded_total.to_string(),
                    queue.failed_total.to_string(),
                ]
            })
        }
        Queues::Pause { queue } => {
            find_queue(app, &queue).await?;
            app.jobs.pause_queue(&app.actor(), &queue).await?;
            line(&format!("queue {queue} is paused"))
        }
        Queues::Resume { queue } => {
            find_queue(app, &queue).await?;
            app.jobs.resume_queue(&app.actor(), &queue).await?;
            line(&format!("queue {queue} hands out jobs"))
        }
        Queues::Limit { queue, concurrency, none: _ } => {
            find_queue(app, &queue).await?;
            app.jobs.limit_queue(&app.actor(), &queue, concurrency.map(NonZeroU32::get)).await?;
            line(&match concurrency {
                Some(most) => format!("queue {queue} runs at most {most} jobs at once"),
                None => format!("queue {queue} runs as many jobs as workers take"),
            })
        }
        Queues::Groups { queue, output } => {
            find_queue(app, &queue).await?;
            let groups = all_groups(app, &queue).await?;
            output.rows(&groups, ["GROUP", "CONCURRENCY", "RATE", "FIXED", "RUNNING", "WAITING"], |group| {
                let rate = group.limits.rate;
                [
                    group.key.to_string(),
                    or_dash(group.limits.concurrency),
                    or_dash(rate.map(|rate| format!("{} in {} ms, burst {}", rate.starts, rate.per_ms, rate.burst))),
                    if group.pinned { "yes" } else { "no" }.to_owned(),
                    group.running.to_string(),
                    group.waiting.to_string(),
                ]
            })
        }
        Queues::LimitGroup(wanted) => {
            find_queue(app, &wanted.queue).await?;
            let LimitGroup { queue, group, .. } = &wanted;
            app.jobs.limit_group(&app.actor(), queue, group, wanted.limits()).await?;
            line(&if wanted.none {
                format!("group {group} has the limits that its jobs bring")
            } else {
                format!("the limits of group {group} are fixed")
            })
        }
        Queues::Audit { repair, output } => {
            let audits = Auditor::new(Arc::clone(&app.queue)).audit_all(repair).await?;
            let found = |(queue, audit): (QueueName, Audit)| {
                audit.drift.into_iter().map(move |drift| Found { queue: queue.clone(), drift })
            };
            let checked: u64 = audits.iter().map(|(_, audit)| audit.checked).sum();
            let found: Vec<Found> = audits.into_iter().flat_map(found).collect();
            if found.is_empty() && !output.is_json() {
                return line(&format!("{checked} jobs, each in exactly one place"));
            }
            output.rows(&found, ["QUEUE", "KIND", "JOB", "WHAT", "REPAIRED"], |Found { queue, drift }| {
                [
                    queue.to_string(),
                    drift.kind.to_string(),
                    or_dash(drift.id),
                    drift.what.clone(),
                    if drift.repaired { "yes" } else { "no" }.to_owned(),
                ]
            })
        }
    }
}

async fn all_groups(app: &App, queue: &QueueName) -> anyhow::Result<Vec<GroupInfo>> {
    let (tenant, mut groups) = (app.tenant(), Vec::<GroupInfo>::new());
    loop {
        let after = groups.last().map(|group| group.key.clone());
        let part = app.jobs.groups(&tenant, queue, after.as_ref(), GROUPS_AT_ONCE).await?;
        let complete = part.len() < GROUPS_AT_ONCE;
        groups.extend(part);
        if complete {
            return Ok(groups);
        }
    }
}
