//! Each kind of drift, written straight into Redis.

use std::collections::BTreeSet;

use deskhand_jobs::queue::redis::RedisQueue;
use deskhand_jobs::queue::{Audit, Batch, Drift, DriftKind, Endings, Pushed, Queue, State, Verdict};
use deskhand_jobs::{Envelope, Group, GroupKey, JobId, Options, Priority, QueueName, Unique, UniqueUntil, WorkerId};
use redis::aio::MultiplexedConnection;

use crate::conformance::{claim, job, plain, settle, worker, worker_of};
use crate::fixtures::{prefix, redis_url, whole_id};

/// A queue and a hand in its keys.
struct Bench {
    queue: RedisQueue,
    connection: MultiplexedConnection,
    prefix: String,
}

impl Bench {
    async fn new() -> Option<Self> {
        let (url, prefix) = (redis_url()?, prefix());
        let queue = RedisQueue::open(&url, &prefix, Endings::Keep).await.expect("the test server answers");
        let client = redis::Client::open(url).expect("a valid address");
        let connection = client.get_multiplexed_async_connection().await.expect("it answers");
        Some(Self { queue, connection, prefix })
    }

    /// A command on one key of the queue.
    async fn write(&mut self, command: &str, word: &str, arguments: &[&[u8]]) {
        let mut order = redis::cmd(command);
        order.arg(format!("{}:{{q:default}}:{word}", self.prefix)).arg(arguments);
        let _: redis::Value = order.query_async(&mut self.connection).await.expect("it obeys");
    }

    async fn audit(&self, repair: bool) -> Audit {
        self.queue.audit(&QueueName::default(), repair).await.expect("audits")
    }

    /// Finds exactly this, leaves it alone, repairs it, and then finds nothing.
    async fn expect(&self, expected: &[(DriftKind, Option<JobId>, &str)]) {
        let drift = |repaired| {
            let one = |(kind, id, what): &(DriftKind, Option<JobId>, &str)| Drift {
                kind: *kind,
                id: *id,
                what: (*what).to_owned(),
                repaired,
            };
            expected.iter().map(one).collect::<BTreeSet<_>>()
        };
        for repair in [false, true] {
            let found = self.audit(repair).await.drift;
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), drift(repair));
        }
        assert_eq!(self.audit(true).await.drift, []);
    }

    async fn push(&self, job: Envelope) -> JobId {
        let job = Envelope { id: whole_id(), ..job };
        self.queue.push(std::slice::from_ref(&job)).await.expect("takes it");
        job.id
    }

    async fn state(&self, id: JobId) -> Option<State> {
        self.queue.job(id).await.expect("reads").map(|job| job.state)
    }
}

fn unique(key: &str) -> Envelope {
    job(Options { unique: Some(Unique::new(key, UniqueUntil::Finished)), ..Options::default() })
}

fn bytes(id: &JobId) -> &[u8] {
    id.as_bytes()
}

#[tokio::test]
async fn a_slot_that_no_job_has_is_given_back() {
    let Some(mut bench) = Bench::new().await else { return };
    let of_group = || {
        let group = Some(Group::new(GroupKey::new("a").expect("valid")).concurrency(1));
        job(Options { group, ..Options::default() })
    };
    let (first, second) = (bench.push(of_group()).await, bench.push(of_group()).await);
    let me = worker(&bench.queue).await;
    assert_eq!(claim(&bench.queue, me, 9).await.len(), 1);
    assert!(claim(&bench.queue, me, 9).await.is_empty());
    bench.write("HINCRBY", "runs", &[b"a", b"1"]).await;
    bench.expect(&[(DriftKind::Count, None, "group a")]).await;
    bench.queue.cancel(first).await.expect("asks");
    assert_eq!(
        bench
            .queue
            .group(&QueueName::default(), &GroupKey::new("a").expect("valid"))
            .await
            .expect("reads")
            .map(|group| group.running),
        Some(1)
    );

    assert!(claim(&bench.queue, me, 9).await.is_empty(), "aside again");
    bench.write("ZREM", "limited:2:a", &[bytes(&second)]).await;
    bench.expect(&[(DriftKind::Homeless, Some(second), "limited:2")]).await;
    assert_eq!(bench.state(second).await, Some(State::Ready));
    bench.write("HSET", "place", &[bytes(&second), b"7"]).await;
    bench.expect(&[(DriftKind::Dangling, Some(second), "place")]).await;
}

#[tokio::test]
async fn options_that_nobody_would_look_at_are_looked_at_again() {
    let Some(mut bench) = Bench::new().await else { return };
    let first = bench.push(job(Options { priority: Priority::High, ..Options::default() })).await;
    bench.push(unique("held")).await;
    bench.write("DEL", "mixed", &[]).await;
    let me = worker(&bench.queue).await;
    assert_eq!(claim(&bench.queue, me, 9).await.len(), 1, "those of the usual priority");
    bench.expect(&[(DriftKind::Count, None, "mixed")]).await;
    assert_eq!(claim(&bench.queue, me, 9).await[0].id, first);
    let again = bench.queue.push(&[unique("held")]).await.expect("pushes");
    assert!(matches!(again[..], [Pushed::Conflict { .. }]), "what is right stays: {again:?}");
}

#[tokio::test]
async fn a_job_in_no_place_is_ready_again() {
    let Some(mut bench) = Bench::new().await else { return };
    let (lost, there) = (bench.push(plain()).await, bench.push(plain()).await);
    bench.write("LREM", "ready:2", &[b"0", bytes(&lost)]).await;
    bench.expect(&[(DriftKind::Homeless, Some(lost), "ready")]).await;
    let me = worker(&bench.queue).await;
    let claimed = claim(&bench.queue, me, 9).await;
    assert_eq!(claimed.iter().map(|job| job.id).collect::<BTreeSet<_>>(), [lost, there].into());
}

#[tokio::test]
async fn a_job_in_two_places_stays_in_the_one_that_wins() {
    let Some(mut bench) = Bench::new().await else { return };
    let me = worker(&bench.queue).await;
    let dead = bench.push(plain()).await;
    let held = claim(&bench.queue, me, 1).await;
    let end = Verdict::Dead { reason: deskhand_jobs::queue::DeadReason::Failed, error: "no".to_owned() };
    settle(&bench.queue, &held[0], end).await;
    let running = bench.push(plain()).await;
    claim(&bench.queue, me, 1).await;
    let ready = bench.push(plain()).await;

    bench.write("ZADD", "due", &[b"1", bytes(&ready)]).await;
    bench.expect(&[(DriftKind::Doubled, Some(ready), "due")]).await;
    bench.write("RPUSH", "ready:1", &[bytes(&running)]).await;
    bench.expect(&[(DriftKind::Doubled, Some(running), "ready:1")]).await;
    bench.write("ZADD", "dead", &[b"1", bytes(&running)]).await;
    bench.expect(&[(DriftKind::Doubled, Some(running), "dead")]).await;
    bench.write("ZADD", "due", &[b"1", bytes(&dead)]).await;
    // Scheduled wins over dead; the record of its death goes with it.
    bench.expect(&[(DriftKind::Doubled, Some(dead), "dead"), (DriftKind::Doubled, Some(dead), "ended")]).await;
    bench.write("RPUSH", "ready:2", &[bytes(&ready)]).await;
    bench.expect(&[(DriftKind::Doubled, Some(ready), "ready:2")]).await;
    bench.write("RPUSH", "ready:3", &[bytes(&ready)]).await;
    bench.expect(&[(DriftKind::Doubled, Some(ready), "ready")]).await;
    let states = [bench.state(dead).await, bench.state(running).await, bench.state(ready).await];
    assert_eq!(states, [State::Scheduled, State::Running, State::Ready].map(Some));
}

#[tokio::test]
async fn what_is_left_of_jobs_that_are_gone_is_removed() {
    let Some(mut bench) = Bench::new().await else { return };
    worker(&bench.queue).await;
    bench.push(plain()).await;
    let gone = whole_id();
    let lease = format!("{}:1:1", WorkerId::new());
    bench.write("RPUSH", "ready:0", &[bytes(&gone), b"no id"]).await;
    bench.write("HSET", "running", &[bytes(&gone), lease.as_bytes()]).await;
    bench.write("ZADD", "due", &[b"1", bytes(&gone)]).await;
    bench.write("ZADD", "dead", &[b"1", bytes(&gone)]).await;
    bench.write("HSET", "history", &[bytes(&gone), b"{}"]).await;
    bench.write("HSET", "winfo", &[b"0123456789abcdef", b"{}"]).await;
    bench.write("HSET", "jobs", &[b"no id", b"{}"]).await;
    let dangling = |id, what| (DriftKind::Dangling, id, what);
    bench
        .expect(&[
            dangling(Some(gone), "ready:0"),
            dangling(None, "ready:0"),
            dangling(Some(gone), "running"),
            dangling(Some(gone), "due"),
            dangling(Some(gone), "dead"),
            dangling(Some(gone), "history"),
            dangling(None, "0123456789abcdef"),
            dangling(None, "jobs"),
        ])
        .await;
}

#[tokio::test]
async fn a_key_whose_holder_is_gone_and_a_stop_of_nobody_are_released() {
    let Some(mut bench) = Bench::new().await else { return };
    let (holder, gone) = (bench.push(unique("held")).await, whole_id());
    bench.write("HSET", "unique", &[b"of the gone", bytes(&gone), b"of another", bytes(&holder)]).await;
    bench.write("SADD", "cancel", &[bytes(&holder)]).await;
    bench
        .expect(&[
            (DriftKind::HeldKey, Some(gone), "of the gone"),
            (DriftKind::HeldKey, Some(holder), "of another"),
            (DriftKind::IdleStop, Some(holder), "cancel"),
        ])
        .await;
    let again = bench.queue.push(&[unique("held"), unique("of the gone")]).await.expect("answers");
    assert_eq!(again, [Pushed::Conflict { holder }, Pushed::Created]);
}

#[tokio::test]
async fn jobs_of_an_unknown_worker_come_back_with_the_next_beat() {
    let Some(mut bench) = Bench::new().await else { return };
    let forgotten = worker(&bench.queue).await;
    let id = bench.push(plain()).await;
    claim(&bench.queue, forgotten, 1).await;
    bench.write("ZREM", "workers", &[forgotten.to_string().as_bytes()]).await;
    bench.write("HDEL", "winfo", &[forgotten.to_string().as_bytes()]).await;
    bench.expect(&[(DriftKind::UnknownWorker, None, &forgotten.to_string())]).await;
    let other = worker_of(&bench.queue, &[QueueName::default()]).await;
    let again = claim(&bench.queue, other.id, 1).await;
    assert_eq!((again[0].id, again[0].history.recoveries), (id, 1));
}

#[tokio::test]
async fn many_lost_jobs_come_back_in_bounded_parts() {
    let Some(mut bench) = Bench::new().await else { return };
    let jobs: Vec<Envelope> = (0..1_700).map(|_| plain()).collect();
    bench.queue.push(&jobs).await.expect("pushes");
    bench.write("DEL", "ready:2", &[]).await;
    let mut rounds = 0;
    loop {
        let audit = bench.audit(true).await;
        if audit.drift.is_empty() {
            break;
        }
        assert!(audit.drift.len() <= deskhand_jobs::queue::MOST_DRIFT + 50, "{}", audit.drift.len());
        rounds += 1;
    }
    assert_eq!(rounds, 2);
    let me = worker(&bench.queue).await;
    let mut came = BTreeSet::new();
    for _ in 0..4 {
        came.extend(claim(&bench.queue, me, 500).await.into_iter().map(|job| job.id));
    }
    assert_eq!(came, jobs.iter().map(|job| job.id).collect());
}

#[tokio::test]
async fn a_batch_that_would_never_close() {
    let Some(mut bench) = Bench::new().await else { return };
    let then = plain();
    let batch = Batch::new(then.clone()).expect("may close");
    let members = vec![plain(), plain()].into_iter().map(|job| Envelope { id: whole_id(), ..job }).collect::<Vec<_>>();
    bench.queue.push_batch(&batch, members.clone()).await.expect("pushes");
    let hash = format!("batch:{}", batch.id());
    let what = format!("batch {}", batch.id());
    bench.write("HSET", &hash, &[b"total", b"7"]).await;
    bench.expect(&[(DriftKind::Count, None, &what)]).await;

    // Both members have ended without being counted: one is gone, the other no member any more.
    bench.write("HDEL", "jobs", &[members[0].id.as_bytes()]).await;
    bench.write("LREM", "ready:2", &[b"0", members[0].id.as_bytes()]).await;
    bench.write("HSET", "jobs", &[members[1].id.as_bytes(), &members[1].encode()]).await;
    let drift = |member: &Envelope| (DriftKind::Dangling, Some(member.id), "left");
    let found = bench.audit(false).await.drift;
    assert_eq!(found.len(), 2, "{found:?}");
    let found: BTreeSet<_> = bench.audit(true).await.drift.into_iter().map(|drift| (drift.kind, drift.id)).collect();
    let [one, two] = [&members[0], &members[1]].map(drift).map(|(kind, id, _)| (kind, id));
    assert_eq!(found, BTreeSet::from([one, two, (DriftKind::Unclosed, None)]));
    assert_eq!(bench.audit(true).await.drift, []);
    assert_eq!(bench.queue.job(then.id).await.expect("reads").expect("is made").state, State::Ready);
    bench.write("ZADD", "batches", &[b"1", b"gone"]).await;
    bench.expect(&[(DriftKind::Dangling, None, "batches")]).await;
}
