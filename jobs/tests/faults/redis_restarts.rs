//! The server dies under a running worker, again and again.

use std::sync::Arc;

use deskhand_jobs::queue::redis::RedisQueue;
use deskhand_jobs::queue::{Endings, Queue};

use super::server::RedisServer;
use super::{Running, Runs, count, until};

const ROUNDS: u32 = 3;
const JOBS: u32 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_goes_on_by_itself_after_redis_was_killed_and_loses_nothing() {
    let Some(mut server) = RedisServer::start() else { return };
    let queue: Arc<dyn Queue> =
        Arc::new(RedisQueue::open(&server.url(), "test", Endings::Keep).await.expect("the server answers"));
    let runs = Runs::default();
    let worker = Running::start(queue.clone(), &runs);

    for round in 0..ROUNDS {
        let jobs: Vec<_> = (0..JOBS).map(|n| count(round * JOBS + n, 3)).collect();
        until("the server accepts jobs", || async { queue.push(&jobs).await.is_ok() }).await;
        let some = (round * JOBS + JOBS / 3) as usize;
        until("some jobs have run", || async { runs.distinct() > some }).await;
        server.kill();
        assert!(queue.push(&[count(9_999, 0)]).await.is_err(), "a push to a dead server is not accepted");
        server.restart();
    }
    until("every job has run and nothing is left behind", || async {
        let Ok(infos) = queue.queues().await else { return false };
        let left = &infos[0];
        let idle = (left.ready, left.running, left.scheduled, left.dead) == (0, 0, 0, 0);
        idle && runs.distinct() >= (ROUNDS * JOBS) as usize
    })
    .await;
    let total = queue.queues().await.expect("reads")[0].succeeded_total;
    assert_eq!(total, u64::from(ROUNDS * JOBS), "each ended once");
    let summary = worker.stop().await;
    assert_eq!(summary.abandoned, 0, "{summary}");
}
