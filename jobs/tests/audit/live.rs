//! A queue at full work is audited again and again: a job on the move is not a job in two places or in none.

use std::sync::atomic::{AtomicBool, Ordering};

use deskhand_jobs::queue::{Endings, Queue, Verdict};
use deskhand_jobs::{Options, Priority, QueueName, Unique, UniqueUntil, WorkerId};

use crate::conformance::{job, on_every_store, settlement, worker};
use crate::fixtures::Store;

const ENDINGS: Endings = Endings::Keep;

/// Enough for several parts of everything.
const STANDING: usize = 1_500;
const AUDITS: usize = 12;

on_every_store!(a_queue_at_work_is_never_accused);

/// Pushes, claims and ends jobs in every way until it is told to stop.
async fn toil(queue: &dyn Queue, me: WorkerId, stop: &AtomicBool) {
    let mut turn = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        let new: Vec<_> = (0..40).map(|n| mixed(turn + n)).collect();
        queue.push(&new).await.expect("pushes");
        let claimed = queue.claim(me, &[QueueName::default()], 40).await.expect("claims").jobs;
        for (n, job) in claimed.iter().enumerate().step_by(5) {
            if n.is_multiple_of(2) {
                queue.cancel(job.id).await.expect("cancels");
            }
        }
        let ends: Vec<_> = claimed.iter().enumerate().map(|(n, job)| settlement(job, verdict(turn + n))).collect();
        queue.settle(&ends).await.expect("settles");
        queue.forget_endings(&queue.endings(200).await.expect("reads")).await.expect("forgets");
        turn += 1;
    }
}

fn mixed(n: usize) -> deskhand_jobs::Envelope {
    let unique = n.is_multiple_of(7).then(|| {
        let until = if n.is_multiple_of(2) { UniqueUntil::Started } else { UniqueUntil::Finished };
        Unique::new(format!("key {}", n % 30), until)
    });
    job(Options { priority: Priority::ALL[n % 4], unique, ..Options::default() })
}

fn verdict(n: usize) -> Verdict {
    let text = || "so it goes".to_owned();
    match n % 9 {
        0 => Verdict::Retry { delay_ms: 1, error: text() },
        1 => Verdict::Snooze { delay_ms: 1 },
        2 | 3 => Verdict::HandBack,
        4 => Verdict::Dead { reason: deskhand_jobs::queue::DeadReason::Failed, error: text() },
        5 => Verdict::Cancelled { reason: text() },
        _ => Verdict::Succeeded,
    }
}

async fn a_queue_at_work_is_never_accused(store: Store) {
    let queue = &*store.queue;
    let standing: Vec<_> = (0..STANDING).map(|_| job(Options::default())).collect();
    queue.push(&standing).await.expect("pushes");
    let stop = AtomicBool::new(false);
    let (one, two) = (worker(queue).await, worker(queue).await);
    let audits = async {
        let mut checked = 0;
        for _ in 0..AUDITS {
            // To repair what is in order would break it.
            let audit = queue.audit(&QueueName::default(), true).await.expect("audits");
            assert_eq!(audit.drift, []);
            checked += audit.checked;
        }
        stop.store(true, Ordering::Relaxed);
        checked
    };
    let (checked, (), ()) = tokio::join!(audits, toil(queue, one, &stop), toil(queue, two, &stop));
    assert!(checked as usize >= AUDITS * STANDING / 2, "{checked}");
    assert_eq!(queue.audit(&QueueName::default(), false).await.expect("audits").drift, []);
}
