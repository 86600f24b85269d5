//! Both stores live the same random lives, call by call, and must not differ in what they answer or hold.
//!
//! The suite beside this file says what is right; this test finds the combinations nobody thought of. Orders that the port
//! leaves open are avoided: a claim takes all there is.

use std::fmt::Debug;

use deskhand_jobs::queue::{Claimed, DeadReason, Endings, JobRecord, Page, Queue, State, Verdict, WorkerInfo};
use deskhand_jobs::{Envelope, JobId, Options, Priority, QueueName, Unique, UniqueUntil, WorkerId};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{job, queue, settlement};
use crate::fixtures::{self, Store};

/// The clocks move by whole steps, and nothing is ever due near the end of one.
const STEP_MS: i64 = 5_000;

const CALLS: usize = 70;

struct Pair {
    stores: [Store; 2],
    queues: Vec<QueueName>,
    pushed: Vec<Envelope>,
    workers: Vec<WorkerInfo>,
    /// Every claim ever made, by both stores: also those whose lease is gone.
    claimed: Vec<[Claimed; 2]>,
    dice: StdRng,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_stores_live_alike() {
    for seed in 0..2 {
        for endings in [Endings::Keep, Endings::Drop] {
            let Some(redis) = fixtures::redis(endings).await else { return };
            let sqlite = fixtures::sqlite(endings).await.expect("the file opens");
            let mut pair = Pair {
                stores: [redis, sqlite],
                queues: vec![queue("a"), queue("b")],
                pushed: Vec::new(),
                workers: Vec::new(),
                claimed: Vec::new(),
                dice: StdRng::seed_from_u64(seed),
            };
            let mut told = Vec::new();
            for _ in 0..CALLS {
                let (what, answers) = pair.call().await;
                told.push(what);
                let lately = &told[told.len().saturating_sub(25)..];
                assert_eq!(answers[0], answers[1], "redis and sqlite after seed {seed} {endings:?}: {lately:#?}");
                let seen = [pair.look(0).await, pair.look(1).await];
                let differs: Vec<_> = seen[0].iter().zip(&seen[1]).filter(|(redis, sqlite)| redis != sqlite).collect();
                let same = differs.is_empty() && seen[0].len() == seen[1].len();
                assert!(same, "redis and sqlite differ in {differs:#?} after seed {seed} {endings:?}: {lately:#?}");
            }
        }
    }
}

impl Pair {
    fn store(&self, at: usize) -> &dyn Queue {
        &*self.stores[at].queue
    }

    /// Makes one call on both stores; returns what it was and what each answered.
    async fn call(&mut self) -> (String, [String; 2]) {
        match self.dice.random_range(0..15) {
            0..=3 => self.push().await,
            4 => self.join().await,
            5 | 6 => self.claim().await,
            7..=9 => self.settle().await,
            10 => self.pass().await,
            11 => self.beat().await,
            12 => self.leave_or_pause().await,
            _ => self.steer().await,
        }
    }

    async fn push(&mut self) -> (String, [String; 2]) {
        let mut jobs = Vec::new();
        for _ in 0..self.dice.random_range(1..4) {
            if self.dice.random_bool(0.2)
                && let Some(again) = one_of(&mut self.dice, &self.pushed)
            {
                jobs.push(again);
                continue;
            }
            let until = if self.dice.random_bool(0.5) { UniqueUntil::Started } else { UniqueUntil::Finished };
            let unique = self.dice.random_bool(0.5).then(|| Unique { key: "k".to_owned(), until });
            let options = Options {
                queue: self.queues[self.dice.random_range(0..2)].clone(),
                priority: Priority::ALL[self.dice.random_range(0..4)],
                unique,
                ..Options::default()
            };
            let mut new = job(options);
            if self.dice.random_bool(0.2) {
                new.run_at_ms = Some(chrono::Utc::now().timestamp_millis() + 1_000_000);
            }
            self.pushed.push(new.clone());
            jobs.push(new);
        }
        let mut answers = [const { String::new() }; 2];
        for (at, answer) in answers.iter_mut().enumerate() {
            *answer = shown(&self.store(at).push(&jobs).await.expect("pushes"));
        }
        (format!("push {:?}", jobs.iter().map(|job| (job.id, &job.options.unique)).collect::<Vec<_>>()), answers)
    }

    async fn join(&mut self) -> (String, [String; 2]) {
        let (id, queues) = (WorkerId::new(), self.queues.clone());
        let info = WorkerInfo { id, name: "w".to_owned(), queues, concurrency: 1, started_at_ms: 1 };
        self.workers.push(info.clone());
        let mut answers = [const { String::new() }; 2];
        for (at, answer) in answers.iter_mut().enumerate() {
            *answer = shown(&self.store(at).beat(&info, true).await.expect("beats").lost);
        }
        (format!("join {id}"), answers)
    }

    async fn beat(&mut self) -> (String, [String; 2]) {
        let mut answers = [const { String::new() }; 2];
        for info in self.workers.clone() {
            for (at, answer) in answers.iter_mut().enumerate() {
                let mut beat = self.store(at).beat(&info, false).await.expect("beats");
                beat.cancelled.sort();
                answer.push_str(&shown(&(info.id, beat.lost, beat.cancelled)));
            }
        }
        ("all beat".to_owned(), answers)
    }

    async fn claim(&mut self) -> (String, [String; 2]) {
        let Some(worker) = one_of(&mut self.dice, &self.workers) else { return nothing() };
        let first = self.store(0).claim(worker.id, &self.queues, 400).await.expect("claims");
        let second = self.store(1).claim(worker.id, &self.queues, 400).await.expect("claims");
        let lost = [first.lost, second.lost];
        let mut jobs = [first.jobs, second.jobs];
        for jobs in &mut jobs {
            jobs.sort_by_key(|job| job.id);
        }
        let answers = [0, 1].map(|at| shown(&(lost[at], jobs[at].iter().map(|job| job.id).collect::<Vec<_>>())));
        let [first, second] = jobs;
        self.claimed.extend(first.into_iter().zip(second).map(|(first, second)| [first, second]));
        (format!("claim by {}", worker.id), answers)
    }

    async fn settle(&mut self) -> (String, [String; 2]) {
        // Mostly of the latest, so that most leases hold.
        let from = self.claimed.len().saturating_sub(4);
        let Some(job) = one_of(&mut self.dice, &self.claimed[from..]) else { return nothing() };
        let error = "no \"luck\"\n\u{0}\u{7f}é".to_owned();
        let reason = DeadReason::ALL[self.dice.random_range(0..DeadReason::ALL.len())];
        let delay_ms = (self.dice.random_range(0..4) * STEP_MS + STEP_MS / 2) as u64;
        let verdict = match self.dice.random_range(0..7) {
            0 => Verdict::Succeeded,
            1 => Verdict::Retry { delay_ms, error },
            2 => Verdict::Snooze { delay_ms },
            3 => Verdict::SetAside { delay_ms },
            4 => Verdict::HandBack,
            5 => Verdict::Cancelled { reason: error },
            _ => Verdict::Dead { reason, error },
        };
        let mut answers = [const { String::new() }; 2];
        for (at, answer) in answers.iter_mut().enumerate() {
            let settlements = [settlement(&job[at], verdict.clone())];
            *answer = shown(&self.store(at).settle(&settlements).await.expect("settles"));
        }
        (format!("settle {} {verdict:?}", job[0].id), answers)
    }

    async fn pass(&mut self) -> (String, [String; 2]) {
        for store in &self.stores {
            store.pass(STEP_MS).await;
        }
        // One store takes jobs back when anybody beats, the other queue by queue: somebody who serves all does it here.
        let helper = WorkerInfo {
            id: WorkerId::new(),
            name: "helper".to_owned(),
            queues: self.queues.clone(),
            concurrency: 1,
            started_at_ms: 1,
        };
        let mut answers = [const { String::new() }; 2];
        for (at, answer) in answers.iter_mut().enumerate() {
            *answer = shown(&self.store(at).beat(&helper, true).await.expect("beats").rescued);
            self.store(at).leave(helper.id, &self.queues).await.expect("leaves");
        }
        ("time passes".to_owned(), answers)
    }

    async fn leave_or_pause(&mut self) -> (String, [String; 2]) {
        let name = self.queues[self.dice.random_range(0..2)].clone();
        let worker = one_of(&mut self.dice, &self.workers);
        let what = self.dice.random_range(0..4);
        for at in 0..2 {
            match (what, &worker) {
                (0, _) => self.store(at).pause(&name).await.expect("pauses"),
                (1 | 2, _) => self.store(at).resume(&name).await.expect("resumes"),
                (_, Some(worker)) => self.store(at).leave(worker.id, &self.queues).await.expect("leaves"),
                _ => {}
            }
        }
        (format!("leave or pause {what} {name} {:?}", worker.map(|worker| worker.id)), Default::default())
    }

    async fn steer(&mut self) -> (String, [String; 2]) {
        let Some(job) = one_of(&mut self.dice, &self.pushed) else { return nothing() };
        let (id, what) = (job.id, self.dice.random_range(0..5));
        let mut answers = [const { String::new() }; 2];
        for (at, answer) in answers.iter_mut().enumerate() {
            let store = self.store(at);
            *answer = match what {
                0 | 1 => shown(&store.cancel(id).await.expect("cancels")),
                2 => shown(&store.retry_now(id).await.expect("hurries")),
                3 => shown(&store.redrive(&[id, JobId::new(), id]).await.expect("redrives")),
                _ => shown(&store.discard(&[id, id], "away").await.expect("discards")),
            };
        }
        (format!("steer {what} {id}"), answers)
    }

    /// Everything that can be seen of a store, but the texts that it makes itself and its exact times.
    async fn look(&self, at: usize) -> Vec<String> {
        let store = self.store(at);
        let mut seen = Vec::new();
        for info in store.queues().await.expect("reads") {
            seen.push(shown(&info));
            for state in State::ALL {
                let page = Page { offset: 0, size: 400 };
                let listed = store.list(&info.name, state, page).await.expect("lists");
                let mut records: Vec<_> = listed.into_iter().map(|job| record(&job)).collect();
                records.sort();
                seen.extend(records);
            }
        }
        let mut known = store.known(&self.pushed.iter().map(|job| job.id).collect::<Vec<_>>()).await.expect("reads");
        known.sort();
        seen.push(format!("known {known:?}"));
        let mut endings: Vec<_> = store
            .endings(400)
            .await
            .expect("reads")
            .into_iter()
            .map(|ending| {
                let worker = ending.running.map(|(worker, _)| worker);
                let failures = ending.history.failures;
                shown(&(ending.id, ending.queue, ending.state, ending.dead_reason, worker, failures))
            })
            .collect();
        endings.sort();
        seen.extend(endings);
        let mut workers: Vec<_> = store.workers().await.expect("reads").iter().map(|worker| worker.id).collect();
        workers.sort();
        seen.push(shown(&workers));
        seen
    }
}

fn one_of<T: Clone>(dice: &mut StdRng, items: &[T]) -> Option<T> {
    (!items.is_empty()).then(|| items[dice.random_range(0..items.len())].clone())
}

fn record(job: &JobRecord) -> String {
    let history = &job.history;
    let counts = (history.failures, history.recoveries, history.hand_backs);
    let times = (job.run_at_ms.is_some(), job.ended_at_ms.is_some(), history.aside_since_ms.is_some());
    let worker = job.running.map(|(worker, _)| worker);
    // Of a job that has ended and is not dead only a record is left.
    let kept = job.payload.is_some().then_some(job.priority);
    shown(&(job.id, &job.queue, job.state, kept, worker, job.dead_reason, counts, times))
}

fn shown(what: &impl Debug) -> String {
    format!("{what:?}")
}

fn nothing() -> (String, [String; 2]) {
    ("nothing".to_owned(), Default::default())
}
