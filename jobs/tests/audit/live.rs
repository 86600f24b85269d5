//! A queue at full work is audited again and again: a job on the move is not a job in two places or in none.

use std::sync::atomic::{AtomicBool, Ordering};

use deskhand_jobs::queue::{Endings, Queue, Verdict};
use deskhand_jobs::{Options, Priority, QueueName, Unique, UniqueUntil, WorkerId};

use crate::conformance::{job, on_every_store, settlement, worker};
use crate::fixtures::Store;

const ENDINGS: Endings = Endings::Keep;

/// Enough for several parts of everything.
const STANDING: usize = 1_500;
const TURNS: usize = 60;

on_every_store!(a_queue_at_work_is_never_accused);

/// Pushes, claims and ends jobs in every way.
async fn toil(queue: &dyn Queue, me: WorkerId) {
    for turn in 0..TURNS {
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
        // A store in memory never makes anybody wait.
        tokio::task::yield_now().await;
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
    let (one, two) = (worker(queue).await, worker(queue).await);
    let over = AtomicBool::new(false);
    let toils = async {
        tokio::join!(toil(queue, one), toil(queue, two));
        over.store(true, Ordering::Relaxed);
    };
    let audits = async {
        let (mut audits, mut checked) = (0, 0);
        while !over.load(Ordering::Relaxed) {
            // To repair what is in order would break it.
            let audit = queue.audit(&QueueName::default(), true).await.expect("audits");
            assert_eq!(audit.drift, []);
            (audits, checked) = (audits + 1, checked + audit.checked);
            tokio::task::yield_now().await;
        }
        (audits, checked)
    };
    let ((audits, checked), ()) = tokio::join!(audits, toils);
    assert!(checked as usize >= audits * STANDING / 2, "{audits} audits of {checked} jobs");
    assert_eq!(queue.audit(&QueueName::default(), false).await.expect("audits").drift, []);
}
