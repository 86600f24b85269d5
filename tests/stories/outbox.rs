//! What a transaction asks for happens, once, whatever dies or is lost on the way.

use std::time::Duration;

use chrono::Utc;
use deskhand::base::Clock;
use deskhand::db::Db;
use deskhand::dispatch::Reconciler;

use crate::fixtures::effects::{Effects, Loops, until};
use crate::fixtures::on_every_pair;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_and_its_job_come_together_or_not_at_all() {
    on_every_pair(async |pair| {
        let effects = Effects::new(&pair.db, 1_000).await;
        effects.ask(1, false).await;
        effects.ask(2, true).await;
        assert_eq!((effects.count().await, effects.jobs().await), ((1, 0, 0), (1, 0)));
        // The process dies here, before a relay has seen the commit; this is the next one.
        let db = Db::open(&pair.database_url).await.expect("opens");
        let later = Effects { db: db.clone(), gate: effects.gate.clone() };
        let loops = Loops::start(&db, &pair.queue, later.registry());
        until("the job has run", async || later.jobs().await == (1, 1)).await;
        assert_eq!(later.count().await, (1, 1, 1));
        loops.finish().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_loses_everything_in_mid_run_costs_no_job_and_doubles_no_effect() {
    const JOBS: i64 = 200;
    const BEFORE: i64 = 60;
    on_every_pair(async |mut pair| {
        let clock = Clock::manual(Utc::now());
        let db = pair.db.clone().with_clock(clock.clone());
        let effects = Effects::new(&db, 0).await;
        for row in 0..JOBS {
            effects.ask(row, true).await;
        }
        let mut loops = Loops::start(&db, &pair.queue, effects.registry());
        effects.gate.add_permits(BEFORE as usize);
        until("some are done", async || effects.count().await.1 == BEFORE).await;
        // Others are at the gate, half done; the rest waits.
        pair.lose_queue().await;
        if pair.redis.is_none() {
            loops = Loops::start(&db, &pair.queue, effects.registry());
        }
        effects.gate.add_permits(10_000);
        until("all are done", async || {
            // So that what was pushed is no longer young.
            clock.advance(Duration::from_secs(61));
            let sweep = async || Reconciler::new(db.clone(), pair.queue.clone()).recover_lost().await;
            let (one, two) = tokio::join!(sweep(), sweep());
            one.expect("compares");
            two.expect("compares");
            effects.jobs().await == (JOBS, JOBS)
        })
        .await;
        assert_eq!(effects.count().await, (JOBS, JOBS, JOBS));
        loops.finish().await;
    })
    .await;
}
