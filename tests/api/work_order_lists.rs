//! Finding and counting tickets and runs.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fakes::jira::Fault;
use crate::fixtures::{Desk, TestApp};

async fn keys(test: &TestApp, query: &str) -> Vec<String> {
    let reply = test.get(&format!("/api/work-orders{query}")).await;
    assert_eq!(reply.status, 200, "{query}: {}", reply.text);
    let list = reply.json()["data"].as_array().expect("a list").clone();
    list.iter().map(|order| order["external_key"].as_str().expect("a key").to_owned()).collect()
}

#[tokio::test]
async fn tickets_are_found_by_what_people_ask_for() {
    let desk = Desk::new(12).await;
    desk.there("OPS-3", |issue| issue.summary = "Drücker 100% KAPUTT_".into());
    desk.sync().await;
    desk.change("OPS-5", json!({"assignee": "Dana Scully", "assignee_email": "dana@example.com"})).await;
    let system = &desk.system;
    for (query, expected) in [
        ("?status=closed&size=50", 4),
        ("?status=closed&priority=urgent", 1),
        (&*format!("?system={system}"), 12),
        ("?system=019aa8c2-7c1e-7000-8000-000000000000", 0),
        ("?q=kaputt_", 1),
        ("?q=Dr%C3%BCcker", 1),
        ("?q=100%25", 1),
        ("?q=1%25k", 0),
        ("?q=ops-1", 4),
        ("?q=text%20of", 12),
        ("?assignee=dana%20scully", 1),
        ("?assignee=DANA@example.com", 1),
        ("?assignee=dana", 0),
        ("?pending=true", 1),
        ("?pending=false", 11),
        ("?overdue=true", 0),
        ("?overdue=false", 12),
        ("?deleted=true", 0),
    ] {
        assert_eq!(keys(&desk.test, query).await.len(), expected, "{query}");
    }
    for (query, pointer) in [
        ("?status=open", "/status"),
        ("?sort=colour", "/sort"),
        ("?assignd=x", "/assignd"),
        (&*format!("?q={}", "x".repeat(201)), "/q"),
        ("?cursor=x", "/cursor"),
    ] {
        let refused = desk.test.get(&format!("/api/work-orders{query}")).await.refused(400, "invalid");
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
}

#[tokio::test]
async fn every_order_of_the_list_can_be_paged_and_walked() {
    let desk = Desk::new(30).await;
    desk.change("OPS-7", json!({"due_date": "2026-11-25"})).await;
    desk.clock.advance(Duration::from_secs(1));
    desk.change("OPS-8", json!({"due_date": null})).await;
    for sort in ["created", "-created", "updated", "-updated", "due", "-due", "priority", "-priority"] {
        let paged = keys(&desk.test, &format!("?sort={sort}&size=200")).await;
        assert_eq!(paged.iter().collect::<BTreeSet<_>>().len(), 30, "{sort}");
        let (mut walked, mut cursor) = (Vec::new(), String::new());
        loop {
            let reply = desk.test.get(&format!("/api/work-orders?sort={sort}&size=7&cursor={cursor}")).await.json();
            let list = reply["data"].as_array().expect("a list");
            walked.extend(list.iter().map(|order| order["external_key"].as_str().expect("a key").to_owned()));
            let Some(next) = reply["next"].as_str() else { break };
            cursor = next.to_owned();
        }
        assert_eq!(walked, paged, "{sort}");
        let other = if sort == "due" { "created" } else { "due" };
        if !cursor.is_empty() {
            let mixed = desk.test.get(&format!("/api/work-orders?sort={other}&cursor={cursor}")).await;
            mixed.refused(400, "invalid");
        }
        match sort {
            "due" => assert_eq!((&*paged[0], &*paged[29]), ("OPS-7", "OPS-8")),
            "-due" => assert_eq!(&*paged[29], "OPS-8", "without a date it comes last, either way"),
            "updated" => assert_eq!(&*paged[29], "OPS-8"),
            "-updated" => assert_eq!(&*paged[0], "OPS-8"),
            _ => {}
        }
    }
    let urgent = desk.test.get("/api/work-orders?sort=-priority&size=1").await.json();
    assert_eq!(urgent["data"][0]["priority"], "urgent");
}

#[tokio::test]
async fn what_is_late_and_what_soon_will_be() {
    let desk = Desk::new(12).await;
    let total = async |path: &str| desk.test.get(path).await.json()["total"].as_i64().expect("a total");
    assert_eq!(total("/api/work-orders/overdue/").await, 0);
    assert_eq!(total("/api/work-orders/upcoming_deadline/").await, 0, "nine days are left");
    assert_eq!(total("/api/work-orders/upcoming_deadline?days=10").await, 8, "closed ones do not count");
    desk.change("OPS-4", json!({"due_date": "2026-11-24T12:00:00Z"})).await;
    assert_eq!(total("/api/work-orders/upcoming_deadline?days=3").await, 1);
    desk.clock.advance(Duration::from_hours(49 + 24));
    assert_eq!(total("/api/work-orders/overdue").await, 1);
    assert_eq!(total("/api/work-orders?overdue=true").await, 1);
    assert_eq!(total("/api/work-orders?overdue=false").await, 11);
    let counts = desk.test.get("/api/work-orders/statistics/").await.json()["data"].take();
    let expected = json!({
        "total_count": 12, "pending_count": 4, "processing_count": 4, "resolved_count": 0, "closed_count": 4,
        "cancelled_count": 0, "low_priority_count": 3, "medium_priority_count": 3, "high_priority_count": 3,
        "urgent_priority_count": 3, "system_stats": {"jira": 12}, "recent_7_days_count": 12, "overdue_count": 1,
        "upcoming_deadline_count": 0, "changed_here_count": 1,
    });
    assert_eq!(counts, expected);
    desk.clock.advance(Duration::from_hours(24 * 7));
    let counts = desk.test.get("/api/work-orders/statistics").await.json()["data"].take();
    assert_eq!((&counts["overdue_count"], &counts["recent_7_days_count"]), (&json!(8), &json!(0)), "{counts}");
    for query in ["days=0", "days=366", "days=x"] {
        desk.test.get(&format!("/api/work-orders/upcoming_deadline?{query}")).await.refused(400, "invalid");
    }
}

#[tokio::test]
async fn runs_are_counted_by_system_and_by_day() {
    let desk = Desk::new(5).await;
    desk.clock.advance(Duration::from_hours(24));
    // The clock stands while a run goes on, so that it takes no time.
    desk.sync().await;
    let broken = Desk { jira: desk.jira.fault(3, Fault::Status(403)), ..desk };
    broken.try_sync().await.expect("an outcome");
    let get = async |path: &str| broken.test.get(path).await.json()["data"].take();
    let counts = get("/api/sync-logs/statistics/").await;
    assert_eq!(
        (&counts["total_logs"], &counts["success_logs"], &counts["failed_logs"], &counts["sync_logs"]),
        (&json!(3), &json!(2), &json!(1), &json!(3)),
        "{counts}"
    );
    assert_eq!(counts["recent_7_days"], json!({"total": 3, "success": 2, "failed": 1}));
    assert_eq!(counts["system_stats"][0]["name"], "jira");
    assert_eq!(counts["total_processed"]["failed"], 0);
    let failures = get("/api/sync-logs/recent_failures/?limit=5").await;
    assert_eq!(failures.as_array().map(Vec::len), Some(1));
    assert!(failures[0]["error_message"].as_str().is_some_and(|why| why.contains("403")), "{failures}");
    let performance = get("/api/sync-logs/performance_analysis?days=7").await;
    let system = &performance["performance_by_system"][0];
    let rate = system["success_rate"].as_f64().expect("a rate");
    assert!((rate - 200.0 / 3.0).abs() < 0.01, "{performance}");
    assert_eq!((&system["total_runs"], &system["name"]), (&json!(3), &json!("jira")));
    let days: Vec<Value> = performance["daily_trends"].as_array().expect("days").clone();
    assert_eq!(days.len(), 2, "{performance}");
    assert_eq!((&days[0]["date"], &days[0]["success_runs"]), (&json!("2026-11-22"), &json!(1)));
    assert_eq!((&days[1]["date"], &days[1]["total_runs"]), (&json!("2026-11-23"), &json!(2)));
    assert_eq!(get("/api/sync-logs?sync_type=update").await, json!([]));
    for path in ["recent_failures?limit=0", "recent_failures?limit=201", "performance_analysis?days=0"] {
        broken.test.get(&format!("/api/sync-logs/{path}")).await.refused(400, "invalid");
    }
}
