//! The audit of a queue in the file.
//!
//! A job is one row, so it cannot be in two tables; but the columns of the row can contradict its state, and the partial indexes
//! and counts go by them. Each part is one statement and therefore one instant. What is to be repaired is asked again under the
//! write lock.

use std::collections::HashMap;
use std::time::Instant;

use super::apply::list;
use super::fault::Result;
use super::open::SqliteQueue;
use super::record::job_id;
use crate::id::QueueName;
use crate::queue::audit::Findings;
use crate::queue::{Audit, Drift, DriftKind};

/// How many rows one statement reads.
const PART: i64 = 2_000;

/// What must not be true of a row, and what makes it right.
struct Rule {
    kind: DriftKind,
    /// What it is about, for the report.
    what: &'static str,
    wrong: &'static str,
    /// A whole statement over `?1`, a list of entries.
    cure: &'static str,
}

macro_rules! set {
    ($columns:literal) => {
        concat!("UPDATE jobs SET ", $columns, " WHERE entry IN (SELECT value FROM json_each(?1))")
    };
}

/// A new contradiction is an entry here.
const RULES: [Rule; 10] = [
    Rule {
        kind: DriftKind::Homeless,
        what: "state",
        wrong: "state NOT IN ('ready', 'scheduled', 'running', 'succeeded', 'dead', 'cancelled')",
        cure: set!("state = 'ready', lease = NULL, run_at_ms = NULL, ended_at_ms = NULL, dead_reason = NULL"),
    },
    Rule {
        kind: DriftKind::Homeless,
        what: "running without a lease",
        wrong: "state = 'running' AND (lease IS NULL OR worker IS NULL)",
        cure: set!("state = 'ready', lease = NULL"),
    },
    Rule {
        kind: DriftKind::Homeless,
        what: "scheduled without a time",
        wrong: "state = 'scheduled' AND run_at_ms IS NULL",
        cure: set!("state = 'ready'"),
    },
    Rule {
        kind: DriftKind::Homeless,
        what: "ended without a time",
        wrong: "state IN ('succeeded', 'dead', 'cancelled') AND ended_at_ms IS NULL",
        cure: set!("ended_at_ms = coalesce(claimed_at_ms, 0)"),
    },
    Rule {
        kind: DriftKind::Doubled,
        what: "columns of another state",
        wrong: "(state <> 'running' AND lease IS NOT NULL) OR (state <> 'scheduled' AND run_at_ms IS NOT NULL) \
                OR (state IN ('ready', 'scheduled', 'running') AND (ended_at_ms IS NOT NULL OR ending <> 0))",
        cure: set!(
            "lease = iif(state = 'running', lease, NULL), run_at_ms = iif(state = 'scheduled', run_at_ms, NULL), \
             ended_at_ms = iif(state IN ('succeeded', 'dead', 'cancelled'), ended_at_ms, NULL), \
             ending = iif(state IN ('succeeded', 'dead', 'cancelled'), ending, 0)"
        ),
    },
    Rule {
        kind: DriftKind::Homeless,
        what: "limited",
        wrong: "limited <> 0 AND (state <> 'ready' OR group_key IS NULL)",
        cure: set!("limited = 0"),
    },
    Rule {
        kind: DriftKind::HeldKey,
        what: "unique_key",
        wrong: "holds_key <> 0 AND (ended_at_ms IS NOT NULL OR unique_key IS NULL)",
        cure: set!("holds_key = 0"),
    },
    Rule {
        kind: DriftKind::Dangling,
        what: "batch",
        wrong: "batch IS NOT NULL AND (ended_at_ms IS NOT NULL OR batch NOT IN (SELECT id FROM batches))",
        cure: set!("batch = NULL"),
    },
    Rule {
        kind: DriftKind::IdleStop,
        what: "cancel",
        wrong: "cancel_requested <> 0 AND state <> 'running'",
        cure: set!("cancel_requested = 0"),
    },
    Rule {
        kind: DriftKind::UnknownWorker,
        what: "running",
        wrong: "state = 'running' AND worker NOT IN (SELECT id FROM workers)",
        // Dead since ever: the next beat of anybody takes its jobs back.
        cure: "INSERT INTO workers (id, info, expires_ms) SELECT DISTINCT worker, '', 0 FROM jobs \
               WHERE entry IN (SELECT value FROM json_each(?1)) ON CONFLICT DO NOTHING",
    },
];

/// The counts of a queue and what they count: the triggers keep all but the last, which only stores that retain jobs keep.
const COUNTED: [(&str, &str); 6] = [
    ("ready", "state = 'ready'"),
    ("scheduled", "state = 'scheduled'"),
    ("running", "state = 'running'"),
    ("dead", "state = 'dead'"),
    ("limited", "jobs.limited <> 0"),
    ("retained", "state IN ('succeeded', 'cancelled')"),
];

/// Where a part ended, how many jobs of the queue it had, and of them those that break a rule.
type Part = (Option<i64>, i64, String);

/// The counts of a group, as one row.
const GROUP_COUNTS: &str = "(SELECT count(*) FILTER (WHERE state IN ('ready', 'scheduled')), \
    count(*) FILTER (WHERE state = 'running'), count(*) FILTER (WHERE state = 'dead'), count(*) FILTER (WHERE jobs.limited <> 0) \
    FROM jobs WHERE jobs.queue = groups.queue AND group_key = groups.key)";

impl SqliteQueue {
    pub(super) async fn audit_queue(&self, queue: &QueueName, repair: bool) -> Result<Audit> {
        let mut findings = Findings::default();
        let mut after = i64::MIN;
        while !findings.is_full() {
            let started = Instant::now();
            let (last, checked, broken) = self.broken(queue, after).await?;
            findings.checked += checked.max(0) as u64;
            let broken: Vec<(usize, i64)> = serde_json::from_str(&broken).unwrap_or_default();
            if !broken.is_empty() {
                self.judge(broken, repair, &mut findings).await?;
            }
            match last {
                Some(last) => after = last,
                None => break,
            }
            if checked >= PART {
                // The disk and the processor are for everybody else at least half of the time.
                tokio::time::sleep(started.elapsed()).await;
            }
        }
        self.count_again(queue, repair, &mut findings).await?;
        self.audit_batches(queue, repair, &mut findings).await?;
        self.count_groups(queue, repair, &mut findings).await?;
        Ok(findings.done())
    }

    /// Reads one part.
    async fn broken(&self, queue: &QueueName, after: i64) -> Result<Part> {
        let sql = format!(
            "SELECT max(entry), count(*) FILTER (WHERE queue = ?1), \
             json_group_array(json_array(rule, entry)) FILTER (WHERE queue = ?1 AND rule IS NOT NULL) \
             FROM (SELECT entry, queue, {} AS rule FROM jobs WHERE entry > ?2 ORDER BY entry LIMIT {PART})",
            first_broken()
        );
        let part = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(queue.as_str()).bind(after);
        Ok(part.fetch_one(&self.readers).await?)
    }

    /// Reports rows that break rules. To be repaired they have to break them still.
    async fn judge(&self, broken: Vec<(usize, i64)>, repair: bool, findings: &mut Findings) -> Result<()> {
        let mut by_rule: HashMap<usize, Vec<i64>> = HashMap::new();
        for (rule, entry) in broken {
            by_rule.entry(rule).or_default().push(entry);
        }
        let mut change = self.begin().await?;
        for (rule, entries) in by_rule {
            let rule = &RULES[rule];
            let entries = serde_json::to_string(&entries).expect("numbers have a JSON form");
            let sql = format!(
                "SELECT entry, id, worker FROM jobs WHERE entry IN (SELECT value FROM json_each(?1)) AND ({})",
                rule.wrong
            );
            let still: Vec<(i64, Vec<u8>, Option<String>)> =
                sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(entries).fetch_all(&mut *change.tx).await?;
            for (_, id, worker) in &still {
                let (id, what) = match worker {
                    Some(worker) if rule.kind == DriftKind::UnknownWorker => (None, worker.clone()),
                    _ => (Some(job_id(id)?), rule.what.to_owned()),
                };
                findings.add(Drift { kind: rule.kind, id, what, repaired: repair });
            }
            if repair {
                let still: Vec<i64> = still.into_iter().map(|(entry, ..)| entry).collect();
                let still = serde_json::to_string(&still).expect("numbers have a JSON form");
                sqlx::query(rule.cure).bind(still).execute(&mut *change.tx).await?;
            }
        }
        if repair {
            change.commit().await?;
            self.bells.ring_all();
        }
        Ok(())
    }

    async fn count_again(&self, queue: &QueueName, repair: bool, findings: &mut Findings) -> Result<()> {
        let kept = if self.endings.retention().is_some() { COUNTED.len() } else { COUNTED.len() - 1 };
        for (counted, what) in &COUNTED[..kept] {
            let right = format!("(SELECT count(*) FROM jobs WHERE queue = ?1 AND {what})");
            let sql = format!("SELECT count(*) FROM queues WHERE name = ?1 AND {counted} <> {right}");
            let wrong: i64 =
                sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(queue.as_str()).fetch_one(&self.readers).await?;
            if wrong == 0 {
                continue;
            }
            if repair {
                let mut change = self.begin().await?;
                let sql = format!("UPDATE queues SET {counted} = {right} WHERE name = ?1");
                sqlx::query(sqlx::AssertSqlSafe(sql)).bind(queue.as_str()).execute(&mut *change.tx).await?;
                change.commit().await?;
            }
            findings.add(Drift { kind: DriftKind::Count, id: None, what: (*counted).to_owned(), repaired: repair });
        }
        Ok(())
    }
}

impl SqliteQueue {
    /// A slot that is counted and that no job has would be lost for ever.
    async fn count_groups(&self, queue: &QueueName, repair: bool, findings: &mut Findings) -> Result<()> {
        // One pass over the jobs for all groups.
        let sql = "SELECT key FROM groups LEFT JOIN (SELECT group_key, sum(state IN ('ready', 'scheduled')) AS w, \
                   sum(state = 'running') AS r, sum(state = 'dead') AS d, sum(limited <> 0) AS l FROM jobs \
                   WHERE queue = ?1 AND group_key IS NOT NULL GROUP BY group_key) ON group_key = key \
                   WHERE queue = ?1 AND (waiting, running, dead, limited) <> (ifnull(w, 0), ifnull(r, 0), ifnull(d, 0), ifnull(l, 0))";
        let wrong_keys: Vec<String> = sqlx::query_scalar(sql).bind(queue.as_str()).fetch_all(&self.readers).await?;
        if wrong_keys.is_empty() {
            return Ok(());
        }
        if repair {
            let mut change = self.begin().await?;
            let sql = format!(
                "UPDATE groups SET (waiting, running, dead, limited) = {GROUP_COUNTS} \
                 WHERE queue = ?1 AND key IN (SELECT value FROM json_each(?2))"
            );
            sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(queue.as_str())
                .bind(list(&wrong_keys))
                .execute(&mut *change.tx)
                .await?;
            let keys: Vec<&str> = wrong_keys.iter().map(String::as_str).collect();
            change.open_groups(queue, &keys).await?;
            change.commit().await?;
            self.bells.ring([queue]);
        }
        let drift = |key| Drift { kind: DriftKind::Count, id: None, what: format!("group {key}"), repaired: repair };
        wrong_keys.into_iter().map(drift).for_each(|drift| findings.add(drift));
        Ok(())
    }
}

/// SQL for the number of the first rule that a row breaks. The next audit finds the second.
fn first_broken() -> String {
    let whens: Vec<String> =
        RULES.iter().enumerate().map(|(at, rule)| format!("WHEN {} THEN {at}", rule.wrong)).collect();
    format!("CASE {} END", whens.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, failed, fixture, job, job_with, later, unique, worker};
    use super::*;
    use crate::id::GroupKey;
    use crate::options::{Group, Options, UniqueUntil};
    use crate::queue::{Endings, Queue, Verdict};
    use std::time::Duration;

    async fn audit(fixture: &Fixture, repair: bool) -> Vec<(DriftKind, String)> {
        let audit = fixture.store.audit(&QueueName::default(), repair).await.expect("audits");
        assert!(audit.drift.iter().all(|drift| drift.repaired == repair));
        audit.drift.into_iter().map(|drift| (drift.kind, drift.what)).collect()
    }

    async fn write(fixture: &Fixture, sql: &'static str) {
        assert!(fixture.write(sql).await > 0, "{sql}");
    }

    /// A job in each state, one with a key.
    async fn peopled() -> Fixture {
        let fixture = fixture(Endings::Keep).await;
        let worker = fixture.worker().await;
        fixture.run(&worker, &job(), Verdict::Succeeded).await;
        fixture.run(&worker, &job(), failed("no")).await;
        fixture.fill(1).await;
        fixture.claim(&worker, 1).await;
        fixture.push(&later(Duration::from_mins(1))).await;
        fixture.push(&unique("k", UniqueUntil::Finished)).await;
        assert_eq!(audit(&fixture, true).await, []);
        fixture
    }

    #[tokio::test]
    async fn each_contradiction_is_found_repaired_and_gone() {
        let homeless = |what: &str| (DriftKind::Homeless, what.to_owned());
        let doubled = || (DriftKind::Doubled, "columns of another state".to_owned());
        let count = |what: &str| (DriftKind::Count, what.to_owned());
        let cases = [
            ("UPDATE jobs SET state = 'lost' WHERE state = 'ready'", vec![homeless("state")]),
            ("UPDATE jobs SET lease = NULL WHERE state = 'running'", vec![homeless("running without a lease")]),
            ("UPDATE jobs SET run_at_ms = NULL WHERE state = 'scheduled'", vec![homeless("scheduled without a time")]),
            ("UPDATE jobs SET ended_at_ms = NULL WHERE state = 'dead'", vec![homeless("ended without a time")]),
            ("UPDATE jobs SET lease = 'x' WHERE state = 'ready'", vec![doubled()]),
            ("UPDATE jobs SET run_at_ms = 1 WHERE state = 'running'", vec![doubled()]),
            ("UPDATE jobs SET ended_at_ms = 1 WHERE state = 'scheduled'", vec![doubled()]),
            ("UPDATE jobs SET holds_key = 1 WHERE state = 'dead'", vec![(DriftKind::HeldKey, "unique_key".to_owned())]),
            (
                "UPDATE jobs SET cancel_requested = 1 WHERE state = 'ready'",
                vec![(DriftKind::IdleStop, "cancel".to_owned())],
            ),
            (
                "UPDATE jobs SET batch = '019aa8c2-7c1e-7000-8000-000000000000' WHERE state = 'ready'",
                vec![(DriftKind::Dangling, "batch".to_owned())],
            ),
            ("UPDATE queues SET ready = ready + 1, dead = 0", vec![count("dead"), count("ready")]),
        ];
        for (sql, expected) in cases {
            let fixture = peopled().await;
            write(&fixture, sql).await;
            assert_eq!(audit(&fixture, false).await, expected, "{sql}");
            assert_eq!(audit(&fixture, true).await, expected, "{sql}");
            assert_eq!(audit(&fixture, true).await, [], "{sql}");
            fixture.counts().await;
        }
    }

    #[tokio::test]
    async fn the_count_of_the_retained_is_one_of_a_store_that_retains() {
        let fixture = fixture(Endings::Retain(crate::queue::Retention::default())).await;
        let worker = fixture.worker().await;
        fixture.run(&worker, &job(), Verdict::Succeeded).await;
        assert_eq!(audit(&fixture, true).await, []);
        write(&fixture, "UPDATE queues SET retained = 7").await;
        assert_eq!(audit(&fixture, true).await, [(DriftKind::Count, "retained".to_owned())]);
        assert_eq!(audit(&fixture, true).await, []);
    }

    #[tokio::test]
    async fn a_slot_that_no_job_has_is_found_and_given_back() {
        let fixture = fixture(Endings::Drop).await;
        let worker = fixture.worker().await;
        let group = Some(Group::new(GroupKey::new("a").expect("valid")).concurrency(1));
        for _ in 0..2 {
            fixture.push(&job_with(Options { group: group.clone(), ..Options::default() })).await;
        }
        assert_eq!(fixture.claim(&worker, 9).await.len(), 1);
        let held = fixture.claim(&worker, 9).await;
        assert_eq!((held.len(), audit(&fixture, false).await), (0, vec![]));
        write(&fixture, "UPDATE groups SET running = 2").await;
        let count = (DriftKind::Count, "group a".to_owned());
        assert_eq!(audit(&fixture, false).await, std::slice::from_ref(&count));
        assert_eq!(audit(&fixture, true).await, std::slice::from_ref(&count));
        assert_eq!(audit(&fixture, true).await, []);
        write(&fixture, "UPDATE jobs SET limited = 1 WHERE state = 'running'").await;
        assert_eq!(audit(&fixture, true).await, [(DriftKind::Homeless, "limited".to_owned())]);
        assert_eq!(audit(&fixture, true).await, []);
        fixture.counts().await;
    }

    #[tokio::test]
    async fn a_batch_that_would_never_close_is_found_and_closed() {
        let fixture = fixture(Endings::Drop).await;
        let then = job();
        let batch = crate::queue::Batch::new(then.clone()).expect("may close");
        fixture.store.push_batch(&batch, vec![job(), job()]).await.expect("pushes");
        assert_eq!(audit(&fixture, true).await, []);
        let what = || format!("batch {}", batch.id());
        write(&fixture, "UPDATE batches SET total = 7").await;
        assert_eq!(audit(&fixture, true).await, [(DriftKind::Count, what())]);
        assert_eq!(audit(&fixture, true).await, []);
        write(&fixture, "DELETE FROM jobs").await;
        assert_eq!(audit(&fixture, true).await, [(DriftKind::Unclosed, what()), (DriftKind::Count, what())]);
        assert_eq!(audit(&fixture, true).await, []);
        assert_eq!(fixture.read(then.id).await.history.batch.map(|totals| totals.total), Some(0));
    }

    #[tokio::test]
    async fn jobs_of_an_unknown_worker_come_back_with_the_next_beat() {
        let fixture = peopled().await;
        write(&fixture, "DELETE FROM workers").await;
        let found = audit(&fixture, true).await;
        assert_eq!(found.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [DriftKind::UnknownWorker]);
        assert_eq!(fixture.store.beat(&worker(), true).await.expect("beats").rescued, 1);
        assert_eq!(audit(&fixture, true).await, []);
    }

    #[tokio::test]
    async fn a_long_file_is_read_in_parts_and_another_queue_is_left_alone() {
        let fixture = fixture(Endings::Drop).await;
        let count = 2 * PART as usize + 1;
        fixture.fill(count).await;
        write(&fixture, "UPDATE jobs SET lease = 'x' WHERE entry % 1000 = 0").await;
        let audit = fixture.store.audit(&QueueName::default(), false).await.expect("audits");
        assert_eq!((audit.checked, audit.drift.len()), (count as u64, 4));
        let other = QueueName::new("other").expect("valid");
        assert_eq!(fixture.store.audit(&other, true).await.expect("audits"), Audit::default());
    }
}
