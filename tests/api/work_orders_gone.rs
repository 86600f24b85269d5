//! Tickets that are gone from their system.

use deskhand_jobs::JobId;
use deskhand_jobs::outcome::Outcome;
use serde_json::{Value, json};

use crate::fixtures::Desk;
use crate::fixtures::desk::run;

async fn reconcile(desk: &Desk) -> Outcome {
    desk.clock.advance(std::time::Duration::from_secs(1));
    let system = desk.system.parse().expect("an id");
    desk.test.app.work_orders.reconcile_system(system, &run(JobId::new())).await.expect("an outcome")
}

async fn total(desk: &Desk, query: &str) -> Value {
    desk.test.get(&format!("/api/work-orders{query}")).await.json()["total"].take()
}

async fn latest_log(desk: &Desk) -> Value {
    desk.test.get("/api/sync-logs?sync_type=reconcile&size=1").await.json()["data"][0].take()
}

#[tokio::test]
async fn what_is_gone_there_leaves_the_lists_and_comes_back_when_it_does() {
    let desk = Desk::new(10).await;
    assert_eq!(reconcile(&desk).await, Outcome::Done);
    assert_eq!(total(&desk, "").await, 10);
    let path = format!("/api/work-orders/{}", desk.order("OPS-4").await["id"].as_str().expect("an id"));
    let mut gone = None;
    desk.jira.edit(|issues| gone = Some(issues.remove(3)));
    assert_eq!(reconcile(&desk).await, Outcome::Done);
    let log = latest_log(&desk).await;
    assert_eq!((&log["status"], &log["deleted"]), (&json!("success"), &json!(1)), "{log}");
    assert_eq!((total(&desk, "").await, total(&desk, "?deleted=true").await), (json!(9), json!(1)));
    assert_eq!(desk.test.get("/api/work-orders/statistics").await.json()["data"]["total_count"], 9);
    assert!(desk.test.get(&path).await.json()["data"]["deleted_at"].is_string(), "it can still be read");
    desk.test.call("PUT", &path, Some(json!({"title": "x"}))).await.refused(409, "work_order_gone");
    assert_eq!(reconcile(&desk).await, Outcome::Done);
    assert_eq!(latest_log(&desk).await["deleted"], 0, "once");
    desk.jira.edit(|issues| issues.extend(gone));
    desk.there("OPS-4", |_| {});
    desk.sync().await;
    assert_eq!((total(&desk, "").await, total(&desk, "?deleted=true").await), (json!(10), json!(0)));
    assert_eq!(desk.test.get(&path).await.json()["data"]["deleted_at"], json!(null));
}

#[tokio::test]
async fn when_too_many_would_vanish_nothing_does() {
    let desk = Desk::new(10).await;
    desk.jira.edit(|issues| issues.truncate(7));
    let Outcome::Fail(why) = reconcile(&desk).await else { panic!("it has to stop") };
    assert!(why.contains("3 of 10") && why.contains("20 %"), "{why}");
    assert_eq!(total(&desk, "").await, 10);
    let log = latest_log(&desk).await;
    assert_eq!((&log["status"], &log["error_message"]), (&json!("failed"), &json!(why)));
}
