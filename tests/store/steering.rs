//! What people and programs do with jobs.

use chrono::{TimeDelta, Utc};
use deskhand::base::{PageRequest, TenantId};
use deskhand::db::Db;
use deskhand::dispatch::ledger::Filter;
use deskhand::dispatch::service::{NewJob, Service};
use deskhand::dispatch::{Keeper, LedgerState, Relay};
use deskhand_jobs::fingerprint::Fingerprint;
use deskhand_jobs::queue::{Cancelled, DeadReason, Pace, State, Verdict};
use deskhand_jobs::{JobId, Priority};
use serde_json::value::RawValue;

use super::relay::entry;
use crate::fixtures::TestQueue;
use crate::fixtures::by;
use crate::fixtures::databases::on_both;
use crate::fixtures::jobs::registry;

fn service(db: &Db, test: &TestQueue) -> Service {
    Service::new(db.clone(), test.queue.clone(), registry())
}

fn new(args: &str, key: Option<&str>) -> NewJob {
    NewJob {
        kind: "mail.send".to_owned(),
        args: RawValue::from_string(args.to_owned()).expect("valid JSON"),
        queue: None,
        priority: Some(Priority::High),
        run_at: None,
        max_attempts: None,
        timeout_ms: None,
        unique: None,
        group: None,
        idempotency_key: key.map(str::to_owned),
    }
}

fn tenant() -> TenantId {
    TenantId::default()
}

/// Enqueues a job, lets it die, and brings its end into the ledger.
async fn dead(db: &Db, test: &TestQueue) -> JobId {
    dead_of(db, test, "no").await
}

async fn dead_of(db: &Db, test: &TestQueue, error: &str) -> JobId {
    let id = service(db, test).enqueue(&by(&tenant()), new(r#"{"to":"x"}"#, None)).await.expect("accepts").entry.id;
    Relay::new(db.clone(), test.queue.clone()).push_due().await.expect("pushes");
    test.work(&Verdict::Dead { reason: DeadReason::Failed, error: error.into() }).await;
    Keeper::new(db.clone(), test.queue.clone()).write_endings().await.expect("writes");
    assert_eq!(entry(db, id).await.state, LedgerState::Dead);
    id
}

#[tokio::test]
async fn the_same_request_under_a_key_is_the_same_job() {
    on_both(async |fresh| {
        let test = TestQueue::new().await;
        let service = service(&fresh.db, &test);
        let first =
            service.enqueue(&by(&tenant()), new(r#"{"to":"x","once":true}"#, Some("k"))).await.expect("accepts");
        let again =
            service.enqueue(&by(&tenant()), new(r#"{"once": true, "to": "x"}"#, Some("k"))).await.expect("accepts");
        assert!(first.created && !again.created);
        assert_eq!(first.entry.id, again.entry.id);
        assert_eq!(first.entry.options.priority, Priority::High);
        let other =
            service.enqueue(&by(&tenant()), new(r#"{"to":"y"}"#, Some("k"))).await.expect_err("another request");
        assert_eq!(other.code(), "idempotency_key_reused");
        let acme = TenantId::new("acme").expect("valid");
        let foreign = service.enqueue(&by(&acme), new(r#"{"to":"y"}"#, Some("k"))).await.expect("keys are per tenant");
        assert!(foreign.created);
        assert_eq!(service.get(&tenant(), foreign.entry.id).await.expect_err("another tenant's").code(), "not_found");
    })
    .await;
}

#[tokio::test]
async fn a_wrong_request_is_answered_with_the_place() {
    let fresh = crate::fixtures::TestDb::sqlite().await;
    let test = TestQueue::new().await;
    let service = service(&fresh.db, &test);
    let unknown = NewJob { kind: "mail.sent".into(), ..new("{}", None) };
    for (request, says) in [
        (unknown, "/kind: no job of kind \"mail.sent\" exists; the kinds are mail.send"),
        (new(r#"{"to":1}"#, None), "/args: "),
        (new(r#"{"to":"x"}"#, Some("")), "/idempotency_key: "),
        (NewJob { run_at: Some(chrono::DateTime::<Utc>::MAX_UTC), ..new(r#"{"to":"x"}"#, None) }, "/run_at: "),
    ] {
        let error = service.enqueue(&by(&tenant()), request).await.expect_err("wrong");
        assert!(error.code() == "invalid" && error.to_string().starts_with(says), "{error}");
    }
}

#[tokio::test]
async fn a_job_is_cancelled_wherever_it_waits() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let service = service(db, &test);
        let relay = Relay::new(db.clone(), test.queue.clone());
        let keeper = Keeper::new(db.clone(), test.queue.clone());
        let args = r#"{"to":"x"}"#;
        let pending = service.enqueue(&by(&tenant()), new(args, None)).await.expect("accepts").entry.id;
        let answer = service.cancel(&by(&tenant()), pending, "not wanted").await.expect("cancels");
        assert_eq!(answer, Cancelled::Ended);
        let pending = entry(db, pending).await;
        assert_eq!((pending.state, pending.last_error.as_deref()), (LedgerState::Cancelled, Some("not wanted")));
        assert_eq!(relay.push_due().await.expect("pushes"), 0);

        let pushed = service.enqueue(&by(&tenant()), new(args, None)).await.expect("accepts").entry.id;
        relay.push_due().await.expect("pushes");
        assert_eq!(service.cancel(&by(&tenant()), pushed, "not wanted").await.expect("cancels"), Cancelled::Ended);
        keeper.write_endings().await.expect("writes");
        assert_eq!(entry(db, pushed).await.state, LedgerState::Cancelled);
        assert_eq!(service.cancel(&by(&tenant()), pushed, "").await.expect_err("over").code(), "already_ended");

        // The queue lost it.
        let lost = service.enqueue(&by(&tenant()), new(args, None)).await.expect("accepts").entry.id;
        relay.push_due().await.expect("pushes");
        let emptied = TestQueue::new().await;
        let elsewhere = Service::new(db.clone(), emptied.queue.clone(), registry());
        assert_eq!(elsewhere.cancel(&by(&tenant()), lost, "not wanted").await.expect("cancels"), Cancelled::Ended);
        assert_eq!(entry(db, lost).await.state, LedgerState::Cancelled);
    })
    .await;
}

#[tokio::test]
async fn a_job_that_waits_for_its_time_runs_at_once_when_asked() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let service = service(db, &test);
        let later = NewJob { run_at: Some(Utc::now() + TimeDelta::hours(1)), ..new(r#"{"to":"x"}"#, None) };
        let id = service.enqueue(&by(&tenant()), later).await.expect("accepts").entry.id;
        let relay = Relay::new(db.clone(), test.queue.clone());
        assert_eq!(relay.push_due().await.expect("pushes"), 0);
        service.retry(&by(&tenant()), id).await.expect("hurries");
        assert_eq!(relay.push_due().await.expect("pushes"), 1);
        assert_eq!(service.retry(&by(&tenant()), id).await.expect_err("it is ready").code(), "not_waiting");
        test.work(&Verdict::Retry { delay_ms: 3_600_000, error: "no".into() }).await;
        let live = service.get(&tenant(), id).await.expect("reads").live.expect("the queue has it");
        assert_eq!(live.state, State::Scheduled);
        service.retry(&by(&tenant()), id).await.expect("hurries");
        assert_eq!(test.work(&Verdict::Succeeded).await, [id]);
    })
    .await;
}

#[tokio::test]
async fn a_dead_job_runs_again_even_if_the_queue_lost_it() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let id = dead(db, &test).await;
        let stranger = TenantId::new("acme").expect("valid");
        assert_eq!(service(db, &test).redrive(&by(&stranger), &[id]).await.expect("answers"), []);
        assert_eq!(service(db, &test).redrive(&by(&tenant()), &[id, JobId::new()]).await.expect("redrives"), [id]);
        let revived = entry(db, id).await;
        assert_eq!((revived.state, revived.failures, revived.dead_reason), (LedgerState::Pushed, 0, None));
        assert_eq!(test.work(&Verdict::Succeeded).await, [id]);
        let keeper = Keeper::new(db.clone(), test.queue.clone());
        keeper.write_endings().await.expect("writes");
        assert_eq!(entry(db, id).await.state, LedgerState::Succeeded, "its second end counts");

        let id = dead(db, &test).await;
        let emptied = TestQueue::new().await;
        assert_eq!(service(db, &emptied).redrive(&by(&tenant()), &[id]).await.expect("redrives"), [id]);
        assert_eq!(entry(db, id).await.state, LedgerState::Pending);
        Relay::new(db.clone(), emptied.queue.clone()).push_due().await.expect("pushes");
        assert_eq!(emptied.work(&Verdict::Succeeded).await, [id]);
    })
    .await;
}

#[tokio::test]
async fn a_text_that_one_database_cannot_keep_is_the_callers_fault() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let service = service(db, &test);
        let id = service.enqueue(&by(&tenant()), new(r#"{"to":"x"}"#, None)).await.expect("accepts").entry.id;
        if let Err(error) = service.cancel(&by(&tenant()), id, "not\0wanted").await {
            assert_eq!(error.code(), "invalid", "{error}");
            assert!(error.to_string().contains("NUL"), "{error}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_dead_job_is_given_up_with_a_reason() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let id = dead(db, &test).await;
        let service = service(db, &test);
        assert_eq!(service.discard(&by(&tenant()), &[id], "obsolete").await.expect("discards"), [id]);
        assert_eq!(service.discard(&by(&tenant()), &[id], "obsolete").await.expect("answers"), []);
        Keeper::new(db.clone(), test.queue.clone()).write_endings().await.expect("writes");
        let given_up = entry(db, id).await;
        assert_eq!((given_up.state, given_up.last_error.as_deref()), (LedgerState::Cancelled, Some("obsolete")));
        assert_eq!(given_up.dead_reason, None);
    })
    .await;
}

#[tokio::test]
async fn the_dead_are_grouped_by_what_they_died_of() {
    on_both(async |fresh| {
        let test = TestQueue::new().await;
        let (db, service) = (fresh.db.clone(), service(&fresh.db, &test));
        let full = [dead_of(&db, &test, "mailbox 7 is full").await, dead_of(&db, &test, "mailbox 12 is full").await];
        let other = dead_of(&db, &test, "no such host").await;
        let groups = service.dead_groups(&tenant()).await.expect("reads");
        let seen: Vec<_> = groups.iter().map(|group| (group.count, group.example_id)).collect();
        assert_eq!(seen, [(2, full[1]), (1, other)], "the largest first");
        assert_eq!(groups[0].last_error.as_deref(), Some("mailbox 12 is full"));
        assert!(groups[0].first_at <= groups[0].last_at);

        let filter = Filter { fingerprint: groups[0].fingerprint.clone(), ..Filter::default() };
        let listed = service.list(&tenant(), &filter, PageRequest::default()).await.expect("lists");
        assert_eq!(listed.items.iter().map(|entry| entry.id).collect::<Vec<_>>(), [full[1], full[0]]);
        service.redrive(&by(&tenant()), &full).await.expect("redrives");
        let groups = service.dead_groups(&tenant()).await.expect("reads");
        assert_eq!(groups.iter().map(|group| group.example_id).collect::<Vec<_>>(), [other]);
        let stranger = TenantId::new("stranger").expect("valid");
        assert!(service.dead_groups(&stranger).await.expect("reads").is_empty());
    })
    .await;
}

#[tokio::test]
async fn dead_jobs_come_back_at_a_pace_even_if_the_queue_lost_them() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let ids = [dead(db, &test).await, dead(db, &test).await, dead(db, &test).await];
        let like = Filter { fingerprint: Some(Fingerprint::of("no")), ..Filter::default() };
        let done = service(db, &test).redrive_like(&by(&tenant()), like.clone(), Pace::every(3_600_000)).await;
        let done = done.expect("redrives");
        assert_eq!((done.redriven, done.more), (ids.to_vec(), false), "who died first comes first");
        assert_eq!(test.work(&Verdict::Succeeded).await, [ids[0]], "the others wait");
        let second = service(db, &test).get(&tenant(), ids[1]).await.expect("reads");
        assert_eq!((second.entry.generation, second.live.map(|live| live.state)), (1, Some(State::Scheduled)));

        let ids = [dead(db, &test).await, dead(db, &test).await];
        let emptied = TestQueue::new().await;
        service(db, &emptied).redrive_like(&by(&tenant()), like, Pace::every(3_600_000)).await.expect("redrives");
        Relay::new(db.clone(), emptied.queue.clone()).push_due().await.expect("pushes");
        assert_eq!(emptied.work(&Verdict::Succeeded).await, [ids[0]], "the other waits in the database");
        assert_eq!(entry(db, ids[1]).await.state, LedgerState::Pending);
    })
    .await;
}

#[tokio::test]
async fn a_dead_job_gets_other_arguments_in_the_row_and_in_the_queue() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let id = dead(db, &test).await;
        let edit = |args: &str, version| {
            let args = RawValue::from_string(args.to_owned()).expect("valid JSON");
            deskhand::dispatch::Edit { args, version }
        };
        let service = service(db, &test);
        let read = entry(db, id).await;
        let changed =
            service.edit(&by(&tenant()), id, edit(r#"{"to":"y"}"#, Some(read.version))).await.expect("changes");
        assert_eq!(changed.args.get(), r#"{"to":"y"}"#);
        let payload = test.queue.job(id).await.expect("reads").expect("is there").payload.expect("kept");
        assert!(String::from_utf8_lossy(&payload).contains(r#""a":{"to":"y"}"#), "{payload:?}");

        let refused = async |args: &str, version| {
            let error = service.edit(&by(&tenant()), id, edit(args, version)).await.expect_err("refused");
            assert_eq!(entry(db, id).await.args.get(), r#"{"to":"y"}"#, "nothing has changed");
            error.code()
        };
        assert_eq!(refused(r#"{"to":"z"}"#, Some(read.version)).await, "stale_version", "who read before the change");
        assert_eq!(refused(r#"{"unheard":"of"}"#, None).await, "invalid");
        assert_eq!(refused("[]", None).await, "invalid");
        service.redrive(&by(&tenant()), &[id]).await.expect("redrives");
        assert_eq!(refused(r#"{"to":"z"}"#, None).await, "not_dead");
        let stranger = TenantId::new("acme").expect("valid");
        let error = service.edit(&by(&stranger), id, edit("{}", None)).await.expect_err("refused");
        assert_eq!(error.code(), "not_found");
    })
    .await;
}
