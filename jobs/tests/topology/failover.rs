//! A master that Sentinels watch dies under a worker.

use std::time::Duration;

use deskhand_jobs::QueueName;
use deskhand_jobs::queue::{Endings, Error, Pushed};

use super::sentinels::Sentinels;
use super::{is_drained, job, open};
use crate::faults::{Running, Runs, until};

const JOBS: u32 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_follows_to_the_new_master_with_every_job_that_was_replicated() {
    let Some(mut set) = Sentinels::start().await else { return };
    let queue = open(&set.url()).await;
    let name = QueueName::default();
    let runs = Runs::default();
    let worker = Running::start(queue.clone(), &runs);
    let jobs: Vec<_> = (0..JOBS).map(|n| job(&name, n, 10)).collect();
    queue.push(&jobs).await.expect("pushes");
    // What the replica has not got when the master dies is lost with it: that is the bargain of asynchronous replication.
    assert_eq!(set.servers[0].ask::<u32>(&["WAIT", "1", "5000"]).await, 1, "the replica has them");
    until("some to run", || async { runs.distinct() > 30 }).await;

    set.servers[0].kill();
    until("the new master to take jobs", || async { queue.push(&[job(&name, JOBS, 0)]).await.is_ok() }).await;
    until("every job to run", || async { runs.distinct() == JOBS as usize + 1 }).await;
    until("all to be told", || is_drained(&*queue)).await;
    let twice: u32 = (0..=JOBS).map(|n| runs.of(n) - 1).sum();
    assert!(twice <= 8 + 250, "only what ran or ended in the last moment runs again: {twice}");

    // The old one comes back, thinks that it is a master, and is told.
    set.servers[0].restart();
    let old = &set.servers[0];
    let follows = |info: redis::RedisResult<String>| info.is_ok_and(|info| info.contains("role:slave"));
    until("the old master to follow", || async { follows(old.try_ask(&["INFO", "replication"]).await) }).await;
    assert_eq!(queue.push(&[job(&name, JOBS + 1, 0)]).await.expect("pushes"), [Pushed::Created]);
    until("it to run", || async { runs.of(JOBS + 1) == 1 }).await;
    let summary = worker.stop().await;
    assert_eq!(summary.abandoned, 0, "{summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_demoted_is_left_for_its_successor() {
    let Some(set) = Sentinels::start().await else { return };
    let queue = open(&set.url()).await;
    let name = QueueName::default();
    let runs = Runs::default();
    let worker = Running::start(queue.clone(), &runs);
    queue.push(&[job(&name, 0, 0)]).await.expect("pushes");
    until("it to run", || async { runs.of(0) == 1 }).await;
    set.fail_over().await;
    // Accepted by the old one after this, a job would be lost.
    for (server, role) in set.servers.iter().zip(["role:slave", "role:master"]) {
        let is = |info: redis::RedisResult<String>| info.is_ok_and(|info| info.contains(role));
        until("the servers to change places", || async { is(server.try_ask(&["INFO", "replication"]).await) }).await;
    }
    until("the new master to take jobs", || async { queue.push(&[job(&name, 1, 0)]).await.is_ok() }).await;
    until("it to run", || async { runs.of(1) == 1 }).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_about_an_address_of_sentinels_is_said() {
    let Some(set) = Sentinels::start().await else { return };
    let server = format!("127.0.0.1:{}", set.servers[0].port());
    for (url, cure) in [
        (set.url().replace("service=desk", "service=other"), "service="),
        (set.url().replace("watchword", "wrong"), "user or password"),
        (set.url().replace(":secret@", ":wrong@"), "user or password"),
        (format!("redis+sentinel://{server}?service=desk&sentinel_password=secret"), "no Sentinel"),
        (format!("redis://:watchword@{}", set.first_sentinel()), "redis+sentinel://"),
    ] {
        let error = open_fails(&url).await;
        assert!(matches!(&error, Error::Refused { message, .. } if message.contains(cure)), "{url}: {error}");
        assert!(!error.to_string().contains("secret") && !error.to_string().contains("watchword"), "{error}");
    }
}

async fn open_fails(url: &str) -> Error {
    let opened = tokio::time::timeout(
        Duration::from_secs(10),
        deskhand_jobs::queue::redis::RedisQueue::open(url, "test", Endings::Drop),
    );
    opened.await.expect("in time").err().expect("refused")
}
