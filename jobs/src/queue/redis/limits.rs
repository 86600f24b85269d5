//! Limits of queues and groups: set and read.

use redis::Value;

use super::scripts;
use super::store::RedisQueue;
use crate::id::{GroupKey, QueueName};
use crate::options::{Limits, Rate};
use crate::queue::{GroupInfo, Result};

/// The most groups that one script call reads.
const BATCH: usize = 500;

/// Name, limits, whether fixed, running, waiting, next token or -1.
type Row = (String, String, u8, u64, u64, i64);

impl RedisQueue {
    pub(super) async fn limit_queue(&self, queue: &QueueName, concurrency: Option<u32>) -> Result<()> {
        self.register_queue(queue).await?;
        let most = concurrency.map(|jobs| jobs.max(1).to_string()).unwrap_or_default();
        self.connection.call(&scripts::limit, queue, [most]).await
    }

    pub(super) async fn pin_group(&self, queue: &QueueName, group: &GroupKey, limits: Option<Limits>) -> Result<()> {
        self.register_queue(queue).await?;
        let limits = limits.map(limits_text).unwrap_or_default();
        self.connection.call(&scripts::limit_group, queue, [group.as_str(), &limits]).await
    }

    pub(super) async fn page_of_groups(
        &self,
        queue: &QueueName,
        after: Option<&GroupKey>,
        limit: usize,
    ) -> Result<Vec<GroupInfo>> {
        let mut groups: Vec<GroupInfo> = Vec::new();
        while groups.len() < limit {
            let wanted = (limit - groups.len()).min(BATCH);
            let last = groups.last().map(|group| &group.key).or(after).map_or("", GroupKey::as_str);
            let part = self.look_at_groups(queue, ["", last, &wanted.to_string()]).await?;
            let complete = part.len() < wanted;
            groups.extend(part);
            if complete {
                break;
            }
        }
        Ok(groups)
    }

    pub(super) async fn one_group(&self, queue: &QueueName, group: &GroupKey) -> Result<Option<GroupInfo>> {
        Ok(self.look_at_groups(queue, [group.as_str(), "", "1"]).await?.pop())
    }

    async fn look_at_groups(&self, queue: &QueueName, arguments: [&str; 3]) -> Result<Vec<GroupInfo>> {
        let rows: Vec<Value> = self.connection.call(&scripts::groups_of, queue, arguments).await?;
        rows.into_iter().map(|row| self.read_limited(row)).collect()
    }

    fn read_limited(&self, row: Value) -> Result<GroupInfo> {
        let unreadable = || self.connection.unreadable("a group");
        let (key, limits, pinned, running, waiting, token_ms): Row =
            redis::from_redis_value(row).map_err(|_| unreadable())?;
        Ok(GroupInfo {
            key: GroupKey::new(key).map_err(|_| unreadable())?,
            limits: read_limits(&limits),
            pinned: pinned == 1,
            running,
            waiting,
            next_token_at_ms: (token_ms >= 0).then_some(token_ms),
        })
    }
}

/// Writes limits as `lua/groups.lua` reads them.
pub(super) fn limits_text(limits: Limits) -> String {
    let Limits { concurrency, rate } = limits.clamped();
    let most = concurrency.map(|jobs| jobs.to_string()).unwrap_or_default();
    let rate = rate.map(|Rate { starts, per_ms, burst }| format!("{starts},{per_ms},{burst}"));
    format!("{most},{}", rate.as_deref().unwrap_or(",,"))
}

fn read_limits(text: &str) -> Limits {
    let mut numbers = text.split(',').map(|number| number.parse::<u64>().ok());
    let mut next = || numbers.next().flatten();
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let (concurrency, starts, per_ms, burst) = (next(), next(), next(), next());
    let rate = starts.zip(per_ms).zip(burst);
    Limits {
        concurrency: concurrency.map(small),
        rate: rate.map(|((starts, per_ms), burst)| Rate { starts: small(starts), per_ms, burst: small(burst) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_survive_their_text() {
        let rate = Some(Rate { starts: 3, per_ms: 60_000, burst: 5 });
        for limits in
            [Limits::default(), Limits { concurrency: Some(7), rate: None }, Limits { concurrency: None, rate }]
        {
            assert_eq!(read_limits(&limits_text(limits)), limits);
        }
        assert_eq!(limits_text(Limits { concurrency: Some(0), rate }), "1,3,60000,5");
    }
}
