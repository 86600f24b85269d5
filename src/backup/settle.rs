//! Makes the copied queue agree with the copied database, which is younger.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use deskhand_jobs::queue::{Page, Queue, State};
use deskhand_jobs::{JobId, QueueName};

use crate::base::Result;
use crate::db::Db;
use crate::dispatch::{Keeper, LedgerState, Reconciler, ledger};

/// How many jobs are compared at once.
const BATCH: usize = 500;

/// Says whether a job of the copied queue is one that the database knows better.
fn is_outdated(queue: State, ledger: Option<LedgerState>) -> bool {
    match ledger {
        // Closing jobs of batches are the queue's own.
        None => false,
        // Redriven since. Without it, the reconciler sends it again.
        Some(LedgerState::Waiting | LedgerState::Pending | LedgerState::Pushed) => queue == State::Dead,
        Some(LedgerState::Dead) => queue != State::Dead,
        Some(LedgerState::Succeeded | LedgerState::Cancelled) => true,
    }
}

/// Ends what had ended in the queue, hands back what ran, removes what the database knows to be over, and lets wait what the queue
/// does not have. Nobody else may have either copy open.
pub(super) async fn settle(db: &Db, queue: &Arc<dyn Queue>) -> Result<()> {
    let keeper = Keeper::new(db.clone(), Arc::clone(queue));
    while keeper.write_endings().await? > 0 {}
    let queues: Vec<QueueName> = queue.queues().await?.into_iter().map(|queue| queue.name).collect();
    for name in &queues {
        hand_back(queue, name).await?;
    }
    // What was asked to stop while it ran has ended with that.
    while keeper.write_endings().await? > 0 {}
    for name in &queues {
        for state in [State::Scheduled, State::Ready, State::Dead] {
            remove_outdated(db, queue, name, state).await?;
        }
    }
    // Their ends are no news: the database has the true ones.
    loop {
        let endings = queue.endings(BATCH).await?;
        if endings.is_empty() {
            break;
        }
        queue.forget_endings(&endings).await?;
    }
    // What came between the two copies, and what was redriven, waits in the database again.
    Reconciler::new(db.clone(), Arc::clone(queue)).at_rest().recover_lost().await?;
    Ok(())
}

/// Lets go what workers have: none of them will see the copy.
async fn hand_back(queue: &Arc<dyn Queue>, name: &QueueName) -> Result<()> {
    loop {
        let running = queue.list(name, State::Running, Page::first(BATCH)).await?.jobs;
        let workers: BTreeSet<_> = running.iter().filter_map(|job| job.running.map(|(worker, _)| worker)).collect();
        if workers.is_empty() {
            return Ok(());
        }
        for worker in workers {
            queue.leave(worker, std::slice::from_ref(name)).await?;
        }
    }
}

async fn remove_outdated(db: &Db, queue: &Arc<dyn Queue>, name: &QueueName, state: State) -> Result<()> {
    let mut page = Page::first(BATCH);
    loop {
        let listing = queue.list(name, state, page).await?;
        let ids: Vec<JobId> = listing.jobs.iter().map(|job| job.id).collect();
        let known: HashMap<JobId, LedgerState> = ledger::states(&mut db.read().await?, &ids).await?;
        let outdated: Vec<JobId> = ids.into_iter().filter(|id| is_outdated(state, known.get(id).copied())).collect();
        if state == State::Dead {
            queue.discard(&outdated, "the database knows better").await?;
        } else {
            for id in outdated {
                queue.cancel(id).await?;
            }
        }
        let Some(next) = listing.next else { return Ok(()) };
        page = Page::after(next, BATCH);
    }
}

#[cfg(test)]
mod tests {
    use deskhand_jobs::queue::sqlite::SqliteQueue;
    use deskhand_jobs::queue::{Endings, Settlement, Verdict, WorkerInfo};
    use deskhand_jobs::{Envelope, Kind, Options, WorkerId};
    use serde_json::value::RawValue;

    use super::*;
    use crate::dispatch::{Enqueue, Relay};

    #[test]
    fn the_database_knows_better_what_has_ended() {
        use LedgerState as L;
        for (queue, ledger, outdated) in [
            (State::Ready, Some(L::Pushed), false),
            (State::Ready, Some(L::Pending), false),
            (State::Scheduled, Some(L::Succeeded), true),
            (State::Ready, Some(L::Cancelled), true),
            (State::Ready, Some(L::Dead), true),
            (State::Dead, Some(L::Dead), false),
            (State::Dead, Some(L::Pushed), true),
            (State::Dead, Some(L::Succeeded), true),
            (State::Ready, None, false),
        ] {
            assert_eq!(is_outdated(queue, ledger), outdated, "{queue} {ledger:?}");
        }
    }

    async fn enqueue(db: &Db) -> JobId {
        let kind = Kind::new("mail.send").expect("valid");
        let args = RawValue::from_string("{}".to_owned()).expect("JSON");
        let job = Envelope::raw(kind, args, Options::default()).expect("small");
        let mut tx = db.begin().await.expect("begins");
        tx.enqueue(&job).await.expect("writes");
        tx.commit().await.expect("commits");
        job.id
    }

    async fn state_of(db: &Db, id: JobId) -> Option<LedgerState> {
        ledger::states(&mut db.read().await.expect("begins"), &[id]).await.expect("reads").remove(&id)
    }

    #[tokio::test]
    async fn what_happened_between_the_two_copies_neither_runs_twice_nor_is_lost() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let url = format!("sqlite://{}", directory.path().join("d.db").display());
        let db = Db::open(&url).await.expect("opens");
        db.migrate().await.expect("migrates");
        let path = directory.path().join("queue.db");
        let live: Arc<dyn Queue> = Arc::new(SqliteQueue::open(&path, Endings::Keep).await.expect("opens"));
        let relay = Relay::new(db.clone(), Arc::clone(&live));
        let keeper = Keeper::new(db.clone(), Arc::clone(&live));
        let (name, id) = (QueueName::default(), WorkerId::new());
        let worker = WorkerInfo { id, name: "w".into(), queues: vec![name.clone()], concurrency: 9, started_at_ms: 0 };
        live.beat(&worker, true).await.expect("registers");

        let [over, told, waits] = [enqueue(&db).await, enqueue(&db).await, enqueue(&db).await];
        relay.push_due().await.expect("pushes");
        let claimed = live.claim(id, &worker.queues, 2).await.expect("claims").jobs;
        let end = |place: usize| {
            let job = &claimed[place];
            let (queue, lease) = (job.queue.clone(), job.lease.clone());
            [Settlement { id: job.id, queue, lease, verdict: Verdict::Succeeded }]
        };
        assert_eq!((claimed[0].id, claimed[1].id), (over, told));
        // Its end is in the copied queue and not in the copied database.
        live.settle(&end(1)).await.expect("settles");
        let copy = directory.path().join("copy.db");
        crate::db::file::copy(&path, &copy).await.expect("copies");
        // Its end is in the copied database only, and this one came later.
        live.settle(&end(0)).await.expect("settles");
        let endings = live.endings(9).await.expect("reads");
        let only: Vec<_> = endings.into_iter().filter(|ending| ending.id == told).collect();
        live.forget_endings(&only).await.expect("hides it from the keeper");
        keeper.write_endings().await.expect("writes");
        let later = enqueue(&db).await;
        relay.push_due().await.expect("pushes");
        assert_eq!(state_of(&db, over).await, Some(LedgerState::Succeeded));
        assert_eq!(state_of(&db, told).await, Some(LedgerState::Pushed));

        let copied: Arc<dyn Queue> = Arc::new(SqliteQueue::open(&copy, Endings::Keep).await.expect("opens"));
        settle(&db, &copied).await.expect("settles");
        assert_eq!(state_of(&db, told).await, Some(LedgerState::Succeeded), "the queue knew it, with its effects");
        assert_eq!(state_of(&db, over).await, Some(LedgerState::Succeeded));
        let info = copied.queues().await.expect("reads").remove(0);
        assert_eq!((info.ready, info.running, info.dead), (1, 0, 0), "{info:?}");
        let known = copied.known(&[over, told, waits, later]).await.expect("reads");
        assert_eq!(known, [waits]);
        assert_eq!(state_of(&db, waits).await, Some(LedgerState::Pushed));
        assert_eq!(state_of(&db, later).await, Some(LedgerState::Pending), "it is sent again");
    }
}
