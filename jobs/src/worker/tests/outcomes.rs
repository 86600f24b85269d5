//! What becomes of a job, whatever its handler or its payload does.

use std::sync::atomic::Ordering;

use serde_json::value::RawValue;

use super::bench::{Act, Bench, until};
use crate::id::{JobId, Kind};
use crate::job::Envelope;
use crate::options::Options;
use crate::queue::{DeadReason, History, Queue, Verdict};

fn raw(kind: &str, args: &str) -> Envelope {
    let args = RawValue::from_string(args.to_owned()).expect("valid JSON");
    Envelope::raw(Kind::new(kind).expect("valid"), args, Options::default()).expect("small")
}

fn retry(error: &str) -> Verdict {
    Verdict::Retry { delay_ms: 700, error: error.to_owned() }
}

#[tokio::test]
async fn each_job_is_reported_exactly_once() {
    let bench = Bench::start();
    let jobs: Vec<JobId> = (0..300)
        .map(|n| bench.play(if n % 3 == 0 { Act::HangUntilAsked { then: true } } else { Act::Finish }))
        .collect();
    for id in jobs.iter().step_by(3) {
        bench.queue.cancel(*id).await.expect("answers");
    }
    until("all verdicts", || bench.queue.look().settled.len() >= jobs.len()).await;
    let summary = bench.stop().await;
    assert_eq!((summary.finished, summary.handed_back, summary.stale, summary.abandoned), (300, 0, 0, 0));
}

#[tokio::test]
async fn a_handler_that_returns_done_has_succeeded() {
    let bench = Bench::start();
    let id = bench.play(Act::Finish);
    assert_eq!(bench.verdict(id).await, Verdict::Succeeded);
    until("the hook", || bench.hooks.load(Ordering::SeqCst) > 0).await;
    let runs = bench.stage.runs.lock().expect("no panic").clone();
    assert_eq!((runs[0].id, runs[0].attempt, runs[0].max_attempts), (id, 1, 2));
    bench.stop().await;
}

#[tokio::test]
async fn errors_and_panics_are_tried_again_and_then_dead() {
    let bench = Bench::start();
    let acts = [(Act::Fail, "no luck"), (Act::Panic, "panicked: oh no"), (Act::FailUnspeakably, "panicked: no words")];
    for (act, error) in acts {
        let id = bench.play(act.clone());
        assert_eq!(bench.verdict(id).await, retry(error));
        let mut envelope = raw("test.play", &format!("{{\"act\":\"{act:?}\"}}"));
        envelope.options.max_attempts = 2;
        let history = History { failures: 1, ..History::default() };
        let last = bench.queue.add_raw(envelope.id, envelope.encode().into(), history);
        let dead = Verdict::Dead { reason: DeadReason::Exhausted, error: error.to_owned() };
        assert_eq!(bench.verdict(last).await, dead);
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_handler_is_gone_when_its_time_is_up() {
    let bench = Bench::start();
    let id = bench.play_with(Act::Hang, 30);
    assert_eq!(bench.verdict(id).await, retry("timed out after 30 ms"));
    let runs = bench.stage.runs.lock().expect("no panic").clone();
    assert!(runs[0].cancelled.is_cancelled(), "what it started elsewhere is told");
    assert_eq!(bench.stage.dropped.load(Ordering::SeqCst), 1);
    let bomb = bench.play_with(Act::PanicInDrop, 30);
    assert_eq!(bench.verdict(bomb).await, retry("timed out after 30 ms"));
    assert_eq!(bench.health.running(), 0);
    bench.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_dead_and_the_worker_goes_on() {
    let bench = Bench::start();
    let payload = bench.queue.add_raw(JobId::new(), bytes::Bytes::from_static(b"\xff{"), History::default());
    let args = bench.queue.add(&raw("test.play", "{\"act\":7}"));
    for id in [payload, args] {
        let verdict = bench.verdict(id).await;
        assert!(matches!(verdict, Verdict::Dead { reason: DeadReason::Decode, .. }), "{verdict:?}");
    }
    let next = bench.play(Act::Finish);
    assert_eq!(bench.verdict(next).await, Verdict::Succeeded);
    bench.stop().await;
}

#[tokio::test]
async fn an_unknown_kind_is_set_aside_and_a_retired_one_ended() {
    let bench = Bench::start();
    let unknown = bench.queue.add(&raw("test.unheard_of", "{}"));
    assert_eq!(bench.verdict(unknown).await, Verdict::SetAside { delay_ms: 30_000 });
    let retired = bench.queue.add(&raw("test.retired", "{}"));
    assert_eq!(bench.verdict(retired).await, Verdict::Cancelled { reason: "no longer needed".to_owned() });
    bench.stop().await;
}

#[tokio::test]
async fn a_cancelled_handler_may_tidy_up_and_then_has_to_go() {
    let bench = Bench::start();
    let cancelled = Verdict::Cancelled { reason: "cancelled while it ran".to_owned() };
    for (act, expected) in [
        (Act::HangUntilAsked { then: true }, Verdict::Succeeded),
        (Act::HangUntilAsked { then: false }, cancelled.clone()),
        (Act::Hang, cancelled),
    ] {
        let before = bench.stage.started.load(Ordering::SeqCst);
        let id = bench.play(act);
        bench.started(before + 1).await;
        bench.queue.cancel(id).await.expect("answers");
        assert_eq!(bench.verdict(id).await, expected);
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_blocks_its_thread_holds_up_nobody_but_its_thread() {
    let bench = Bench::start();
    let blocked = bench.play(Act::Block { ms: 400 });
    bench.started(1).await;
    until("beats", || bench.queue.look().registered.len() == 1).await;
    let waiting = bench.play(Act::Wait);
    bench.stage.go.notify_one();
    assert_eq!(bench.verdict(blocked).await, Verdict::Succeeded);
    assert_eq!(bench.verdict(waiting).await, Verdict::Succeeded);
    bench.stop().await;
}
