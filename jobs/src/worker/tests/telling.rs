//! What handlers tell while they run.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::bench::{Act, Bench, config, quick, until};
use crate::queue::{Progress, Verdict};
use crate::worker::config::Pace;

fn at(done: u64) -> Progress {
    Progress { done, total: Some(2) }
}

#[tokio::test]
async fn what_is_told_goes_while_the_job_runs_and_the_rest_before_its_end() {
    let bench = Bench::start();
    let id = bench.play(Act::Tell);
    until("the first report", || !bench.queue.look().told.is_empty()).await;
    {
        let inner = bench.queue.look();
        let report = &inner.told[0];
        assert_eq!((report.id, report.progress, report.before), (id, Some(at(1)), 0));
        assert_eq!((report.lines[0].text.as_str(), report.lines[0].attempt), ("halfway", 1));
        assert!(inner.settled.is_empty());
    }
    bench.stage.go.notify_one();
    assert_eq!(bench.verdict(id).await, Verdict::Succeeded);
    let told = bench.queue.look().told.clone();
    let last = told.last().expect("told");
    assert_eq!((last.progress, last.lines.last().map(|line| line.text.as_str())), (Some(at(2)), Some("almost there")));
    bench.stop().await;
}

#[tokio::test]
async fn nothing_is_sent_while_nothing_is_told() {
    let bench = Bench::start();
    for _ in 0..20 {
        let id = bench.play(Act::Finish);
        bench.verdict(id).await;
    }
    assert!(bench.queue.look().told.is_empty());
    bench.stop().await;
}

#[tokio::test]
async fn many_jobs_that_tell_share_a_call() {
    let pace = Pace { tell: Duration::from_hours(1), ..quick() };
    let bench = Bench::with(config(), pace);
    let first = bench.play(Act::Tell);
    until("the first report", || !bench.queue.look().told.is_empty()).await;
    let others = [bench.play(Act::Tell), bench.play(Act::Tell)];
    bench.started(3).await;
    assert_eq!(bench.queue.look().told.len(), 1, "the next call is an hour away");
    for _ in 0..3 {
        bench.stage.go.notify_one();
        let ended = bench.queue.look().settled.len();
        until("an end", || bench.queue.look().settled.len() > ended).await;
    }
    let told = bench.queue.look().told.clone();
    for id in others {
        let last = told.iter().rfind(|report| report.id == id).expect("told with the end");
        assert_eq!((last.progress, last.before, last.lines.len()), (Some(at(2)), 0, 2));
    }
    // What had been taken is not told again.
    let last = told.iter().rfind(|report| report.id == first).expect("told");
    assert_eq!((last.before, last.lines.len()), (1, 1));
    bench.stop().await;
}

#[tokio::test]
async fn what_the_store_did_not_hear_is_told_again() {
    let bench = Bench::start();
    let id = bench.play(Act::Tell);
    until("the first report", || !bench.queue.look().told.is_empty()).await;
    bench.queue.away.store(true, Ordering::SeqCst);
    bench.stage.go.notify_one();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(bench.queue.verdicts(id).is_empty());
    bench.queue.away.store(false, Ordering::SeqCst);
    assert_eq!(bench.verdict(id).await, Verdict::Succeeded);
    assert_eq!(bench.queue.look().told.last().map(|report| report.progress), Some(Some(at(2))));
    bench.stop().await;
}

#[tokio::test]
async fn a_result_that_is_too_large_is_told_in_the_log() {
    let bench = Bench::start();
    let id = bench.play(Act::Boast);
    assert_eq!(bench.verdict(id).await, Verdict::Succeeded);
    let text = bench.queue.look().told[0].lines[0].text.clone();
    assert!(text.contains("16386 bytes") && text.contains("return a reference"), "{text}");
    bench.stop().await;
}
