//! What came of jobs, how far they were and what they noted, from the queue into the ledger.

use deskhand::base::{PageRequest, TenantId};
use deskhand::dispatch::ledger::{self, Filter};
use deskhand::dispatch::{Keeper, Relay};
use deskhand_jobs::queue::{LogLine, Progress, Queue, Report, Settlement, Verdict, WorkerInfo};
use deskhand_jobs::{QueueName, WorkerId};
use serde_json::json;

use super::relay::{enqueue, entry};
use crate::fixtures::TestQueue;
use crate::fixtures::databases::on_both;
use crate::fixtures::jobs::mail;

/// Claims all that is ready, tells this of it, and ends it so.
async fn work(queue: &dyn Queue, progress: Option<Progress>, lines: &[LogLine], verdict: &Verdict) {
    let queues = vec![QueueName::default()];
    let worker = WorkerInfo { id: WorkerId::new(), name: "hands".into(), queues, concurrency: 9, started_at_ms: 0 };
    queue.beat(&worker, true).await.expect("beats");
    for job in queue.claim(worker.id, &worker.queues, 9).await.expect("claims").jobs {
        let (id, lease, lines) = (job.id, job.lease.clone(), lines.to_vec());
        let report = Report { id, queue: job.queue.clone(), lease: lease.clone(), progress, before: 0, lines };
        queue.report(&[report]).await.expect("reports");
        let settlement = Settlement { id, queue: job.queue, lease, verdict: verdict.clone() };
        queue.settle(&[settlement]).await.expect("settles");
    }
}

#[tokio::test]
async fn the_ledger_keeps_what_came_of_a_job_and_what_it_told() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let (relay, keeper) = (Relay::new(db.clone(), test.queue.clone()), Keeper::new(db.clone(), test.queue.clone()));
        let (rich, plain) = (mail("rich"), mail("plain"));
        let result = json!({ "sent": 3, "text": "a \"b\" \u{0} ümlaut" });
        let progress = Progress { done: 3, total: Some(4) };
        let lines = [1, 2].map(|n| LogLine { attempt: 1, at_ms: 1_700_000_000_000 + n, text: format!("line \"{n}\"") });

        enqueue(db, std::slice::from_ref(&rich)).await;
        relay.push_due().await.expect("pushes");
        work(&*test.queue, Some(progress), &lines, &Verdict::SucceededWith { result: result.clone() }).await;
        enqueue(db, std::slice::from_ref(&plain)).await;
        relay.push_due().await.expect("pushes");
        work(&*test.queue, None, &[], &Verdict::Succeeded).await;
        keeper.write_endings().await.expect("writes");

        let kept = entry(db, rich.id).await;
        assert_eq!((kept.result, kept.progress, kept.log), (Some(result), Some(progress), lines.to_vec()));
        let kept = entry(db, plain.id).await;
        assert_eq!((kept.result, kept.progress, kept.log), (None, None, Vec::new()));

        let mut tx = db.read().await.expect("begins");
        let listed = ledger::list(&mut tx, &TenantId::default(), &Filter::default(), PageRequest::default()).await;
        let listed = listed.expect("lists").items;
        let rich = listed.iter().find(|entry| entry.id == rich.id).expect("is listed");
        assert!(rich.result.is_some() && rich.progress.is_some() && rich.log.is_empty(), "a list reads no logs");
    })
    .await;
}
