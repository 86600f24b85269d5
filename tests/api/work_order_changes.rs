//! Changing tickets here while they change there.

use serde_json::{Value, json};

use crate::fixtures::Desk;

#[tokio::test]
async fn a_ticket_is_changed_here_and_says_what_waits() {
    let desk = Desk::new(3).await;
    let before = desk.order("OPS-1").await;
    let body = json!({
        "title": "printer off fire", "status": "resolved", "priority": "low", "assignee": "Dana", "tags": ["hot"],
        "assignee_email": "dana@example.com", "due_date": "2026-12-24", "category": null, "version": before["version"],
        "description": "it was the toner",
    });
    let after = desk.change("OPS-1", body.clone()).await;
    for (field, value) in [
        ("title", json!("printer off fire")),
        ("status", json!("resolved")),
        ("assignee", json!("Dana")),
        ("due_date", json!("2026-12-24T23:59:59Z")),
        ("category", json!(null)),
        ("tags", json!(["hot"])),
        ("sync_status", json!("pending")),
        ("external_status", before["external_status"].clone()),
    ] {
        assert_eq!(after[field], value, "{field}");
    }
    let waiting = after["pending"].as_array().expect("a list");
    assert_eq!(waiting.len(), 9, "{after}");
    let title = waiting.iter().find(|change| change["field"] == "title").expect("it waits");
    assert_eq!((&title["there"], &title["travels"]), (&json!("ticket number 1"), &json!(true)));
    assert!(title["by"].as_str().is_some_and(|by| by.starts_with("token ")), "{title}");
    let stale = desk.put("OPS-1", body).await.refused(409, "version_moved");
    assert!(stale["detail"].as_str().is_some_and(|text| text.contains("version 2 and not 1")), "{stale}");
    let entries = desk.test.get("/api/v1/audit?action=work_order.update").await.json();
    let entry = &entries["data"][0];
    assert_eq!(
        (&entry["before"]["title"], &entry["after"]["title"]),
        (&json!("ticket number 1"), &json!("printer off fire"))
    );
    // What was read can be sent back, and changes nothing; nor is it recorded.
    let echoed = desk.change("OPS-1", after.clone()).await;
    assert_eq!(echoed, after);
    let entries = desk.test.get("/api/v1/audit?action=work_order.update").await.json();
    assert_eq!(entries["data"].as_array().map(Vec::len), Some(1));
    let mut old = before.clone();
    old["version"] = after["version"].clone();
    let back = desk.change("OPS-1", old).await;
    assert_eq!((&back["pending"], &back["sync_status"]), (&json!([]), &json!("success")), "{back}");
}

#[tokio::test]
async fn wrong_changes_are_refused_all_at_once_and_change_nothing() {
    let desk = Desk::new(1).await;
    for (body, pointers) in [
        (json!({"title": " ", "assignee_email": "nobody", "tags": [""]}), vec!["/title", "/assignee_email", "/tags"]),
        (json!({"status": "open"}), vec!["/status"]),
        (json!({"due_date": "soon", "colour": 1}), vec!["/colour", "/due_date"]),
        (json!({"due_date": "+275760-09-13T00:00:00Z"}), vec!["/due_date"]),
        (json!({"title": 7}), vec!["/title"]),
    ] {
        let refused = desk.put("OPS-1", body).await.refused(400, "invalid");
        let errors = refused["errors"].as_array().expect("a list");
        assert_eq!(errors.iter().map(|error| error["pointer"].as_str().expect("text")).collect::<Vec<_>>(), pointers);
    }
    assert_eq!(desk.order("OPS-1").await["version"], 1);
}

#[tokio::test]
async fn both_sides_change_and_nothing_is_lost() {
    let desk = Desk::new(3).await;
    desk.change("OPS-1", json!({"title": "ours", "priority": "low", "status": "closed"})).await;
    desk.there("OPS-1", |issue| {
        issue.summary = "theirs".into();
        issue.status = "To Do";
        issue.category = "new";
    });
    desk.sync().await;
    let order = desk.order("OPS-1").await;
    assert_eq!(
        (&order["title"], &order["priority"], &order["status"], &order["external_status"]),
        (&json!("ours"), &json!("low"), &json!("pending"), &json!("To Do")),
        "a title stays, a status is decided where the work is done: {order}"
    );
    let conflict = |field: &str| -> Value {
        let all = order["conflicts"].as_array().expect("a list");
        all.iter().find(|clash| clash["field"] == field).cloned().unwrap_or_default()
    };
    assert_eq!((&conflict("title")["there"], &conflict("title")["kept"]), (&json!("theirs"), &json!("here")));
    assert_eq!((&conflict("status")["here"], &conflict("status")["kept"]), (&json!("closed"), &json!("there")));
    let waiting: Vec<_> = order["pending"].as_array().expect("a list").iter().map(|change| &change["field"]).collect();
    assert_eq!(waiting, ["title", "priority"]);
    let version = order["version"].clone();
    // A comment there changes nothing here, and no version moves.
    desk.there("OPS-1", |_| {});
    desk.sync().await;
    assert_eq!(desk.order("OPS-1").await["version"], version);
    let log = desk.test.get("/api/sync-logs?size=1").await.json();
    assert_eq!(log["data"][0]["updated"], 0, "{log}");
    // Somebody takes their title: nothing stands between the two any more.
    let agreed = desk.change("OPS-1", json!({"title": "theirs", "priority": "high", "status": "pending"})).await;
    assert_eq!((&agreed["pending"], &agreed["conflicts"]), (&json!([]), &json!([])), "{agreed}");
}

#[tokio::test]
async fn what_is_the_same_on_both_sides_is_agreed() {
    let desk = Desk::new(1).await;
    desk.change("OPS-1", json!({"title": "ours"})).await;
    desk.there("OPS-1", |issue| issue.summary = "ours".into());
    desk.sync().await;
    let order = desk.order("OPS-1").await;
    assert_eq!(
        (&order["pending"], &order["conflicts"], &order["sync_status"]),
        (&json!([]), &json!([]), &json!("success"))
    );
}

#[tokio::test]
async fn another_tenant_changes_nothing() {
    let desk = Desk::new(1).await;
    let theirs = desk.test.token_of("acme").await;
    let path = format!("/api/work-orders/{}", desk.order("OPS-1").await["id"].as_str().expect("an id"));
    let reply = desk.test.call_with(&theirs, "PUT", &path, Some(json!({"title": "x"}))).await;
    reply.refused(404, "not_found");
}
