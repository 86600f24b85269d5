//! Random histories: whatever three workers, the clock and people do in whatever order, a store answers as the queue in memory
//! does, which is small enough to be believed.
//!
//! Time moves in steps of 5 s and everything that is due is due 2 s off any step, so that the milliseconds that a run takes decide
//! nothing. In half of the histories claims take all that is ready, in whatever order. In the others there are limits, claims take
//! few, and the order is compared too.

mod step;

use std::collections::{BTreeMap, HashMap};

use deskhand_jobs::fingerprint::Fingerprint;
use deskhand_jobs::queue::{
    Batch, Claimed, DeadFilter, DeadStep, Endings, History, LogLine, Pace, Page, Progress, Queue, Report, Settlement,
    State, Verdict, WorkerInfo,
};
use deskhand_jobs::testing::MemoryQueue;
use deskhand_jobs::{
    BatchId, Envelope, Group, GroupKey, JobId, Options, Priority, QueueName, Unique, UniqueUntil, WorkerId,
};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::value::RawValue;

use self::step::{LATER_MS, New, STEP_MS, Step, WORKERS, endings, limited_step, limits, unlimited_step};
use crate::conformance::{ids, job, with_args};
use crate::fixtures::{self, Store};

/// The store under test and the model beside it, with what both have handed out.
struct Pair {
    store: Store,
    model: MemoryQueue,
    workers: Vec<WorkerInfo>,
    jobs: Vec<Envelope>,
    batches: Vec<Batch>,
    /// The same delivery from both; leases differ.
    held: Vec<(Claimed, Claimed)>,
    settled: Vec<(Claimed, Claimed)>,
    /// Whether the order is compared.
    ordered: bool,
}

fn new_worker() -> WorkerInfo {
    let queues = vec![QueueName::default()];
    WorkerInfo { id: WorkerId::new(), name: "host:1".into(), queues, concurrency: 9, started_at_ms: 1 }
}

fn settlement(job: &Claimed, verdict: Verdict) -> Settlement {
    Settlement { id: job.id, queue: job.queue.clone(), lease: job.lease.clone(), verdict }
}

/// Names the dead of one of the two errors.
fn died_of(poisoned: bool) -> DeadFilter {
    let error = if poisoned { "cannot read it" } else { "it went wrong" };
    DeadFilter { fingerprint: Some(Fingerprint::of(error)), ..DeadFilter::all(QueueName::default()) }
}

fn in_order(mut ids: Vec<JobId>) -> Vec<JobId> {
    ids.sort_unstable();
    ids
}

impl Pair {
    fn new(store: Store, endings: Endings, ordered: bool) -> Self {
        let workers = (0..WORKERS).map(|_| new_worker()).collect();
        let model = MemoryQueue::with(endings);
        Self {
            store,
            model,
            workers,
            jobs: Vec::new(),
            batches: Vec::new(),
            held: Vec::new(),
            settled: Vec::new(),
            ordered,
        }
    }

    /// A job that never comes up and is not plain: among nothing but plain jobs Redis does not count the places of one claim.
    async fn anchor(&self) {
        let mut far = job(Options { priority: Priority::Low, ..Options::default() });
        far.run_at_ms = Some(i64::MAX / 4_096);
        for queue in [&self.model as &dyn Queue, &*self.store.queue] {
            queue.push(std::slice::from_ref(&far)).await.expect("pushes");
        }
    }

    async fn pass(&self, ms: i64) {
        self.model.shift_clock(ms).await.expect("moves");
        self.store.pass(ms).await;
    }

    fn some_id(&self, which: Index) -> JobId {
        if self.jobs.is_empty() { JobId::new() } else { which.get(&self.jobs).id }
    }

    fn some_batch(&self, which: Index) -> BatchId {
        if self.batches.is_empty() { BatchId::new() } else { which.get(&self.batches).id() }
    }

    fn made(&self, new: &New) -> Envelope {
        let until = |started: &bool| if *started { UniqueUntil::Started } else { UniqueUntil::Finished };
        let unique = new.key.as_ref().map(|(key, started, limited, replaces)| {
            let unique = Unique::new(format!("k{key}"), until(started));
            let unique = if *limited { unique.for_ms(LATER_MS) } else { unique };
            if *replaces { unique.replace() } else { unique }
        });
        let priority = Priority::from_rank(new.rank).expect("in range");
        let group = new.group.map(|(group, kind)| Group { key: group_key(group), limits: limits(kind) });
        let mut made = job(Options { priority, unique, group, ..Options::default() });
        if new.large {
            made = with_args(made, 2_000);
        }
        if new.later {
            // The model's idea of now is the store's, to the millisecond or two of this line.
            made.run_at_ms = Some(self.model.now_ms() + LATER_MS as i64);
        }
        if let Some((batch, parent)) = new.batch {
            made.batch = Some(self.some_batch(batch));
            made.parent = Some(self.some_id(parent));
        }
        made
    }

    async fn take(&mut self, step: &Step) {
        let real = self.store.queue.clone();
        macro_rules! same {
            ($call:ident($($argument:expr),*)) => {{
                let ours = self.model.$call($($argument),*).await.expect("the model answers");
                let theirs = real.$call($($argument),*).await.expect("the store answers");
                assert_eq!(theirs, ours, "{}", stringify!($call));
            }};
        }
        match step {
            Step::Push(new) => {
                let new = self.made(new);
                self.jobs.push(new.clone());
                same!(push(std::slice::from_ref(&new)));
            }
            Step::PushMany(many, again) => {
                let mut new: Vec<Envelope> = many.iter().map(|new| self.made(new)).collect();
                // Those of one claim that are handed back stand in the order of their ids.
                new.sort_by_key(|job| job.id);
                self.jobs.extend(new.clone());
                // Who was refused before and is taken now would stand where its id does not.
                if let Some(old) = again.map(|which| which.get(&self.jobs).clone()) {
                    let known = self.model.job(old.id).await.expect("reads").is_some();
                    if known || new.iter().any(|job| job.id == old.id) {
                        new.push(old);
                    }
                }
                same!(push(&new));
            }
            // Of two batches that are complete at once either may close first.
            Step::OpenBatch { .. } if self.ordered && !self.batches.is_empty() => {}
            Step::OpenBatch { again: Some(which), .. } if !self.batches.is_empty() => {
                same!(open_batch(which.get(&self.batches)));
            }
            Step::OpenBatch { later, .. } => {
                let mut then = job(Options::default());
                then.run_at_ms = later.then(|| self.model.now_ms() + LATER_MS as i64);
                let batch = Batch::new(then.clone()).expect("may close");
                same!(open_batch(&batch));
                self.jobs.push(then);
                self.batches.push(batch);
            }
            Step::Seal(which) => same!(seal_batch(&QueueName::default(), self.some_batch(*which))),
            Step::CancelBatch(which) => same!(cancel_batch(self.some_batch(*which))),
            Step::PushAgain(which) if !self.jobs.is_empty() => {
                let old = which.get(&self.jobs).clone();
                same!(push(std::slice::from_ref(&old)));
            }
            Step::Register(worker) => {
                self.workers[*worker] = new_worker();
                let info = self.workers[*worker].clone();
                self.beat(&info, true).await;
            }
            Step::Beat(worker) => {
                let info = &self.workers[*worker];
                self.beat(info, false).await;
                let mut ours = self.model.stops(info.id, &info.queues).await.expect("the model answers");
                let mut theirs = real.stops(info.id, &info.queues).await.expect("the store answers");
                ours.sort_unstable();
                theirs.sort_unstable();
                assert_eq!(theirs, ours, "stops");
            }
            Step::Claim(worker, most) => self.claim(*worker, *most).await,
            Step::Settle(which, fate) if !self.held.is_empty() => {
                let (ours, theirs) = self.held.swap_remove(which.index(self.held.len()));
                self.settle(&ours, &theirs, fate.verdict()).await;
                self.settled.push((ours, theirs));
            }
            Step::SettleMany(most) => {
                let some: Vec<_> = self.held.drain(..self.held.len().min(*most)).collect();
                let ends = |job: &Claimed| settlement(job, Verdict::Succeeded);
                let (ours, theirs): (Vec<_>, Vec<_>) =
                    some.iter().map(|(ours, theirs)| (ends(ours), ends(theirs))).unzip();
                let expected = self.model.settle(&ours).await.expect("the model answers");
                assert_eq!(real.settle(&theirs).await.expect("the store answers"), expected, "settle");
                self.settled.extend(some);
            }
            Step::SettleAgain(which) if !self.settled.is_empty() => {
                let (ours, theirs) = which.get(&self.settled).clone();
                self.settle(&ours, &theirs, Verdict::Succeeded).await;
            }
            Step::Report(which, done, again) if !self.held.is_empty() => {
                let (ours, theirs) = which.get(&self.held).clone();
                self.report(&ours, &theirs, *done).await;
                if *again {
                    self.report(&ours, &theirs, *done).await;
                }
            }
            Step::ReportLate(which) if !self.settled.is_empty() => {
                let (ours, theirs) = which.get(&self.settled).clone();
                self.report(&ours, &theirs, Some(9)).await;
            }
            Step::Leave(worker) => {
                let info = self.workers[*worker].clone();
                same!(leave(info.id, &info.queues));
            }
            Step::HandBackOthers(worker, kept) => {
                let info = self.workers[*worker].clone();
                same!(hand_back_others(info.id, &info.queues, &[self.some_id(*kept)]));
            }
            Step::Cancel(which) => same!(cancel(self.some_id(*which))),
            Step::RetryNow(which) => same!(retry_now(self.some_id(*which))),
            Step::Redrive(which, later) => {
                let pace = if *later { Pace::every(LATER_MS).then(1) } else { Pace::NOW };
                same!(redrive_paced(&[self.some_id(*which)], pace));
            }
            Step::Discard(which) => same!(discard(&[self.some_id(*which)], "not wanted")),
            Step::RedriveSome { poisoned } => same!(redrive_all(died_of(*poisoned), Pace::NOW)),
            Step::DiscardSome { poisoned } => {
                let first = DeadStep::first(died_of(*poisoned));
                let ours = self.model.discard_step(&first, "not wanted").await.expect("the model answers");
                let theirs = real.discard_step(&first, "not wanted").await.expect("the store answers");
                assert_eq!(in_order(theirs.ids), in_order(ours.ids), "discard_step");
                assert!(theirs.next.is_none() && ours.next.is_none(), "so few are one step");
            }
            Step::Amend(which, n) => {
                let args = RawValue::from_string(format!("{{\"n\":{n}}}")).expect("valid JSON");
                same!(amend(self.some_id(*which), &args));
            }
            Step::Pause => same!(pause(&QueueName::default())),
            Step::Resume => same!(resume(&QueueName::default())),
            Step::Limit(most) => same!(limit(&QueueName::default(), *most)),
            Step::Fix(group, kind) => {
                same!(limit_group(&QueueName::default(), &group_key(*group), kind.map(limits)));
            }
            Step::Pass(steps) => self.pass(steps * STEP_MS).await,
            Step::Forget => {
                for queue in [&self.model as &dyn Queue, &*real] {
                    let fetched = queue.endings(1_000).await.expect("reads");
                    queue.forget_endings(&fetched).await.expect("forgets");
                }
            }
            Step::PushAgain(_) | Step::Settle(..) | Step::SettleAgain(_) | Step::Report(..) | Step::ReportLate(_) => {}
        }
    }

    async fn beat(&self, worker: &WorkerInfo, register: bool) {
        let ours = self.model.beat(worker, register).await.expect("the model answers");
        let theirs = self.store.queue.beat(worker, register).await.expect("the store answers");
        // How long another one lives depends on the millisecond.
        let shape = |beat: &deskhand_jobs::queue::Beat| (beat.lost, beat.rescued, beat.next_expiry_ms.is_some());
        assert_eq!(shape(&theirs), shape(&ours), "beat");
    }

    async fn claim(&mut self, worker: usize, most: usize) {
        let info = &self.workers[worker];
        let mut ours = self.model.claim(info.id, &info.queues, most).await.expect("the model answers");
        let mut theirs = self.store.queue.claim(info.id, &info.queues, most).await.expect("the store answers");
        assert_eq!(theirs.lost, ours.lost, "claim");
        if !self.ordered {
            ours.jobs.sort_by_key(|job| job.id);
            theirs.jobs.sort_by_key(|job| job.id);
        }
        assert_eq!(ids(&theirs.jobs), ids(&ours.jobs), "claim");
        // Those of one claim that are handed back stand in the order of their ids. If they did not come in it, none is.
        let final_claim = self.ordered && !self.come_by_id(&ours.jobs);
        for (ours, theirs) in ours.jobs.into_iter().zip(theirs.jobs) {
            assert_eq!((&theirs.payload, shape(&theirs.history)), (&ours.payload, shape(&ours.history)), "claim");
            if final_claim {
                self.settle(&ours, &theirs, Verdict::Succeeded).await;
                self.settled.push((ours, theirs));
            } else {
                self.held.push((ours, theirs));
            }
        }
    }

    /// Says whether the jobs of each priority come in the order of their ids.
    fn come_by_id(&self, claimed: &[Claimed]) -> bool {
        let priority = |id| self.jobs.iter().find(|job| job.id == id).map(|job| job.options.priority);
        let mut last = HashMap::new();
        claimed.iter().all(|job| last.insert(priority(job.id), job.id).is_none_or(|before| before < job.id))
    }

    async fn settle(&self, ours: &Claimed, theirs: &Claimed, verdict: Verdict) {
        let expected = self.model.settle(&[settlement(ours, verdict.clone())]).await.expect("the model answers");
        let answer = self.store.queue.settle(&[settlement(theirs, verdict)]).await.expect("the store answers");
        assert_eq!(answer, expected, "settle");
    }

    async fn report(&self, ours: &Claimed, theirs: &Claimed, done: Option<u64>) {
        let report = |job: &Claimed| Report {
            id: job.id,
            queue: job.queue.clone(),
            lease: job.lease.clone(),
            progress: done.map(|done| Progress { done, total: None }),
            before: done.unwrap_or(3),
            lines: vec![LogLine { attempt: 1, at_ms: 7, text: "a line".to_owned() }],
        };
        let expected = self.model.report(&[report(ours)]).await.expect("the model answers");
        let answer = self.store.queue.report(&[report(theirs)]).await.expect("the store answers");
        assert_eq!(answer, expected, "report");
    }

    /// Compares everything that can be seen.
    async fn compare(&self) {
        let real = &*self.store.queue;
        let queues = async |queue: &dyn Queue| {
            let mut infos = queue.queues().await.expect("reads");
            for info in &mut infos {
                // Since when depends on the millisecond.
                info.oldest_ready_at_ms = info.oldest_ready_at_ms.map(|_| 0);
            }
            infos
        };
        assert_eq!(queues(real).await, queues(&self.model).await);
        for job in &self.jobs {
            let see = async |queue: &dyn Queue| {
                let record = queue.job(job.id).await.expect("reads")?;
                let holder = record.running.map(|(worker, _)| worker);
                let (kept, result) =
                    (record.payload.is_some(), (record.result, record.batch, record.progress, record.log));
                Some((record.state, record.priority, holder, record.dead_reason, shape(&record.history), kept, result))
            };
            assert_eq!(see(real).await, see(&self.model).await, "job {}", job.id);
        }
        for state in State::ALL {
            let list = async |queue: &dyn Queue| {
                let listed = queue.list(&QueueName::default(), state, Page::first(1_000)).await.expect("lists");
                let mut ids: Vec<JobId> = listed.jobs.into_iter().map(|job| job.id).collect();
                if state != State::Ready || !self.ordered {
                    ids.sort_unstable();
                }
                ids
            };
            assert_eq!(list(real).await, list(&self.model).await, "list of {state}");
        }
        let groups = async |queue: &dyn Queue| {
            let groups = queue.dead_groups(&QueueName::default()).await.expect("reads");
            // When they died, and therefore who died last, depends on the millisecond.
            groups.into_iter().map(|group| ((group.kind, group.fingerprint), group.count)).collect::<HashMap<_, _>>()
        };
        assert_eq!(groups(real).await, groups(&self.model).await, "groups of the dead");
        let batches = async |queue: &dyn Queue| {
            let infos = queue.batches(&QueueName::default(), None, 1_000).await.expect("lists").into_iter();
            infos
                .map(|info| (info.id, (info.sealed, info.cancelled, info.totals, info.then)))
                .collect::<BTreeMap<_, _>>()
        };
        assert_eq!(batches(real).await, batches(&self.model).await, "batches");
        let ends = async |queue: &dyn Queue| {
            let ends = queue.endings(1_000).await.expect("reads");
            ends.into_iter()
                .map(|end| (end.id, (end.state, end.dead_reason, end.result, end.progress, end.log)))
                .collect::<BTreeMap<_, _>>()
        };
        assert_eq!(ends(real).await, ends(&self.model).await, "endings");
        let groups = async |queue: &dyn Queue| {
            let mut groups = queue.groups(&QueueName::default(), None, 100).await.expect("reads");
            for group in &mut groups {
                group.next_token_at_ms = None;
            }
            groups
        };
        assert_eq!(groups(real).await, groups(&self.model).await, "groups");
        for queue in [real, &self.model] {
            let audit = queue.audit(&QueueName::default(), false).await.expect("audits");
            assert_eq!(audit.drift, [], "each job is in exactly one place");
        }
    }
}

fn group_key(number: u8) -> GroupKey {
    GroupKey::new(format!("g{number}")).expect("valid")
}

/// What of a history does not depend on the millisecond.
fn shape(history: &History) -> History {
    History { aside_since_ms: history.aside_since_ms.map(|_| 0), ..history.clone() }
}

fn histories(open: impl AsyncFn(Endings) -> Option<Store>, steps: BoxedStrategy<Step>, ordered: bool) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let config =
        ProptestConfig { cases: 60, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in prop::collection::vec(steps, 1..60), endings in endings())| {
        runtime.block_on(async {
            let Some(store) = open(endings).await else { return };
            let mut pair = Pair::new(store, endings, ordered);
            if ordered {
                pair.anchor().await;
            }
            for (at, step) in steps.iter().enumerate() {
                pair.take(step).await;
                // What goes by time, such as who is due, dead or finished first, goes by the order of the steps in both.
                pair.pass(3).await;
                if at % 8 == 7 {
                    pair.compare().await;
                }
            }
            pair.compare().await;
        });
    });
}

#[test]
fn redis_lives_as_the_model_does() {
    histories(fixtures::redis, unlimited_step(), false);
}

#[test]
fn sqlite_lives_as_the_model_does() {
    histories(fixtures::sqlite, unlimited_step(), false);
}

#[test]
fn redis_keeps_limits_as_the_model_does() {
    histories(fixtures::redis, limited_step().boxed(), true);
}

#[test]
fn sqlite_keeps_limits_as_the_model_does() {
    histories(fixtures::sqlite, limited_step().boxed(), true);
}
