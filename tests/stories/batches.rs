//! A batch closes once, however its members end and whatever is lost on the way.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use deskhand::base::Clock;
use deskhand::db::Db;
use deskhand::dispatch::{Enqueue, Reconciler, batches};
use deskhand::on;
use deskhand_jobs::queue::BatchTotals;
use deskhand_jobs::{BatchId, Envelope, Job, JobId, Outcome, Registry, Run, outcome};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Semaphore};

use crate::fixtures::effects::{Loops, until};
use crate::fixtures::on_every_pair;

/// What handlers share: a gate, and what closing jobs were told.
#[derive(Clone)]
struct Site {
    db: Db,
    gate: Arc<Semaphore>,
    closed: Arc<Mutex<Vec<BatchTotals>>>,
}

/// Ends as it is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Part {
    Succeed,
    Die,
    Discard,
    /// Adds a member under this id.
    Grow(BatchId, JobId),
}

impl Job for Part {
    const KIND: &'static str = "batch.part";
    type Context = Site;

    async fn run(self, site: Site, _: Run) -> outcome::Result {
        site.gate.acquire().await?.forget();
        match self {
            Self::Succeed => Ok(Outcome::Done),
            Self::Die => Ok(Outcome::Fail("it has to".into())),
            Self::Discard => Ok(Outcome::Discard("nobody needs it".into())),
            Self::Grow(batch, id) => {
                let mut tx = site.db.begin().await?;
                let more = Envelope { id, batch: Some(batch), ..Envelope::new(&Self::Succeed)? };
                tx.enqueue(&more).await?;
                tx.commit().await?;
                Ok(Outcome::Done)
            }
        }
    }
}

/// Notes how the batch went.
#[derive(Debug, Serialize, Deserialize)]
struct Then {}

impl Job for Then {
    const KIND: &'static str = "batch.then";
    type Context = Site;

    async fn run(self, site: Site, run: Run) -> outcome::Result {
        let totals = batches::totals(&run.headers).ok_or("it closes a batch")?;
        site.closed.lock().await.push(totals);
        Ok(Outcome::Done)
    }
}

impl Site {
    fn new(db: &Db, permits: usize) -> Self {
        Self { db: db.clone(), gate: Arc::new(Semaphore::new(permits)), closed: Arc::default() }
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::new();
        registry.add::<Part>(self.clone()).expect("first");
        registry.add::<Then>(self.clone()).expect("first");
        registry
    }

    async fn open(&self, parts: impl Fn(BatchId) -> Vec<Part>) -> JobId {
        let then = Envelope::new(&Then {}).expect("small");
        let parts = parts(batches::closed_by(then.id));
        let members = parts.iter().map(|part| Envelope::new(part).expect("small")).collect();
        let mut tx = self.db.begin().await.expect("begins");
        tx.enqueue_batch(&then, members).await.expect("writes");
        tx.commit().await.expect("commits");
        then.id
    }

    /// Counts the jobs that have not ended, and those that succeeded.
    async fn jobs(&self) -> (i64, i64) {
        let sql = "SELECT count(CASE WHEN state IN ('waiting', 'pending', 'pushed') THEN 1 END), \
                   count(CASE WHEN state = 'succeeded' THEN 1 END) FROM jobs";
        let mut tx = self.db.read().await.expect("begins");
        on!(tx, |c| sqlx::query_as(sql).fetch_one(c).await).expect("counts")
    }

    async fn has_ended(&self) -> bool {
        self.jobs().await.0 == 0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_succeed_die_are_discarded_or_bring_others_are_all_waited_for() {
    on_every_pair(async |pair| {
        let site = Site::new(&pair.db, 1_000);
        let loops = Loops::start(&pair.db, &pair.queue, site.registry());
        let added = JobId::new();
        site.open(|batch| vec![Part::Succeed, Part::Die, Part::Discard, Part::Grow(batch, added)]).await;
        until("the batch has ended", async || site.has_ended().await).await;
        let told = BatchTotals { total: 5, succeeded: 3, dead: 1, cancelled: 1 };
        assert_eq!(*site.closed.lock().await, [told]);
        loops.finish().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_after_any_step_leaves_a_batch_that_closes_once() {
    on_every_pair(async |pair| {
        let site = Site::new(&pair.db, 0);
        // It dies after the commit, and another one after some members have ended and others were about to begin.
        site.open(|_| vec![Part::Succeed; 12]).await;
        let loops = Loops::start(&pair.db, &pair.queue, site.registry());
        site.gate.add_permits(4);
        until("some are done", async || site.jobs().await.1 == 4).await;
        loops.finish().await;
        // What ran was handed back; the ends of what comes now are written by whoever runs next.
        let loops = Loops::start(&pair.db, &pair.queue, site.registry());
        site.gate.add_permits(1_000);
        until("the batch has ended", async || site.has_ended().await).await;
        assert_eq!(*site.closed.lock().await, [BatchTotals { total: 12, succeeded: 12, dead: 0, cancelled: 0 }]);
        loops.finish().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_loses_everything_in_mid_batch_costs_no_member_and_closes_it_once() {
    const MEMBERS: usize = 60;
    const BEFORE: i64 = 20;
    on_every_pair(async |mut pair| {
        let clock = Clock::manual(Utc::now());
        let db = pair.db.clone().with_clock(clock.clone());
        let site = Site::new(&db, 0);
        site.open(|_| vec![Part::Succeed; MEMBERS]).await;
        let mut loops = Loops::start(&db, &pair.queue, site.registry());
        site.gate.add_permits(BEFORE as usize);
        until("some are done", async || site.jobs().await.1 == BEFORE).await;
        pair.lose_queue().await;
        if pair.redis.is_none() {
            loops = Loops::start(&db, &pair.queue, site.registry());
        }
        site.gate.add_permits(10_000);
        let sweep = async || {
            // So that what was pushed is no longer young.
            clock.advance(Duration::from_secs(61));
            let sweep = async || Reconciler::new(db.clone(), pair.queue.clone()).recover_lost().await;
            let (one, two) = tokio::join!(sweep(), sweep());
            one.expect("compares");
            two.expect("compares");
        };
        until("the batch has ended", async || {
            sweep().await;
            site.has_ended().await
        })
        .await;
        let members = MEMBERS as u64;
        let told = BatchTotals { total: members, succeeded: members, dead: 0, cancelled: 0 };
        assert_eq!(*site.closed.lock().await, [told]);
        loops.finish().await;
    })
    .await;
}
