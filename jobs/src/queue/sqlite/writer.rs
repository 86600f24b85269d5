//! Whose turn it is to write, and the commit that turns share.
//!
//! ```text
//!   begin ──▶ change ──▶ nobody waits ──▶ COMMIT ──▶ answer
//!                └─────▶ somebody waits: the transaction stays open for the next turn ──┐
//!   SAVEPOINT ◀─────────────────────────────────────────────────────────────────────────┘
//!       └──▶ change ──▶ RELEASE ──▶ … ──▶ the committer, behind all who waited: COMMIT ──▶ all answers
//! ```
//!
//! A commit costs a write to the disk, however much it holds; so calls that come while another one writes share the next. No answer
//! is given before the commit that holds it. A turn that fails or is given up takes back its own part and no other.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::{Connection, SqliteConnection};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};
use tokio::task::JoinHandle;

use super::columns::now_ms;
use super::fault::{Fault, Result};

/// The one connection that writes: `SQLite` has one writer at a time, and here they queue up fairly.
#[derive(Debug)]
pub(super) struct Writer {
    lane: Arc<Mutex<Lane>>,
    waiting: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Lane {
    /// `None` once the store is closed.
    connection: Option<SqliteConnection>,
    /// Set while a turn is under way: if it is found set, that turn was given up.
    torn: bool,
    /// The turns that the open transaction holds already.
    group: Option<Group>,
}

/// What a commit came to, for each of its turns.
type Outcome = std::result::Result<(), Arc<sqlx::Error>>;

#[derive(Debug)]
struct Group {
    members: Vec<oneshot::Sender<Outcome>>,
    committer: JoinHandle<()>,
}

/// A turn at the connection. What it has done counts once [`Turn::commit`] has returned.
pub(super) struct Turn {
    /// Taken when the turn ends.
    lane: Option<OwnedMutexGuard<Lane>>,
    queue: Arc<Mutex<Lane>>,
    waiting: Arc<AtomicUsize>,
}

/// One who waits for a turn, counted as long as that lasts.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::AcqRel);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Writer {
    pub(super) fn new(connection: SqliteConnection) -> Self {
        let lane = Lane { connection: Some(connection), torn: false, group: None };
        Self { lane: Arc::new(Mutex::new(lane)), waiting: Arc::default() }
    }

    /// Waits for its turn and takes the file's write lock; returns the store's clock under it, and whether any job has told anything.
    pub(super) async fn turn(&self) -> Result<(Turn, i64, bool)> {
        let mut lane = {
            let _waits = Waits::begin(&self.waiting);
            Arc::clone(&self.lane).lock_owned().await
        };
        lane.mend().await;
        let shared = lane.group.is_some();
        lane.torn = true;
        let mut turn = Turn { lane: Some(lane), queue: Arc::clone(&self.lane), waiting: Arc::clone(&self.waiting) };
        let sql = if shared {
            concat!("SAVEPOINT turn; SELECT ", now_ms!(), ", EXISTS (SELECT 1 FROM told)")
        } else {
            concat!("BEGIN IMMEDIATE; SELECT ", now_ms!(), ", EXISTS (SELECT 1 FROM told)")
        };
        let (now_ms, told) = sqlx::query_as(sql).fetch_one(turn.lane().connection()?).await?;
        Ok((turn, now_ms, told))
    }

    /// Commits what is open and closes the connection.
    pub(super) async fn close(&self) {
        let mut lane = Arc::clone(&self.lane).lock_owned().await;
        lane.commit_group().await;
        if let Some(connection) = lane.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(error = %error, "the file of the queue was not closed in good order");
        }
    }
}

impl Turn {
    /// Waits until what was done is on the disk.
    pub(super) async fn commit(mut self) -> Result<()> {
        if self.lane().group.is_some() {
            self.lane().execute("RELEASE turn").await?;
        } else if self.waiting.load(Ordering::Acquire) == 0 {
            self.lane().execute("COMMIT").await?;
            self.lane().torn = false;
            return Ok(());
        }
        let (tell, told) = oneshot::channel();
        let queue = Arc::clone(&self.queue);
        let lane = self.lane();
        lane.torn = false;
        lane.join(tell, queue);
        self.lane = None;
        // Nobody tells only if the runtime of the committer has ended, and with it the transaction.
        told.await.unwrap_or_else(|_| Err(Arc::new(sqlx::Error::WorkerCrashed))).map_err(Fault::Shared)
    }

    fn lane(&mut self) -> &mut Lane {
        self.lane.as_mut().expect("a turn has the lane until it ends")
    }
}

impl Deref for Turn {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        let lane = self.lane.as_ref().expect("a turn has the lane until it ends");
        lane.connection.as_ref().expect("a turn begins with a connection")
    }
}

impl DerefMut for Turn {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.lane().connection.as_mut().expect("a turn begins with a connection")
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(mut lane) = self.lane.take().filter(|lane| lane.torn) else { return };
        // At once, else the file would stay locked for other processes until the next turn. Without a runtime that one does it.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { lane.mend().await });
        }
    }
}

impl Lane {
    fn connection(&mut self) -> std::result::Result<&mut SqliteConnection, sqlx::Error> {
        self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    async fn execute(&mut self, sql: &'static str) -> std::result::Result<(), sqlx::Error> {
        sqlx::query(sql).execute(self.connection()?).await?;
        Ok(())
    }

    /// Takes back what a turn has left that was given up.
    async fn mend(&mut self) {
        if !self.torn {
            return;
        }
        if self.group.is_none() {
            // It fails if the turn had not begun, or the file has ended the transaction by itself: then nothing is left.
            let _ = self.execute("ROLLBACK").await;
        } else if let Err(error) = self.execute("ROLLBACK TO turn; RELEASE turn").await {
            // A full disk, for one, ends the whole transaction. Then nothing of this group may be told as done.
            let _ = self.execute("ROLLBACK").await;
            self.tell_group(&Err(Arc::new(error)));
        }
        self.torn = false;
    }

    /// Adds a turn to the transaction that stays open, and sees to it that somebody commits.
    fn join(&mut self, member: oneshot::Sender<Outcome>, queue: Arc<Mutex<Self>>) {
        let commit = async move { queue.lock_owned().await.commit_group().await };
        match &mut self.group {
            None => self.group = Some(Group { members: vec![member], committer: tokio::spawn(commit) }),
            Some(group) => {
                group.members.push(member);
                // It ends before its time with its runtime.
                if group.committer.is_finished() {
                    group.committer = tokio::spawn(commit);
                }
            }
        }
    }

    async fn commit_group(&mut self) {
        self.mend().await;
        if self.group.is_none() {
            return;
        }
        let outcome = self.execute("COMMIT").await.map_err(Arc::new);
        if outcome.is_err() {
            let _ = self.execute("ROLLBACK").await;
        }
        self.tell_group(&outcome);
    }

    fn tell_group(&mut self, outcome: &Outcome) {
        for member in self.group.take().into_iter().flat_map(|group| group.members) {
            // Who does not wait any more does not need to know.
            let _ = member.send(outcome.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fixture::{Fixture, fixture, job, settlement};
    use super::super::open::SqliteQueue;
    use crate::id::{JobId, QueueName};
    use crate::job::Envelope;
    use crate::queue::{Endings, Error, Pushed, Queue, Result, Verdict};

    /// Counts the commits in the log of the file: frames that name the size of the file after them. Each is synced once.
    fn commits(fixture: &Fixture) -> usize {
        let log = std::fs::read(fixture.path().with_extension("db-wal")).expect("there is a log");
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes"));
        let frame_bytes = 24 + number(&log[8..12]) as usize;
        let frames = log[32..].chunks_exact(frame_bytes).take_while(|frame| frame[8..16] == log[16..24]);
        frames.filter(|frame| number(&frame[4..8]) > 0).count()
    }

    async fn stored(fixture: &Fixture, job: &Envelope) -> bool {
        fixture.store.job(job.id).await.expect("reads").is_some()
    }

    fn push<'a>(fixture: &'a Fixture, job: &'a Envelope) -> impl Future<Output = Result<Vec<Pushed>>> + 'a {
        fixture.store.push(std::slice::from_ref(job))
    }

    /// Makes calls wait behind a turn, so that they come together however fast the first of them would be.
    async fn together<C: Future>(fixture: &Fixture, calls: C) -> (C::Output, super::Result<()>) {
        let first = fixture.store.begin().await.expect("begins");
        tokio::join!(calls, async {
            tokio::task::yield_now().await;
            first.commit().await
        })
    }

    #[tokio::test]
    async fn a_call_is_one_commit() {
        let fixture = fixture(Endings::Drop).await;
        let worker = fixture.worker().await;
        let before = commits(&fixture);
        fixture.push(&job()).await;
        assert_eq!(commits(&fixture) - before, 1, "an enqueue");
        fixture.fill(500).await;
        assert_eq!(commits(&fixture) - before, 2, "an enqueue of many");
        let claimed = fixture.claim(&worker, 500).await;
        assert_eq!(commits(&fixture) - before, 3, "a claim");
        let ends: Vec<_> = claimed.iter().map(|job| settlement(job, Verdict::Succeeded)).collect();
        fixture.store.settle(&ends).await.expect("settles");
        assert_eq!(commits(&fixture) - before, 4, "a settle");
    }

    #[tokio::test]
    async fn calls_that_wait_for_each_other_share_a_commit() {
        let fixture = fixture(Endings::Drop).await;
        let worker = fixture.worker().await;
        let jobs: Vec<Envelope> = (0..20).map(|_| job()).collect();
        let before = commits(&fixture);
        let pushes = futures_util::future::join_all(jobs.iter().map(|job| push(&fixture, job)));
        for answer in together(&fixture, pushes).await.0 {
            assert_eq!(answer.expect("pushes"), [Pushed::Created]);
        }
        assert_eq!(commits(&fixture) - before, 1);
        let held = fixture.claim(&worker, 1).await;
        let ends = [settlement(&held[0], Verdict::Succeeded)];
        let before = commits(&fixture);
        let calls =
            async { tokio::join!(fixture.store.settle(&ends), fixture.store.claim(worker.id, &worker.queues, 9)) };
        let (settled, claim) = together(&fixture, calls).await.0;
        assert_eq!((settled.expect("settles").len(), claim.expect("claims").jobs.len()), (1, 9));
        assert_eq!(commits(&fixture) - before, 1);
        assert_eq!(fixture.counts().await.running, 9);
    }

    #[tokio::test]
    async fn nothing_is_answered_before_others_can_see_it() {
        let fixture = fixture(Endings::Drop).await;
        let other = SqliteQueue::open(&fixture.path(), Endings::Drop).await.expect("opens");
        let pushed = (0..20).map(|_| async {
            let id = fixture.fill(1).await[0];
            assert_eq!(other.known(&[id]).await.expect("reads"), [id]);
        });
        futures_util::future::join_all(pushed).await;
    }

    #[tokio::test]
    async fn a_turn_that_is_given_up_takes_back_its_own_part_only() {
        let fixture = fixture(Endings::Drop).await;
        let (first, last) = (job(), job());
        let given_up = async {
            let mut change = fixture.store.begin().await.expect("begins");
            change.name_queues(&[QueueName::new("ghost").expect("valid")]).await.expect("writes");
        };
        let before = commits(&fixture);
        let calls = async { tokio::join!(push(&fixture, &first), given_up, push(&fixture, &last)) };
        let (one, (), two) = together(&fixture, calls).await.0;
        assert_eq!([one.expect("pushes"), two.expect("pushes")], [[Pushed::Created], [Pushed::Created]]);
        assert_eq!(commits(&fixture) - before, 1);
        let queues = fixture.store.queues().await.expect("reads");
        assert_eq!(queues.iter().map(|queue| queue.name.as_str()).collect::<Vec<_>>(), ["default"]);
    }

    #[tokio::test]
    async fn a_turn_that_is_given_up_alone_frees_the_file_for_other_processes() {
        let fixture = fixture(Endings::Drop).await;
        let other = SqliteQueue::open(&fixture.path(), Endings::Drop).await.expect("opens");
        drop(fixture.store.begin().await.expect("begins"));
        assert_eq!(other.push(&[job()]).await.expect("pushes"), [Pushed::Created]);
    }

    #[tokio::test]
    async fn a_transaction_that_the_file_has_ended_is_told_to_all_who_were_in_it() {
        let fixture = fixture(Endings::Drop).await;
        let (lost, kept) = (job(), job());
        let ended = async {
            let mut change = fixture.store.begin().await.expect("begins");
            sqlx::query("ROLLBACK").execute(&mut *change.tx).await.expect("does what a full disk does");
        };
        let calls = async { tokio::join!(push(&fixture, &lost), ended, push(&fixture, &kept)) };
        let ((one, (), two), before) = together(&fixture, calls).await;
        assert!(matches!(one, Err(Error::Unavailable { .. })) && before.is_err(), "{one:?}, {before:?}");
        assert_eq!(two.expect("pushes"), [Pushed::Created]);
        assert_eq!([stored(&fixture, &lost).await, stored(&fixture, &kept).await], [false, true]);
    }

    #[tokio::test]
    async fn a_commit_that_fails_is_told_to_all_who_were_in_it() {
        let fixture = fixture(Endings::Drop).await;
        let (lost, kept) = (job(), job());
        let unfit = async {
            let mut change = fixture.store.begin().await.expect("begins");
            let sql = "PRAGMA defer_foreign_keys = ON; INSERT INTO told (entry, lease, log) VALUES (99, '', '')";
            sqlx::query(sql).execute(&mut *change.tx).await.expect("is found out by the commit only");
            change.commit().await
        };
        let (one, two) = together(&fixture, async { tokio::join!(push(&fixture, &lost), unfit) }).await.0;
        assert!(one.is_err() && two.is_err(), "{one:?} {two:?}");
        assert_eq!(push(&fixture, &kept).await.expect("pushes"), [Pushed::Created]);
        assert_eq!([stored(&fixture, &lost).await, stored(&fixture, &kept).await], [false, true]);
    }

    #[tokio::test]
    async fn a_store_that_is_closed_has_kept_what_it_answered_and_takes_no_more() {
        let fixture = fixture(Endings::Drop).await;
        let jobs: Vec<Envelope> = (0..5).map(|_| job()).collect();
        let pushes = futures_util::future::join_all(jobs.iter().map(|job| push(&fixture, job)));
        let (answers, ()) = tokio::join!(pushes, fixture.store.close());
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert!(push(&fixture, &job()).await.is_err());
        let again = SqliteQueue::open(&fixture.path(), Endings::Drop).await.expect("opens");
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        assert_eq!(again.known(&ids).await.expect("reads"), ids);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn calls_that_are_given_up_beside_others_leave_the_store_whole() {
        let fixture = fixture(Endings::Drop).await;
        let hasty = |n: u64| {
            let fixture = &fixture;
            async move {
                let patience = Duration::from_micros(n % 40 * 100);
                let _ = tokio::time::timeout(patience, fixture.store.push(&[job(), job()])).await;
            }
        };
        for round in 0..20 {
            let patient = [job(), job(), job()];
            let calls = futures_util::future::join_all((0..10).map(|n| hasty(round * 10 + n)));
            let kept = futures_util::future::join_all(patient.iter().map(|job| push(&fixture, job)));
            let ((), answers) = tokio::join!(async { drop(calls.await) }, kept);
            assert!(answers.iter().all(Result::is_ok), "{answers:?}");
            let ids = patient.each_ref().map(|job| job.id);
            assert_eq!(fixture.store.known(&ids).await.expect("reads"), ids);
        }
        let counts = fixture.counts().await;
        assert!(counts.ready >= 60 && counts.ready.is_multiple_of(2), "no pair is half here: {counts:?}");
    }
}
