//! What a test of a connection says is wrong.

use serde_json::{Value, json};

use crate::fakes::desk::Desk;
use crate::fakes::fault::Fault;
use crate::fakes::jira::{Deployment, Jira, PASSWORD, USER};
use crate::fixtures::TestApp;

async fn probe(test: &TestApp, name: &str, url: &str, password: &str) -> Value {
    let body = json!({"name": name, "system_type": "jira", "api_url": url, "username": USER, "password": password});
    let made = test.post("/api/work-order-systems/", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.json()["data"]["id"].as_str().expect("an id").to_owned();
    let reply = test.post(&format!("/api/work-order-systems/{id}/test_connection/"), json!({})).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()["data"].take()
}

#[tokio::test]
async fn each_fault_of_a_connection_is_named_with_its_cure() {
    let test = TestApp::new().await;
    let jira = Jira::start(Deployment::Server, 1).await;
    let good = probe(&test, "good", jira.url.as_str(), PASSWORD).await;
    assert_eq!((&good["success"], &good["problem"]), (&json!(true), &json!(null)), "{good}");
    jira.fault_next(Fault::Status(403));
    let known = probe(&test, "known", jira.url.as_str(), PASSWORD).await;
    assert_eq!(known["problem"], "forbidden", "{known}");
    jira.fault_next(Fault::LoginPage);
    let page = probe(&test, "page", jira.url.as_str(), PASSWORD).await;
    assert_eq!(page["problem"], "wrong_path", "{page}");
    jira.fault_next(Fault::Status(500));
    let ill = probe(&test, "ill", jira.url.as_str(), PASSWORD).await;
    assert_eq!(ill["problem"], "server_error", "{ill}");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let port = jira.url.port().expect("a port");
    for (name, url, password, problem, word) in [
        ("password", jira.url.to_string(), "wrong", "unauthorized", "401"),
        ("path", format!("{}/elsewhere", jira.url), PASSWORD, "wrong_path", "path"),
        ("nobody", format!("http://{nobody}"), PASSWORD, "unreachable", "port"),
        ("tls", format!("https://127.0.0.1:{port}/jira"), PASSWORD, "tls", "https"),
        ("name", "http://no-such-host.invalid".to_owned(), PASSWORD, "dns", "DNS"),
    ] {
        let found = probe(&test, name, &url, password).await;
        assert_eq!((&found["success"], &found["problem"]), (&json!(false), &json!(problem)), "{name}: {found}");
        assert!(found["message"].as_str().is_some_and(|text| text.contains(word)), "{name}: {found}");
        assert!(!found["message"].to_string().contains("wrong\""), "{found}");
    }
}
