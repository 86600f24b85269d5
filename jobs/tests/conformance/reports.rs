//! What running jobs tell: progress and short lines of log.

use deskhand_jobs::queue::{
    Claimed, DeadReason, Endings, LEASE, LogLine, MAX_LINE_BYTES, MAX_LOG_LINES, Progress, Queue, Report, Settled,
    State, Verdict,
};
use deskhand_jobs::{JobId, Options, Priority, QueueName};

use super::{claim, job, on_every_store, plain, settle, with_args, worker, worker_of};
use crate::fixtures::Store;

const ENDINGS: Endings = Endings::Keep;

on_every_store!(
    a_running_job_shows_how_far_it_is_and_what_it_noted,
    the_ending_keeps_what_was_told,
    a_job_with_large_arguments_tells_as_others_do,
    a_stale_report_changes_nothing,
    a_report_that_comes_again_changes_nothing,
    a_log_keeps_its_last_lines,
    a_new_attempt_begins_without_progress_and_its_log_goes_on,
    a_job_that_ends_while_nobody_runs_it_has_no_progress,
    a_dead_job_shows_what_it_told,
    reports_of_many_jobs_go_in_one_call,
    lines_keep_their_text,
);

fn line(attempt: u32, n: usize) -> LogLine {
    LogLine { attempt, at_ms: 1_700_000_000_000 + n as i64, text: format!("line {n}") }
}

fn report(job: &Claimed, progress: Option<(u64, Option<u64>)>, before: u64, lines: Vec<LogLine>) -> Report {
    Report {
        id: job.id,
        queue: job.queue.clone(),
        lease: job.lease.clone(),
        progress: progress.map(|(done, total)| Progress { done, total }),
        before,
        lines,
    }
}

async fn tell(q: &dyn Queue, report: Report) -> Settled {
    q.report(&[report]).await.expect("answers")[0]
}

async fn running(q: &dyn Queue) -> Claimed {
    q.push(&[plain()]).await.expect("pushes");
    let me = worker(q).await;
    claim(q, me, 1).await.pop().expect("the job")
}

async fn seen(q: &dyn Queue, id: JobId) -> (State, Option<Progress>, Vec<LogLine>) {
    let record = q.job(id).await.expect("reads").expect("is there");
    (record.state, record.progress, record.log)
}

fn at(done: u64, total: Option<u64>) -> Progress {
    Progress { done, total }
}

async fn a_running_job_shows_how_far_it_is_and_what_it_noted(store: Store) {
    let q = &*store.queue;
    let job = running(q).await;
    assert_eq!(seen(q, job.id).await, (State::Running, None, vec![]));
    assert_eq!(tell(q, report(&job, Some((0, None)), 0, vec![])).await, Settled::Applied);
    assert_eq!(seen(q, job.id).await, (State::Running, Some(at(0, None)), vec![]));
    tell(q, report(&job, Some((3, Some(10))), 0, vec![line(1, 0)])).await;
    tell(q, report(&job, None, 1, vec![line(1, 1)])).await;
    assert_eq!(seen(q, job.id).await, (State::Running, Some(at(3, Some(10))), vec![line(1, 0), line(1, 1)]));
    let page = deskhand_jobs::queue::Page::first(9);
    let listed = q.list(&QueueName::default(), State::Running, page).await.expect("lists").jobs;
    assert_eq!((listed[0].progress, listed[0].log.len()), (Some(at(3, Some(10))), 2));
}

async fn the_ending_keeps_what_was_told(store: Store) {
    let q = &*store.queue;
    for verdict in [
        Verdict::Succeeded,
        Verdict::SucceededWith { result: 1.into() },
        Verdict::Cancelled { reason: "not wanted".into() },
        Verdict::Dead { reason: DeadReason::Failed, error: "no".into() },
    ] {
        let job = running(q).await;
        let silent = running(q).await;
        tell(q, report(&job, Some((7, Some(7))), 0, vec![line(1, 0)])).await;
        settle(q, &job, verdict.clone()).await;
        settle(q, &silent, verdict).await;
        let endings = q.endings(9).await.expect("reads");
        let of = |id| endings.iter().find(|ending| ending.id == id).expect("has ended");
        assert_eq!((of(job.id).progress, &of(job.id).log[..]), (Some(at(7, Some(7))), &[line(1, 0)][..]));
        assert_eq!((of(silent.id).progress, of(silent.id).log.len()), (None, 0));
        let (_, progress, log) = seen(q, job.id).await;
        assert_eq!((progress, log), (Some(at(7, Some(7))), vec![line(1, 0)]));
        super::forget_all(q).await;
    }
}

async fn a_job_with_large_arguments_tells_as_others_do(store: Store) {
    let q = &*store.queue;
    let urgent = job(Options { priority: Priority::High, ..Options::default() });
    q.push(&[with_args(urgent, 5_000)]).await.expect("pushes");
    let me = worker(q).await;
    let job = claim(q, me, 1).await.pop().expect("the job");
    assert_eq!(tell(q, report(&job, Some((3, None)), 0, vec![line(1, 1)])).await, Settled::Applied);
    assert_eq!(seen(q, job.id).await, (State::Running, Some(at(3, None)), vec![line(1, 1)]));
}

async fn a_stale_report_changes_nothing(store: Store) {
    let q = &*store.queue;
    let old = running(q).await;
    tell(q, report(&old, Some((1, None)), 0, vec![line(1, 0)])).await;
    store.pass(LEASE.as_millis() as i64 + 1).await;
    let live = worker_of(q, &[QueueName::default()]).await;
    q.beat(&live, false).await.expect("beats");
    let new = claim(q, live.id, 1).await.pop().expect("it is back");
    assert_eq!(tell(q, report(&old, Some((9, None)), 1, vec![line(1, 1)])).await, Settled::Stale);
    assert_eq!(seen(q, new.id).await, (State::Running, None, vec![line(1, 0)]));
    settle(q, &new, Verdict::Succeeded).await;
    assert_eq!(tell(q, report(&new, Some((9, None)), 0, vec![line(1, 1)])).await, Settled::Stale);
    let unknown = Report { id: JobId::new(), ..report(&new, Some((1, None)), 0, vec![]) };
    assert_eq!(tell(q, unknown).await, Settled::Stale);
    assert_eq!(seen(q, new.id).await, (State::Succeeded, None, vec![line(1, 0)]));
}

async fn a_report_that_comes_again_changes_nothing(store: Store) {
    let q = &*store.queue;
    let job = running(q).await;
    for _ in 0..2 {
        tell(q, report(&job, Some((1, None)), 0, vec![line(1, 0), line(1, 1)])).await;
    }
    // What was not answered goes with what came after it.
    tell(q, report(&job, None, 1, vec![line(1, 1), line(1, 2)])).await;
    assert_eq!(seen(q, job.id).await.2, [line(1, 0), line(1, 1), line(1, 2)]);
}

async fn a_log_keeps_its_last_lines(store: Store) {
    let q = &*store.queue;
    let job = running(q).await;
    let all: Vec<LogLine> = (0..120).map(|n| line(1, n)).collect();
    for (at, part) in all.chunks(30).enumerate() {
        tell(q, report(&job, None, at as u64 * 30, part.to_vec())).await;
    }
    assert_eq!(seen(q, job.id).await.2, all[120 - MAX_LOG_LINES..]);
    // Lines that the worker had to let go are a gap.
    tell(q, report(&job, None, 500, vec![line(1, 500)])).await;
    let log = seen(q, job.id).await.2;
    assert_eq!((log.len(), &log[MAX_LOG_LINES - 1]), (MAX_LOG_LINES, &line(1, 500)));
}

async fn a_new_attempt_begins_without_progress_and_its_log_goes_on(store: Store) {
    let q = &*store.queue;
    let first = running(q).await;
    tell(q, report(&first, Some((5, Some(9))), 0, vec![line(1, 0)])).await;
    settle(q, &first, Verdict::Retry { delay_ms: 5, error: "no".into() }).await;
    assert_eq!(seen(q, first.id).await, (State::Scheduled, None, vec![line(1, 0)]));
    store.pass(10).await;
    let me = worker(q).await;
    let second = claim(q, me, 1).await.pop().expect("again");
    assert_eq!(seen(q, first.id).await, (State::Running, None, vec![line(1, 0)]));
    tell(q, report(&second, None, 0, vec![line(2, 1)])).await;
    assert_eq!(seen(q, first.id).await, (State::Running, None, vec![line(1, 0), line(2, 1)]));
    tell(q, report(&second, Some((1, None)), 1, vec![])).await;
    settle(q, &second, Verdict::HandBack).await;
    let third = claim(q, me, 1).await.pop().expect("again");
    settle(q, &third, Verdict::Succeeded).await;
    assert_eq!(seen(q, first.id).await, (State::Succeeded, None, vec![line(1, 0), line(2, 1)]));
    assert_eq!(q.endings(9).await.expect("reads")[0].progress, None, "the last attempt told nothing");
}

async fn a_job_that_ends_while_nobody_runs_it_has_no_progress(store: Store) {
    let q = &*store.queue;
    let waiting = running(q).await;
    tell(q, report(&waiting, Some((5, None)), 0, vec![line(1, 0)])).await;
    settle(q, &waiting, Verdict::HandBack).await;
    q.cancel(waiting.id).await.expect("cancels");
    assert_eq!(seen(q, waiting.id).await, (State::Cancelled, None, vec![line(1, 0)]));
    let dead = running(q).await;
    tell(q, report(&dead, Some((5, None)), 0, vec![line(1, 0)])).await;
    settle(q, &dead, Verdict::Dead { reason: DeadReason::Failed, error: "no".into() }).await;
    q.discard(&[dead.id], "of no use").await.expect("discards");
    assert_eq!(seen(q, dead.id).await, (State::Cancelled, None, vec![line(1, 0)]));
}

async fn a_dead_job_shows_what_it_told(store: Store) {
    let q = &*store.queue;
    let job = running(q).await;
    tell(q, report(&job, Some((5, None)), 0, vec![line(1, 0)])).await;
    settle(q, &job, Verdict::Dead { reason: DeadReason::Failed, error: "no".into() }).await;
    super::forget_all(q).await;
    assert_eq!(seen(q, job.id).await, (State::Dead, Some(at(5, None)), vec![line(1, 0)]));
    q.redrive(&[job.id]).await.expect("redrives");
    assert_eq!(seen(q, job.id).await, (State::Ready, None, vec![line(1, 0)]));
    let me = worker(q).await;
    claim(q, me, 1).await;
    assert_eq!(seen(q, job.id).await, (State::Running, None, vec![line(1, 0)]));
}

async fn reports_of_many_jobs_go_in_one_call(store: Store) {
    let q = &*store.queue;
    q.push(&(0..120).map(|_| plain()).collect::<Vec<_>>()).await.expect("pushes");
    let me = worker(q).await;
    let jobs = claim(q, me, 120).await;
    settle(q, &jobs[60], Verdict::Succeeded).await;
    let reports: Vec<Report> =
        jobs.iter().enumerate().map(|(n, job)| report(job, Some((n as u64, Some(120))), 0, vec![line(1, n)])).collect();
    let answers = q.report(&reports).await.expect("answers");
    assert_eq!(answers.iter().filter(|answer| **answer == Settled::Stale).count(), 1);
    assert_eq!(answers[60], Settled::Stale);
    for n in [0, 59, 61, 119] {
        assert_eq!(seen(q, jobs[n].id).await, (State::Running, Some(at(n as u64, Some(120))), vec![line(1, n)]));
    }
    assert!(q.report(&[]).await.expect("answers").is_empty());
}

async fn lines_keep_their_text(store: Store) {
    let q = &*store.queue;
    let job = running(q).await;
    let texts = ["", ":", "a \"b\" \\ c", "ümlaut 中文 …", "50% done: 3/7", &"x".repeat(MAX_LINE_BYTES)];
    let lines: Vec<LogLine> =
        texts.iter().map(|text| LogLine { attempt: 1, at_ms: -1, text: (*text).to_owned() }).collect();
    tell(q, report(&job, None, 0, lines.clone())).await;
    assert_eq!(seen(q, job.id).await.2, lines);
    settle(q, &job, Verdict::Succeeded).await;
    assert_eq!(seen(q, job.id).await.2, lines);
}
