//! The order in which a worker takes jobs from its queues.

use std::sync::{Arc, Mutex};

use deskhand_jobs::outcome::{self, Outcome};
use deskhand_jobs::queue::Endings;
use deskhand_jobs::worker::{Config, Worker};
use deskhand_jobs::{Envelope, Job, Options, QueueName, Registry, Run};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::conformance::on_every_store;
use crate::faults::until;
use crate::fixtures::Store;

const ENDINGS: Endings = Endings::Drop;
const JOBS_PER_QUEUE: usize = 300;

on_every_store!(
    a_weighted_set_shares_the_jobs_by_weight,
    an_ordered_set_takes_all_of_the_first_queue_first,
    a_queue_without_work_leaves_its_share_to_the_others,
);

/// Notes from which queue it came.
#[derive(Serialize, Deserialize)]
struct Note {
    queue: QueueName,
}

impl Job for Note {
    const KIND: &'static str = "test.note";
    type Context = Arc<Mutex<Vec<String>>>;

    fn options(&self) -> Options {
        Options { queue: self.queue.clone(), ..Options::default() }
    }

    async fn run(self, notes: Self::Context, _: Run) -> outcome::Result {
        notes.lock().expect("no test panics under this lock").push(self.queue.to_string());
        Ok(Outcome::Done)
    }
}

/// Fills these queues, drains them with a worker of these settings, and returns the queue of each job in the order of the starts.
async fn order(store: &Store, fill: &[&str], queues: &str) -> Vec<String> {
    for queue in fill {
        let note = Note { queue: QueueName::new(*queue).expect("valid") };
        let jobs: Vec<Envelope> = (0..JOBS_PER_QUEUE).map(|_| Envelope::new(&note).expect("small")).collect();
        store.queue.push(&jobs).await.expect("takes them");
    }
    let notes: Arc<Mutex<Vec<String>>> = Arc::default();
    let mut registry = Registry::new();
    registry.add::<Note>(Arc::clone(&notes)).expect("the only one");
    let config = Config { queues: queues.parse().expect("a set"), concurrency: 10, ..Config::default() };
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(Arc::clone(&store.queue), registry, config).run(stop.clone()));
    let seen = || notes.lock().expect("no test panics under this lock").clone();
    until("the last job", async || seen().len() == fill.len() * JOBS_PER_QUEUE).await;
    stop.cancel();
    worker.await.expect("ends without panic");
    seen()
}

fn count(order: &[String], queue: &str) -> usize {
    order.iter().filter(|seen| *seen == queue).count()
}

async fn a_weighted_set_shares_the_jobs_by_weight(store: Store) {
    let order = order(&store, &["a", "b"], "a=1,b=3").await;
    // As long as both have work.
    let share = count(&order[..300], "b");
    assert!((205..=245).contains(&share), "{share} of 300 for three quarters");
}

async fn an_ordered_set_takes_all_of_the_first_queue_first(store: Store) {
    let order = order(&store, &["b", "a"], "a,b").await;
    // The last of one and the first of the other may run side by side.
    assert!(count(&order[..JOBS_PER_QUEUE], "a") >= JOBS_PER_QUEUE - 10);
}

async fn a_queue_without_work_leaves_its_share_to_the_others(store: Store) {
    let order = order(&store, &["a", "c"], "idle=1000,a=2,c=2").await;
    let share = count(&order[..300], "a");
    assert!((130..=170).contains(&share), "{share} of 300 for a half");
}
