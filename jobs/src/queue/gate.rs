//! Whether a job of a group may start now: pure. `redis/lua/groups.lua` has a twin, and the model test compares them.

use crate::options::{Limits, Rate};

/// The tokens of a group, in parts: a token is as many parts as its period has milliseconds, and in each millisecond as many parts
/// come back as the rate has starts. All numbers are whole, so nothing drifts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Bucket {
    pub(crate) parts: i64,
    pub(crate) at_ms: i64,
}

impl Bucket {
    fn full(rate: Rate, now_ms: i64) -> Self {
        Self { parts: size(rate), at_ms: now_ms }
    }

    /// Lets what has come back since flow in; a clock that went back brings nothing.
    fn refilled(self, rate: Rate, now_ms: i64) -> Self {
        let came = now_ms.saturating_sub(self.at_ms).max(0).saturating_mul(i64::from(rate.starts));
        Self { parts: self.parts.saturating_add(came).min(size(rate)), at_ms: now_ms }
    }

    /// Returns when there will be so many parts; now, if there are.
    fn when(self, rate: Rate, parts: i64, now_ms: i64) -> i64 {
        let missing = (parts - self.refilled(rate, now_ms).parts).max(0);
        let starts = i64::from(rate.starts);
        now_ms + (missing + starts - 1) / starts
    }

    /// Keeps whole tokens under another rate. A bucket that is new is full.
    fn reshaped(self, before: Option<Rate>, after: Option<Rate>, now_ms: i64) -> Self {
        match (before, after) {
            (_, None) => self,
            (None, Some(rate)) => Self::full(rate, now_ms),
            (Some(before), Some(after)) if before == after => self,
            (Some(before), Some(after)) => {
                let tokens = self.refilled(before, now_ms).parts / before.per_ms as i64;
                Self { parts: tokens.min(i64::from(after.burst)) * after.per_ms as i64, at_ms: now_ms }
            }
        }
    }
}

fn size(rate: Rate) -> i64 {
    i64::from(rate.burst) * rate.per_ms as i64
}

/// Whether the next job of a group may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    /// As many run as may.
    Full,
    /// A token is missing until then.
    NoToken {
        until_ms: i64,
    },
}

/// What decides for a group, beside how many of it run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rules {
    /// What the latest push with limits said.
    pub(crate) pushed: Limits,
    /// What an operator said, which counts instead.
    pub(crate) pinned: Option<Limits>,
    pub(crate) bucket: Bucket,
}

impl Rules {
    pub(crate) fn limits(&self) -> Limits {
        self.pinned.unwrap_or(self.pushed)
    }

    pub(crate) fn gate(&self, running: u64, now_ms: i64) -> Gate {
        let limits = self.limits();
        if limits.concurrency.is_some_and(|most| running >= u64::from(most)) {
            return Gate::Full;
        }
        match self.next_token_ms(now_ms) {
            Some(at_ms) if at_ms > now_ms => Gate::NoToken { until_ms: at_ms },
            _ => Gate::Open,
        }
    }

    /// Returns when the next token is there; `None` without a rate.
    pub(crate) fn next_token_ms(&self, now_ms: i64) -> Option<i64> {
        let rate = self.limits().rate?;
        Some(self.bucket.when(rate, rate.per_ms as i64, now_ms))
    }

    /// Returns when the bucket is full, from when on it need not be remembered.
    pub(crate) fn full_ms(&self, now_ms: i64) -> i64 {
        self.limits().rate.map_or(now_ms, |rate| self.bucket.when(rate, size(rate), now_ms))
    }

    /// Takes the token of a job that starts.
    pub(crate) fn start(&mut self, now_ms: i64) {
        if let Some(rate) = self.limits().rate {
            self.bucket = self.bucket.refilled(rate, now_ms);
            self.bucket.parts -= rate.per_ms as i64;
        }
    }

    /// Notes the limits that came with a job; none change nothing.
    pub(crate) fn push(&mut self, limits: Limits, now_ms: i64) {
        if !limits.is_empty() {
            self.change(now_ms, |rules| rules.pushed = limits.clamped());
        }
    }

    /// Notes what an operator wants.
    pub(crate) fn pin(&mut self, limits: Option<Limits>, now_ms: i64) {
        self.change(now_ms, |rules| rules.pinned = limits.map(Limits::clamped));
    }

    fn change(&mut self, now_ms: i64, change: impl FnOnce(&mut Self)) {
        let before = self.limits().rate;
        change(self);
        self.bucket = self.bucket.reshaped(before, self.limits().rate, now_ms);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(limits: Limits) -> Rules {
        let mut rules = Rules::default();
        rules.push(limits, 0);
        rules
    }

    fn rate(starts: u32, per_ms: u64, burst: u32) -> Limits {
        Limits { concurrency: None, rate: Some(Rate { starts, per_ms, burst }) }
    }

    #[test]
    fn so_many_run_and_no_more() {
        let two = rules(Limits { concurrency: Some(2), rate: None });
        assert_eq!([0, 1, 2, 3].map(|running| two.gate(running, 0)), [Gate::Open, Gate::Open, Gate::Full, Gate::Full]);
        assert_eq!(Rules::default().gate(1_000, 0), Gate::Open);
    }

    #[test]
    fn a_burst_starts_at_once_and_then_evenly() {
        let mut three = rules(rate(3, 1_000, 2));
        let mut starts = Vec::new();
        for now_ms in 0..2_001 {
            while three.gate(0, now_ms) == Gate::Open {
                three.start(now_ms);
                starts.push(now_ms);
            }
        }
        assert_eq!(starts, [0, 0, 334, 667, 1_000, 1_334, 1_667, 2_000]);
        assert_eq!(three.gate(0, 2_000), Gate::NoToken { until_ms: 2_334 });
    }

    #[test]
    fn whole_tokens_survive_another_rate_and_a_pin() {
        let mut group = rules(rate(1, 1_000, 5));
        group.start(0);
        group.pin(Some(rate(1, 60_000, 3).clamped()), 0);
        for _ in 0..3 {
            assert_eq!(group.gate(0, 0), Gate::Open);
            group.start(0);
        }
        assert_eq!(group.gate(0, 0), Gate::NoToken { until_ms: 60_000 });
        group.push(rate(9, 9, 9), 0);
        assert_eq!(group.gate(0, 0), Gate::NoToken { until_ms: 60_000 }, "pinned");
        group.pin(None, 0);
        assert_eq!(group.limits(), rate(9, 9, 9));
    }

    #[test]
    fn nonsense_is_taken_for_the_least_that_makes_sense() {
        let mut none = rules(Limits { concurrency: Some(0), rate: rate(0, 0, 0).rate });
        assert_eq!(none.gate(0, 0), Gate::Open);
        none.start(0);
        assert_eq!(none.gate(0, 0), Gate::NoToken { until_ms: 1 });
    }

    proptest! {
        #[test]
        fn no_window_sees_more_than_the_burst_and_what_came_back(
            starts in 1u32..50, per_ms in 1u64..5_000, burst in 1u32..20,
            waits in prop::collection::vec(0i64..400, 1..300),
        ) {
            let mut group = rules(rate(starts, per_ms, burst));
            let (mut now_ms, mut begun) = (0, Vec::new());
            for wait in waits {
                now_ms += wait;
                match group.gate(0, now_ms) {
                    Gate::Open => { group.start(now_ms); begun.push(now_ms); }
                    Gate::NoToken { until_ms } => {
                        prop_assert!(until_ms > now_ms);
                        prop_assert!(group.gate(0, until_ms) == Gate::Open, "it comes when it was said");
                        prop_assert!(group.gate(0, until_ms - 1) != Gate::Open, "and not before");
                    }
                    Gate::Full => prop_assert!(false, "nothing limits how many run"),
                }
            }
            for (nth, from) in begun.iter().enumerate() {
                for (more, to) in begun[nth..].iter().enumerate() {
                    let came = (to - from) as u128 * u128::from(starts) / u128::from(per_ms);
                    prop_assert!((more as u128) < u128::from(burst) + came + 1);
                }
            }
        }
    }
}
