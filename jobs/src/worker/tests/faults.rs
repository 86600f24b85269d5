//! The store goes away, the lease is lost, the worker is told to stop.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::bench::{Act, Bench, Play, config, quick, until};
use crate::id::{JobId, QueueName};
use crate::job::Envelope;
use crate::queue::Verdict;
use crate::worker::config::{Config, Pace};

#[tokio::test]
async fn outcomes_are_kept_while_the_store_is_away() {
    let bench = Bench::start();
    let jobs = [bench.play(Act::Wait), bench.play(Act::Wait)];
    bench.started(2).await;
    bench.queue.away.store(true, Ordering::SeqCst);
    bench.stage.go.notify_waiters();
    until("the handlers to end", || bench.health.running() == 0).await;
    bench.queue.away.store(false, Ordering::SeqCst);
    for id in jobs {
        assert_eq!(bench.verdict(id).await, Verdict::Succeeded);
    }
    let later = bench.play(Act::Finish);
    assert_eq!(bench.verdict(later).await, Verdict::Succeeded, "it goes on by itself");
    let summary = bench.stop().await;
    assert_eq!((summary.finished, summary.stale, summary.abandoned), (3, 0, 0));
}

#[tokio::test]
async fn a_worker_whose_lease_is_lost_stops_its_handlers_and_registers_anew() {
    let bench = Bench::start();
    bench.play(Act::Hang);
    bench.started(1).await;
    bench.queue.expire();
    until("the handler to be dropped", || bench.stage.dropped.load(Ordering::SeqCst) >= 1).await;
    bench.started(2).await;
    let registered = bench.queue.look().registered.clone();
    assert!(registered.len() >= 2 && registered[0] != registered[1], "{registered:?}");
    assert!(bench.queue.look().settled.is_empty(), "nothing was said about the job that is another's now");
    bench.begin_stop();
    drop(bench);
}

#[tokio::test]
async fn a_worker_that_cannot_beat_for_a_lease_stops_its_handlers_by_itself() {
    let bench = Bench::with(config(), Pace { lease: Duration::from_millis(400), ..quick() });
    let id = bench.play(Act::HangUntilAsked { then: true });
    bench.started(1).await;
    bench.queue.away.store(true, Ordering::SeqCst);
    until("the handler to be dropped", || bench.stage.dropped.load(Ordering::SeqCst) == 1).await;
    bench.queue.away.store(false, Ordering::SeqCst);
    until("a new registration", || bench.queue.look().registered.len() >= 2).await;
    assert!(bench.queue.verdicts(id).is_empty());
    let later = bench.play(Act::Finish);
    assert_eq!(bench.verdict(later).await, Verdict::Succeeded);
    let summary = bench.stop().await;
    assert_eq!((summary.finished, summary.stale), (1, 1));
}

#[tokio::test]
async fn a_job_whose_claim_was_answered_in_vain_comes_back() {
    let bench = Bench::start();
    until("a registration", || bench.queue.look().registered.len() == 1).await;
    bench.queue.swallow_claim.store(true, Ordering::SeqCst);
    let id = bench.play(Act::Finish);
    assert_eq!(bench.verdict(id).await, Verdict::Succeeded);
    assert_eq!(bench.queue.look().alive.len(), 1, "the life that could not know of it has left");
    bench.stop().await;
}

#[tokio::test]
async fn a_job_whose_claim_was_answered_in_vain_does_not_wait_for_the_others_of_its_worker() {
    let bench = Bench::start();
    let long = bench.play(Act::Wait);
    bench.started(1).await;
    bench.queue.swallow_claim.store(true, Ordering::SeqCst);
    let id = bench.play(Act::Finish);
    assert_eq!(bench.verdict(id).await, Verdict::Succeeded);
    assert!(bench.queue.verdicts(long).is_empty(), "the other still runs");
    bench.stage.go.notify_one();
    assert_eq!(bench.verdict(long).await, Verdict::Succeeded);
    bench.stop().await;
}

#[tokio::test]
async fn a_claim_of_an_old_life_that_reaches_the_store_late_gives_back_what_it_was_given() {
    let bench = Bench::start();
    let long = bench.play(Act::Wait);
    bench.started(1).await;
    bench.queue.swallow_claim.store(true, Ordering::SeqCst);
    let id = bench.play(Act::Finish);
    assert_eq!(bench.verdict(id).await, Verdict::Succeeded, "given back by the old life and run by the new one");
    let old = bench.queue.look().registered[0];
    let late = bench.queue.give(old, &Envelope::new(&Play { act: Act::Finish }).expect("small"));
    assert_eq!(bench.verdict(late).await, Verdict::Succeeded);
    assert!(bench.queue.verdicts(long).is_empty(), "the other still runs");
    bench.stage.go.notify_one();
    assert_eq!(bench.verdict(long).await, Verdict::Succeeded);
    bench.stop().await;
}

#[tokio::test]
async fn two_claims_are_under_way_while_they_bring_all_they_ask_for_and_one_that_fails_loses_nothing() {
    let bench = Bench::with(Config { concurrency: 200, ..config() }, quick());
    bench.queue.claims_take_ms.store(2, Ordering::SeqCst);
    let many: Vec<_> = (0..2_000).map(|_| bench.play(Act::Finish)).collect();
    bench.started(800).await;
    bench.queue.swallow_claim.store(true, Ordering::SeqCst);
    for id in many {
        assert_eq!(bench.verdict(id).await, Verdict::Succeeded);
    }
    assert!(!bench.queue.swallow_claim.load(Ordering::SeqCst), "one failed");
    assert_eq!(bench.queue.most_claims.load(Ordering::SeqCst), 2);
    let summary = bench.stop().await;
    assert_eq!((summary.stale, summary.abandoned), (0, 0), "nobody else was given what runs here");
}

#[tokio::test]
async fn what_comes_with_a_wait_runs() {
    let bench = Bench::start();
    bench.queue.claims_after_waits.store(true, Ordering::SeqCst);
    let jobs: Vec<_> = (0..5).map(|_| bench.play(Act::Finish)).collect();
    for id in jobs {
        assert_eq!(bench.verdict(id).await, Verdict::Succeeded);
    }
    bench.queue.swallow_claim.store(true, Ordering::SeqCst);
    let id = bench.play(Act::Finish);
    assert_eq!(bench.verdict(id).await, Verdict::Succeeded, "an answer that was lost is no lost job");
    let summary = bench.stop().await;
    assert_eq!((summary.finished, summary.stale, summary.abandoned), (6, 0, 0));
}

/// Stops the worker, which does not know of the one job, while the other one runs.
async fn stopped_it_gives_back(bench: Bench, id: JobId, long: JobId) {
    bench.begin_stop();
    until("the job to be back", || bench.queue.is_ready(id)).await;
    assert!(bench.queue.verdicts(long).is_empty(), "the other still runs");
    bench.stage.go.notify_one();
    assert_eq!(bench.verdict(long).await, Verdict::Succeeded);
    let summary = bench.stop().await;
    assert_eq!((summary.finished, summary.stale, summary.abandoned), (1, 0, 0));
}

#[tokio::test]
async fn what_came_with_a_wait_that_a_stop_ended_goes_back_while_the_others_still_run() {
    let bench = Bench::start();
    let long = bench.play(Act::Wait);
    bench.started(1).await;
    bench.queue.claims_after_waits.store(true, Ordering::SeqCst);
    bench.queue.withhold_jobs.store(true, Ordering::SeqCst);
    let id = bench.play(Act::Finish);
    until("the claim", || !bench.queue.withhold_jobs.load(Ordering::SeqCst)).await;
    assert!(!bench.queue.is_ready(id));
    stopped_it_gives_back(bench, id, long).await;
}

#[tokio::test]
async fn what_a_claim_was_given_that_fails_while_the_worker_stops_goes_back_while_the_others_still_run() {
    let bench = Bench::start();
    let long = bench.play(Act::Wait);
    bench.started(1).await;
    bench.queue.claims_take_ms.store(100, Ordering::SeqCst);
    bench.queue.swallow_claim.store(true, Ordering::SeqCst);
    let id = bench.play(Act::Finish);
    until("the claim", || !bench.queue.swallow_claim.load(Ordering::SeqCst)).await;
    stopped_it_gives_back(bench, id, long).await;
}

#[tokio::test]
async fn a_stopping_worker_lets_running_jobs_finish() {
    let bench = Bench::start();
    let id = bench.play(Act::Wait);
    bench.started(1).await;
    bench.begin_stop();
    let late = bench.play(Act::Finish);
    bench.stage.go.notify_one();
    assert_eq!(bench.verdict(id).await, Verdict::Succeeded);
    let queue = bench.queue.clone();
    let summary = bench.stop().await;
    assert_eq!((summary.finished, summary.handed_back, summary.abandoned), (1, 0, 0));
    assert!(queue.look().alive.is_empty(), "it has left");
    assert!(queue.is_ready(late), "it takes nothing any more");
}

#[tokio::test]
async fn what_does_not_end_within_the_grace_is_handed_back() {
    let bench = Bench::with(Config { grace: Duration::from_millis(50), ..config() }, quick());
    let hanging = [bench.play(Act::Hang), bench.play(Act::HangUntilAsked { then: false })];
    let tidy = bench.play(Act::HangUntilAsked { then: true });
    bench.started(3).await;
    let queue = bench.queue.clone();
    let summary = bench.stop().await;
    assert_eq!((summary.finished, summary.handed_back, summary.abandoned), (1, 2, 0));
    assert_eq!(queue.verdicts(tidy), [Verdict::Succeeded]);
    for id in hanging {
        assert_eq!(queue.verdicts(id), [Verdict::HandBack]);
        assert!(queue.is_ready(id));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_no_handler_has_begun_go_back_at_once() {
    let bench = Bench::start();
    // The first blocks the shell's own task, so that the others cannot begin.
    bench.play(Act::Block { ms: 1_000 });
    bench.started(1).await;
    let waiting: Vec<_> = (0..3).map(|_| bench.play(Act::Finish)).collect();
    until("the claim", || waiting.iter().all(|id| !bench.queue.is_ready(*id))).await;
    bench.begin_stop();
    for id in &waiting {
        assert_eq!(bench.verdict(*id).await, Verdict::HandBack);
    }
    assert_eq!(bench.health.running(), 1, "while the first still runs");
    let summary = bench.stop().await;
    assert_eq!((summary.finished, summary.handed_back, summary.abandoned), (1, 3, 0));
}

#[tokio::test]
async fn a_worker_stops_in_time_without_its_store() {
    let bench = Bench::with(Config { grace: Duration::from_millis(50), ..config() }, quick());
    bench.play(Act::Hang);
    bench.started(1).await;
    bench.queue.away.store(true, Ordering::SeqCst);
    let summary = bench.stop().await;
    assert_eq!((summary.finished, summary.abandoned), (0, 1));
}

#[tokio::test]
async fn a_dropped_worker_takes_its_handlers_with_it() {
    let (queue, dropped) = {
        let bench = Bench::start();
        bench.play(Act::Hang);
        bench.started(1).await;
        bench.abort();
        (bench.queue.clone(), bench.stage.dropped.clone())
    };
    until("the handler to be dropped", || dropped.load(Ordering::SeqCst) == 1).await;
    assert!(queue.look().settled.is_empty(), "the lease gives it back");
}

#[tokio::test]
async fn readiness_follows_the_store() {
    let bench = Bench::with(config(), Pace { idle: Duration::from_millis(10), ..quick() });
    let within = Duration::from_millis(500);
    until("readiness", || bench.health.is_ready(within)).await;
    bench.queue.away.store(true, Ordering::SeqCst);
    until("its end", || !bench.health.is_ready(within)).await;
    bench.queue.away.store(false, Ordering::SeqCst);
    until("its return", || bench.health.is_ready(within)).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_store_on_its_own_runtime_hears_beats_while_every_handler_thread_is_blocked() {
    let home = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let bench = Bench::on(home.handle(), config(), quick());
    let id = bench.play(Act::Block { ms: 400 });
    assert_eq!(bench.verdict(id).await, Verdict::Succeeded);
    let beats = bench.queue.beats.load(Ordering::SeqCst);
    assert!(beats >= 5, "only {beats} beats in 400 ms");
    bench.stop().await;
    home.shutdown_background();
}

#[tokio::test]
async fn a_job_that_was_fetched_ahead_does_not_wait_behind_a_long_one() {
    let pace = Pace { stuck: Duration::from_millis(20), ..quick() };
    let bench = Bench::with(Config { concurrency: 1, ..config() }, pace);
    let short = || bench.health.mean_attempt(&QueueName::default()).is_some_and(|mean| mean < Duration::from_millis(2));
    while !short() {
        let id = bench.play(Act::Finish);
        bench.verdict(id).await;
    }
    let long = bench.play(Act::Wait);
    let next = bench.play(Act::Finish);
    assert_eq!(bench.verdict(next).await, Verdict::HandBack, "for whoever has a place");
    assert!(bench.queue.verdicts(long).is_empty(), "the long one still runs");
    bench.stage.go.notify_one();
    until("the job to be done", || bench.queue.verdicts(next).last() == Some(&Verdict::Succeeded)).await;
    bench.stop().await;
}
