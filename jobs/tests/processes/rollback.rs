//! A server with `appendfsync everysec` loses its last second in a power cut: what that does to jobs.
//!
//! The cut is made by hand: the file is shortened to what it was a moment ago, which is what a machine that lost its power finds.

use super::crew::{Crew, on_server};
use super::journal::uptime_ms;
use super::report::Cause;
use crate::faults::server::RedisServer;
use crate::faults::until;

const SETTINGS: [&str; 4] = ["--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0"];

fn size(server: &RedisServer) -> u64 {
    server.log().metadata().expect("the file is there").len()
}

/// Ends the server and lets it come back as it was when its file had this size.
fn roll_back(server: &mut RedisServer, crew: &mut Crew, to_bytes: u64, since_ms: u64) {
    server.kill();
    let log = std::fs::OpenOptions::new().write(true).open(server.log()).expect("the file is there");
    log.set_len(to_bytes).expect("shortened");
    server.restart();
    crew.note_rollback(since_ms);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_whose_end_the_server_forgot_run_again_though_their_worker_lives_and_is_idle() {
    let Some(mut server) = RedisServer::start_with(&SETTINGS) else { return };
    let mut crew = on_server(&server).await;
    let hand = crew.hire("one", 8).await;
    crew.push(8, 600).await;
    crew.until_busy(hand, 8).await;
    let (before, since_ms) = (size(&server), uptime_ms());
    until("all have ended", async || crew.counts().await.is_some_and(|info| info.succeeded_total == 8)).await;
    roll_back(&mut server, &mut crew, before, since_ms);
    until("the server believes that they run", async || {
        crew.counts().await.is_some_and(|info| info.succeeded_total == 0)
    })
    .await;
    let report = crew.account().await;
    assert_eq!(report.explained.get(&Cause::RolledBack), Some(&8));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_end_the_server_forgot_runs_again_though_its_worker_is_full_and_asks_for_nothing() {
    let Some(mut server) = RedisServer::start_with(&SETTINGS) else { return };
    let mut crew = on_server(&server).await;
    let hand = crew.hire("one", 2).await;
    crew.push_each(3, |mark| mark.takes_ms = if mark.n == 0 { 600 } else { 3_000 }).await;
    crew.until_busy(hand, 2).await;
    let (before, since_ms) = (size(&server), uptime_ms());
    until("the third runs", async || crew.runs(hand).len() == 3).await;
    roll_back(&mut server, &mut crew, before, since_ms);
    let report = crew.account().await;
    assert!(report.explained.get(&Cause::RolledBack).is_some_and(|runs| *runs >= 1), "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_forgot_under_load_is_lost_to_nobody_who_keeps_a_ledger() {
    let Some(mut server) = RedisServer::start_with(&SETTINGS) else { return };
    let mut crew = on_server(&server).await;
    for name in ["one", "two"] {
        crew.hire(name, 8).await;
    }
    crew.push(200, 60).await;
    crew.until_finished(50).await;
    let (before, since_ms) = (size(&server), uptime_ms());
    crew.push(50, 60).await;
    crew.until_finished(120).await;
    roll_back(&mut server, &mut crew, before, since_ms);
    until("the last pushes are forgotten", async || crew.counts().await.is_some_and(|info| info.pushed_total == 200))
        .await;
    crew.push_again().await;
    let report = crew.account().await;
    assert!(report.explained.get(&Cause::RolledBack).is_some_and(|runs| *runs > 0), "{report:?}");
}
