//! Lists, page by page.

use deskhand_jobs::queue::{Cursor, DeadReason, Endings, Error, Page, Queue, State, Verdict};
use deskhand_jobs::{Envelope, JobId, Options, Priority, QueueName};

use super::{claim, job, on_every_store, plain, queue, settle, worker};
use crate::fixtures::Store;

const ENDINGS: Endings = Endings::Keep;

on_every_store!(
    ready_jobs_are_paged_in_the_order_of_claiming,
    every_state_is_paged_to_its_end,
    equal_times_are_paged_without_loss,
    who_comes_or_goes_moves_no_other_to_another_page,
    a_page_may_be_empty_or_endless,
    a_cursor_of_another_list_is_refused,
);

async fn pages(q: &dyn Queue, state: State, size: usize) -> Vec<Vec<JobId>> {
    let (mut found, mut page) = (Vec::new(), Some(Page::first(size)));
    while let Some(asked) = page {
        let listing = q.list(&QueueName::default(), state, asked).await.expect("lists");
        assert!(listing.jobs.iter().all(|job| job.state == state));
        found.push(listing.jobs.iter().map(|job| job.id).collect());
        page = listing.next.map(|next| Page::after(next, size));
    }
    found
}

fn later(ms: i64) -> Envelope {
    Envelope { run_at_ms: Some(chrono::Utc::now().timestamp_millis() + ms), ..plain() }
}

fn sorted(mut ids: Vec<JobId>) -> Vec<JobId> {
    ids.sort_unstable();
    ids
}

async fn ready_jobs_are_paged_in_the_order_of_claiming(store: Store) {
    let q = &*store.queue;
    let jobs: Vec<_> = (0..10)
        .map(|n| {
            let priority = if n < 5 { Priority::Normal } else { Priority::Critical };
            job(Options { priority, ..Options::default() })
        })
        .collect();
    q.push(&jobs).await.expect("pushes");
    let found = pages(q, State::Ready, 4).await;
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
    let expected: Vec<_> = jobs[5..].iter().chain(&jobs[..5]).map(|job| job.id).collect();
    assert_eq!(found.concat(), expected);
    assert_eq!(pages(q, State::Ready, 5).await.len(), 2, "a full last page has none behind it");
    assert!(q.list(&queue("other"), State::Ready, Page::first(9)).await.expect("lists").jobs.is_empty());
}

async fn every_state_is_paged_to_its_end(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    let ends = [
        (State::Succeeded, Some(Verdict::Succeeded)),
        (State::Cancelled, Some(Verdict::Cancelled { reason: "no".into() })),
        (State::Dead, Some(Verdict::Dead { reason: DeadReason::Failed, error: "no".into() })),
        (State::Scheduled, Some(Verdict::Snooze { delay_ms: 60_000 })),
        (State::Running, None),
    ];
    for (state, verdict) in ends {
        let mut expected = Vec::new();
        for _ in 0..5 {
            q.push(&[plain()]).await.expect("pushes");
            let taken = claim(q, me, 1).await.pop().expect("a job");
            if let Some(verdict) = &verdict {
                settle(q, &taken, verdict.clone()).await;
            }
            store.pass(2).await;
            expected.push(taken.id);
        }
        let found = pages(q, state, 2).await;
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1], "{state}");
        let found = found.concat();
        match state {
            State::Scheduled => assert_eq!(found, expected, "{state}"),
            State::Running => assert_eq!(sorted(found), sorted(expected), "{state}"),
            _ => assert_eq!(found, expected.into_iter().rev().collect::<Vec<_>>(), "{state}, latest first"),
        }
    }
}

async fn equal_times_are_paged_without_loss(store: Store) {
    let q = &*store.queue;
    let due = later(100_000).run_at_ms;
    let jobs: Vec<_> = (0..1_203).map(|_| Envelope { run_at_ms: due, ..plain() }).collect();
    q.push(&jobs).await.expect("pushes");
    let all = sorted(jobs.iter().map(|job| job.id).collect());
    for size in [1_203, 700, 97] {
        assert_eq!(sorted(pages(q, State::Scheduled, size).await.concat()), all, "{size}");
    }
}

async fn who_comes_or_goes_moves_no_other_to_another_page(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    let jobs: Vec<_> = (0..6).map(|n| later(100_000 + n * 1_000)).collect();
    q.push(&jobs).await.expect("pushes");
    let first = q.list(&QueueName::default(), State::Scheduled, Page::first(3)).await.expect("lists");
    // One of the page goes, the very last of it too, and another one comes before all.
    q.cancel(jobs[0].id).await.expect("cancels");
    q.cancel(jobs[2].id).await.expect("cancels");
    q.push(&[later(50_000)]).await.expect("pushes");
    let page = Page::after(first.next.expect("there are more"), 9);
    let rest = q.list(&QueueName::default(), State::Scheduled, page).await.expect("lists");
    let expected: Vec<_> = jobs[3..].iter().map(|job| job.id).collect();
    assert_eq!(rest.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), expected);

    let mut dead = Vec::new();
    for _ in 0..6 {
        q.push(&[plain()]).await.expect("pushes");
        let taken = claim(q, me, 1).await.pop().expect("a job");
        settle(q, &taken, Verdict::Dead { reason: DeadReason::Failed, error: "no".into() }).await;
        store.pass(2).await;
        dead.insert(0, taken.id);
    }
    let first = q.list(&QueueName::default(), State::Dead, Page::first(3)).await.expect("lists");
    q.redrive(&[dead[0], dead[2]]).await.expect("redrives");
    for again in claim(q, me, 1).await {
        settle(q, &again, Verdict::Dead { reason: DeadReason::Failed, error: "no".into() }).await;
    }
    let page = Page::after(first.next.expect("there are more"), 9);
    let rest = q.list(&QueueName::default(), State::Dead, page).await.expect("lists");
    assert_eq!(rest.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), dead[3..]);
}

async fn a_page_may_be_empty_or_endless(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    for verdict in [Verdict::Succeeded, Verdict::Dead { reason: DeadReason::Failed, error: "no".into() }] {
        q.push(&[plain()]).await.expect("pushes");
        settle(q, &claim(q, me, 1).await[0], verdict).await;
    }
    q.push(&[later(100_000), plain()]).await.expect("pushes");
    for (state, count) in State::ALL.into_iter().zip([1, 1, 0, 1, 1, 0]) {
        let list = async |size| q.list(&QueueName::default(), state, Page::first(size)).await.expect("lists");
        let none = list(0).await;
        assert!(none.jobs.is_empty() && none.next.is_none(), "{state}");
        let all = list(usize::MAX).await;
        assert_eq!((all.jobs.len(), all.next), (count, None), "{state}");
    }
}

async fn a_cursor_of_another_list_is_refused(store: Store) {
    let q = &*store.queue;
    q.push(&[plain(), later(100_000)]).await.expect("pushes");
    let strange: Cursor = "not-a-place".parse().expect("it could be one");
    for state in State::ALL {
        let page = Page::after(strange.clone(), 9);
        let error = q.list(&QueueName::default(), state, page).await.expect_err("refused");
        assert!(matches!(&error, Error::Cursor(why) if why.contains("begin without one")), "{state}: {error}");
    }
}
