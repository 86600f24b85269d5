//! Two tenants use the same names for everything, and neither learns or changes anything of the other.

use axum::body::Body;
use axum::http::{Request, header};
use deskhand::base::{Actor, TenantId};
use deskhand::dispatch::schedules::{Definition, service};
use deskhand::dispatch::{Keeper, Relay};
use deskhand_jobs::queue::Verdict;
use serde_json::{Value, json};

use crate::fixtures::app::Reply;
use crate::fixtures::queues::work;
use crate::fixtures::{TestApp, on_every_pair};

async fn enqueue(test: &TestApp, token: &str) -> Value {
    let body = json!({
        "kind": "work_orders.sync", "unique": {"key": "nightly", "until": "finished"}, "group": {"key": "slow"},
    });
    let request = Request::post("/api/v1/jobs")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", "same")
        .body(Body::from(body.to_string()));
    let reply = test.send(request.expect("a request")).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.json()["data"].take()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_names_in_two_tenants_are_different_things() {
    on_every_pair(async |pair| {
        let test = TestApp::with(&pair.settings()).await;
        let app = &test.app;
        let tokens = [test.token_of("acme").await, test.token_of("umbrella").await];
        let call = async |who: usize, method: &str, path: &str, body: Option<Value>| -> Reply {
            test.call_with(&tokens[who], method, path, body).await
        };
        let mut jobs = Vec::new();
        for token in &tokens {
            jobs.push(enqueue(&test, token).await["id"].as_str().expect("an id").to_owned());
        }
        assert_ne!(jobs[0], jobs[1], "an idempotency key is a tenant's");
        for tenant in ["acme", "umbrella"] {
            let actor = Actor::system(TenantId::new(tenant).expect("a tenant"), "story");
            let definition = Definition::new("work_orders.sync", "0 3 * * *");
            service::create(&app.db, &app.registry, &actor, "own", &definition).await.expect("makes");
        }
        let other = Actor::system(TenantId::new("umbrella").expect("a tenant"), "story");
        service::create(&app.db, &app.registry, &other, "theirs", &Definition::new("work_orders.sync", "0 4 * * *"))
            .await
            .expect("makes");

        for (method, path) in [
            ("GET", format!("/api/v1/jobs/{}", jobs[1])),
            ("POST", format!("/api/v1/jobs/{}/retry", jobs[1])),
            ("POST", format!("/api/v1/jobs/{}/cancel", jobs[1])),
            ("GET", "/api/v1/schedules/theirs".to_owned()),
            ("GET", "/api/v1/schedules/theirs/next".to_owned()),
            ("GET", "/api/v1/schedules/theirs/slots".to_owned()),
            ("POST", "/api/v1/schedules/theirs/run".to_owned()),
            ("POST", "/api/v1/schedules/theirs/pause".to_owned()),
            ("POST", "/api/v1/schedules/theirs/reset".to_owned()),
            ("DELETE", "/api/v1/schedules/theirs".to_owned()),
        ] {
            let body = path.ends_with("cancel").then(|| json!({"reason": "mine now"}));
            call(0, method, &path, body).await.refused(404, "not_found");
        }
        let edit = Some(json!({"version": 1, "cron": "* * * * *"}));
        call(0, "PUT", "/api/v1/schedules/theirs", edit).await.refused(404, "not_found");
        let paused = call(0, "POST", "/api/v1/schedules/own/pause", None).await;
        assert_eq!(paused.json()["data"]["paused"], true, "{}", paused.text);
        assert_eq!(call(1, "GET", "/api/v1/schedules/own", None).await.json()["data"]["paused"], false);

        // The unique key of one does not end the job of the other, and each sees its own group.
        Relay::new(app.db.clone(), app.queue.clone()).push_due().await.expect("pushes");
        for (who, job) in jobs.iter().enumerate() {
            let list = call(who, "GET", "/api/v1/jobs", None).await.json();
            assert_eq!((&list["total"], &list["data"][0]["id"]), (&json!(1), &json!(job)), "{list}");
            let groups = call(who, "GET", "/api/v1/queues/default/groups", None).await.json();
            assert_eq!(groups["data"].as_array().map(Vec::len), Some(1), "{groups}");
            assert_eq!(groups["data"][0]["key"], "slow", "{groups}");
        }
        let mut ran: Vec<String> =
            work(&*app.queue, &Verdict::Succeeded).await.iter().map(ToString::to_string).collect();
        ran.sort();
        jobs.sort();
        assert_eq!(ran, jobs);
        Keeper::new(app.db.clone(), app.queue.clone()).write_endings().await.expect("writes");
        for who in 0..2 {
            let list = call(who, "GET", "/api/v1/jobs?state=succeeded", None).await.json();
            assert_eq!(list["total"], 1, "{list}");
        }
    })
    .await;
}
