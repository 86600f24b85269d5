//! How a job is to be run: its place, its limits, its patience.

use serde::{Deserialize, Serialize};

use crate::id::{GroupKey, Invalid, QueueName};
use crate::retry::Backoff;

/// How urgent a job is within its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Priority {
    /// Before everything else.
    Critical,
    /// Before normal.
    High,
    /// The default.
    #[default]
    Normal,
    /// When nothing else waits.
    Low,
}

impl Priority {
    /// All, the most urgent first; the index is the number that stores keep.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Low];

    /// Returns the number that stores keep: 0 is the most urgent.
    pub fn rank(self) -> u8 {
        self as u8
    }

    /// Reads the number that stores keep.
    pub fn from_rank(rank: u8) -> Option<Self> {
        Self::ALL.get(usize::from(rank)).copied()
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
    pub(crate) fn is_normal(&self) -> bool {
        *self == Self::Normal
    }
}

/// Until when another job with the same key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum UniqueUntil {
    /// Until an attempt of the job has started.
    Started,
    /// Until the job has succeeded, died or been cancelled.
    Finished,
}

/// What becomes of a job whose unique key another one holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum OnConflict {
    /// It is not taken; the pusher is told who holds the key.
    #[default]
    Keep,
    /// It comes in place of a holder that waits, be it for its next attempt, which ends as cancelled; a running holder is kept.
    Replace,
}

impl OnConflict {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
    fn is_keep(&self) -> bool {
        *self == Self::Keep
    }
}

/// Makes a job the only one of its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Unique {
    /// The key, within the queue.
    pub key: String,
    /// How long it holds.
    pub until: UniqueUntil,
    /// The longest time that it holds, in milliseconds from the push, by the store's clock; without it, as long as `until` says.
    /// Whoever comes later takes the key over, and the job goes on without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// What becomes of a job that comes while it holds.
    #[serde(default, skip_serializing_if = "OnConflict::is_keep")]
    pub on_conflict: OnConflict,
}

impl Unique {
    /// Makes a key that holds until then; a second job is not taken.
    pub fn new(key: impl Into<String>, until: UniqueUntil) -> Self {
        Self { key: key.into(), until, for_ms: None, on_conflict: OnConflict::Keep }
    }

    /// Lets it hold at most so many milliseconds from the push.
    #[must_use]
    pub fn for_ms(mut self, ms: u64) -> Self {
        self.for_ms = Some(ms);
        self
    }

    /// Lets it come in place of a holder that waits.
    #[must_use]
    pub fn replace(mut self) -> Self {
        self.on_conflict = OnConflict::Replace;
        self
    }
}

/// Binds a job to others of its kind of load: together they keep the limits of the group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = JobGroup))]
pub struct Group {
    /// The key, within the queue.
    pub key: GroupKey,
    /// The limits of the group from this push on; without any, those that it has stay.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
}

impl Group {
    /// Names a group and leaves its limits as they are.
    pub fn new(key: GroupKey) -> Self {
        Self { key, limits: Limits::default() }
    }

    /// Lets so many jobs of the group run at once.
    #[must_use]
    pub fn concurrency(mut self, jobs: u32) -> Self {
        self.limits.concurrency = Some(jobs);
        self
    }

    /// Lets so many jobs of the group start within a time.
    #[must_use]
    pub fn rate(mut self, rate: Rate) -> Self {
        self.limits.rate = Some(rate);
        self
    }
}

/// What a group may do at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = GroupLimits))]
pub struct Limits {
    /// How many of its jobs may run at once, over all workers; at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// How many of its jobs may start, over all workers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

impl Limits {
    /// Says that nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The most starts of a [`Rate`], and its largest burst.
pub const MAX_STARTS: u32 = 1_000_000;

/// The longest period of a [`Rate`]: 31 days. With [`MAX_STARTS`] it keeps all sums of tokens within what a store counts exactly.
pub const MAX_PERIOD_MS: u64 = 31 * 24 * 60 * 60 * 1_000;

impl Limits {
    /// Checks the numbers, as every door does that takes some from outside.
    ///
    /// # Errors
    /// [`Invalid`] if a number is 0 or beyond what a store counts exactly.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.concurrency == Some(0) {
            return Err(Invalid::new("concurrency", 0, "it is at least 1"));
        }
        let Some(Rate { starts, per_ms, burst }) = self.rate else { return Ok(()) };
        for (what, given) in [("starts", starts), ("burst", burst)] {
            if !(1..=MAX_STARTS).contains(&given) {
                return Err(Invalid::new(what, given, "it is between 1 and 1000000"));
            }
        }
        if !(1..=MAX_PERIOD_MS).contains(&per_ms) {
            return Err(Invalid::new("per_ms", per_ms, "it is between 1 ms and 31 days, 2678400000 ms"));
        }
        Ok(())
    }

    /// What a store keeps, should a door have let nonsense through: the nearest that makes sense.
    pub(crate) fn clamped(self) -> Self {
        Self {
            concurrency: self.concurrency.map(|jobs| jobs.max(1)),
            rate: self.rate.map(|rate| Rate {
                starts: rate.starts.clamp(1, MAX_STARTS),
                per_ms: rate.per_ms.clamp(1, MAX_PERIOD_MS),
                burst: rate.burst.clamp(1, MAX_STARTS),
            }),
        }
    }
}

/// A token bucket: each start takes a token; they come back evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = GroupRate))]
pub struct Rate {
    /// How many tokens come back within the period; at least 1.
    pub starts: u32,
    /// The period in milliseconds; at least 1.
    pub per_ms: u64,
    /// How many tokens the bucket holds, which is how many jobs may start at once after a rest; at least 1.
    pub burst: u32,
}

/// What a job has that says nothing else.
pub(crate) const MAX_ATTEMPTS: u32 = 10;

/// What a job has that says nothing else.
pub(crate) const TIMEOUT_MS: u64 = 60_000;

/// How a job is to be run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The queue.
    pub queue: QueueName,
    /// The place within the queue.
    pub priority: Priority,
    /// The failures after which the job is dead; at least 1.
    pub max_attempts: u32,
    /// The longest one attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// The waits between failed attempts.
    pub backoff: Backoff,
    /// Set if no second job of the key may exist.
    pub unique: Option<Unique>,
    /// Set if it shares limits with others.
    pub group: Option<Group>,
}

impl Options {
    /// Returns the defaults for a job of a queue.
    pub(crate) fn in_queue(queue: QueueName) -> Self {
        Self {
            queue,
            priority: Priority::Normal,
            max_attempts: MAX_ATTEMPTS,
            timeout_ms: TIMEOUT_MS,
            backoff: Backoff::default(),
            unique: None,
            group: None,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::in_queue(QueueName::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_at_least_1_and_countable() {
        let rate = |starts, per_ms, burst| Limits { concurrency: None, rate: Some(Rate { starts, per_ms, burst }) };
        let most = rate(MAX_STARTS, MAX_PERIOD_MS, MAX_STARTS);
        let good = [Limits::default(), Limits { concurrency: Some(1), rate: None }, rate(1, 1, 1), most];
        for limits in good {
            assert_eq!((limits.check(), limits.clamped()), (Ok(()), limits));
        }
        let none = Limits { concurrency: Some(0), rate: None };
        for bad in [none, rate(0, 1, 1), rate(1, 0, 1), rate(1, 1, 0), rate(1, MAX_PERIOD_MS + 1, 1)] {
            assert!(bad.check().is_err(), "{bad:?}");
            assert_eq!(bad.clamped().check(), Ok(()));
        }
    }
}
