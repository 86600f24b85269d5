//! How many requests a caller may send: a token bucket for each, in this process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};

use super::problem::{Answer, Problem};
use crate::access::Caller;

/// Buckets that are full are forgotten beyond so many: they say nothing.
const MANY: usize = 10_000;

/// What callers may send.
#[derive(Debug)]
pub(super) struct Rates {
    per_second: f64,
    burst: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Bucket {
    tokens: f64,
    at: DateTime<Utc>,
}

impl Bucket {
    fn full(burst: f64, now: DateTime<Utc>) -> Self {
        Self { tokens: burst, at: now }
    }

    /// Returns the bucket as it is at an instant; a clock that goes back adds nothing.
    fn filled(self, now: DateTime<Utc>, per_second: f64, burst: f64) -> Self {
        let elapsed = (now - self.at).to_std().unwrap_or_default().as_secs_f64();
        Self { tokens: (self.tokens + elapsed * per_second).min(burst), at: now }
    }
}

impl Rates {
    /// Lets each caller send so many a second, and so many at once after a rest; 0 a second is no limit.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second: per_second.into(), burst: burst.max(1).into(), buckets: Mutex::default() }
    }

    /// Takes a token of a caller, or says how long until there is one.
    fn take(&self, caller: &str, now: DateTime<Utc>) -> Result<(), Duration> {
        if self.per_second == 0.0 {
            return Ok(());
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MANY && !buckets.contains_key(caller) {
            buckets.retain(|_, bucket| bucket.filled(now, self.per_second, self.burst).tokens < self.burst);
        }
        let bucket = buckets.get(caller).copied().unwrap_or_else(|| Bucket::full(self.burst, now));
        let mut bucket = bucket.filled(now, self.per_second, self.burst);
        let taken = if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            Ok(())
        } else {
            Err(Duration::from_secs_f64((1.0 - bucket.tokens) / self.per_second))
        };
        buckets.insert(caller.to_owned(), bucket);
        taken
    }

    /// Lets in a caller who has a token left in its bucket.
    pub(super) fn admit(&self, request: &Request, now: DateTime<Utc>) -> Answer<()> {
        let Some(caller) = request.extensions().get::<Caller>() else { return Ok(()) };
        self.take(caller.actor.id.as_ref().unwrap_or(&caller.actor.name), now).map_err(|wait| {
            let detail = "more requests than server.requests_per_second allows: send fewer, or many in one (jobs/bulk)";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).come_again(wait)
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_burst_is_served_then_the_rate() {
        let rates = Rates::new(2, 3);
        let start = DateTime::UNIX_EPOCH;
        for _ in 0..3 {
            assert_eq!(rates.take("a", start), Ok(()));
        }
        assert_eq!(rates.take("a", start), Err(Duration::from_millis(500)));
        assert_eq!(rates.take("b", start), Ok(()), "each caller has a bucket of its own");
        assert_eq!(rates.take("a", start + TimeDelta::milliseconds(500)), Ok(()));
        assert!(rates.take("a", start).is_err(), "a clock that goes back fills nothing");
    }

    #[test]
    fn without_a_rate_everything_is_served() {
        let rates = Rates::new(0, 1);
        assert!((0..100).all(|_| rates.take("a", DateTime::UNIX_EPOCH).is_ok()));
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let rates = Rates::new(1, 1);
        let start = DateTime::UNIX_EPOCH;
        for n in 0..MANY {
            let _ = rates.take(&n.to_string(), start);
        }
        let _ = rates.take("late", start + TimeDelta::hours(1));
        assert_eq!(rates.buckets.lock().expect("not poisoned").len(), 1);
    }
}
