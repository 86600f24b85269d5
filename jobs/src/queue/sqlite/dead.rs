//! The dead letters: looking for them, and letting them go.

use sqlx::{QueryBuilder, Sqlite};

use super::apply::{Held, id_list};
use super::columns::stored;
use super::fault::{Fault, Result};
use super::open::{Change, SqliteQueue};
use super::read::{Ranked, listing};
use super::record::{job_id, queue_name};
use super::step::cancelled;
use crate::id::{JobId, Kind, QueueName};
use crate::queue::{
    Cursor, DEAD_STEP, DeadFilter, DeadGroup, DeadReason, DeadStep, Listing, MAX_DEAD_GROUPS, Moved, Pace, Page, State,
};

/// Jobs that are dead, as they were.
type Dead = Vec<(JobId, Held)>;

impl SqliteQueue {
    pub(super) async fn revive_all(&self, ids: &[JobId], pace: Pace) -> Result<Vec<JobId>> {
        let mut moved = Vec::new();
        for part in ids.chunks(DEAD_STEP) {
            let mut change = self.begin().await?;
            let dead = change.dead(part).await?;
            moved.extend(self.revive(change, dead, pace.then(moved.len())).await?);
        }
        Ok(moved)
    }

    pub(super) async fn revive_named(&self, step: &DeadStep, pace: Pace) -> Result<Moved> {
        let mut change = self.begin().await?;
        let (dead, next) = change.walk(step).await?;
        Ok(Moved { ids: self.revive(change, dead, pace).await?, next })
    }

    async fn revive(&self, mut change: Change, dead: Dead, pace: Pace) -> Result<Vec<JobId>> {
        let mut queues = Vec::new();
        for (_, held) in &dead {
            queues.push(queue_name(&held.queue)?);
        }
        change.revive(&dead, pace).await?;
        change.commit().await?;
        self.bells.ring(&queues);
        Ok(dead.into_iter().map(|(id, _)| id).collect())
    }

    pub(super) async fn discard_all(&self, ids: &[JobId], reason: &str) -> Result<Vec<JobId>> {
        let mut moved = Vec::new();
        for part in ids.chunks(DEAD_STEP) {
            let mut change = self.begin().await?;
            let dead = change.dead(part).await?;
            moved.extend(self.give_up(change, dead, reason).await?);
        }
        Ok(moved)
    }

    pub(super) async fn discard_named(&self, step: &DeadStep, reason: &str) -> Result<Moved> {
        let mut change = self.begin().await?;
        let (dead, next) = change.walk(step).await?;
        Ok(Moved { ids: self.give_up(change, dead, reason).await?, next })
    }

    async fn give_up(&self, mut change: Change, dead: Dead, reason: &str) -> Result<Vec<JobId>> {
        let (ids, dead): (Vec<_>, Vec<_>) = dead.into_iter().unzip();
        let steps = dead.into_iter().map(|held| {
            let step = cancelled(held.history.clone(), Some(reason));
            (held, step)
        });
        let queues = self.apply(&mut change, steps.collect()).await?;
        change.commit().await?;
        self.bells.ring(&queues);
        Ok(ids)
    }

    pub(super) async fn list_dead(&self, filter: &DeadFilter, page: Page) -> Result<Listing> {
        if page.size == 0 {
            return Ok(Listing::default());
        }
        let head = concat!("SELECT ", stored!(), ", payload, ended_at_ms AS list_rank, entry AS list_tie");
        let mut select = QueryBuilder::<Sqlite>::new(head);
        narrow(&mut select, filter);
        if let Some(cursor) = &page.after {
            behind(&mut select, cursor, " < ")?;
        }
        select.push(" ORDER BY ended_at_ms DESC, entry DESC LIMIT ");
        select.push_bind(i64::try_from(page.size.saturating_add(1)).unwrap_or(i64::MAX));
        let rows: Vec<Ranked> = select.build_query_as().fetch_all(&self.readers).await?;
        listing(rows, page.size)
    }

    pub(super) async fn read_groups(&self, queue: &QueueName) -> Result<Vec<DeadGroup>> {
        let groups: Vec<Group> =
            sqlx::query_as(GROUPS).bind(queue.as_str()).bind(MAX_DEAD_GROUPS as i64).fetch_all(&self.readers).await?;
        groups.into_iter().map(|group| group.told(queue)).collect()
    }

    pub(super) async fn swap(&self, id: JobId, old: &[u8], new: &[u8]) -> Result<bool> {
        let mut change = self.begin().await?;
        let sql = "UPDATE jobs SET payload = ?3 WHERE id = ?1 AND state = 'dead' AND payload = ?2";
        let done = sqlx::query(sql).bind(&id.as_bytes()[..]).bind(old).bind(new).execute(&mut *change.tx).await?;
        change.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}

/// The example is the one that died last.
const GROUPS: &str = "\
    SELECT g.kind, g.fingerprint, g.count, g.first_at_ms, g.last_at_ms, e.id AS example, e.dead_reason, e.last_error \
    FROM (SELECT kind, fingerprint, count(*) AS count, min(ended_at_ms) AS first_at_ms, max(ended_at_ms) AS last_at_ms \
          FROM jobs WHERE queue = ?1 AND state = 'dead' GROUP BY fingerprint, kind \
          ORDER BY max(ended_at_ms) DESC, fingerprint, kind LIMIT ?2) AS g \
    JOIN jobs AS e ON e.entry = (SELECT entry FROM jobs WHERE queue = ?1 AND state = 'dead' AND fingerprint IS g.fingerprint \
          AND kind IS g.kind ORDER BY ended_at_ms DESC, id DESC LIMIT 1) \
    ORDER BY g.last_at_ms DESC, g.fingerprint, g.kind";

#[derive(sqlx::FromRow)]
struct Group {
    kind: Option<String>,
    fingerprint: Option<String>,
    count: i64,
    first_at_ms: i64,
    last_at_ms: i64,
    example: Vec<u8>,
    dead_reason: String,
    last_error: Option<String>,
}

impl Group {
    fn told(self, queue: &QueueName) -> Result<DeadGroup> {
        let reason = DeadReason::from_name(&self.dead_reason);
        Ok(DeadGroup {
            queue: queue.clone(),
            kind: self.kind.and_then(|kind| Kind::new(kind).ok()),
            fingerprint: self.fingerprint.and_then(|text| text.parse().ok()),
            count: self.count as u64,
            first_at_ms: self.first_at_ms,
            last_at_ms: self.last_at_ms,
            example: job_id(&self.example)?,
            reason: reason.ok_or_else(|| Fault::Corrupt(format!("a death by {:?}", self.dead_reason)))?,
            error: self.last_error.unwrap_or_default(),
        })
    }
}

/// Writes which dead jobs are meant.
fn narrow(select: &mut QueryBuilder<Sqlite>, filter: &DeadFilter) {
    let DeadFilter { queue, kind, fingerprint, died_after_ms, died_before_ms } = filter;
    select.push(" FROM jobs WHERE state = 'dead' AND ended_at_ms IS NOT NULL AND queue = ");
    select.push_bind(queue.as_str().to_owned());
    if let Some(fingerprint) = fingerprint {
        select.push(" AND fingerprint = ").push_bind(fingerprint.as_str().to_owned());
    }
    if let Some(kind) = kind {
        select.push(" AND kind = ").push_bind(kind.as_str().to_owned());
    }
    if let Some(at_ms) = died_after_ms {
        select.push(" AND ended_at_ms >= ").push_bind(*at_ms);
    }
    if let Some(at_ms) = died_before_ms {
        select.push(" AND ended_at_ms < ").push_bind(*at_ms);
    }
}

fn behind(select: &mut QueryBuilder<Sqlite>, cursor: &Cursor, order: &str) -> Result<()> {
    let (rank, tie): (i64, i64) = cursor.parts().map_err(Fault::Cursor)?;
    select.push(" AND (ended_at_ms, entry)").push(order).push("(");
    select.push_bind(rank).push(", ").push_bind(tie).push(")");
    Ok(())
}

impl Change {
    /// Loads those of the jobs that are dead, each once, in the order asked for.
    async fn dead(&mut self, ids: &[JobId]) -> Result<Dead> {
        let mut seen = std::collections::HashSet::new();
        let mut dead = Vec::new();
        for held in self.held(&id_list(ids.iter().copied())).await? {
            if held.state()? == State::Dead && seen.insert(held.entry) {
                dead.push((ids[held.at as usize], held));
            }
        }
        Ok(dead)
    }

    /// Loads the dead jobs of a step, the oldest first, and tells the step behind it.
    async fn walk(&mut self, step: &DeadStep) -> Result<(Dead, Option<DeadStep>)> {
        let end_ms = self.now_ms + 1;
        let died_before_ms = Some(step.filter.died_before_ms.map_or(end_ms, |at_ms| at_ms.min(end_ms)));
        let filter = DeadFilter { died_before_ms, ..step.filter.clone() };
        let mut select = QueryBuilder::<Sqlite>::new("SELECT id, ended_at_ms, entry");
        narrow(&mut select, &filter);
        if let Some(cursor) = &step.after {
            behind(&mut select, cursor, " > ")?;
        }
        select.push(" ORDER BY ended_at_ms, entry LIMIT ").push_bind(DEAD_STEP as i64 + 1);
        let mut rows: Vec<(Vec<u8>, i64, i64)> = select.build_query_as().fetch_all(&mut *self.tx).await?;
        let more = rows.len() > DEAD_STEP;
        rows.truncate(DEAD_STEP);
        let last = rows.last().filter(|_| more);
        let next = last.map(|(_, rank, tie)| DeadStep { filter, after: Some(Cursor::of(rank, tie)) });
        let ids = rows.iter().map(|(id, ..)| job_id(id)).collect::<Result<Vec<JobId>>>()?;
        Ok((self.dead(&ids).await?, next))
    }

    async fn revive(&mut self, dead: &[(JobId, Held)], pace: Pace) -> Result<()> {
        if dead.is_empty() {
            return Ok(());
        }
        let due_ms =
            |n: usize| Some(pace.delay_ms(n)).filter(|ms| *ms > 0).map(|ms| self.now_ms.saturating_add_unsigned(ms));
        let rows: Vec<(i64, Option<i64>)> =
            dead.iter().enumerate().map(|(n, (_, held))| (held.entry, due_ms(n))).collect();
        let rows = serde_json::to_string(&rows).expect("numbers have a JSON form");
        let base = self.places(dead.len() as i64).await?;
        let sql = "UPDATE jobs SET state = iif(back.value ->> 1 IS NULL, 'ready', 'scheduled'), run_at_ms = back.value ->> 1, ready_since_ms = ?3, \
                   place = ?2 + back.key + 1, failures = 0, recoveries = 0, hand_backs = 0, aside_since_ms = NULL, \
                   last_error = NULL, dead_reason = NULL, ended_at_ms = NULL, ending = 0, kind = NULL, fingerprint = NULL, \
                   generation = generation + 1 FROM json_each(?1) AS back WHERE jobs.entry = back.value ->> 0";
        sqlx::query(sql).bind(&rows).bind(base).bind(self.now_ms).execute(&mut *self.tx).await?;
        let sql = "UPDATE jobs SET holds_key = 0 WHERE holds_key = 1 AND key_until_ms <= ?2 AND (queue, unique_key) IN \
                   (SELECT queue, unique_key FROM jobs WHERE entry IN (SELECT value ->> 0 FROM json_each(?1)))";
        sqlx::query(sql).bind(&rows).bind(self.now_ms).execute(&mut *self.tx).await?;
        // Who finds its key taken meanwhile lives without it; one that held only until the start is over for good.
        let sql = "UPDATE OR IGNORE jobs SET holds_key = 1 \
                   WHERE unique_until = 'finished' AND coalesce(key_until_ms > ?2, true) \
                   AND entry IN (SELECT value ->> 0 FROM json_each(?1))";
        sqlx::query(sql).bind(&rows).bind(self.now_ms).execute(&mut *self.tx).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{failed, fixture, ids, job, unique};
    use super::*;
    use crate::options::UniqueUntil;
    use crate::queue::{Endings, History, Pushed, Queue, Verdict};

    #[tokio::test]
    async fn the_dead_come_back_with_a_clean_slate() {
        let fixture = fixture(Endings::Keep).await;
        let worker = fixture.worker().await;
        let (dead, other) = (job(), job());
        fixture.run(&worker, &dead, failed("no")).await;
        fixture.run(&worker, &other, failed("no")).await;
        let waiting = fixture.fill(1).await[0];
        let asked = [dead.id, JobId::new(), waiting, dead.id, other.id];
        assert_eq!(fixture.store.redrive(&asked).await.expect("redrives"), [dead.id, other.id]);
        assert!(fixture.store.endings(9).await.expect("reads").is_empty());
        assert_eq!(fixture.read(dead.id).await.dead_reason, None);
        let claimed = fixture.claim(&worker, 9).await;
        assert_eq!(ids(&claimed), [waiting, dead.id, other.id]);
        assert_eq!(
            (&claimed[1].history, &claimed[1].payload[..]),
            (&History { generation: 1, ..History::default() }, &dead.encode()[..])
        );
        assert_eq!(fixture.counts().await.dead, 0);
        assert_eq!(fixture.settle(&claimed[1], Verdict::Succeeded).await, crate::queue::Settled::Applied);
    }

    #[tokio::test]
    async fn a_key_is_taken_again_only_if_it_is_free() {
        let fixture = fixture(Endings::Drop).await;
        let worker = fixture.worker().await;
        let dead = [unique("k", UniqueUntil::Finished), unique("k", UniqueUntil::Finished)];
        for job in &dead {
            fixture.run(&worker, job, failed("no")).await;
        }
        let both = dead.each_ref().map(|job| job.id);
        assert_eq!(fixture.store.redrive(&both).await.expect("redrives"), both);
        let third = unique("k", UniqueUntil::Finished);
        assert_eq!(fixture.push(&third).await, Pushed::Conflict { holder: both[0] });
        fixture.store.cancel(both[0]).await.expect("cancels");
        assert_eq!(fixture.push(&third).await, Pushed::Created);
        assert_eq!(fixture.read(both[1]).await.state, State::Ready);
    }

    #[tokio::test]
    async fn only_the_dead_are_discarded() {
        for endings in [Endings::Drop, Endings::Keep] {
            let fixture = fixture(endings).await;
            let worker = fixture.worker().await;
            let dead = job();
            fixture.run(&worker, &dead, failed("no")).await;
            let fetched = fixture.store.endings(9).await.expect("reads");
            fixture.store.forget_endings(&fetched).await.expect("forgets");
            let waiting = fixture.fill(1).await[0];
            let gone = fixture.store.discard(&[waiting, dead.id], "duplicate of 7").await.expect("discards");
            assert_eq!(gone, [dead.id]);
            let counts = fixture.counts().await;
            assert_eq!((counts.dead, counts.ready), (0, 1));
            let records = fixture.store.endings(9).await.expect("reads");
            let reasons: Vec<_> = records.iter().map(|end| (end.state, end.history.last_error.as_deref())).collect();
            match endings {
                Endings::Drop | Endings::Retain(_) => assert!(reasons.is_empty()),
                Endings::Keep => assert_eq!(reasons, [(State::Cancelled, Some("duplicate of 7"))]),
            }
        }
    }

    #[tokio::test]
    async fn groups_and_walks_use_their_index() {
        let fixture = fixture(Endings::Drop).await;
        let explained = async |mut select: QueryBuilder<Sqlite>| {
            let plan: Vec<(i64, i64, i64, String)> =
                select.build_query_as().fetch_all(&fixture.store.readers).await.expect("explains");
            plan.into_iter().map(|(.., step)| step).collect::<Vec<_>>().join("\n")
        };
        let mut groups = QueryBuilder::new("EXPLAIN QUERY PLAN ");
        groups.push(GROUPS.replace("?1", "'default'").replace("?2", "9"));
        assert!(explained(groups).await.contains("USING INDEX jobs_dead"));

        let all = DeadFilter::all(QueueName::default());
        let one = DeadFilter {
            kind: Kind::new("test.run").ok(),
            fingerprint: Some(crate::fingerprint::Fingerprint::of("no")),
            ..all.clone()
        };
        for (filter, index) in [(all, "jobs_ended"), (one, "jobs_dead")] {
            let mut select = QueryBuilder::new("EXPLAIN QUERY PLAN SELECT id, ended_at_ms, entry");
            narrow(&mut select, &filter);
            behind(&mut select, &Cursor::of(5, 7), " > ").expect("fits");
            select.push(" ORDER BY ended_at_ms, entry LIMIT 9");
            let plan = explained(select).await;
            assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{plan}");
        }
    }
}
