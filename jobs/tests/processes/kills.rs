//! Workers are killed in the middle of their work.

use std::time::Duration;

use super::crew::{Crew, on_redis, on_sqlite};
use super::report::Cause;

const PROMISE: Duration = Duration::from_secs(15);

async fn two_of_three_are_killed(mut crew: Crew) {
    let mut hands = Vec::new();
    for name in ["one", "two", "three"] {
        hands.push(crew.hire(name, 8).await);
    }
    crew.push(240, 300).await;
    for &victim in &hands[..2] {
        crew.until_busy(victim, 6).await;
        crew.kill(victim);
    }
    let report = crew.account().await;
    let explained = report.explained.get(&Cause::Killed).copied().unwrap_or_default();
    assert!(explained >= 12, "both had something in their hands: {report:?}");
    let slowest = Duration::from_millis(report.slowest_return_ms);
    // Jobs that came back wait for a free place of the only worker left.
    assert!(slowest <= PROMISE + Crew::SLACK, "the jobs ran elsewhere after {slowest:?}");
    let [finished, handed_back, stale, abandoned] = crew.dismiss(hands[2]).await;
    assert_eq!((handed_back, stale, abandoned), (0, 0, 0));
    assert!(finished > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_killed_workers_run_elsewhere_within_15_s_and_none_is_lost() {
    let on_redis = async {
        if let Some(crew) = on_redis().await {
            two_of_three_are_killed(crew).await;
        }
    };
    let on_sqlite = async { two_of_three_are_killed(on_sqlite().await).await };
    tokio::join!(on_redis, on_sqlite);
}
