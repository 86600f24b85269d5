//! Redis is away for ten minutes: schedules go on firing, requests go on being accepted, and all of it runs when it is back.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use deskhand::base::Clock;
use deskhand::dispatch::schedules::{Scheduler, sync_declared};
use deskhand::dispatch::{Reconciler, ledger};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::fixtures::effects::{Effects, Loops, until};
use crate::fixtures::on_every_pair;
use crate::fixtures::schedules::declaration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_for_while_redis_was_away_runs_when_it_is_back() {
    on_every_pair(async |mut pair| {
        // A file cannot be away without the process that has it.
        let Some(mut server) = pair.redis.take() else { return };
        let clock = Clock::manual(Utc::now());
        let db = pair.db.clone().with_clock(clock.clone());
        let effects = Effects::new(&db, 1_000).await;
        let registry = Arc::new(effects.registry());
        let often = json!({"name": "often", "kind": "effect.apply", "args": {"row": -1}, "cron": "@every 1m", "overlap": "allow"});
        sync_declared(&db, &registry, &[declaration(often)]).await.expect("syncs");
        let loops = Loops::start(&db, &pair.queue, effects.registry());
        let stop = CancellationToken::new();
        let scheduler = tokio::spawn({
            let (scheduler, stop) = (Scheduler::new(db.clone(), registry), stop.clone());
            async move { scheduler.run(stop).await }
        });
        effects.ask(0, true).await;
        until("a job has run", async || effects.jobs().await == (1, 1)).await;

        server.kill();
        for minute in 1..=10 {
            clock.advance(Duration::from_mins(1));
            effects.ask(minute, true).await;
            let asked = 1 + 2 * minute;
            until("the slot of this minute has fired", async || effects.jobs().await.0 == asked).await;
        }
        assert_eq!(effects.jobs().await, (21, 1), "nothing is lost, and nothing runs");
        let backlog = ledger::backlog(&mut db.read().await.expect("begins")).await.expect("counts");
        assert_eq!(backlog.pending, 20);

        server.restart();
        until("everything has run", async || {
            clock.advance(Duration::from_secs(2));
            // A server that answers again may still be without the scripts or the load of it; the next look goes on.
            drop(Reconciler::new(db.clone(), pair.queue.clone()).recover_lost().await);
            let (all, succeeded) = effects.jobs().await;
            all == succeeded && effects.count().await == (11, 11, 11)
        })
        .await;
        stop.cancel();
        scheduler.await.expect("does not panic");
        loops.finish().await;
    })
    .await;
}
