//! Several servers, and what happens to them: clusters, Sentinels, encryption, users with few rights.

mod cluster;
mod encrypted;
mod failover;
mod refusals;
mod sentinels;
mod spread;

use std::sync::Arc;

use deskhand_jobs::queue::redis::RedisQueue;
use deskhand_jobs::queue::{Endings, Queue, QueueInfo};
use deskhand_jobs::{Envelope, QueueName};

use crate::faults::count;

async fn open(url: &str) -> Arc<dyn Queue> {
    Arc::new(RedisQueue::open(url, "test", Endings::Drop).await.expect("the servers answer"))
}

/// A job that counts itself, in a queue.
fn job(queue: &QueueName, n: u32, takes_ms: u64) -> Envelope {
    let mut job = count(n, takes_ms);
    job.options.queue = queue.clone();
    job
}

fn is_empty(info: &QueueInfo) -> bool {
    (info.ready, info.running, info.scheduled, info.dead) == (0, 0, 0, 0)
}

/// Says whether every job has ended.
async fn is_drained(queue: &dyn Queue) -> bool {
    queue.queues().await.is_ok_and(|infos| infos.iter().all(is_empty))
}
