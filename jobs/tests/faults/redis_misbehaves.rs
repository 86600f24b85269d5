//! The server answers, but not as one would wish.

use std::sync::Arc;
use std::time::Duration;

use deskhand_jobs::QueueName;
use deskhand_jobs::queue::redis::RedisQueue;
use deskhand_jobs::queue::{Endings, Error, Pushed, Queue, Settled, Verdict};

use super::proxy::Proxy;
use super::server::RedisServer;
use super::{Running, Runs, count, until};
use crate::conformance::{claim, plain, settle, worker, worker_of};

async fn open(url: &str) -> Arc<dyn Queue> {
    Arc::new(RedisQueue::open(url, "test", Endings::Keep).await.expect("the server answers"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_memory_takes_no_jobs_but_lets_workers_drain_it() {
    let Some(server) = RedisServer::start() else { return };
    let queue = open(&server.url()).await;
    queue.push(&[plain(), plain(), plain()]).await.expect("pushes");
    let me = worker_of(&*queue, &[QueueName::default()]).await;
    let first = claim(&*queue, me.id, 1).await;
    server.say(&["CONFIG", "SET", "maxmemory", "1"]).await;

    let refused = queue.push(&[plain()]).await.expect_err("no room");
    assert!(matches!(&refused, Error::Refused { message, .. } if message.contains("maxmemory")), "{refused:?}");
    assert!(!queue.beat(&me, false).await.expect("beats").lost);
    let next = worker(&*queue).await;
    let rest = claim(&*queue, next, 9).await;
    assert_eq!(rest.len(), 2);
    queue.cancel(rest[1].id).await.expect("cancels");
    assert_eq!(settle(&*queue, &first[0], Verdict::Succeeded).await, Settled::Applied);
    let retry = Verdict::Retry { delay_ms: 1, error: "no luck".into() };
    assert_eq!(settle(&*queue, &rest[0], retry.clone()).await, Settled::Applied);
    assert_eq!(settle(&*queue, &rest[1], retry).await, Settled::Applied);
    queue.retry_now(rest[0].id).await.expect("hurries");
    let again = claim(&*queue, next, 9).await;
    assert_eq!(settle(&*queue, &again[0], Verdict::Succeeded).await, Settled::Applied);
    queue.pause(&QueueName::default()).await.expect("pauses");
    queue.resume(&QueueName::default()).await.expect("resumes");
    queue.leave(next, &[QueueName::default()]).await.expect("leaves");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_emptied_is_filled_again_and_seen_by_all() {
    let Some(server) = RedisServer::start() else { return };
    let queue = open(&server.url()).await;
    let runs = Runs::default();
    let worker = Running::start(queue.clone(), &runs);
    queue.push(&[count(1, 0)]).await.expect("pushes");
    until("the first has run", || async { runs.distinct() == 1 }).await;
    server.say(&["FLUSHALL"]).await;
    let second = count(2, 0);
    assert_eq!(queue.push(std::slice::from_ref(&second)).await.expect("pushes"), [Pushed::Created]);
    until("the second has run", || async { runs.distinct() == 2 }).await;
    until("its end is on record", || async {
        queue.endings(9).await.expect("reads").iter().any(|ending| ending.id == second.id)
    })
    .await;
    assert_eq!(queue.queues().await.expect("reads").len(), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_hangs_is_replaced() {
    let Some(server) = RedisServer::start() else { return };
    let proxy = Proxy::to(server.port()).await;
    let queue = open(&proxy.url()).await;
    queue.push(&[plain()]).await.expect("pushes");
    proxy.freeze();
    assert!(queue.push(&[plain()]).await.is_err(), "nobody answers");
    let again = tokio::time::timeout(Duration::from_secs(10), queue.push(&[plain()])).await;
    assert_eq!(again.expect("in time").expect("over a new connection"), [Pushed::Created]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_demoted_is_left_for_its_successor() {
    let (Some(old), Some(new)) = (RedisServer::start(), RedisServer::start()) else { return };
    let proxy = Proxy::to(old.port()).await;
    let queue = open(&proxy.url()).await;
    queue.push(&[plain()]).await.expect("pushes");
    proxy.lead_to(new.port());
    old.say(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]).await;
    until("the successor takes jobs", || async { queue.push(&[plain()]).await.is_ok() }).await;
}
