//! What no program of ours wrote is in the store: it harms no job and no worker.

use std::sync::Arc;

use deskhand_jobs::queue::redis::RedisQueue;
use deskhand_jobs::queue::sqlite::SqliteQueue;
use deskhand_jobs::queue::{DeadReason, Endings, Queue, State};
use deskhand_jobs::{JobId, QueueName};

use super::{Running, Runs, count, until};
use crate::fixtures::{prefix, redis_url, whole_id};

/// The last three begin as a job on Redis does whose options stand before its payload.
const GARBAGE: [&[u8]; 8] = [
    b"\xff\xfe\x00",
    b"",
    b"{",
    b"null",
    b"{\"k\":\"UPPER\",\"a\":1}",
    b"\x01",
    b"\x01\0\0\0\x022s",
    b"\x01\0\0\xff\xff2sg\nb\nk{}",
];

/// A worker ends all of these as dead, with their bytes as they were, and then runs a good job.
async fn die_of_it(queue: &Arc<dyn Queue>, ids: &[JobId]) {
    let runs = Runs::default();
    let worker = Running::start(Arc::clone(queue), &runs);
    for (id, garbage) in ids.iter().zip(GARBAGE) {
        until("it is dead", async || {
            let job = queue.job(*id).await.expect("reads");
            job.is_some_and(|job| job.state == State::Dead)
        })
        .await;
        let job = queue.job(*id).await.expect("reads").expect("is there");
        assert_eq!(job.dead_reason, Some(DeadReason::Decode));
        assert_eq!(job.payload.unwrap_or_default(), garbage, "kept for whoever wants to see it");
    }
    queue.push(&[count(1, 0)]).await.expect("pushes");
    until("a good job runs", async || runs.distinct() == 1).await;
    let summary = worker.stop().await;
    assert_eq!((summary.stale, summary.abandoned), (0, 0), "{summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_redis_is_dead_and_no_id_is_passed_over() {
    let Some(url) = redis_url() else { return };
    let prefix = prefix();
    let queue = RedisQueue::open(&url, &prefix, Endings::Keep).await.expect("the test server answers");
    let queue: Arc<dyn Queue> = Arc::new(queue);
    queue.push(&[count(0, 0)]).await.expect("makes the queue known");
    let client = redis::Client::open(url).expect("a valid address");
    let mut connection = client.get_multiplexed_async_connection().await.expect("it answers");
    let key = |word: &str| format!("{prefix}:{{q:default}}:{word}");
    let mut write = redis::pipe();
    write.del(key("ready:2")).del(key("jobs"));
    let ids = GARBAGE.map(|_| whole_id());
    for (id, garbage) in ids.iter().zip(GARBAGE) {
        write.hset(key("jobs"), id.as_bytes(), garbage).rpush(key("ready:2"), id.as_bytes());
    }
    // An id that is kept in fewer bytes, one without a job, and what is no id at all, in a list and among the scheduled.
    let long = JobId::new();
    write.hset(key("jobs"), long.as_bytes(), "{}").rpush(key("ready:2"), long.as_bytes());
    let nobody = whole_id();
    write.rpush(key("ready:2"), nobody.as_bytes()).rpush(key("ready:2"), "no id").zadd(key("due"), "nor this", 1);
    let () = write.query_async(&mut connection).await.expect("it obeys");

    die_of_it(&queue, &ids).await;
    let left = queue.queues().await.expect("reads").remove(0);
    assert_eq!((left.ready, left.scheduled, left.running), (0, 0, 0), "nothing goes round and round");
    queue.audit(&QueueName::default(), true).await.expect("audits");
    assert_eq!(queue.audit(&QueueName::default(), true).await.expect("audits").drift, []);
    assert_eq!(queue.queues().await.expect("reads").remove(0).dead, GARBAGE.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_the_file_is_dead() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("queue.db");
    let queue = SqliteQueue::open(&path, Endings::Keep).await.expect("the file opens");
    let queue: Arc<dyn Queue> = Arc::new(queue);
    let jobs: Vec<_> = GARBAGE.iter().map(|_| count(0, 0)).collect();
    queue.push(&jobs).await.expect("pushes");
    let file = sqlx::SqlitePool::connect(&format!("sqlite://{}", path.display())).await.expect("opens");
    for (job, garbage) in jobs.iter().zip(GARBAGE) {
        let (id, garbage) = (job.id.as_bytes().to_vec(), garbage.to_vec());
        let done =
            sqlx::query("UPDATE jobs SET payload = ?2 WHERE id = ?1").bind(id).bind(garbage).execute(&file).await;
        assert_eq!(done.expect("writes").rows_affected(), 1);
    }
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    die_of_it(&queue, &ids).await;
    assert_eq!(queue.audit(&QueueName::default(), false).await.expect("audits").drift, []);
}
