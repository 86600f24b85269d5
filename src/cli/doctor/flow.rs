//! Whether work flows: schedules fire, the relay sends, workers take, nothing is stuck.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use deskhand_jobs::queue::{QueueInfo, WorkerInfo};

use super::finding::Finding;
use crate::app::App;
use crate::base::{Error, Result};
use crate::dispatch::Reconciler;
use crate::dispatch::ledger::{self, Backlog};
use crate::dispatch::schedules::{Schedule, service};

/// A ready job that waits longer waits for more than a busy worker.
const OLD: TimeDelta = TimeDelta::minutes(10);
/// The relay and the scheduler look every few seconds.
const OVERDUE: TimeDelta = TimeDelta::minutes(1);
/// How many rows are compared with the queue at most.
const COMPARED: usize = 20_000;

pub(super) async fn check(app: &App) -> Vec<Finding> {
    let count = app.config.schedules.len();
    let mut findings = vec![match app.check_schedules() {
        Ok(()) => Finding::ok("schedules", format!("{count} declared, each can fire")),
        Err(error) => Finding::failed("schedules", &error),
    }];
    match read(app).await {
        Ok(flow) => findings.extend(flow.judge()),
        Err(error) => findings.push(Finding::failed("flow", &error)),
    }
    findings
}

/// What there is to know of the flow.
struct Flow {
    now: DateTime<Utc>,
    queues: Vec<QueueInfo>,
    workers: Vec<WorkerInfo>,
    schedules: Vec<Schedule>,
    backlog: Backlog,
    lost: usize,
}

async fn read(app: &App) -> Result<Flow> {
    let schedules = service::list(&app.db, &app.tenant()).await?;
    let backlog = ledger::backlog(&mut app.db.read().await?).await?;
    let lost = Reconciler::new(app.db.clone(), Arc::clone(&app.queue)).count_lost(COMPARED).await?;
    let (queues, workers) = tokio::try_join!(app.queue.queues(), app.queue.workers()).map_err(Error::from)?;
    Ok(Flow { now: app.clock.now(), queues, workers, schedules, backlog, lost })
}

impl Flow {
    fn judge(&self) -> Vec<Finding> {
        let mut findings = vec![self.workers()];
        findings.extend(self.queues.iter().flat_map(|queue| self.queue(queue)));
        findings.extend(self.schedules.iter().filter_map(|schedule| self.schedule(schedule)));
        findings.extend(self.relay());
        if self.lost > 0 {
            let detail = format!("the queue does not know {} jobs that it was given", self.lost);
            findings.push(Finding::warn(
                "reconciler",
                detail,
                "they are sent again within two minutes while a scheduler runs",
            ));
        }
        findings
    }

    fn workers(&self) -> Finding {
        match self.workers.len() {
            0 => {
                let waiting: u64 = self.queues.iter().map(|queue| queue.ready).sum();
                let cure = "start one with `deskhand serve` or `deskhand worker`";
                Finding::warn("workers", format!("none is alive, {waiting} jobs are ready"), cure)
            }
            alive => Finding::ok("workers", format!("{alive} alive")),
        }
    }

    fn queue(&self, queue: &QueueInfo) -> Vec<Finding> {
        let QueueInfo { name, ready, dead, .. } = queue;
        let mut findings = Vec::new();
        if queue.paused {
            let cure = format!("`deskhand queues resume {name}`, if that is over");
            findings.push(Finding::warn("queues", format!("{name} is paused, {ready} jobs are ready"), cure));
        }
        let served = self.workers.iter().any(|worker| worker.queues.contains(name));
        if *ready > 0 && !served && !self.workers.is_empty() {
            let cure = format!("start `deskhand worker --queues {name}`, or name it in worker.queues");
            findings.push(Finding::warn("queues", format!("{name} has {ready} ready jobs and no worker"), cure));
        }
        let age = queue.oldest_ready_at_ms.map(|at_ms| TimeDelta::milliseconds(self.now.timestamp_millis() - at_ms));
        if let Some(age) = age.filter(|age| *age > OLD && !queue.paused && served) {
            let detail = format!("the oldest of {ready} ready jobs of {name} waits for {} minutes", age.num_minutes());
            findings.push(Finding::warn("queues", detail, "add workers, or see `deskhand jobs explain ID` of one"));
        }
        if *dead > 0 {
            let cure = "`deskhand dead groups` says what of; mend the cause, then `deskhand dead redrive`";
            findings.push(Finding::warn("dead", format!("{dead} jobs of {name} are dead"), cure));
        }
        findings
    }

    fn schedule(&self, schedule: &Schedule) -> Option<Finding> {
        let name = &schedule.name;
        if let Some(error) = &schedule.last_error {
            return Some(Finding::warn(
                "schedules",
                format!("{name}: {error}"),
                "mend it in the settings or by the API",
            ));
        }
        if schedule.paused {
            let cure = format!("`deskhand schedules resume {name}`, if that is over");
            return Some(Finding::warn("schedules", format!("{name} is paused"), cure));
        }
        let late = self.now - schedule.next_at?;
        (schedule.enabled && late > OVERDUE).then(|| {
            let detail = format!("{name} should have fired {} s ago", late.num_seconds());
            Finding::warn("schedules", detail, "no scheduler runs: start `deskhand serve` or `deskhand scheduler`")
        })
    }

    fn relay(&self) -> Option<Finding> {
        let late = self.now - self.backlog.next_due_at?;
        (late > OVERDUE).then(|| {
            let pending = self.backlog.pending;
            let detail = format!("{pending} jobs wait in the database, the first is due for {} s", late.num_seconds());
            Finding::warn(
                "relay",
                detail,
                "no relay runs: start `deskhand serve`, `deskhand scheduler` or `deskhand worker`",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use deskhand_jobs::WorkerId;

    use super::super::finding::Level;
    use super::*;

    fn queue(name: &str) -> QueueInfo {
        QueueInfo {
            name: name.parse().expect("a name"),
            paused: false,
            concurrency: None,
            ready: 3,
            oldest_ready_at_ms: Some(0),
            scheduled: 0,
            running: 0,
            dead: 0,
            pushed_total: 0,
            succeeded_total: 0,
            failed_total: 0,
            recovered_total: 0,
        }
    }

    fn flow(queue: QueueInfo) -> Flow {
        let worker = WorkerInfo {
            id: WorkerId::new(),
            name: "w".into(),
            queues: vec!["default".parse().expect("a name")],
            concurrency: 1,
            started_at_ms: 0,
        };
        let backlog = Backlog { pending: 0, next_due_at: None };
        let now = DateTime::from_timestamp(5, 0).expect("an instant");
        Flow { now, queues: vec![queue], workers: vec![worker], schedules: vec![], backlog, lost: 0 }
    }

    #[track_caller]
    fn warns(flow: &Flow, part: &str, said: &str) {
        let findings = flow.judge();
        let found = findings.iter().find(|finding| finding.level == Level::Warn).expect("a warning");
        assert!(found.part == part && found.detail.contains(said) && found.cure.is_some(), "{findings:?}");
    }

    #[test]
    fn what_flows_is_fine() {
        assert!(flow(queue("default")).judge().iter().all(|finding| finding.level == Level::Ok));
    }

    #[test]
    fn what_is_stuck_is_named_with_the_cure() {
        warns(&flow(QueueInfo { paused: true, ..queue("default") }), "queues", "is paused");
        warns(&flow(QueueInfo { dead: 2, ..queue("default") }), "dead", "2 jobs of default");
        warns(&flow(queue("mail")), "queues", "no worker");
        let well = || flow(queue("default"));
        let later = DateTime::from_timestamp(3_600, 0).expect("an instant");
        warns(&Flow { now: later, ..well() }, "queues", "60 minutes");
        warns(&Flow { workers: vec![], ..well() }, "workers", "3 jobs are ready");
        warns(&Flow { lost: 4, ..well() }, "reconciler", "4 jobs");
        let due = Backlog { pending: 9, next_due_at: DateTime::from_timestamp(0, 0) };
        let now = DateTime::from_timestamp(100, 0).expect("an instant");
        warns(&Flow { backlog: due, now, ..well() }, "relay", "due for 100 s");
    }
}
