//! The server dies under a running worker.

use std::sync::Arc;
use std::time::Duration;

use deskhand_jobs::queue::redis::RedisQueue;
use deskhand_jobs::queue::{Endings, Queue};

use super::server::RedisServer;
use super::{Running, Runs, count, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_goes_on_by_itself_after_redis_was_killed_and_loses_nothing() {
    let Some(mut server) = RedisServer::start() else { return };
    let queue: Arc<dyn Queue> =
        Arc::new(RedisQueue::open(&server.url(), "test", Endings::Drop).await.expect("the server answers"));
    let runs = Runs::default();
    let worker = Running::start(queue.clone(), &runs);

    let first: Vec<_> = (0..300).map(|n| count(n, 10)).collect();
    queue.push(&first).await.expect("pushes");
    until("some jobs have run", || async { runs.distinct() > 50 }).await;
    server.kill();
    assert!(queue.push(&[count(900, 0)]).await.is_err(), "a push to a dead server is not accepted");
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.restart();

    let second: Vec<_> = (300..400).map(|n| count(n, 0)).collect();
    until("the server accepts jobs again", || async { queue.push(&second).await.is_ok() }).await;
    until("every job has run", || async { runs.distinct() >= 400 }).await;
    until("nothing is left behind", || async {
        let info = queue.queues().await.expect("reads").pop().expect("a queue");
        (info.ready, info.running, info.scheduled, info.dead) == (0, 0, 0, 0)
    })
    .await;
    let summary = worker.stop().await;
    assert_eq!(summary.abandoned, 0, "{summary}");
}
