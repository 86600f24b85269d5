//! Thousands of jobs are due at the same instant.

use std::time::{Duration, Instant};

use super::crew::{Crew, on_server, on_sqlite};
use crate::faults::server::RedisServer;

/// No script takes nearly that long; what walks through all that is due does.
const TOO_SLOW_MICROS: &str = "200000";

async fn all_run_once(crew: &mut Crew, jobs: u32, push_within: Duration) {
    for name in ["one", "two"] {
        crew.hire(name, 100).await;
    }
    let started = Instant::now();
    crew.push_due(jobs, push_within).await;
    println!("{jobs} jobs pushed in {:?}", started.elapsed());
    let report = crew.account().await;
    println!("{jobs} jobs run after {:?}", started.elapsed());
    assert!(report.explained.is_empty(), "{report:?}");
}

async fn on_redis(jobs: u32, push_within: Duration) {
    let settings = ["--appendfsync", "everysec", "--slowlog-log-slower-than", TOO_SLOW_MICROS];
    let Some(server) = RedisServer::start_with(&settings) else { return };
    let mut crew = on_server(&server).await;
    all_run_once(&mut crew, jobs, push_within).await;
    let slow: redis::Value = server.ask(&["SLOWLOG", "GET", "10"]).await;
    assert_eq!(slow, redis::Value::Array(Vec::new()), "the server was busy with one call for longer than it may");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nine_thousand_jobs_due_at_once_run_once_each() {
    let within = Duration::from_secs(2);
    let on_sqlite = async { all_run_once(&mut on_sqlite().await, 9_000, within).await };
    tokio::join!(on_redis(9_000, within), on_sqlite);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute or two of work: make soak"]
async fn soak_of_two_hundred_thousand_jobs_due_at_once() {
    on_redis(200_000, Duration::from_secs(20)).await;
}
