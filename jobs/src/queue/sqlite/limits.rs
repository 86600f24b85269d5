//! Limits of queues and groups: set, read, forgotten.

use std::collections::BTreeMap;

use sqlx::types::Json;

use super::apply::list;
use super::fault::{Fault, Result};
use super::open::{Change, SqliteQueue};
use crate::id::{GroupKey, QueueName};
use crate::job::Envelope;
use crate::options::Limits;
use crate::queue::GroupInfo;
use crate::queue::gate::{Bucket, Gate, Rules};

/// The most groups that a beat forgets at once.
const FORGOTTEN_AT_ONCE: i64 = 500;

/// The columns of [`Stored`].
macro_rules! group {
    () => {
        "key, pushed, pinned, waiting, running, limited, parts, at_ms"
    };
}

/// A row of `groups`.
#[derive(sqlx::FromRow)]
struct Stored {
    key: String,
    #[sqlx(json)]
    pushed: Limits,
    pinned: Option<Json<Limits>>,
    waiting: i64,
    running: i64,
    limited: i64,
    parts: i64,
    at_ms: i64,
}

/// A group as a change needs it.
pub(super) struct Group {
    pub(super) rules: Rules,
    pub(super) running: u64,
    /// How many of its ready jobs stand aside.
    pub(super) limited: i64,
}

impl Group {
    pub(super) fn gate(&self, now_ms: i64) -> Gate {
        self.rules.gate(self.running, now_ms)
    }
}

impl Stored {
    fn group(&self) -> Group {
        let bucket = Bucket { parts: self.parts, at_ms: self.at_ms };
        let rules = Rules { pushed: self.pushed, pinned: self.pinned.as_ref().map(|limits| limits.0), bucket };
        Group { rules, running: self.running as u64, limited: self.limited }
    }

    fn info(self, now_ms: i64) -> Result<GroupInfo> {
        let Group { rules, running, .. } = self.group();
        Ok(GroupInfo {
            key: GroupKey::new(self.key).map_err(|error| Fault::Corrupt(error.to_string()))?,
            limits: rules.limits(),
            pinned: rules.pinned.is_some(),
            running,
            waiting: self.waiting as u64,
            next_token_at_ms: rules.next_token_ms(now_ms),
        })
    }
}

impl SqliteQueue {
    pub(super) async fn limit_queue(&self, queue: &QueueName, concurrency: Option<u32>) -> Result<()> {
        let mut change = self.begin().await?;
        change.name_queues(std::slice::from_ref(queue)).await?;
        sqlx::query("UPDATE queues SET concurrency = ?2 WHERE name = ?1")
            .bind(queue.as_str())
            .bind(concurrency.map(|jobs| jobs.max(1)))
            .execute(&mut *change.tx)
            .await?;
        change.commit().await?;
        self.bells.ring([queue]);
        Ok(())
    }

    pub(super) async fn pin_group(&self, queue: &QueueName, key: &GroupKey, limits: Option<Limits>) -> Result<()> {
        let mut change = self.begin().await?;
        change.name_queues(std::slice::from_ref(queue)).await?;
        change.forget_idle(queue, &[key.as_str()]).await?;
        sqlx::query("INSERT INTO groups (queue, key) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
            .bind(queue.as_str())
            .bind(key.as_str())
            .execute(&mut *change.tx)
            .await?;
        let now_ms = change.now_ms;
        change.rule(queue, key.as_str(), |rules| rules.pin(limits, now_ms)).await?;
        change.forget_idle(queue, &[key.as_str()]).await?;
        change.commit().await?;
        self.bells.ring([queue]);
        Ok(())
    }

    pub(super) async fn page_of_groups(
        &self,
        queue: &QueueName,
        after: Option<&GroupKey>,
        limit: usize,
    ) -> Result<Vec<GroupInfo>> {
        let sql = concat!(
            "SELECT ",
            group!(),
            " FROM groups WHERE queue = ?1 AND key > ?2 AND (waiting + running + dead > 0 OR pinned IS NOT NULL) \
             ORDER BY key LIMIT ?3"
        );
        let now_ms = self.now_ms().await?;
        let stored: Vec<Stored> = sqlx::query_as(sql)
            .bind(queue.as_str())
            .bind(after.map_or("", GroupKey::as_str))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.readers)
            .await?;
        stored.into_iter().map(|stored| stored.info(now_ms)).collect()
    }

    pub(super) async fn one_group(&self, queue: &QueueName, key: &GroupKey) -> Result<Option<GroupInfo>> {
        let sql = concat!(
            "SELECT ",
            group!(),
            " FROM groups WHERE queue = ?1 AND key = ?2 AND (waiting + running + dead > 0 OR pinned IS NOT NULL)"
        );
        let now_ms = self.now_ms().await?;
        let stored: Option<Stored> =
            sqlx::query_as(sql).bind(queue.as_str()).bind(key.as_str()).fetch_optional(&self.readers).await?;
        stored.map(|stored| stored.info(now_ms)).transpose()
    }
}

impl Change {
    /// Loads groups of a queue.
    pub(super) async fn groups(&mut self, queue: &QueueName, keys: &[&str]) -> Result<Vec<(String, Group)>> {
        let sql = concat!(
            "SELECT ",
            group!(),
            " FROM json_each(?2) AS asked CROSS JOIN groups ON queue = ?1 AND groups.key = asked.value"
        );
        // The column would else be the position in the list.
        let sql = sql.replacen("SELECT key", "SELECT groups.key AS key", 1);
        let stored: Vec<Stored> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(queue.as_str())
            .bind(list(keys))
            .fetch_all(&mut *self.tx)
            .await?;
        Ok(stored.into_iter().map(|stored| (stored.key.clone(), stored.group())).collect())
    }

    /// Writes what a claim has done to a group.
    pub(super) async fn save_group(&mut self, queue: &QueueName, key: &str, group: &Group) -> Result<()> {
        let rules = &group.rules;
        let token_ms = match group.gate(self.now_ms) {
            Gate::NoToken { until_ms } if group.limited > 0 => Some(until_ms),
            _ => None,
        };
        let sql = "UPDATE groups SET pushed = ?3, pinned = ?4, parts = ?5, at_ms = ?6, full_ms = ?7, token_ms = ?8 \
                   WHERE queue = ?1 AND key = ?2";
        sqlx::query(sql)
            .bind(queue.as_str())
            .bind(key)
            .bind(Json(rules.pushed))
            .bind(rules.pinned.map(Json))
            .bind(rules.bucket.parts)
            .bind(rules.bucket.at_ms)
            .bind(rules.full_ms(self.now_ms))
            .bind(token_ms)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Lets a claim meet the first limited jobs of these groups, one of each priority.
    pub(super) async fn open_groups(&mut self, queue: &QueueName, keys: &[&str]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let sql = "UPDATE jobs SET limited = 0 WHERE entry IN ( \
                   SELECT (SELECT entry FROM jobs WHERE limited = 1 AND queue = ?1 AND group_key = opened.value \
                           AND priority = ranks.value ORDER BY place LIMIT 1) \
                   FROM json_each(?2) AS opened CROSS JOIN json_each('[0,1,2,3]') AS ranks)";
        sqlx::query(sql).bind(queue.as_str()).bind(list(keys)).execute(&mut *self.tx).await?;
        Ok(())
    }

    /// Lets a claim meet the groups whose next token has come.
    pub(super) async fn pass_tokens(&mut self, queue: &QueueName) -> Result<()> {
        let sql = "UPDATE groups SET token_ms = NULL WHERE queue = ?1 AND token_ms <= ?2 RETURNING key";
        let keys: Vec<String> =
            sqlx::query_scalar(sql).bind(queue.as_str()).bind(self.now_ms).fetch_all(&mut *self.tx).await?;
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.open_groups(queue, &keys).await
    }

    /// Begins with new jobs of groups: what nothing needs any more of these groups is not to be inherited.
    pub(super) async fn expect_groups(&mut self, jobs: &[(i64, &Envelope)]) -> Result<()> {
        let mut keys = BTreeMap::<&QueueName, Vec<&str>>::new();
        for (_, job) in jobs {
            if let Some(group) = &job.options.group {
                keys.entry(&job.options.queue).or_default().push(group.key.as_str());
            }
        }
        for (queue, keys) in keys {
            self.forget_idle(queue, &keys).await?;
        }
        Ok(())
    }

    /// Notes the limits that accepted jobs brought, one after another.
    pub(super) async fn enroll(&mut self, jobs: impl Iterator<Item = &Envelope>) -> Result<()> {
        let mut news = BTreeMap::<(&QueueName, &str), Vec<Limits>>::new();
        for job in jobs {
            if let Some(group) = job.options.group.as_ref().filter(|group| !group.limits.is_empty()) {
                let limits = news.entry((&job.options.queue, group.key.as_str())).or_default();
                if limits.last() != Some(&group.limits) {
                    limits.push(group.limits);
                }
            }
        }
        let now_ms = self.now_ms;
        for ((queue, key), limits) in news {
            self.rule(queue, key, |rules| limits.iter().for_each(|limits| rules.push(*limits, now_ms))).await?;
        }
        Ok(())
    }

    /// Changes the limits of a group, and lets a claim look at it anew.
    async fn rule(&mut self, queue: &QueueName, key: &str, change: impl FnOnce(&mut Rules)) -> Result<()> {
        let Some((key, mut group)) = self.groups(queue, &[key]).await?.pop() else { return Ok(()) };
        let before = group.rules;
        change(&mut group.rules);
        if before != group.rules {
            self.save_group(queue, &key, &group).await?;
            self.open_groups(queue, &[&key]).await?;
        }
        Ok(())
    }

    async fn forget_idle(&mut self, queue: &QueueName, keys: &[&str]) -> Result<()> {
        let sql = "DELETE FROM groups WHERE queue = ?1 AND key IN (SELECT value FROM json_each(?2)) \
                   AND waiting + running + dead = 0 AND pinned IS NULL AND full_ms <= ?3";
        sqlx::query(sql).bind(queue.as_str()).bind(list(keys)).bind(self.now_ms).execute(&mut *self.tx).await?;
        Ok(())
    }

    /// Forgets groups that no job needs any more. A bucket that is not full is remembered until it would be.
    pub(super) async fn forget_idle_groups(&mut self) -> Result<()> {
        let sql = "DELETE FROM groups WHERE (queue, key) IN (SELECT queue, key FROM groups \
                   WHERE waiting + running + dead = 0 AND pinned IS NULL AND full_ms <= ?1 LIMIT (SELECT ?2))";
        sqlx::query(sql).bind(self.now_ms).bind(FORGOTTEN_AT_ONCE).execute(&mut *self.tx).await?;
        Ok(())
    }
}
