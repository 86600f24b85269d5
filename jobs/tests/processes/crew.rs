//! Worker processes over one queue, and the record of what was done to them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use deskhand_jobs::queue::{Queue, QueueInfo, State};
use deskhand_jobs::{Envelope, JobId, QueueName};

use super::journal::{self, Pages, Ran, uptime_ms};
use super::report::{Cause, Fault, Report, explain};
use super::worker_process::{Mark, ORDERS, Orders, Place, TEST_NAME};
use crate::faults::server::{RedisServer, signal};
use crate::faults::until;

/// A queue, processes that work on it, and what was asked of them.
pub(super) struct Crew {
    pub(super) queue: Arc<dyn Queue>,
    place: Place,
    files: tempfile::TempDir,
    hands: Vec<Hand>,
    faults: Vec<Fault>,
    /// All jobs; the place is the number.
    sent: Vec<Envelope>,
    ended: BTreeSet<JobId>,
}

struct Hand {
    journal: PathBuf,
    child: Child,
    /// Open as long as this process lives; held apart from the child, who would lose it by being waited for.
    _lifeline: Option<ChildStdin>,
    /// Since when it is stopped, if it is.
    stopped_ms: Option<u64>,
}

impl Drop for Hand {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A crew on the Redis server of this run; `None` if the run is without servers.
pub(super) async fn on_redis() -> Option<Crew> {
    let url = crate::fixtures::redis_url()?;
    Some(Crew::at(Place::Redis { url, prefix: crate::fixtures::prefix() }).await)
}

/// A crew on a server of its own, which it does not survive.
pub(super) async fn on_server(server: &RedisServer) -> Crew {
    Crew::at(Place::Redis { url: server.url(), prefix: "test".to_owned() }).await
}

/// A crew on a file.
pub(super) async fn on_sqlite() -> Crew {
    let files = tempfile::tempdir().expect("a temporary directory");
    let place = Place::Sqlite { path: files.path().join("queue.db") };
    Crew::new(place, files).await
}

impl Crew {
    pub(super) async fn at(place: Place) -> Self {
        Self::new(place, tempfile::tempdir().expect("a temporary directory")).await
    }

    async fn new(place: Place, files: tempfile::TempDir) -> Self {
        Self {
            queue: place.open().await,
            place,
            files,
            hands: Vec::new(),
            faults: Vec::new(),
            sent: Vec::new(),
            ended: BTreeSet::new(),
        }
    }

    /// Starts a process and waits until the queue believes it alive.
    pub(super) async fn hire(&mut self, name: &str, concurrency: usize) -> usize {
        let before: usize = self.named(name).await;
        let hand = self.spawn(name, concurrency);
        self.until_alive(name, before + 1).await;
        hand
    }

    /// Waits until the queue believes so many workers of a name alive.
    pub(super) async fn until_alive(&self, name: &str, workers: usize) {
        until("the worker is there", async || self.named(name).await >= workers).await;
    }

    /// Starts a process and does not wait.
    pub(super) fn spawn(&mut self, name: &str, concurrency: usize) -> usize {
        self.spawn_with(name, concurrency, &[])
    }

    /// Starts a process in an environment of its own and does not wait.
    pub(super) fn spawn_with(&mut self, name: &str, concurrency: usize, environment: &[(&str, &str)]) -> usize {
        let hand = self.hands.len();
        let journal = self.files.path().join(format!("journal-{hand}"));
        let orders = Orders { place: self.place.clone(), name: name.to_owned(), journal: journal.clone(), concurrency };
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
            .args(["--ignored", "--exact", TEST_NAME, "--nocapture"])
            .env(ORDERS, serde_json::to_string(&orders).expect("orders are JSON"))
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("a process starts");
        self.hands.push(Hand { journal, _lifeline: child.stdin.take(), child, stopped_ms: None });
        hand
    }

    async fn named(&self, name: &str) -> usize {
        let workers = self.queue.workers().await.unwrap_or_default();
        workers.iter().filter(|worker| worker.name == name).count()
    }

    /// Where the queue is.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The number of the next job.
    pub(super) fn number(&self) -> u32 {
        self.sent.len() as u32
    }

    /// Pushes jobs with the next numbers.
    pub(super) async fn push(&mut self, count: u32, takes_ms: u64) {
        self.push_each(count, |mark| mark.takes_ms = takes_ms).await;
    }

    /// Pushes jobs with the next numbers, each shaped first.
    pub(super) async fn push_each(&mut self, count: u32, mut shape: impl FnMut(&mut Mark)) {
        let from = self.sent.len() as u32;
        let marks = (from..from + count).map(|n| {
            let mut mark = Mark { n, takes_ms: 0, fails: 0, text: String::new() };
            shape(&mut mark);
            mark.envelope()
        });
        self.push_all(marks.collect()).await;
    }

    /// Pushes the job of the next number once; returns the number if it was taken.
    pub(super) async fn try_push(&mut self, shape: impl FnOnce(&mut Mark)) -> deskhand_jobs::queue::Result<u32> {
        let mut mark = Mark { n: self.sent.len() as u32, takes_ms: 0, fails: 0, text: String::new() };
        shape(&mut mark);
        let job = mark.envelope();
        self.queue.push(std::slice::from_ref(&job)).await?;
        self.sent.push(job);
        Ok(mark.n)
    }

    /// Pushes jobs that are the next numbers.
    pub(super) async fn push_all(&mut self, jobs: Vec<Envelope>) {
        for part in jobs.chunks(500) {
            // An id pushed twice is one job: who gets no answer may ask again.
            until("the store takes jobs", async || self.queue.push(part).await.is_ok()).await;
        }
        self.sent.extend(jobs);
    }

    /// Pushes jobs with the next numbers that are due at the same instant, so much later by this machine's clock.
    pub(super) async fn push_due(&mut self, count: u32, later: Duration) {
        let from = self.sent.len() as u32;
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
        let due_ms = (since_1970 + later).as_millis() as i64;
        let jobs = (from..from + count).map(|n| {
            let mark = Mark { n, takes_ms: 0, fails: 0, text: String::new() };
            Envelope { run_at_ms: Some(due_ms), ..mark.envelope() }
        });
        self.push_all(jobs.collect()).await;
    }

    /// Pushes everything again, as somebody does who keeps a ledger of what has not ended.
    pub(super) async fn push_again(&self) {
        for part in self.sent.chunks(500) {
            until("the store takes jobs", async || self.queue.push(part).await.is_ok()).await;
        }
    }

    /// Fetches the records of ends.
    pub(super) async fn collect(&mut self) {
        loop {
            let Ok(endings) = self.queue.endings(2_000).await else { return };
            for ending in &endings {
                assert_eq!(ending.state, State::Succeeded, "{ending:?}");
                self.ended.insert(ending.id);
            }
            if endings.is_empty() || self.queue.forget_endings(&endings).await.is_err() {
                return;
            }
        }
    }

    /// Ends a process as a power cut would.
    pub(super) fn kill(&mut self, hand: usize) {
        self.hands[hand].child.kill().expect("SIGKILL");
        self.hands[hand].child.wait().expect("it ends");
        let at_ms = uptime_ms();
        self.note(Cause::Killed, hand, at_ms);
    }

    /// Stops a process where it stands.
    pub(super) fn freeze(&mut self, hand: usize) {
        self.signal(hand, "STOP");
        self.hands[hand].stopped_ms = Some(uptime_ms());
    }

    /// Lets a stopped process go on.
    pub(super) fn thaw(&mut self, hand: usize) {
        let from_ms = self.hands[hand].stopped_ms.take().expect("it was stopped");
        self.note(Cause::Stopped, hand, from_ms);
        self.signal(hand, "CONT");
    }

    /// Tells a process to leave and waits until it has; returns finished, handed back, stale, abandoned.
    pub(super) async fn dismiss(&mut self, hand: usize) -> [u64; 4] {
        let from_ms = uptime_ms();
        self.signal(hand, "TERM");
        until("the process leaves", async || self.pages(hand).left.is_some()).await;
        let ended = self.hands[hand].child.wait().expect("it is ours");
        assert!(ended.success(), "{ended:?}");
        self.note(Cause::HandedBack, hand, from_ms);
        self.pages(hand).left.expect("it has said what it did")
    }

    /// Notes that the server has forgotten what it was told since an instant.
    pub(super) fn note_rollback(&mut self, from_ms: u64) {
        self.faults.push(Fault { cause: Cause::RolledBack, hand: None, from_ms, to_ms: uptime_ms() });
    }

    fn note(&mut self, cause: Cause, hand: usize, from_ms: u64) {
        self.faults.push(Fault { cause, hand: Some(hand), from_ms, to_ms: uptime_ms() });
    }

    fn signal(&self, hand: usize, name: &str) {
        signal(&self.hands[hand].child, name);
    }

    fn pages(&self, hand: usize) -> Pages {
        journal::read(hand, &self.hands[hand].journal)
    }

    /// How far the clock of a process was from this one's when it started.
    pub(super) fn clock_off_by_seconds(&self, hand: usize) -> i64 {
        let (at_ms, clock_ms) = self.pages(hand).began.expect("it has begun");
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
        let then_ms = since_1970.as_millis() as i64 - (uptime_ms() - at_ms) as i64;
        (clock_ms - then_ms) / 1_000
    }

    /// The runs of one process.
    pub(super) fn runs(&self, hand: usize) -> Vec<Ran> {
        self.pages(hand).runs
    }

    /// How many runs have ended well so far.
    pub(super) fn finished(&self) -> usize {
        let finished = |run: &&Ran| matches!(run.end, Some((journal::End::Finished, _)));
        (0..self.hands.len()).map(|hand| self.runs(hand).iter().filter(finished).count()).sum()
    }

    /// Waits until so many runs have ended well.
    pub(super) async fn until_finished(&self, runs: usize) {
        until("jobs end", async || self.finished() >= runs).await;
    }

    /// Waits until a process has so many jobs in its hands.
    pub(super) async fn until_busy(&self, hand: usize, jobs: usize) {
        until("the worker is busy", async || self.runs(hand).iter().filter(|run| run.end.is_none()).count() >= jobs)
            .await;
    }

    pub(super) async fn counts(&self) -> Option<QueueInfo> {
        self.queue.queues().await.ok()?.into_iter().next()
    }

    /// Waits until every job has ended well, each once.
    pub(super) async fn until_done(&mut self) {
        let total = self.sent.len();
        let deadline = Instant::now() + Duration::from_mins(2);
        while self.ended.len() < total {
            assert!(Instant::now() < deadline, "{} of {total} ended: {:?}", self.ended.len(), self.counts().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.collect().await;
        }
        let info = self.counts().await.expect("answers");
        let left = (info.ready, info.scheduled, info.running, info.dead);
        let total = total as u64;
        assert_eq!((left, info.pushed_total, info.succeeded_total), ((0, 0, 0, 0), total, total), "{info:?}");
        let audit = self.queue.audit(&QueueName::default(), false).await.expect("audits");
        assert_eq!(audit.drift, [], "the store agrees with itself");
    }

    /// As [`Crew::until_done`], and proves that the journals agree: none is lost, and each run too many has its reason.
    pub(super) async fn account(&mut self) -> Report {
        self.until_done().await;
        let runs: Vec<Ran> = (0..self.hands.len()).flat_map(|hand| self.runs(hand)).collect();
        let total = self.sent.len() as u32;
        let report = explain(0..total, &runs, &self.faults);
        println!("{total} jobs, {} runs, {} faults: {report:?}", runs.len(), self.faults.len());
        assert!(report.lost.is_empty(), "lost: {:?}", report.lost);
        assert!(report.unexplained.is_empty(), "unexplained: {:#?}", report.unexplained);
        report
    }

    /// How long a promise of the engine may take in a test: the machine has other things to do.
    pub(super) const SLACK: Duration = Duration::from_secs(5);
}
