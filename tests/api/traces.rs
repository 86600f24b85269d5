//! A trace from a request into the queue.

use axum::body::Body;
use axum::http::{Request, header};
use deskhand::dispatch::Relay;
use deskhand_jobs::trace::{TRACEPARENT, TRACESTATE, TraceContext};
use deskhand_jobs::{Envelope, JobId, QueueName};

use crate::fixtures::TestApp;
use crate::fixtures::app::TOKEN;

#[tokio::test]
async fn a_job_that_a_request_enqueues_belongs_to_the_trace_of_the_request() {
    let test = TestApp::new().await;
    let caller = TraceContext::root();
    let request = Request::post("/api/v1/jobs")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(TRACEPARENT, caller.traceparent())
        .header(TRACESTATE, "vendor=1")
        .body(Body::from(r#"{"kind":"work_orders.sync"}"#))
        .expect("a request");
    let made = test.send(request).await;
    let id: JobId = made.json()["data"]["id"].as_str().expect("an id").parse().expect("an id");
    Relay::new(test.app.db.clone(), test.app.queue.clone()).push_due().await.expect("pushes");
    let record = test.app.queue.job(id).await.expect("answers").expect("known");
    let payload = record.payload.expect("it waits");
    let job = Envelope::decode(id, QueueName::default(), &payload).expect("a job");
    let trace = TraceContext::from_headers(&job.headers).expect("a context");
    assert_eq!((trace.trace_id(), trace.tracestate()), (caller.trace_id(), Some("vendor=1")));
    assert_ne!(trace.span_id(), caller.span_id(), "the request itself has caused it");
}
