//! Jobs by the thousand on Redis: those with options take few commands for all of them, and what is not the common case is found out.

use std::collections::BTreeMap;

use deskhand_jobs::queue::redis::RedisQueue;
use deskhand_jobs::queue::{Endings, Pushed, Queue, Settled, Verdict};
use deskhand_jobs::{Envelope, Group, GroupKey, Options, Priority, Unique, UniqueUntil, WorkerId};

use crate::conformance::{claim, ids, job, settlement, with_args, worker};
use crate::faults::server::RedisServer;
use crate::fixtures::prefix;

const JOBS: usize = 400;
const GROUPS: usize = 20;

/// A queue on a server that nobody else talks to.
struct Alone {
    server: RedisServer,
    queue: RedisQueue,
    worker: WorkerId,
}

impl Alone {
    async fn new() -> Option<Self> {
        let server = RedisServer::start_with(&["--appendonly", "no"])?;
        let queue = RedisQueue::open(&server.url(), &prefix(), Endings::Drop).await.expect("the server answers");
        let worker = worker(&queue).await;
        Some(Self { server, queue, worker })
    }

    /// Returns how often each command was called since the last time that this was asked.
    async fn calls(&self) -> BTreeMap<String, usize> {
        let text: String = self.server.ask(&["INFO", "commandstats"]).await;
        self.server.say(&["CONFIG", "RESETSTAT"]).await;
        let line = |line: &str| {
            let (command, counts) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((command.to_owned(), counts.split(',').next()?.parse().ok()?))
        };
        text.lines().filter_map(line).collect()
    }

    /// Pushes in one call; returns the answers and how many commands on hashes, lists and groups it took.
    async fn push(&self, jobs: &[Envelope]) -> (Vec<Pushed>, usize) {
        self.calls().await;
        let answers = self.queue.push(jobs).await.expect("pushes");
        (answers, commands(&self.calls().await))
    }

    /// Claims and ends all in one call each; returns how many commands each took.
    async fn run(&self, expected: &[Envelope]) -> (usize, usize) {
        self.calls().await;
        let claimed = claim(&self.queue, self.worker, JOBS).await;
        let taking = commands(&self.calls().await);
        let (mut got, mut pushed) = (ids(&claimed), expected.iter().map(|job| job.id).collect::<Vec<_>>());
        got.sort_unstable();
        pushed.sort_unstable();
        assert_eq!(got, pushed, "each comes once");
        let ends: Vec<_> = claimed.iter().map(|job| settlement(job, Verdict::Succeeded)).collect();
        self.calls().await;
        let settled = self.queue.settle(&ends).await.expect("settles");
        assert!(settled.iter().all(|end| *end == Settled::Applied));
        (taking, commands(&self.calls().await))
    }

    /// Returns what is left of the queue's keys besides what it is known by.
    async fn left(&self) -> Vec<String> {
        let keys: Vec<String> = self.server.ask(&["KEYS", "*"]).await;
        let known = ["queues", "stats", "turns", "wake", "winfo", "workers"];
        keys.into_iter().filter(|key| !known.iter().any(|word| key.ends_with(&format!(":{word}")))).collect()
    }
}

/// Counts the commands that change or read what jobs are kept in.
fn commands(calls: &BTreeMap<String, usize>) -> usize {
    let kept = |command: &&String| ["h", "l", "r", "z", "s"].iter().any(|first| command.starts_with(first));
    calls.keys().filter(kept).map(|command| calls[command]).sum()
}

fn prioritised(number: usize) -> Envelope {
    job(Options { priority: Priority::ALL[number % Priority::ALL.len()], ..Options::default() })
}

fn grouped(number: usize) -> Envelope {
    let key = GroupKey::new(format!("g{}", number % GROUPS)).expect("valid");
    job(Options { group: Some(Group::new(key).concurrency(1_000)), ..Options::default() })
}

fn keyed(number: usize) -> Envelope {
    job(Options { unique: Some(Unique::new(format!("k{number}"), UniqueUntil::Finished)), ..Options::default() })
}

fn many(made: impl Fn(usize) -> Envelope) -> Vec<Envelope> {
    (0..JOBS).map(made).collect()
}

#[tokio::test]
async fn many_jobs_with_options_take_few_commands() {
    let Some(alone) = Alone::new().await else { return };
    for (name, made, each_group) in
        [("priorities", prioritised as fn(usize) -> Envelope, 0), ("groups", grouped, GROUPS), ("keys", keyed, 0)]
    {
        let jobs = many(made);
        let (answers, pushing) = alone.push(&jobs).await;
        assert!(answers.iter().all(|answer| *answer == Pushed::Created), "{name}");
        let (taking, ending) = alone.run(&jobs).await;
        let said = format!("{name}: {pushing} to push, {taking} to take, {ending} to end");
        // Only the limits of new groups are noted one by one.
        assert!(pushing <= 20 + 2 * each_group && taking <= 30 && ending <= 25, "{said}");
        assert_eq!(alone.left().await, [] as [String; 0], "{name}");
    }
}

#[tokio::test]
async fn an_end_does_not_read_large_arguments_again() {
    let Some(alone) = Alone::new().await else { return };
    for (size, expected) in [(10, 2), (2_000, 1)] {
        let jobs = [keyed(1), prioritised(2), keyed(2), grouped(1)].map(|job| with_args(job, size));
        alone.push(&jobs).await;
        let claimed = claim(&alone.queue, alone.worker, 9).await;
        assert_eq!(claimed.len(), jobs.len());
        let snoozed = claimed.iter().position(|job| job.id == jobs[2].id).expect("claimed");
        let end = |place| if place == snoozed { Verdict::Snooze { delay_ms: 0 } } else { Verdict::Succeeded };
        let ends: Vec<_> = claimed.iter().enumerate().map(|(place, job)| settlement(job, end(place))).collect();
        alone.calls().await;
        alone.queue.settle(&ends).await.expect("settles");
        let calls = alone.calls().await;
        let groups = 6;
        assert_eq!(calls.get("hmget"), Some(&(groups + expected)), "beside the groups and the leases: {calls:?}");
        alone.run(&jobs[2..3]).await;
        assert_eq!(alone.left().await, [] as [String; 0], "{size}");
    }
}

#[tokio::test]
async fn small_and_large_jobs_end_together() {
    let Some(alone) = Alone::new().await else { return };
    let made = |number: usize| {
        let job = match number % 4 {
            0 => keyed(number),
            1 => grouped(number),
            2 => job(Options::default()),
            _ => prioritised(number),
        };
        with_args(job, if number.is_multiple_of(3) { 3_000 } else { 3 })
    };
    let jobs = many(made);
    alone.push(&jobs).await;
    alone.run(&jobs).await;
    assert_eq!(alone.left().await, [] as [String; 0]);
}

#[tokio::test]
async fn a_push_of_many_finds_the_one_whose_key_is_held() {
    let Some(alone) = Alone::new().await else { return };
    let (holder, jobs) = (keyed(7), many(keyed));
    alone.push(std::slice::from_ref(&holder)).await;
    let (answers, _) = alone.push(&jobs).await;
    let refused: Vec<_> = answers.into_iter().enumerate().filter(|(_, answer)| *answer != Pushed::Created).collect();
    assert_eq!(refused, [(7, Pushed::Conflict { holder: holder.id })]);
    let mut expected = jobs;
    expected[7] = holder;
    alone.run(&expected).await;
    assert_eq!(alone.left().await, [] as [String; 0]);
}

#[tokio::test]
async fn a_key_that_comes_twice_in_a_push_goes_to_the_first() {
    let Some(alone) = Alone::new().await else { return };
    let jobs = [keyed(1), keyed(2), keyed(1)];
    let (answers, _) = alone.push(&jobs).await;
    assert_eq!(answers, [Pushed::Created, Pushed::Created, Pushed::Conflict { holder: jobs[0].id }]);
    alone.run(&jobs[..2]).await;
    assert_eq!(alone.left().await, [] as [String; 0]);
}

#[tokio::test]
async fn a_job_that_comes_twice_in_a_push_is_taken_once() {
    let Some(alone) = Alone::new().await else { return };
    let jobs = [prioritised(0), grouped(1)];
    let (answers, _) = alone.push(&[jobs[0].clone(), jobs[1].clone(), jobs[0].clone()]).await;
    assert_eq!(answers, [Pushed::Created, Pushed::Created, Pushed::Duplicate]);
    alone.run(&jobs).await;
    assert_eq!(alone.left().await, [] as [String; 0]);
}

#[tokio::test]
async fn the_last_limits_of_a_push_are_those_of_the_group() {
    let Some(alone) = Alone::new().await else { return };
    let of = |most| {
        let group = Group::new(GroupKey::new("g").expect("valid")).concurrency(most);
        job(Options { group: Some(group), ..Options::default() })
    };
    // The first and the last differ in nothing.
    alone.push(&[of(1), of(2), of(1)]).await;
    assert_eq!(claim(&alone.queue, alone.worker, 9).await.len(), 1);
}

#[tokio::test]
async fn a_claim_of_many_takes_of_a_group_what_it_may() {
    let Some(alone) = Alone::new().await else { return };
    let of = |name: &str, most| {
        let group = Group::new(GroupKey::new(name).expect("valid")).concurrency(most);
        job(Options { group: Some(group), ..Options::default() })
    };
    let jobs: Vec<_> = (0..20).flat_map(|_| [of("tight", 5), of("loose", 1_000)]).collect();
    alone.push(&jobs).await;
    let claimed = claim(&alone.queue, alone.worker, 100).await;
    let tight: Vec<_> = jobs.iter().step_by(2).map(|job| job.id).collect();
    assert_eq!((claimed.iter().filter(|job| tight.contains(&job.id)).count(), claimed.len()), (5, 25));
    let ends: Vec<_> = claimed.iter().map(|job| settlement(job, Verdict::Succeeded)).collect();
    alone.queue.settle(&ends).await.expect("settles");
    assert_eq!(claim(&alone.queue, alone.worker, 100).await.len(), 5, "those that were put aside");
}
