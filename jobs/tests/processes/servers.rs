//! The server dies, hangs, cuts its connections, is full. Workers in processes of their own go on by themselves, nothing is lost, and
//! nothing runs twice.

use std::time::Duration;

use deskhand_jobs::queue::Error;

use super::crew::{Crew, on_server};
use super::report::Report;
use crate::faults::server::RedisServer;

const MIB: usize = 1024 * 1024;

async fn two_workers(server: &RedisServer) -> Crew {
    let mut crew = on_server(server).await;
    for name in ["one", "two"] {
        crew.hire(name, 8).await;
    }
    crew
}

fn nothing_ran_twice(report: &Report) {
    assert_eq!(report.explained.values().sum::<u32>(), 0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_again_and_again_forgets_nothing_that_it_has_accepted() {
    let Some(mut server) = RedisServer::start() else { return };
    let mut crew = two_workers(&server).await;
    for _ in 0..4 {
        let before = crew.finished();
        crew.push(150, 40).await;
        crew.until_finished(before + 60).await;
        server.kill();
        server.restart();
    }
    nothing_ran_twice(&crew.account().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_cut_again_and_again_cost_nothing_but_time() {
    let Some(server) = RedisServer::start() else { return };
    let mut crew = two_workers(&server).await;
    crew.push(600, 40).await;
    for round in 1..=20 {
        crew.until_finished(round * 20).await;
        server.say(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        crew.push(10, 40).await;
    }
    nothing_ran_twice(&crew.account().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_for_seconds_is_waited_for() {
    let Some(server) = RedisServer::start_with(&["--enable-debug-command", "yes"]) else { return };
    let mut crew = two_workers(&server).await;
    crew.push(400, 40).await;
    crew.until_finished(50).await;
    server.say(&["DEBUG", "SLEEP", "3"]).await;
    crew.until_finished(150).await;
    server.freeze(true);
    // The fault is that time passes.
    tokio::time::sleep(Duration::from_secs(3)).await;
    server.freeze(false);
    crew.push(50, 40).await;
    nothing_ran_twice(&crew.account().await);
}

async fn used_bytes(server: &RedisServer) -> usize {
    let info: redis::InfoDict = server.ask(&["INFO", "memory"]).await;
    info.get("used_memory").expect("it says so")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_refuses_jobs_in_clear_words_is_drained_and_takes_jobs_again() {
    let Some(server) = RedisServer::start() else { return };
    let mut crew = on_server(&server).await;
    // One connection has warmed the buffers up before the limit is drawn.
    let text = "x".repeat(8_000);
    crew.push_each(1, |mark| mark.text.clone_from(&text)).await;
    let limit = used_bytes(&server).await + 6 * MIB;
    server.say(&["CONFIG", "SET", "maxmemory", &limit.to_string()]).await;
    let refusal = loop {
        match crew.try_push(|mark| mark.text.clone_from(&text)).await {
            Ok(number) => assert!(number < 2_000, "the limit is never reached"),
            Err(refusal) => break refusal,
        }
    };
    assert!(matches!(&refusal, Error::Refused { message, .. } if message.contains("maxmemory")), "{refusal:?}");

    // Workers can come, and what they end makes room.
    crew.hire("one", 8).await;
    crew.until_done().await;
    crew.push_each(100, |mark| mark.text.clone_from(&text)).await;
    nothing_ran_twice(&crew.account().await);
}
