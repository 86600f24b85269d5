//! Queues on several masters: each is on one, a worker serves them together, and what happens to one master is its own affair.

use std::time::{Duration, Instant};

use deskhand_jobs::QueueName;
use deskhand_jobs::queue::Cancelled;

use super::cluster::Cluster;
use super::{is_drained, job, open};
use crate::faults::{Running, Runs, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_are_spread_over_the_masters_and_one_worker_serves_them_all() {
    let Some(cluster) = Cluster::start().await else { return };
    let queue = open(&cluster.url()).await;
    let health = queue.check().await.expect("fit");
    assert!(health.version.contains("3 masters") && health.durability.contains("fsync always"), "{health:?}");
    let names: Vec<QueueName> = (0..12).map(|n| QueueName::new(format!("mail-{n}")).expect("a valid name")).collect();
    let jobs: Vec<_> = (0..120).map(|n| job(&names[n as usize % 12], n, 1)).collect();
    queue.push(&jobs).await.expect("pushes");
    for node in &cluster.nodes {
        let keys: Vec<String> = node.ask(&["KEYS", "test:{q:*}:jobs"]).await;
        assert!((1..12).contains(&keys.len()), "this master has some of the queues: {keys:?}");
    }
    let runs = Runs::default();
    let worker = Running::serve(queue.clone(), &runs, names);
    until("all jobs to run", || async { runs.distinct() == 120 }).await;
    until("all to be told", || is_drained(&*queue)).await;
    let summary = worker.stop().await;
    assert_eq!((summary.finished, summary.stale, summary.abandoned), (120, 0, 0), "{summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_to_any_master_wakes_an_idle_worker_at_once() {
    let Some(cluster) = Cluster::start().await else { return };
    let queue = open(&cluster.url()).await;
    let names = [cluster.queue_on(0).await, cluster.queue_on(1).await, cluster.queue_on(2).await];
    let runs = Runs::default();
    let worker = Running::serve(queue.clone(), &runs, names.clone());
    let mut waits = Vec::new();
    for n in 0..12 {
        let before = runs.distinct();
        let pushed = Instant::now();
        queue.push(&[job(&names[n as usize % 3], n, 0)]).await.expect("pushes");
        until("it to run", || async { runs.distinct() > before }).await;
        waits.push(pushed.elapsed());
    }
    waits.sort();
    // The tick comes every 4 s; the median forgives a busy machine.
    assert!(waits[6] < Duration::from_millis(500), "{waits:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_killed_stops_its_own_queues_only() {
    let Some(mut cluster) = Cluster::start().await else { return };
    let queue = open(&cluster.url()).await;
    let names = [cluster.queue_on(0).await, cluster.queue_on(1).await, cluster.queue_on(2).await];
    // The worst one: it has the list of the queues as well.
    let victim = cluster.place_of("test:queues").await;
    let others: Vec<QueueName> = (0..3).filter(|place| *place != victim).map(|place| names[place].clone()).collect();
    let runs = Runs::default();
    let worker = Running::serve(queue.clone(), &runs, names.clone());
    let all: Vec<_> = (0..30).map(|n| job(&names[n as usize % 3], n, 1)).collect();
    queue.push(&all).await.expect("pushes");
    until("the first jobs to run", || async { runs.distinct() == 30 }).await;

    let on_new = cluster.place_of("{q:new}").await;
    let mut later = job(&others[0], 998, 0);
    later.run_at_ms = Some(i64::MAX / 1_000_000);
    queue.push(std::slice::from_ref(&later)).await.expect("pushes");
    assert_eq!(queue.queues().await.expect("answers").len(), 3);
    cluster.nodes[victim].kill();
    assert!(queue.push(&[job(&names[victim], 999, 0)]).await.is_err(), "nobody has accepted it");
    let new = QueueName::new("new").expect("a valid name");
    for n in 30..60 {
        let jobs = [job(&others[n as usize % 2], n, 1)];
        until("the others to take jobs", || async { queue.push(&jobs).await.is_ok() }).await;
    }
    until("jobs of the others to run", || async { runs.distinct() == 60 }).await;
    if on_new != victim {
        queue.push(&[job(&new, 1_000, 0)]).await.expect("a queue that is on no list yet takes jobs");
    }
    assert!(queue.queues().await.is_err(), "a list with a hole is none");
    assert_eq!(queue.cancel(later.id).await.expect("the others answer"), Cancelled::Ended);
    let late = Running::serve(queue.clone(), &runs, names.clone());
    worker.stop().await;
    queue.push(&[job(&others[0], 60, 0)]).await.expect("pushes");
    until("a worker that came meanwhile to work", || async { runs.of(60) == 1 }).await;

    cluster.nodes[victim].restart();
    let back = [job(&names[victim], 61, 0)];
    until("the master to take jobs again", || async { queue.push(&back).await.is_ok() }).await;
    until("its jobs to run", || async { runs.of(61) == 1 }).await;
    if on_new != victim {
        let listed = || async { queue.queues().await.is_ok_and(|infos| infos.iter().any(|info| info.name == new)) };
        until("the new queue to be on the list", listed).await;
    }
    let summary = late.stop().await;
    assert_eq!(summary.abandoned, 0, "{summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_hangs_past_the_lease_interrupts_no_job_of_the_others() {
    let Some(cluster) = Cluster::start().await else { return };
    let queue = open(&cluster.url()).await;
    let victim = cluster.place_of("test:queues").await;
    let (hung, well) = (cluster.queue_on(victim).await, cluster.queue_on((victim + 1) % 3).await);
    let runs = Runs::default();
    let worker = Running::serve(queue.clone(), &runs, [hung.clone(), well.clone()]);
    let long = [job(&well, 1, 17_000), job(&hung, 2, 17_000)];
    queue.push(&long).await.expect("pushes");
    until("both to run", || async {
        let infos = queue.queues().await.expect("answers");
        infos.iter().map(|info| info.running).sum::<u64>() == 2
    })
    .await;

    cluster.nodes[victim].freeze(true);
    let frozen = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut n = 10;
    while frozen.elapsed() < Duration::from_secs(14) {
        n += 1;
        let pushed = Instant::now();
        queue.push(&[job(&well, n, 0)]).await.expect("the others take jobs");
        until("it to run", || async { runs.of(n) == 1 }).await;
        slowest = slowest.max(pushed.elapsed());
    }
    // Only the first call that is not answered waits for it.
    assert!(slowest < Duration::from_secs(12), "{slowest:?}");
    assert!(n > 20, "only {} jobs in all that time", n - 10);
    let running = ["HLEN", &format!("test:{{q:{well}}}:running")];
    until("the ends of all but the long job to be told", || async {
        cluster.nodes[(victim + 1) % 3].ask::<u64>(&running).await == 1
    })
    .await;
    assert_eq!(runs.of(2), 0, "it was stopped before anybody else could have it");
    cluster.nodes[victim].freeze(false);

    until("the job of the other to end undisturbed", || async { runs.of(1) == 1 }).await;
    until("the stopped job to run again, to its end", || async { runs.of(2) == 1 }).await;
    until("all to be told", || is_drained(&*queue)).await;
    let well_info = queue.queues().await.expect("answers").into_iter().find(|info| info.name == well);
    assert_eq!(well_info.expect("listed").recovered_total, 0, "nobody took a job of the other away");
    assert_eq!((runs.of(1), runs.of(2)), (1, 1));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_takes_over_and_the_worker_follows() {
    let Some(mut cluster) = Cluster::with_replica().await else { return };
    let queue = open(&cluster.url()).await;
    let name = cluster.queue_on(0).await;
    let runs = Runs::default();
    let worker = Running::serve(queue.clone(), &runs, [name.clone()]);
    let jobs: Vec<_> = (0..200).map(|n| job(&name, n, 5)).collect();
    queue.push(&jobs).await.expect("pushes");
    assert_eq!(cluster.nodes[0].ask::<u32>(&["WAIT", "1", "5000"]).await, 1, "the replica has them");
    until("some to run", || async { runs.distinct() > 20 }).await;
    cluster.nodes[0].kill();
    until("the replica to take jobs", || async { queue.push(&[job(&name, 200, 0)]).await.is_ok() }).await;
    until("every job to run", || async { runs.distinct() == 201 }).await;
    until("all to be told", || is_drained(&*queue)).await;
    let summary = worker.stop().await;
    assert_eq!(summary.abandoned, 0, "{summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_whose_slot_moves_under_a_worker_stays_whole() {
    let Some(cluster) = Cluster::start().await else { return };
    let queue = open(&cluster.url()).await;
    let name = cluster.queue_on(0).await;
    let runs = Runs::default();
    let worker = Running::serve(queue.clone(), &runs, [name.clone()]);
    let mut pushed = 0;
    for (from, to) in [(0, 2), (2, 1)] {
        let jobs: Vec<_> = (pushed..pushed + 300).map(|n| job(&name, n, 2)).collect();
        until("the queue to take jobs", || async { queue.push(&jobs).await.is_ok() }).await;
        pushed += 300;
        until("some to run", || async { runs.distinct() > pushed as usize - 250 }).await;
        move_slot(&cluster, &name, from, to).await;
    }
    until("every job to run", || async { runs.distinct() == pushed as usize }).await;
    until("all to be told", || is_drained(&*queue)).await;
    let info = queue.queues().await.expect("answers").remove(0);
    assert_eq!((info.pushed_total, info.succeeded_total), (600, 600), "each was accepted once and ended once");
    let summary = worker.stop().await;
    assert_eq!(summary.abandoned, 0, "{summary}");
}

/// Moves the slot of a queue key by key, slowly enough for everybody to meet the queue in the middle of it.
async fn move_slot(cluster: &Cluster, name: &QueueName, from: usize, to: usize) {
    let slot: u16 = cluster.nodes[0].ask(&["CLUSTER", "KEYSLOT", &format!("{{q:{name}}}")]).await;
    let slot = slot.to_string();
    let [from, to] = [&cluster.nodes[from], &cluster.nodes[to]];
    let (source, target): (String, String) = (from.ask(&["CLUSTER", "MYID"]).await, to.ask(&["CLUSTER", "MYID"]).await);
    to.say(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]).await;
    from.say(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]).await;
    let port = to.port().to_string();
    loop {
        let keys: Vec<String> = from.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "1"]).await;
        let Some(key) = keys.first() else { break };
        from.say(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    to.say(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]).await;
    from.say(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]).await;
}
