//! Runs in parts: every attempt through the service, as a worker would call it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use deskhand::base::{Clock, PageRequest, Secret};
use deskhand::db::Db;
use deskhand::on;
use deskhand::work_orders::model::{
    CloseSync, Draft, FanOut, Mapping, RunStatus, SecretChange, Status, SyncLog, SyncPart, System,
};
use deskhand::work_orders::{LogFilter, WorkOrders};
use deskhand_jobs::outcome::{self, Outcome};
use deskhand_jobs::{JobId, Run};

use super::work_orders::{clock, service, tenant};
use crate::fakes::jira::{Deployment, Fault, Jira, PASSWORD, USER};
use crate::fixtures::TestDb;
use crate::fixtures::by;
use crate::fixtures::databases::on_both;
use crate::fixtures::desk::run;

const TICKETS: u64 = 500;
const PARTS: u32 = 3;

/// A service, and a system that has been divided.
struct Divided {
    service: WorkOrders,
    db: Db,
    clock: Clock,
    jira: Jira,
    system: System,
    run: Run,
    parts: Vec<SyncPart>,
    closing: CloseSync,
}

fn job() -> Run {
    Run { tenant: Some("default".into()), ..run(JobId::new()) }
}

/// Reads the arguments of the jobs of a kind, the oldest first.
async fn args<J: deskhand_jobs::Job>(db: &Db) -> Vec<J> {
    let mut tx = db.read().await.expect("begins");
    let sql = "SELECT args FROM jobs WHERE kind = $1 ORDER BY id";
    let rows: Vec<String> = on!(tx, |c| sqlx::query_scalar(sql).bind(J::KIND).fetch_all(c).await).expect("reads");
    rows.iter().map(|args| serde_json::from_str(args).expect("its own arguments")).collect()
}

impl Divided {
    async fn new(fresh: &TestDb) -> Self {
        let (clock, jira) = (clock(), Jira::start(Deployment::Server, TICKETS).await);
        let number = |n| NonZeroU32::new(n).expect("not zero");
        let fan_out = FanOut { from_tickets: 300, parts: number(PARTS), at_once: number(2) };
        let service = service(&fresh.db, &clock).fanning_out(fan_out);
        let draft = Draft {
            name: Some("ops jira".into()),
            system_type: Some("jira".into()),
            api_url: Some(jira.url.to_string()),
            username: Some(USER.into()),
            password: SecretChange::Set(Secret::new(PASSWORD)),
            ..Draft::default()
        };
        let system = service.create_system(&by(&tenant()), &draft).await.expect("makes");
        let run = job();
        let divided = service.sync_system(system.id, &run).await.expect("divides");
        assert!(matches!(divided, Outcome::DoneWith(_)), "{divided:?}");
        let db = fresh.db.clone();
        let (parts, closing) = (args(&db).await, args(&db).await[0]);
        assert_eq!(parts.len(), PARTS as usize);
        Self { service, db, clock, jira, system, run, parts, closing }
    }

    async fn part(&self, number: usize) -> outcome::Result {
        self.service.sync_part(self.parts[number - 1].part, &job()).await
    }

    async fn close(&self) -> Outcome {
        self.service.close_sync(self.closing.log, &job()).await.expect("closes")
    }

    async fn logs(&self) -> Vec<SyncLog> {
        let page = PageRequest::default();
        self.service.sync_logs(&tenant(), &LogFilter::default(), page).await.expect("reads").items
    }

    async fn system(&self) -> System {
        self.service.system(&tenant(), self.system.id).await.expect("reads")
    }
}

#[tokio::test]
async fn each_step_may_be_repeated() {
    on_both(async |fresh| {
        let run = Divided::new(&fresh).await;
        let before = run.system().await.cursor_at;
        let again = run.service.sync_system(run.system.id, &run.run).await.expect("answers");
        assert!(matches!(again, Outcome::DoneWith(_)), "its worker died before it could tell: {again:?}");
        for number in [3, 1, 1, 2, 3] {
            assert_eq!(run.part(number).await.expect("reads"), Outcome::Done);
        }
        assert_eq!(run.system().await.cursor_at, before, "no part moves the mark");
        assert_eq!((run.close().await, run.close().await), (Outcome::Done, Outcome::Done));
        let logs = run.logs().await;
        assert_eq!((logs.len(), logs[0].status, logs[0].counts.created), (1, RunStatus::Success, TICKETS as i64));
        assert!(run.system().await.cursor_at > before);
        assert!(matches!(run.part(1).await.expect("answers"), Outcome::Discard(_)), "its run has ended");
        assert_eq!(args::<SyncPart>(&run.db).await.len(), PARTS as usize);
    })
    .await;
}

#[tokio::test]
async fn what_a_system_asks_of_one_part_holds_for_all() {
    on_both(async |fresh| {
        let mut run = Divided::new(&fresh).await;
        let next = run.jira.searches().len() + 1;
        run.jira = run.jira.fault(next, Fault::RateLimited("60".into()));
        let asked = run.part(2).await.expect("waits");
        assert!(matches!(asked, Outcome::Snooze(wait) if wait >= Duration::from_mins(1)), "{asked:?}");
        let requests = run.jira.requests();
        let other = run.part(1).await.expect("waits");
        assert!(matches!(other, Outcome::Snooze(wait) if wait >= Duration::from_mins(1)), "{other:?}");
        assert_eq!(run.jira.requests(), requests, "it is not even asked who we are");
        run.clock.advance(Duration::from_secs(90));
        for number in 1..=3 {
            assert_eq!(run.part(number).await.expect("reads"), Outcome::Done);
        }
        assert_eq!(run.close().await, Outcome::Done);
        assert_eq!(run.system().await.blocked_until, None);
    })
    .await;
}

#[tokio::test]
async fn a_part_whose_job_never_ran_keeps_the_mark_before_it() {
    on_both(async |fresh| {
        let run = Divided::new(&fresh).await;
        for number in [1, 3] {
            assert_eq!(run.part(number).await.expect("reads"), Outcome::Done);
        }
        let Outcome::Fail(why) = run.close().await else { panic!("a part is missing") };
        assert!(why.starts_with("part 2 of 3") && why.contains("cancelled"), "{why}");
        let log = run.logs().await.remove(0);
        assert_eq!(log.status, RunStatus::Failed);
        assert!(log.counts.created > 300 && log.counts.created < TICKETS as i64, "{:?}", log.counts);
        let mark = run.system().await.cursor_at.expect("the first part has moved it");
        let later = Draft::default();
        run.service.update_system(&by(&tenant()), run.system.id, &later).await.expect("changes nothing");
        let next = job();
        assert_eq!(run.service.sync_system(run.system.id, &next).await.expect("runs"), Outcome::Done);
        let logs = run.logs().await;
        assert_eq!(logs[0].counts.created, TICKETS as i64 - log.counts.created, "the rest, and it began at {mark}");
    })
    .await;
}

#[tokio::test]
async fn settings_that_change_in_the_middle_end_the_run_and_leave_no_mark() {
    on_both(async |fresh| {
        let run = Divided::new(&fresh).await;
        assert_eq!(run.part(1).await.expect("reads"), Outcome::Done);
        let status = BTreeMap::from([("To Do".to_owned(), Status::Processing)]);
        let draft = Draft { mapping: Some(Mapping { status, ..Mapping::default() }), ..Draft::default() };
        run.service.update_system(&by(&tenant()), run.system.id, &draft).await.expect("changes");
        assert!(matches!(run.part(2).await.expect("answers"), Outcome::Discard(_)));
        let Outcome::Fail(why) = run.close().await else { panic!("it read something else") };
        assert!(why.contains("settings"), "{why}");
        assert_eq!(run.system().await.cursor_at, None, "new words have to reach all tickets");
        assert_eq!(run.logs().await[0].status, RunStatus::Failed);
    })
    .await;
}

#[tokio::test]
async fn a_run_that_nobody_will_close_gives_way_to_the_next() {
    on_both(async |fresh| {
        let run = Divided::new(&fresh).await;
        let other = run.service.sync_system(run.system.id, &job()).await.expect("answers");
        assert!(matches!(other, Outcome::Discard(_)), "one run at a time: {other:?}");
        let mut tx = run.db.begin().await.expect("begins");
        let sql = "UPDATE jobs SET state = 'cancelled' WHERE kind = 'work_orders.close_sync'";
        on!(tx, |c| sqlx::query(sql).execute(c).await.map(|_| ())).expect("updates");
        tx.commit().await.expect("commits");
        assert_eq!(run.part(3).await.expect("reads"), Outcome::Done);
        // From the first page on, which is near enough to the end to be one job.
        assert_eq!(run.service.sync_system(run.system.id, &job()).await.expect("runs"), Outcome::Done);
        assert!(matches!(run.part(1).await.expect("answers"), Outcome::Discard(_)), "nobody would count it");
        let logs = run.logs().await;
        let statuses: Vec<RunStatus> = logs.iter().map(|log| log.status).collect();
        assert_eq!(statuses, [RunStatus::Success, RunStatus::Failed]);
        assert_eq!(logs[0].counts.fetched - logs[0].counts.unchanged, logs[0].counts.created);
        assert!(logs[0].counts.created >= 190, "what the two other parts would have read: {:?}", logs[0].counts);
    })
    .await;
}

#[tokio::test]
async fn a_system_that_is_removed_takes_its_parts_along() {
    on_both(async |fresh| {
        let run = Divided::new(&fresh).await;
        run.service.delete_system(&by(&tenant()), run.system.id, true).await.expect("removes");
        assert!(matches!(run.part(1).await.expect("answers"), Outcome::Discard(_)));
        assert!(matches!(run.close().await, Outcome::Discard(_)));
    })
    .await;
}
