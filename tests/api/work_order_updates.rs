//! Taking changes of tickets to their system.

use std::time::Duration;

use deskhand_jobs::JobId;
use deskhand_jobs::outcome::{self, Outcome};
use serde_json::{Value, json};

use crate::fakes::desk::Desk as _;
use crate::fakes::fault::Fault;
use crate::fixtures::Desk;
use crate::fixtures::app::Reply;
use crate::fixtures::desk::run;

/// Asks for an update of the ticket with a key.
async fn ask(desk: &Desk, key: &str, body: Option<Value>) -> Reply {
    let path = format!("/api/work-orders/{}/update_external/", id(&desk.order(key).await));
    desk.test.call("POST", &path, body).await
}

fn id(of: &Value) -> &str {
    of["id"].as_str().expect("an id")
}

/// Runs one attempt of a job that was asked for, as a worker would.
async fn attempt(desk: &Desk, key: &str, asked: &Reply, attempt: u32) -> outcome::Result {
    assert_eq!(asked.status, 202, "{}", asked.text);
    let job: JobId = asked.json()["data"]["job_id"].as_str().and_then(|id| id.parse().ok()).expect("a job");
    let order = id(&desk.order(key).await).parse().expect("an id");
    let mut run = run(job);
    run.attempt = attempt;
    desk.test.app.work_orders.carry_out_update(order, &run).await
}

/// Asks for an update and runs it to its end.
async fn update(desk: &Desk, key: &str, body: Value) -> (Outcome, Value) {
    let asked = ask(desk, key, Some(body)).await;
    let outcome = attempt(desk, key, &asked, 1).await.expect("an outcome");
    // The job would have ended by now.
    end_jobs(desk).await;
    (outcome, desk.order(key).await)
}

async fn end_jobs(desk: &Desk) {
    let mut tx = desk.test.app.db.begin().await.expect("begins");
    let sql = "UPDATE jobs SET state = 'succeeded' WHERE kind = 'work_orders.update_external'";
    deskhand::on!(tx, |c| sqlx::query(sql).execute(c).await.map(|_| ())).expect("updates");
    tx.commit().await.expect("commits");
}

/// Reads how an issue stands in Jira: title, status, priority.
fn issue(desk: &Desk, key: &str) -> (String, String, String) {
    let mut found = None;
    desk.jira.edit(|issues| {
        let issue = issues.iter().find(|issue| issue.key == key).expect("it is there");
        found = Some((issue.summary.clone(), issue.status.to_string(), issue.priority.to_string()));
    });
    found.expect("it was looked at")
}

#[tokio::test]
async fn what_was_changed_here_arrives_there_and_comes_back_as_no_change() {
    let desk = Desk::new(3).await;
    let none = ask(&desk, "OPS-1", None).await.refused(409, "nothing_to_update");
    assert!(none["detail"].as_str().is_some_and(|text| text.contains("PUT")), "{none}");
    desk.change("OPS-1", json!({"title": "printer off fire", "tags": ["ours"]})).await;
    let (outcome, order) = update(&desk, "OPS-1", json!({"status": "resolved", "priority": "low"})).await;
    assert_eq!(outcome, Outcome::Done, "{order}");
    let there = issue(&desk, "OPS-1");
    assert_eq!((there.0.as_str(), there.1.as_str(), there.2.as_str()), ("printer off fire", "Done", "Low"));
    assert_eq!((&order["status"], &order["external_status"]), (&json!("resolved"), &json!("Done")));
    assert_eq!((&order["external_update"]["state"], &order["sync_status"]), (&json!("done"), &json!("success")));
    assert_eq!(order["external_update"]["fields"], json!(["title", "status", "priority", "tags"]));
    assert_eq!((&order["pending"], &order["tags"]), (&json!([]), &json!(["ours"])));
    desk.jira.edit(|issues| assert_eq!(issues[0].labels, ["ours"]));
    desk.sync().await;
    assert_eq!(desk.order("OPS-1").await, order, "what comes back is no change");
    let log = desk.test.get("/api/sync-logs?sync_type=update").await.json()["data"][0].take();
    assert_eq!((&log["status"], &log["updated"]), (&json!("success"), &json!(1)), "{log}");
    ask(&desk, "OPS-1", None).await.refused(409, "nothing_to_update");
}

#[tokio::test]
async fn a_refusal_stands_on_the_ticket_with_what_would_be_taken() {
    let desk = Desk::new(3).await;
    let (outcome, order) = update(&desk, "OPS-3", json!({"status": "closed"})).await;
    let Outcome::Fail(reason) = outcome else { panic!("{outcome:?}: {order}") };
    let told = &order["external_update"];
    assert_eq!((&told["state"], &order["sync_status"]), (&json!("refused"), &json!("failed")), "{order}");
    assert!(told["messages"].to_string().contains("In Progress") && reason.contains("In Progress"), "{told}");
    assert_eq!(issue(&desk, "OPS-3").1, "To Do");
    let failed = desk.test.get("/api/sync-logs/recent_failures").await.json();
    assert_eq!((&failed["total"], &failed["data"][0]["sync_type"]), (&json!(1), &json!("update")), "{failed}");
    let (outcome, order) = update(&desk, "OPS-3", json!({"status": "processing"})).await;
    assert_eq!((outcome, &order["external_status"]), (Outcome::Done, &json!("In Progress")), "{order}");
    assert_eq!((&order["sync_status"], &order["sync_error"]), (&json!("success"), &json!(null)));
}

#[tokio::test]
async fn a_ticket_that_changed_there_meanwhile_is_merged_and_tried_once_more() {
    let desk = Desk::new(3).await;
    desk.there("OPS-1", |issue| issue.priority = "Low");
    let (outcome, order) = update(&desk, "OPS-1", json!({"title": "ours"})).await;
    assert_eq!(outcome, Outcome::Done, "{order}");
    let there = issue(&desk, "OPS-1");
    assert_eq!((there.0.as_str(), there.2.as_str()), ("ours", "Low"), "neither change is lost");
    assert_eq!((&order["title"], &order["priority"], &order["pending"]), (&json!("ours"), &json!("low"), &json!([])));
    // A status that moved there is theirs to decide: nothing is left to take there, and both words stay visible.
    desk.there("OPS-1", |issue| (issue.status, issue.category) = ("To Do", "new"));
    let (outcome, order) = update(&desk, "OPS-1", json!({"status": "resolved"})).await;
    assert_eq!((outcome, &order["status"]), (Outcome::Done, &json!("pending")), "{order}");
    assert_eq!((&order["conflicts"][0]["here"], &order["conflicts"][0]["kept"]), (&json!("resolved"), &json!("there")));
}

#[tokio::test]
async fn who_asks_twice_gets_one_job_that_takes_both_changes() {
    let desk = Desk::new(1).await;
    let first = ask(&desk, "OPS-1", Some(json!({"title": "first"}))).await;
    let second = ask(&desk, "OPS-1", Some(json!({"title": "second"}))).await;
    let (first, second_of) = (first.json()["data"].take(), second.json()["data"].take());
    assert_eq!((&first["job_id"], &second_of["joined"]), (&second_of["job_id"], &json!(true)));
    assert_eq!(attempt(&desk, "OPS-1", &second, 1).await.expect("runs"), Outcome::Done);
    assert_eq!(issue(&desk, "OPS-1").0, "second");
    let stale = ask(&desk, "OPS-1", Some(json!({"title": "third", "version": 1}))).await;
    stale.refused(409, "version_moved");
}

#[tokio::test]
async fn a_system_that_does_not_answer_is_tried_again_and_the_last_attempt_says_so() {
    let desk = Desk::new(1).await;
    let asked = ask(&desk, "OPS-1", Some(json!({"title": "ours"}))).await;
    let stands = async || {
        let order = desk.order("OPS-1").await;
        let told = &order["external_update"];
        (told["state"].clone(), order["sync_status"].clone(), told["messages"].to_string())
    };
    desk.jira.fault_next(Fault::Status(500));
    attempt(&desk, "OPS-1", &asked, 1).await.expect_err("it is ill");
    let (state, sync_status, messages) = stands().await;
    assert_eq!((state, sync_status), (json!("waiting"), json!("pending")));
    assert!(messages.contains("500"), "{messages}");
    desk.jira.fault_next(Fault::RateLimited("7".into()));
    let outcome = attempt(&desk, "OPS-1", &asked, 1).await.expect("an outcome");
    assert!(matches!(outcome, Outcome::Snooze(wait) if wait >= Duration::from_secs(7)), "{outcome:?}");
    assert_eq!(stands().await.0, "waiting");
    desk.clock.advance(Duration::from_mins(1));
    desk.jira.fault_next(Fault::Status(500));
    attempt(&desk, "OPS-1", &asked, 8).await.expect_err("it is ill");
    let (state, sync_status, _) = stands().await;
    assert_eq!((state, sync_status), (json!("failed"), json!("failed")));
    assert_eq!(desk.order("OPS-1").await["pending"][0]["here"], "ours", "nothing is lost");
    attempt(&desk, "OPS-1", &asked, 1).await.expect("somebody let it run again");
    assert_eq!((stands().await.0, issue(&desk, "OPS-1").0.as_str()), (json!("done"), "ours"));
}

#[tokio::test]
async fn two_programs_that_undo_each_other_are_parted() {
    let desk = Desk::new(1).await;
    for round in 0..4 {
        let (outcome, order) = update(&desk, "OPS-1", json!({"status": "resolved"})).await;
        assert_eq!(outcome, Outcome::Done, "round {round}: {order}");
        desk.there("OPS-1", |issue| (issue.status, issue.category) = ("In Progress", "indeterminate"));
        desk.sync().await;
        assert_eq!(desk.order("OPS-1").await["status"], "processing");
    }
    let stopped = ask(&desk, "OPS-1", Some(json!({"status": "resolved"}))).await.refused(409, "fields_held");
    assert!(stopped["detail"].as_str().is_some_and(|text| text.contains("undid")), "{stopped}");
    let held = desk.order("OPS-1").await["held"].take();
    assert_eq!(held[0]["field"], "status", "{held}");
    // The other fields go on.
    let (outcome, order) = update(&desk, "OPS-1", json!({"title": "ours", "status": "resolved"})).await;
    assert_eq!((outcome, issue(&desk, "OPS-1").1.as_str()), (Outcome::Done, "In Progress"), "{order}");
    assert_eq!(order["external_update"]["fields"], json!(["title"]));
    desk.clock.advance(Duration::from_mins(61));
    let (outcome, order) = update(&desk, "OPS-1", json!({})).await;
    assert_eq!((outcome, issue(&desk, "OPS-1").1.as_str()), (Outcome::Done, "Done"), "{order}");
    assert_eq!(order["held"], json!([]));
}
