//! A worker is stopped for longer than its lease and goes on as if nothing had been.

use std::time::{Duration, Instant};

use deskhand_jobs::queue::{BEAT, LEASE};

use super::crew::{Crew, on_redis, on_sqlite};
use super::report::Cause;
use crate::faults::until;

/// So soon a new process of the same name has to have work.
const AT_ONCE: Duration = Duration::from_secs(5);

async fn a_zombie_comes_back(mut crew: Crew) {
    let zombie = crew.hire("same name", 8).await;
    let other = crew.hire("other", 8).await;
    crew.push(160, 500).await;
    crew.until_busy(zombie, 6).await;
    crew.freeze(zombie);
    let frozen = Instant::now();

    // Whoever restarts a hanging worker does not wait for leases.
    let successor = crew.spawn("same name", 8);
    until("the successor works", async || crew.runs(successor).len() > 1).await;
    assert!(frozen.elapsed() < AT_ONCE, "a restart under the same name took {:?}", frozen.elapsed());

    crew.until_done().await;
    assert!(frozen.elapsed() + BEAT > LEASE, "nobody took the jobs of one that may live");
    assert!(frozen.elapsed() < LEASE + BEAT + Crew::SLACK, "{:?}", frozen.elapsed());

    let before = crew.counts().await.expect("answers");
    let runs_before = crew.runs(zombie).len();
    crew.thaw(zombie);
    let woken = Instant::now();
    until("its handlers have ended", async || crew.runs(zombie).iter().all(|run| run.end.is_some())).await;
    let [finished, handed_back, stale, abandoned] = crew.dismiss(zombie).await;
    assert!(stale >= 6, "what it said of its jobs was not heard: {stale}");
    assert_eq!((handed_back, abandoned), (0, 0));
    assert!(woken.elapsed() < Duration::from_secs(12), "{:?}", woken.elapsed());
    assert_eq!(crew.runs(zombie).len(), runs_before, "there was nothing left to run");
    assert_eq!(crew.counts().await.expect("answers"), before, "the zombie changed nothing");

    let mut finished_total = finished;
    for hand in [other, successor] {
        finished_total += crew.dismiss(hand).await[0];
    }
    assert_eq!(finished_total, 160, "each end was taken once");
    let report = crew.account().await;
    assert!(report.explained.get(&Cause::Stopped).is_some_and(|runs| *runs >= 6), "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_stopped_past_its_lease_changes_nothing_and_its_successor_works_at_once() {
    let on_redis = async {
        if let Some(crew) = on_redis().await {
            a_zombie_comes_back(crew).await;
        }
    };
    let on_sqlite = async { a_zombie_comes_back(on_sqlite().await).await };
    tokio::join!(on_redis, on_sqlite);
}
