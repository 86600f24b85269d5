//! Who may not, and what does not fit.

use deskhand::access::Scope;

use super::stage::Stage;
use crate::fixtures::app::TOKEN;
use crate::fixtures::contract::{Operation, operations};

/// What all tenants share: another tenant may look at it, or is told that it is steered elsewhere.
const SHARED: [&str; 8] = [
    "show_queue",
    "list_groups",
    "fix_group",
    "unfix_group",
    "pause_queue",
    "resume_queue",
    "limit_queue",
    "list_queues",
];

fn guarded() -> impl Iterator<Item = (&'static Operation, Vec<String>)> {
    operations().iter().filter_map(|operation| Some((operation, operation.scopes()?)))
}

#[tokio::test]
async fn nobody_comes_in_without_a_token_that_is_known() {
    let stage = Stage::new().await;
    let mut tested = 0;
    for (operation, _) in guarded() {
        for token in [None, Some("dkh_nonsense"), Some("")] {
            stage.call(operation, token).await.refused(401, "unauthorized");
        }
        tested += 1;
    }
    assert!(tested > 30, "the document has lost its operations: {tested}");
}

#[tokio::test]
async fn every_scope_that_an_operation_names_is_asked_for() {
    let stage = Stage::new().await;
    for (operation, scopes) in guarded() {
        for missing in &scopes {
            let others = Scope::ALL.iter().filter(|scope| scope.as_str() != missing && **scope != Scope::Admin);
            let others: Vec<&str> = others.map(|scope| scope.as_str()).collect();
            let name = format!("{} without {missing}", operation.id);
            let token = stage.test.token_for("default", &name, &others.join(" ")).await;
            let refusal = stage.call(operation, Some(&token)).await.refused(403, "forbidden");
            assert!(refusal["detail"].as_str().expect("text").contains(missing), "{refusal}");
        }
        let token = stage.test.token_for("default", &format!("{} alone", operation.id), &scopes.join(" ")).await;
        let reply = stage.call(operation, Some(&token)).await;
        assert!(![401, 403].contains(&reply.status), "{}: {}", operation.id, reply.text);
    }
}

#[tokio::test]
async fn another_tenants_things_are_not_there() {
    let stage = Stage::new().await;
    let theirs = stage.test.token_of("acme").await;
    // Declaring makes one of their own.
    for (operation, _) in guarded().filter(|(operation, _)| operation.id != "declare_remote_queue") {
        let reply = stage.call(operation, Some(&theirs)).await;
        let told = stage.ids.all().into_iter().find(|id| reply.status < 300 && reply.text.contains(id));
        assert_eq!(told, None, "{} shows another tenant's thing: {}", operation.id, reply.text);
        if operation.path.contains('{') && !SHARED.contains(&operation.id.as_str()) {
            assert_eq!(reply.status, 404, "{}: {}", operation.id, reply.text);
        }
    }
}

#[tokio::test]
async fn what_all_tenants_share_is_steered_from_the_first_only() {
    let stage = Stage::new().await;
    let theirs = stage.test.token_of("acme").await;
    for id in ["pause_queue", "resume_queue", "limit_queue"] {
        let operation = operations().iter().find(|operation| operation.id == id).expect("documented");
        stage.call(operation, Some(&theirs)).await.refused(403, "forbidden");
    }
}

#[tokio::test]
async fn a_body_that_does_not_fit_is_told_and_never_breaks_anything() {
    let stage = Stage::new().await;
    for operation in operations().iter().filter(|operation| operation.takes_json()) {
        for body in ["{\"", "nonsense", "\u{0}"] {
            let reply = stage.send_body(operation, "application/json", body).await;
            assert_eq!((reply.status, reply.json()["code"].as_str()), (400, Some("json")), "{}", operation.id);
        }
        for body in ["[1]", "null", "7", r#"{"no_such_field": 1}"#] {
            let reply = stage.send_body(operation, "application/json", body).await;
            assert_eq!(
                (reply.status, reply.json()["code"].as_str()),
                (400, Some("invalid")),
                "{} {body}",
                operation.id
            );
        }
        stage.send_body(operation, "text/plain", "{}").await.refused(415, "media_type");
        let large = format!(r#"{{"x": "{}"}}"#, "x".repeat(stage.test.app.config.server.body_limit_bytes));
        stage.send_body(operation, "application/json", &large).await.refused(413, "too_large");
    }
}

#[tokio::test]
async fn a_request_that_fits_is_never_answered_with_a_failure_of_the_server() {
    let stage = Stage::new().await;
    for operation in operations() {
        let reply = stage.call(operation, Some(TOKEN)).await;
        assert!(reply.status < 500 || operation.id == "ready", "{}: {}", operation.id, reply.text);
    }
}
